//! A release that is handed over against the end of the boundary it is for.
//!
//! Obligations, invariants 2 and 3: a release is in exactly one place, and a boundary does not end
//! while its list holds one; after the end, set under the same lock, the release climbs. So it runs
//! once, whichever comes first, and nobody ends without a release that it was given.

use super::{Out, Trace, begin, bound, check, half_way, join, thread};
use crate::{
    checkpoint, defer, group,
    runtime::models::{Task, try_next_task},
};

/// `released` is looked at by who knows that the outer boundary had it.
fn guard_dropped_elsewhere(drop_inner: bool) {
    let (out, released) = (Out::new(), Trace::new());
    let (put, releases) = (out.clone(), released.clone());
    let outer = begin(Task::new(group(async move |_| {
        let mut inner = Box::pin(group(async move |_| {
            put.put(defer(releases, async |releases| releases.leave()));
            checkpoint().await;
            Ok::<_, ()>(())
        }));
        half_way(&mut inner).await;
        checkpoint().await;
        if !drop_inner {
            inner.await.unwrap();
        }
        Ok::<_, ()>(())
    })));
    let guard = out.take();
    let dropper = thread(move || {
        drop(guard);
        // If all boundaries had ended, the runtime has it.
        let detached = try_next_task();
        let is_detached = detached.is_some();
        detached.into_iter().for_each(Task::finish);
        is_detached
    });
    outer.finish().unwrap();
    let detached = join(dropper);
    assert_eq!(released.count(), 1, "detached: {detached}");
}

#[test]
fn a_guard_that_is_dropped_as_its_boundary_ends_is_released_once() {
    check(bound(2, 3), || guard_dropped_elsewhere(false));
}

#[test]
fn a_guard_that_is_dropped_as_its_boundary_is_dropped_is_released_once() {
    check(bound(2, 3), || guard_dropped_elsewhere(true));
}

/// A child lives, so the boundary cannot end before: the release must have run when it returns.
#[test]
fn what_a_child_leaves_is_released_before_its_group_returns() {
    check(bound(2, 3), || {
        let released = Trace::new();
        let releases = released.clone();
        let opener = begin(Task::new(group(async move |g| {
            g.spawn(async move {
                let guard = defer(releases, async |releases| releases.leave());
                checkpoint().await;
                drop(guard);
            });
            checkpoint().await;
            Ok::<_, ()>(())
        })));
        let task = begin(try_next_task().unwrap());
        let child = thread(|| task.finish());
        opener.finish().unwrap();
        assert_eq!(
            released.count(),
            1,
            "the group returned before the release had run"
        );
        join(child);
    });
}

/// The guard is handed to the group itself while its opener looks whether it may end.
#[test]
fn a_release_that_arrives_as_the_last_child_leaves_is_not_forgotten() {
    check(bound(2, 3), || {
        let released = Trace::new();
        let releases = released.clone();
        let opener = begin(Task::new(group(async move |g| {
            let guard = defer(releases, async |releases| releases.leave());
            g.spawn(async move {
                checkpoint().await;
                drop(guard);
            });
            checkpoint().await;
            Ok::<_, ()>(())
        })));
        let task = begin(try_next_task().unwrap());
        let child = thread(|| task.finish());
        opener.finish().unwrap();
        assert_eq!(
            released.count(),
            1,
            "the group returned before the release had run"
        );
        join(child);
    });
}
