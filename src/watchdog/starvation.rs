//! Scopes that are woken and not polled.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fmt,
    panic::Location,
    sync::Arc,
    time::Duration,
};

use super::Watchdog;
use crate::{
    error::write_who,
    kernel::{
        info::Info,
        wakes::{self, Woken},
    },
    panics,
    plain::Plain,
};

/// A scope that has had work to do for longer than a [watchdog](watch_starvation) allows, and was not
/// polled. Displayed, it says all of it.
#[derive(Clone, Debug)]
pub struct Starvation {
    scope: Info,
    child: Info,
    children: usize,
    duration: Duration,
}

impl Starvation {
    /// The name of the scope, if it has one; see [`Options::name`](crate::Options::name).
    pub fn name(&self) -> Option<&str> {
        self.scope.name()
    }

    /// Where the scope was opened.
    pub fn location(&self) -> &'static Location<'static> {
        self.scope.location()
    }

    /// The name of the child that has waited for longest, if it has one.
    pub fn child_name(&self) -> Option<&str> {
        self.child.name()
    }

    /// Where that child was spawned.
    pub fn child_location(&self) -> &'static Location<'static> {
        self.child.location()
    }

    /// How many children could go on.
    pub fn children(&self) -> usize {
        self.children
    }

    /// For how long the first of them has waited.
    pub fn duration(&self) -> Duration {
        self.duration
    }
}

impl fmt::Display for Starvation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the scope ")?;
        if let Some(name) = self.name() {
            write!(f, "`{}` ", Plain(name))?;
        }
        write!(f, "opened at {} is not polled: ", self.location())?;
        write_who(f, self.child_name(), self.child_location())?;
        write!(f, " was woken {:.1?} ago", self.duration)?;
        match self.children {
            1 => Ok(()),
            more => write!(f, ", and {} others since", more - 1),
        }
    }
}

/// Calls `report` for each inline [`scope`](crate::scope()) of which a child was woken, so that it can go on,
/// and which is not polled for as long as `threshold`.
///
/// The children of a scope run only while the future of the scope is polled. It is not if the code around
/// awaits something else meanwhile: a `select!` in a loop whose other arm has its turn, a stream that was
/// polled once and put aside, a sibling branch of a `join` that keeps the thread. Those who wait for such
/// a child wait for ever. A scope that nothing has woken is not starved, however long it waits.
///
/// Each time is reported once, whether it ends or not. `report` runs on a thread of the watchdog. A
/// panic in it goes to the log. Seen are scopes that were polled since the watch began. If the whole
/// process has too little time, scopes are starved like all others.
///
/// ```
/// use headcount::{scope, sync::Event, watchdog};
/// use std::{convert::Infallible, pin::pin, sync::mpsc, time::Duration};
///
/// let (told, hear) = mpsc::channel();
/// let _watchdog = watchdog::watch_starvation(Duration::from_millis(10), move |starved| {
///     _ = told.send(starved.children());
/// });
/// let ready = Event::new();
/// # async_std::task::block_on(async {
/// let work = pin!(scope(async |s| {
///     s.spawn(async { ready.wait().await });
///     Ok::<_, Infallible>(())
/// }));
/// let other = pin!(async {
///     ready.set();
///     // The child can go on, and this arm does not let it.
///     assert_eq!(hear.recv().unwrap(), 1);
/// });
/// futures_util::future::select(work, other).await;
/// # });
/// ```
///
/// # Panics
///
/// If `threshold` is zero: every scope waits for its poll that long. And if no thread can be started.
pub fn watch_starvation(
    threshold: Duration,
    mut report: impl FnMut(&Starvation) + Send + 'static,
) -> Watchdog {
    assert!(
        threshold > Duration::ZERO,
        "a watchdog with a threshold of zero would report every scope: a second is a good start"
    );
    let watching = wakes::watch();
    let mut told = Told::default();
    Watchdog::looking(super::pause(threshold), move || {
        let _watching = &watching;
        for starved in told.news(wakes::look(), threshold) {
            panics::guard("the report of a watchdog", || report(&starved));
        }
    })
}

