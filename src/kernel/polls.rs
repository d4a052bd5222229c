//! Which polls are going on, and since when: what the watchdog looks at (feature `watchdog`).
//!
//! Invariants
//! 1. The list of a thread changes on that thread only, at the begin and the end of a poll. Polls nest,
//!    so the last to begin is the first to end.
//! 2. `SHORTEST` is the least threshold of those who watch, and `u64::MAX` without any: then a poll
//!    costs one look at it. A poll that began before anybody watched is in no list.
//! 3. A poll leaves its list, and its end is told, in one step under the lock of the list. So who has seen
//!    it in the list hears of its end afterwards, if it took as long as the threshold; and who no longer
//!    sees it has been told.
//! 4. The lock of a list comes before that of `SHARED`.

use std::{
    panic::Location,
    sync::{Arc, Weak, mpsc::Sender},
    time::{Duration, Instant},
};

use super::{
    atomic::{AtomicU64, Lock, OnceLock, Ordering, thread_local},
    info::Info,
};

static SHORTEST: AtomicU64 = AtomicU64::new(u64::MAX);
static SHARED: OnceLock<Lock<Shared>> = OnceLock::new();

/// What one poll is called: the thread's number, and how many the thread had begun before it.
pub(crate) type PollId = (u64, u64);

/// A poll of a task, or of the future of a boundary that nobody is around.
#[derive(Clone)]
pub(crate) struct TaskPoll {
    pub(crate) id: PollId,
    pub(crate) name: Option<Box<str>>,
    pub(crate) location: &'static Location<'static>,
    pub(crate) began: Instant,
}

/// The end of a poll that took long.
#[derive(Clone)]
pub(crate) struct LongPoll {
    pub(crate) poll: TaskPoll,
    pub(crate) took: Duration,
    /// The polls in which it was nested.
    pub(crate) around: Vec<PollId>,
}

impl LongPoll {
    pub(crate) fn end(&self) -> Instant {
        self.poll.began + self.took
    }
}

/// Who watches: from which duration on, and where to tell.
struct Watcher {
    number: u64,
    threshold: Duration,
    ends: Sender<LongPoll>,
}

#[derive(Default)]
struct Shared {
    threads: Vec<Weak<Thread>>,
    watchers: Vec<Watcher>,
    /// The last number that was given, to a thread or a watcher.
    numbers: u64,
}

impl Shared {
    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn update_shortest(&self) {
        let shortest = self.watchers.iter().map(|watcher| watcher.threshold).min();
        SHORTEST.store(shortest.map_or(u64::MAX, nanos), Ordering::Release);
    }
}

struct Thread {
    number: u64,
    list: Lock<List>,
}

#[derive(Default)]
struct List {
    begun: u64,
    polls: Vec<TaskPoll>,
}

thread_local! {
    static THREAD: Arc<Thread> = register();
}

fn shared() -> &'static Lock<Shared> {
    SHARED.get_or_init(Lock::default)
}

fn register() -> Arc<Thread> {
    let mut shared = shared().lock();
    let thread = Arc::new(Thread {
        number: shared.next_number(),
        list: Lock::default(),
    });
    shared.threads.retain(|thread| thread.strong_count() > 0);
    shared.threads.push(Arc::downgrade(&thread));
    thread
}

fn nanos(duration: Duration) -> u64 {
    // Below the mark for "nobody".
    u64::try_from(duration.as_nanos()).map_or(u64::MAX - 1, |nanos| nanos.min(u64::MAX - 1))
}

/// Does anybody watch?
#[inline]
pub(super) fn is_watched() -> bool {
    SHORTEST.load(Ordering::Acquire) != u64::MAX
}

/// A poll that goes on; dropped at its end.
pub(super) struct Polling {
    listed: bool,
}

impl Polling {
    /// The poll of a child.
    #[inline]
    pub(super) fn of_child(who: &Info) -> Self {
        Polling::begin(who.name(), who.location())
    }

    /// The poll of whoever is called that.
    #[inline]
    pub(super) fn begin(name: Option<&str>, location: &'static Location<'static>) -> Self {
        Polling {
            listed: is_watched() && enlist(name, location),
        }
    }
}

impl Drop for Polling {
    #[inline]
    fn drop(&mut self) {
        if self.listed {
            // Without its locals the thread has taken its list with it.
            _ = THREAD.try_with(|thread| thread.end());
        }
    }
}

