//! Groups that only grow.

use std::{
    collections::HashMap,
    fmt,
    panic::Location,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use super::Watchdog;
use crate::{
    kernel::{levels, node::Node},
    panics,
    plain::Plain,
};

/// So often the number of children has to have risen, and not fallen, before it is reported.
const RISES: u32 = 8;

/// A group that gets more and more children. Displayed, it says all of it.
#[derive(Clone, Debug)]
pub struct Growth {
    name: Option<Box<str>>,
    location: &'static Location<'static>,
    from: usize,
    living: usize,
    spawned: u64,
    duration: Duration,
}

impl Growth {
    /// The name of the group, if it has one; see [`Options::name`](crate::Options::name).
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where the group was opened.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// How many children lived when it began to grow.
    pub fn from(&self) -> usize {
        self.from
    }

    /// How many live now.
    pub fn living(&self) -> usize {
        self.living
    }

    /// How many there have been in all.
    pub fn spawned(&self) -> u64 {
        self.spawned
    }

    /// For how long the number has not fallen.
    pub fn duration(&self) -> Duration {
        self.duration
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the boundary ")?;
        if let Some(name) = &self.name {
            write!(f, "`{}` ", Plain(name))?;
        }
        write!(
            f,
            "opened at {} only grows: from {} to {} children within {:.1?}",
            self.location, self.from, self.living, self.duration
        )
    }
}

/// Calls `report` for each group, `run` or scope that has more than `bound` living children and only grows.
///
/// Each group is looked at whenever the time `every` has passed, a millisecond at least. It only grows if the number of its
/// living children was higher at 8 looks than at the look before, and lower at none since. A loop
/// that spawns a child for each request into one group, while the requests do not end, does so: the
/// program gets slow, and some day has no memory left. To begin with, take for `every` some times as
/// long as a request takes, and for `bound` more children than the group should ever have.
///
/// Not reported is a group that gets many children at once, and then waits for them; nor one in which
/// as many end as are spawned. Where most end and some do not, the rise shows only if it is greater
/// than the ups and downs, between two looks: a longer `every` helps.
///
/// A group that was reported is reported again when it has twice as many children. `report` runs on a
/// thread of the watchdog. A panic in it goes to the log.
///
/// ```
/// use headcount::{Options, watchdog};
/// use std::{convert::Infallible, future::pending, sync::mpsc, time::Duration};
///
/// let (told, hear) = mpsc::channel();
/// let _watchdog = watchdog::watch_growth(Duration::from_millis(1), 3, move |growth| {
///     _ = told.send(growth.name().map(str::to_owned));
/// });
/// Options::new().name("requests").run(async |g| {
///     // Until the watchdog has said so.
///     while hear.recv_timeout(Duration::from_millis(1)).is_err() {
///         g.spawn(pending::<()>());
///     }
///     g.cancel();
///     Ok::<_, Infallible>(())
/// }).unwrap();
/// ```
///
/// # Panics
///
/// If `every` is zero: there would be no end of looks. And if no thread can be started.
pub fn watch_growth(
    every: Duration,
    bound: usize,
    mut report: impl FnMut(&Growth) + Send + 'static,
) -> Watchdog {
    assert!(
        every > Duration::ZERO,
        "a watchdog that looks all the time would do nothing else: every 10 seconds is a good start"
    );
    let mut groups = Groups::default();
    Watchdog::looking(every, move || {
        for growth in groups.look(bound, Instant::now()) {
            panics::guard("the report of a watchdog", || report(&growth));
        }
    })
}

/// A [`watch_growth`] that writes a warning to the log for each.
///
/// ```
/// use headcount::{run, watchdog};
/// use std::{convert::Infallible, time::Duration};
///
/// let _watchdog = watchdog::log_growth(Duration::from_secs(10), 1000);
/// run(async |_| Ok::<_, Infallible>(())).unwrap();
/// ```
///
/// # Panics
///
/// As [`watch_growth`].
pub fn log_growth(every: Duration, bound: usize) -> Watchdog {
    watch_growth(every, bound, |growth| log::warn!("{growth}"))
}

/// What is known of the groups, by their addresses. Each keeps the memory of its group, and not the
/// group, so that no other has the same address.
#[derive(Default)]
struct Groups(HashMap<usize, (Weak<Node>, Climb)>);

impl Groups {
    fn look(&mut self, bound: usize, now: Instant) -> Vec<Growth> {
        let mut news = Vec::new();
        levels::look(|node, living, spawned| {
            let known = self.0.entry(Arc::as_ptr(node).addr());
            let (_, climb) =
                known.or_insert_with(|| (Arc::downgrade(node), Climb::begin(living, now)));
            if climb.go_on(living, bound, now) {
                news.push(Growth {
                    name: node.name.clone(),
                    location: node.location,
                    from: climb.from,
                    living,
                    spawned,
                    duration: now.duration_since(climb.since),
                });
            }
        });
        self.0.retain(|_, (node, _)| node.strong_count() > 0);
        news
    }
}

/// How the number of children of one group has changed since it fell last.
struct Climb {
    from: usize,
    since: Instant,
    last: usize,
    rises: u32,
    /// How many there were when it was reported.
    reported: usize,
}

impl Climb {
    fn begin(living: usize, now: Instant) -> Self {
        Climb {
            from: living,
            since: now,
            last: living,
            rises: 0,
            reported: 0,
        }
    }

    /// Takes a look; true if it is to be reported.
    fn go_on(&mut self, living: usize, bound: usize, now: Instant) -> bool {
        if living < self.last {
            let reported = self.reported;
            *self = Climb {
                reported,
                ..Climb::begin(living, now)
            };
        }
        self.rises += u32::from(living > self.last);
        self.last = living;
        let news = self.rises >= RISES && living > bound && living / 2 >= self.reported;
        if news {
            self.reported = living;
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At which of these looks a group with so many children is reported.
    fn reported(bound: usize, looks: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let now = Instant::now();
        let mut looks = looks.into_iter();
        let mut climb = Climb::begin(looks.next().unwrap(), now);
        let living: Vec<_> = looks.filter(|&l| climb.go_on(l, bound, now)).collect();
        living
    }

    #[test]
    fn a_group_is_reported_when_it_has_risen_eight_times_and_is_over_the_bound() {
        assert_eq!(reported(3, 0..8), [0; 0]);
        assert_eq!(reported(3, 0..9), [8]);
        assert_eq!(reported(8, 0..9), [0; 0]);
        assert_eq!(reported(8, 0..10), [9]);
    }

    #[test]
    fn looks_at_which_nothing_has_changed_say_nothing() {
        assert_eq!(reported(3, (0..20).map(|n| n / 2)), [8]);
        assert_eq!(reported(3, [0].into_iter().chain([1000; 50])), [0; 0]);
    }

    #[test]
    fn a_group_that_shrinks_begins_again() {
        let ups_and_downs = (0..100).map(|n| 10 + n + 9 * (n % 7));
        assert_eq!(reported(3, ups_and_downs), [0; 0]);
        let fallen = [0, 1, 2, 3, 4, 5, 6, 7, 6].into_iter();
        assert_eq!(reported(3, fallen.clone().chain(7..14)), [0; 0]);
        assert_eq!(reported(3, fallen.chain(7..15)), [14]);
    }

    #[test]
    fn a_group_is_reported_again_when_it_has_twice_as_many() {
        assert_eq!(reported(3, 0..40), [8, 16, 32]);
        let back = (0..10).chain(0..20);
        assert_eq!(reported(3, back), [8, 16]);
    }
}