/// A [`watch_starvation`] that writes a warning to the log for each time.
///
/// ```
/// use headcount::{scope, watchdog};
/// use std::{convert::Infallible, time::Duration};
///
/// let _watchdog = watchdog::log_starvation(Duration::from_secs(1));
/// # async_std::task::block_on(async {
/// scope(async |_| Ok::<_, Infallible>(())).await.unwrap();
/// # });
/// ```
///
/// # Panics
///
/// As [`watch_starvation`].
pub fn log_starvation(threshold: Duration) -> Watchdog {
    watch_starvation(threshold, |starved| log::warn!("{starved}"))
}

/// Which times were reported and go on: of which scope, and when its first child was woken.
#[derive(Default)]
struct Told(HashSet<(usize, u64)>);

impl Told {
    /// Of the children that wait now, what to report.
    fn news(&mut self, woken: Vec<Woken>, threshold: Duration) -> Vec<Starvation> {
        // The scope of each keeps its address.
        let mut scopes: HashMap<usize, (Woken, usize)> = HashMap::new();
        for woken in woken {
            match scopes.entry(Arc::as_ptr(&woken.scope).addr()) {
                Entry::Vacant(first) => _ = first.insert((woken, 1)),
                Entry::Occupied(mut known) => {
                    let (first, children) = known.get_mut();
                    *children += 1;
                    if woken.at < first.at {
                        *first = woken;
                    }
                }
            }
        }
        scopes.retain(|_, (first, _)| first.since >= threshold);
        let times = scopes.iter().map(|(scope, (first, _))| (*scope, first.at));
        let before = std::mem::replace(&mut self.0, times.collect());
        scopes.retain(|scope, (first, _)| !before.contains(&(*scope, first.at)));
        let news = scopes.into_values();
        news.map(|(first, children)| Starvation {
            scope: Info::new(first.scope.name.clone(), first.scope.location),
            child: first.child,
            children,
            duration: first.since,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::node::{Kind, Node, Plan};

    const THRESHOLD: Duration = Duration::from_secs(1);

    fn scope() -> Arc<Node> {
        Node::new(Kind::Scope, Location::caller(), Plan::default())
    }

    fn woken(scope: &Arc<Node>, name: &str, at: u64, since: Duration) -> Woken {
        Woken {
            scope: scope.clone(),
            child: Info::new(Some(name.into()), Location::caller()),
            at,
            since,
        }
    }

    #[test]
    fn each_time_is_reported_once_when_it_has_come_to_the_threshold() {
        let (mut told, scope) = (Told::default(), scope());
        let little = Duration::from_nanos(1);
        let mut count = |at, since| {
            let woken = vec![woken(&scope, "child", at, since)];
            told.news(woken, THRESHOLD).len()
        };
        assert_eq!(count(7, THRESHOLD - little), 0);
        assert_eq!(count(7, THRESHOLD), 1);
        assert_eq!(count(7, THRESHOLD + little), 0);
        // It was polled, and is left alone again.
        assert_eq!(count(8, THRESHOLD), 1);
        assert_eq!(told.news(vec![], THRESHOLD).len(), 0);
        assert!(told.0.is_empty(), "what is over is forgotten");
    }

    #[test]
    fn of_the_children_of_a_scope_the_first_is_named_and_the_others_are_counted() {
        let (mut told, one, other) = (Told::default(), scope(), scope());
        let since = |seconds| THRESHOLD + Duration::from_secs(seconds);
        let news = told.news(
            vec![
                woken(&one, "later", 9, since(0)),
                woken(&one, "first", 7, since(2)),
                woken(&other, "alone", 8, since(1)),
                woken(&one, "last", 10, Duration::ZERO),
            ],
            THRESHOLD,
        );
        let mut news: Vec<_> = news
            .iter()
            .map(|s| (s.child_name(), s.children()))
            .collect();
        news.sort_unstable();
        assert_eq!(news, [(Some("alone"), 1), (Some("first"), 3)]);
    }
}