#[cold]
fn enlist(name: Option<&str>, location: &'static Location<'static>) -> bool {
    let listed = THREAD.try_with(|thread| {
        let mut list = thread.list.lock();
        list.begun += 1;
        let poll = TaskPoll {
            id: (thread.number, list.begun),
            name: name.map(Box::from),
            location,
            began: Instant::now(),
        };
        list.polls.push(poll);
    });
    listed.is_ok()
}

impl Thread {
    /// The last poll that began ends.
    fn end(&self) {
        let mut list = self.list.lock();
        let Some(poll) = list.polls.pop() else {
            return;
        };
        let took = poll.began.elapsed();
        if nanos(took) < SHORTEST.load(Ordering::Acquire) {
            return;
        }
        let long = LongPoll {
            poll,
            took,
            around: list.polls.iter().map(|poll| poll.id).collect(),
        };
        for watcher in &shared().lock().watchers {
            if watcher.threshold <= long.took {
                // One that has just stopped watching hears nothing any more.
                _ = watcher.ends.send(long.clone());
            }
        }
    }
}

/// From now on, sends the ends of polls that take at least `threshold`. The answer is for [`unwatch`].
pub(crate) fn watch(threshold: Duration, ends: Sender<LongPoll>) -> u64 {
    let mut shared = shared().lock();
    let number = shared.next_number();
    shared.watchers.push(Watcher {
        number,
        threshold,
        ends,
    });
    shared.update_shortest();
    number
}

/// Drops the sender given to [`watch`].
pub(crate) fn unwatch(number: u64) {
    let mut shared = shared().lock();
    shared.watchers.retain(|watcher| watcher.number != number);
    shared.update_shortest();
}

/// Shows the polls that go on in each thread, the outermost first, and when that was.
pub(crate) fn look(mut f: impl FnMut(&[TaskPoll], Instant)) {
    let threads = shared().lock().threads.clone();
    for thread in threads.iter().filter_map(Weak::upgrade) {
        // The time of a moment at which they do go on, so that their ends cannot have taken less.
        let (polls, now) = {
            let list = thread.list.lock();
            (list.polls.clone(), Instant::now())
        };
        f(&polls, now);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc::channel, thread};

    use super::*;

    #[test]
    fn a_duration_counts_in_nanoseconds_and_never_says_that_nobody_watches() {
        assert_eq!(nanos(Duration::from_nanos(2)), 2);
        let longest = Duration::from_nanos(u64::MAX - 1);
        assert_eq!(nanos(longest), u64::MAX - 1);
        assert_eq!(nanos(longest + Duration::from_nanos(1)), u64::MAX - 1);
        assert_eq!(nanos(Duration::MAX), u64::MAX - 1);
    }

    /// A look between the two would find the poll around alone, and blame it.
    #[test]
    fn a_poll_that_is_no_longer_seen_has_told_its_end() {
        /// Who is late makes this pass without a look, and never fail.
        const LOOKS_FOR: Duration = Duration::from_millis(50);
        let (ends, heard) = channel();
        let number = watch(Duration::ZERO, ends);
        let ((give, given), (end, ended), (tell, gone)) = (channel(), channel(), channel());
        let here = Location::caller();
        let polling = thread::spawn(move || {
            let _around = Polling::begin(None, here);
            let inside = Polling::begin(None, here);
            give.send(THREAD.with(Arc::clone)).unwrap();
            ended.recv().unwrap();
            drop(inside);
        });
        let polls_of: Arc<Thread> = given.recv().unwrap();
        let around = [(polls_of.number, 1)];
        // Holds up who is about to tell.
        let held = shared().lock();
        end.send(()).unwrap();
        let looking = thread::spawn(move || {
            while polls_of.list.lock().polls.len() == 2 {
                thread::yield_now();
            }
            tell.send(()).unwrap();
        });
        let early = gone.recv_timeout(LOOKS_FOR);
        drop(held);
        looking.join().unwrap();
        polling.join().unwrap();
        unwatch(number);
        assert!(early.is_err(), "it is gone, and has not told");
        assert!(heard.try_iter().any(|end| end.around == around));
    }

    #[test]
    fn a_thread_that_has_ended_is_forgotten_when_the_next_comes() {
        let ended = thread::spawn(|| THREAD.with(Arc::downgrade)).join();
        let ended = ended.unwrap();
        thread::spawn(|| THREAD.with(|_| ())).join().unwrap();
        let shared = shared().lock();
        assert!(!shared.threads.iter().any(|thread| thread.ptr_eq(&ended)));
    }
}
