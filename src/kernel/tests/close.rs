//! The close of a group against a spawn from another thread.
//!
//! Ledger, invariant 1: no child slips in after the close. A child is either let in, and then the
//! group waits for it, or refused, and then its future is dropped unpolled.

use super::{Out, Trace, begin, bound, check, join, thread};
use crate::{
    checkpoint, group,
    runtime::models::{Task, next_task, try_next_task},
};

#[test]
fn a_child_is_waited_for_or_never_polled() {
    check(bound(3, 4), || {
        let out = Out::new();
        let put = out.clone();
        let opener = begin(Task::new(group(async move |g| {
            put.put(g);
            checkpoint().await;
            Ok::<_, ()>(())
        })));
        let g = out.take();
        let spawner = g.clone();
        let (ran, gone) = (Trace::new(), Trace::new());
        let (runs, guard) = (ran.clone(), gone.guard());
        let spawner = thread(move || {
            let child = spawner.spawn(async move {
                let _guard = guard;
                runs.leave();
            });
            let task = try_next_task();
            let admitted = task.is_some();
            assert_eq!(child.is_finished(), !admitted, "refused, or in the queue");
            task.into_iter().for_each(Task::finish);
            admitted
        });
        opener.finish().unwrap();
        let stats = g.stats();
        assert_eq!(stats.living, 0, "the group returned while a child lived");
        if stats.spawned == 1 {
            assert_eq!((ran.count(), gone.count()), (1, 1));
        }
        assert_eq!(join(spawner), stats.spawned == 1);
        assert_eq!((ran.count(), gone.count()), (stats.spawned as usize, 1));
        assert_eq!(g.stats().spawned, stats.spawned, "a child slipped in");
    });
}

/// The same for a child that brings another after the body has ended: that one counts before the
/// first has left.
#[test]
fn a_child_that_spawns_as_it_ends_is_followed_by_its_sibling() {
    check(bound(2, 3), || {
        let ran = Trace::new();
        let runs = ran.clone();
        let opener = begin(Task::new(group(async move |g| {
            let spawner = g.clone();
            g.spawn(async move {
                spawner.spawn(async move { runs.leave() });
            });
            checkpoint().await;
            Ok::<_, ()>(())
        })));
        let first = next_task();
        let children = thread(|| {
            first.finish();
            try_next_task().expect("the group was open").finish();
        });
        opener.finish().unwrap();
        assert_eq!(ran.count(), 1);
        join(children);
    });
}
