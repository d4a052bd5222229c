//! Polls that block their thread.

use std::{
    collections::HashMap,
    fmt,
    panic::Location,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use super::{Watchdog, Watching};
use crate::{
    error::write_who,
    kernel::polls::{self, LongPoll, PollId, TaskPoll},
    panics,
};

/// A poll that took longer than a [watchdog](watch) allows. Displayed, it says all of it.
#[derive(Clone, Debug)]
pub struct Stall {
    name: Option<Box<str>>,
    location: &'static Location<'static>,
    duration: Duration,
    over: bool,
    known: bool,
}

impl Stall {
    /// The name of the task, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where the task was spawned, or its boundary opened.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// How long the poll took, or has taken until now: since the end of the last poll inside it that was
    /// reported itself, if there was one.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Has the poll ended?
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Was this poll reported before, while it was stuck? Then it has now ended.
    pub fn is_known(&self) -> bool {
        self.known
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_who(f, self.name(), self.location)?;
        let verb = if self.over { "blocked" } else { "blocks" };
        write!(f, " {verb} its thread for {:.1?}", self.duration)
    }
}

/// Calls `report` for each poll, of any task in the process, that takes at least `threshold`: as soon
/// as it does, and a second time when a poll that was reported stuck has [ended](Stall::is_over).
///
/// `report` runs on a thread of the watchdog. A panic in it goes to the log. Several watchdogs may
/// watch, each for itself. What began before the watch did is not seen.
///
/// The example of the [module](super) shows it.
///
/// # Panics
///
/// If `threshold` is zero: every poll takes that long. And if no thread can be started.
pub fn watch(threshold: Duration, report: impl FnMut(&Stall) + Send + 'static) -> Watchdog {
    assert!(
        threshold > Duration::ZERO,
        "a watchdog with a threshold of zero would report every poll: 100 milliseconds are a good start"
    );
    let (ends, heard) = channel();
    let watch = Watch {
        threshold,
        report,
        seen: HashMap::new(),
    };
    // Before its first look, or it could see a poll of whose end it does not hear.
    let mut watchdog = Watchdog {
        watching: Some(Watching::Polls(polls::watch(threshold, ends))),
        thread: None,
    };
    watchdog.thread = Some(super::thread(move || watch.run(&heard)));
    watchdog
}

/// A [`watch`] that writes to the log: one warning for each stall, and a line at level `info` with
/// the whole time when one that was reported stuck has ended.
///
/// ```
/// use headcount::{run, watchdog};
/// use std::{convert::Infallible, time::Duration};
///
/// let _watchdog = watchdog::log_stalls(Duration::from_millis(100));
/// run(async |_| Ok::<_, Infallible>(())).unwrap();
/// ```
///
/// # Panics
///
/// As [`watch`].
pub fn log_stalls(threshold: Duration) -> Watchdog {
    watch(threshold, |stall| {
        let level = match stall.is_known() {
            true => log::Level::Info,
            false => log::Level::Warn,
        };
        log::log!(level, "{stall}");
    })
}

/// What is known of a poll that has taken long.
#[derive(Clone, Copy)]
struct Seen {
    /// Since when no other poll is to blame: its begin, or the end of a poll inside that took too long.
    since: Instant,
    reported: bool,
}

impl Seen {
    fn first(poll: &TaskPoll) -> Self {
        Seen {
            since: poll.began,
            reported: false,
        }
    }
}

/// The thread of a watchdog.
struct Watch<R> {
    threshold: Duration,
    report: R,
    /// Of polls that have taken long and not ended. Each leaves when its end is heard.
    seen: HashMap<PollId, Seen>,
}

impl<R: FnMut(&Stall)> Watch<R> {
    fn run(mut self, ends: &Receiver<LongPoll>) {
        let pause = super::pause(self.threshold);
        let mut next_look = Instant::now() + pause;
        loop {
            match ends.recv_timeout(next_look.saturating_duration_since(Instant::now())) {
                Ok(long) => self.ended(long),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // Not only when nothing has come for a while: ends may come all the time.
            let now = Instant::now();
            if now < next_look {
                continue;
            }
            polls::look(|polls, now| self.look_after(ends, polls, now));
            next_look = Instant::now() + pause;
        }
    }

    fn seen(&self, poll: &TaskPoll) -> Seen {
        let seen = self.seen.get(&poll.id).copied();
        seen.unwrap_or_else(|| Seen::first(poll))
    }

    /// Until then, a poll inside was to blame.
    fn excuse(&mut self, poll: PollId, until: Instant) {
        let excused = Seen {
            since: until,
            reported: false,
        };
        let seen = self.seen.entry(poll).or_insert(excused);
        if !seen.reported {
            seen.since = seen.since.max(until);
        }
    }

    /// Looks at polls that went on at that time, when all `ends` before it had been sent: they are heard
    /// first, or the look would blame a poll for one that was in it.
    fn look_after(&mut self, ends: &Receiver<LongPoll>, polls: &[TaskPoll], now: Instant) {
        let mut late = None;
        for long in ends.try_iter() {
            if long.end() >= now {
                late = Some(long);
                break;
            }
            self.ended(long);
        }
        self.look(polls, now);
        // It may be of one of those polls, which is forgotten now.
        if let Some(long) = late {
            self.ended(long);
        }
    }

    /// Reports the polls of a thread that are stuck: the innermost that takes too long by itself. What the one
    /// inside has taken is not its own.
    fn look(&mut self, polls: &[TaskPoll], now: Instant) {
        let taken = |n: usize| {
            let until = polls.get(n + 1).map_or(now, |inside| inside.began);
            until.saturating_duration_since(self.seen(&polls[n]).since)
        };
        let late = |n: &usize| taken(*n) >= self.threshold;
        let Some(innermost) = (0..polls.len()).rfind(late) else {
            return;
        };
        let duration = taken(innermost);
        for around in &polls[..innermost] {
            self.excuse(around.id, now);
        }
        let stuck = &polls[innermost];
        let seen = self.seen(stuck);
        if !seen.reported {
            let reported = Seen {
                reported: true,
                ..seen
            };
            self.seen.insert(stuck.id, reported);
            self.tell(stuck.clone(), duration, None);
        }
    }

    fn ended(&mut self, long: LongPoll) {
        let seen = self.seen(&long.poll);
        self.seen.remove(&long.poll.id);
        let end = long.end();
        let took = end.duration_since(seen.since);
        if !seen.reported && took < self.threshold {
            return;
        }
        for around in long.around {
            self.excuse(around, end);
        }
        self.tell(long.poll, took, Some(seen));
    }

    /// `over`: it has ended, and this is what was known of it before.
    fn tell(&mut self, poll: TaskPoll, duration: Duration, over: Option<Seen>) {
        let stall = Stall {
            name: poll.name,
            location: poll.location,
            duration,
            over: over.is_some(),
            known: over.is_some_and(|seen| seen.reported),
        };
        panics::guard("the report of a watchdog", || (self.report)(&stall));
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    const THRESHOLD: Duration = Duration::from_secs(1);

    /// What was told: the name, and whether it was over and known.
    type Told = Vec<(String, bool, bool)>;

    fn watch(told: &mut Told) -> Watch<impl FnMut(&Stall)> {
        Watch {
            threshold: THRESHOLD,
            report: |stall: &Stall| {
                let name = stall.name().unwrap_or_default().to_owned();
                told.push((name, stall.is_over(), stall.is_known()));
            },
            seen: HashMap::new(),
        }
    }

    fn poll(number: u64, name: &str, began: Instant) -> TaskPoll {
        TaskPoll {
            id: (0, number),
            name: Some(name.into()),
            location: Location::caller(),
            began,
        }
    }

    fn end(poll: &TaskPoll, took: Duration, around: &[&TaskPoll]) -> LongPoll {
        LongPoll {
            poll: poll.clone(),
            took,
            around: around.iter().map(|poll| poll.id).collect(),
        }
    }

    #[test]
    fn of_nested_polls_the_innermost_late_one_is_reported_alone() {
        let start = Instant::now();
        let polls = [
            poll(1, "outer", start),
            poll(2, "inner", start),
            poll(3, "quick", start + 2 * THRESHOLD),
        ];
        let mut told = Told::new();
        let mut watch = watch(&mut told);
        for _ in 0..3 {
            watch.look(&polls, start + 2 * THRESHOLD);
        }
        watch.ended(end(&polls[1], 3 * THRESHOLD, &[&polls[0]]));
        watch.look(&polls[..1], start + 3 * THRESHOLD);
        watch.ended(end(&polls[0], 3 * THRESHOLD, &[]));
        assert!(watch.seen.is_empty(), "polls that have ended are forgotten");
        let inner = |over| ("inner".to_owned(), over, over);
        drop(watch);
        assert_eq!(told, [inner(false), inner(true)]);
    }

    /// Both together take too long, and nobody by itself.
    #[test]
    fn a_poll_around_is_not_blamed_for_what_the_one_inside_has_taken() {
        let start = Instant::now();
        let inner = start + THRESHOLD / 2;
        let polls = [poll(1, "outer", start), poll(2, "inner", inner)];
        let mut told = Told::new();
        let mut watch = watch(&mut told);
        watch.look(&polls, start + THRESHOLD);
        assert!(watch.seen.is_empty());
        watch.look(&polls, inner + THRESHOLD);
        drop(watch);
        assert_eq!(told, [("inner".to_owned(), false, false)]);
    }

    #[test]
    fn an_end_before_a_look_is_heard_before_it_and_one_after_it_afterwards() {
        let start = Instant::now();
        let (outer, inner) = (poll(1, "outer", start), poll(2, "inner", start));
        let at = |thresholds| start + thresholds * THRESHOLD;
        let (tell, ends) = channel();
        let mut told = Told::new();
        let mut watch = watch(&mut told);
        let little = Duration::from_nanos(1);
        tell.send(end(&inner, 2 * THRESHOLD - little, &[&outer]))
            .unwrap();
        watch.look_after(&ends, slice::from_ref(&outer), at(2));
        tell.send(end(&outer, 3 * THRESHOLD, &[])).unwrap();
        watch.look_after(&ends, slice::from_ref(&outer), at(3));
        assert!(watch.seen.is_empty());
        drop(watch);
        let expected = [
            ("inner", true, false),
            ("outer", false, false),
            ("outer", true, true),
        ];
        assert_eq!(
            told,
            expected.map(|(name, over, known)| (name.to_owned(), over, known))
        );
    }

    #[test]
    fn a_stall_between_two_looks_is_reported_once_and_excuses_the_poll_around() {
        let start = Instant::now();
        let (outer, inner) = (poll(1, "outer", start), poll(2, "inner", start));
        let mut told = Told::new();
        let mut watch = watch(&mut told);
        watch.ended(end(&inner, THRESHOLD, &[&outer]));
        watch.ended(end(&outer, THRESHOLD, &[]));
        assert!(watch.seen.is_empty());
        drop(watch);
        assert_eq!(told, [("inner".to_owned(), true, false)]);
    }

    #[test]
    fn a_poll_is_excused_until_the_end_of_one_inside_and_not_afterwards() {
        let start = Instant::now();
        let (outer, inner) = (poll(1, "outer", start), poll(2, "inner", start));
        let at = |thresholds| start + thresholds * THRESHOLD;
        let mut told = Told::new();
        let mut watch = watch(&mut told);
        watch.look(&[outer.clone(), inner.clone()], at(2));
        watch.ended(end(&inner, 3 * THRESHOLD, &[&outer]));
        let little = Duration::from_nanos(1);
        watch.look(slice::from_ref(&outer), at(4) - little);
        watch.look(slice::from_ref(&outer), at(4));
        watch.look(slice::from_ref(&outer), at(5));
        watch.ended(end(&outer, 6 * THRESHOLD, &[]));
        assert!(watch.seen.is_empty());
        drop(watch);
        let expected = [
            ("inner", false),
            ("inner", true),
            ("outer", false),
            ("outer", true),
        ];
        assert_eq!(
            told,
            expected.map(|(name, over)| (name.to_owned(), over, over))
        );
    }

    /// The own time of a poll is what it took after the end of the one inside.
    #[test]
    fn an_excused_poll_that_took_too_long_afterwards_is_reported_at_its_end() {
        let start = Instant::now();
        let (outer, inner) = (poll(1, "outer", start), poll(2, "inner", start));
        let mut durations = Vec::new();
        let mut watch = Watch {
            threshold: THRESHOLD,
            report: |stall: &Stall| durations.push(stall.duration()),
            seen: HashMap::new(),
        };
        watch.ended(end(&inner, THRESHOLD, &[&outer]));
        watch.ended(end(&outer, 3 * THRESHOLD, &[]));
        drop(watch);
        assert_eq!(durations, [THRESHOLD, 2 * THRESHOLD]);
    }

    /// Each look would be put off by the next end, and a poll that is stuck for ever would stay unknown.
    #[cfg(feature = "async-std")]
    #[test]
    fn a_stuck_poll_is_reported_though_others_end_all_the_time() {
        const PAUSE: Duration = Duration::from_millis(50);
        const ENDS: u32 = 20_000;
        let (told, heard) = channel();
        let (ends, hears) = channel();
        let number = polls::watch(4 * PAUSE, ends.clone());
        let watch = Watch {
            threshold: 4 * PAUSE,
            report: move |stall: &Stall| {
                if stall.name() == Some("stuck among others") {
                    _ = told.send(stall.is_over());
                }
            },
            seen: HashMap::new(),
        };
        let watching = std::thread::spawn(move || watch.run(&hears));
        let options = crate::Options::new().name("stuck among others");
        let over = options.run(async move |_| {
            let other = poll(0, "other", Instant::now());
            for _ in 0..ENDS {
                ends.send(end(&other, 4 * PAUSE, &[])).unwrap();
                if let Ok(over) = heard.recv_timeout(Duration::from_millis(1)) {
                    return Ok(over);
                }
            }
            Err("never reported")
        });
        polls::unwatch(number);
        watching.join().unwrap();
        assert!(!over.unwrap());
    }

    #[test]
    fn a_poll_is_late_at_its_threshold_and_not_before() {
        let start = Instant::now();
        let polls = [poll(1, "poll", start)];
        let mut told = Told::new();
        let mut watch = watch(&mut told);
        watch.look(&polls, start + THRESHOLD - Duration::from_nanos(1));
        assert!(watch.seen.is_empty());
        watch.look(&polls, start + THRESHOLD);
        drop(watch);
        assert_eq!(told.len(), 1);
    }
}
