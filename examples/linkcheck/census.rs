//! Who is alive, counted twice: by the kernel, and by a drop guard in each child.
//!
//! The guards know nothing of headcount: each is made before its child is spawned, moves into the
//! child's future, and goes with it. So a future that is leaked, or that outlives the run, is
//! missed by neither count, and a mistake of one shows against the other. (The child that reads the
//! signals is headcount's own, and has no guard.)

use std::future::Future;
use std::sync::{Arc, Mutex};

use headcount::{GroupStats, TaskGroup};

/// Shared by all the groups of a run; may be asked at any time, also after it.
#[derive(Clone, Default)]
pub struct Census(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    groups: Vec<(&'static str, Stats)>,
    living: Level,
    /// Those of the bounded crawl that were polled: what `limit` bounds.
    working: Level,
    spawned: u64,
}

type Stats = Box<dyn Fn() -> GroupStats + Send>;

#[derive(Clone, Copy, Default)]
struct Level {
    now: usize,
    peak: usize,
}

impl Level {
    fn up(&mut self) {
        self.now += 1;
        self.peak = self.peak.max(self.now);
    }
}

/// Children that outlived the run, by each of the two counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftBehind {
    pub kernel: usize,
    pub guards: usize,
}

impl LeftBehind {
    pub fn nobody(self) -> bool {
        self.kernel == 0 && self.guards == 0
    }
}

/// How many children there were, and how many at a time.
#[derive(Clone, Debug)]
pub struct Peaks {
    pub spawned: u64,
    /// Of all groups together.
    pub living: usize,
    /// Of the crawl's children, those that were past their place in the queue.
    pub working: usize,
    /// Of each group, by the kernel.
    pub groups: Vec<(&'static str, usize)>,
}

impl Census {
    /// Has the kernel's count of this group included.
    pub fn watch(&self, name: &'static str, group: &TaskGroup<'static, super::Error>) {
        let group = group.clone();
        let stats = Box::new(move || group.stats());
        self.0.lock().unwrap().groups.push((name, stats));
    }

    /// Has a child counted, from before it is spawned until its future is gone.
    pub fn child<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        let guard = Guard::new(self, |counts| &mut counts.living);
        self.0.lock().unwrap().spawned += 1;
        async move {
            let _guard = guard;
            future.await
        }
    }

    /// Has a part of a child counted as one of those at work.
    pub fn working(&self) -> Guard {
        Guard::new(self, |counts| &mut counts.working)
    }

    /// Those alive now, by the guards.
    pub fn living(&self) -> usize {
        self.0.lock().unwrap().living.now
    }

    pub fn peaks(&self) -> Peaks {
        let counts = self.0.lock().unwrap();
        let groups = counts.groups.iter();
        Peaks {
            spawned: counts.spawned,
            living: counts.living.peak,
            working: counts.working.peak,
            groups: groups.map(|(name, stats)| (*name, stats().peak)).collect(),
        }
    }

    pub fn left_behind(&self) -> LeftBehind {
        let counts = self.0.lock().unwrap();
        LeftBehind {
            kernel: counts.groups.iter().map(|(_, stats)| stats().living).sum(),
            guards: counts.living.now,
        }
    }
}

/// Counts one up as long as it lives.
pub struct Guard {
    census: Census,
    level: fn(&mut Counts) -> &mut Level,
}

impl Guard {
    fn new(census: &Census, level: fn(&mut Counts) -> &mut Level) -> Self {
        level(&mut census.0.lock().unwrap()).up();
        let census = census.clone();
        Guard { census, level }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        (self.level)(&mut self.census.0.lock().unwrap()).now -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_counts_its_child_until_the_future_is_gone() {
        let census = Census::default();
        let (done, unpolled) = (census.child(async { 7 }), census.child(async {}));
        let left = |guards| LeftBehind { kernel: 0, guards };
        assert_eq!(census.left_behind(), left(2));
        assert_eq!(async_std::task::block_on(done), 7);
        assert_eq!(census.left_behind(), left(1));
        drop(unpolled);
        assert!(census.left_behind().nobody());
        assert_eq!((census.peaks().spawned, census.peaks().living), (2, 2));
    }

    #[test]
    fn a_leaked_child_is_seen() {
        let census = Census::default();
        std::mem::forget(census.child(async {}));
        assert!(!census.left_behind().nobody());
    }
}
