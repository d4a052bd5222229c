//! The drop of a boundary against the end of its child, and against the close of its parent.
//!
//! Adoption, invariants 1 and 2: whoever takes away the last thing below an orphan settles it, and a
//! parent does not close before its list is empty. So the parent waits for the child of a boundary that
//! was dropped half-way, and nobody waits for ever.

use super::{Event, Out, Trace, begin, bound, check, half_way, join, thread};
use crate::{
    Boundary, GroupError, checkpoint, defer, group,
    runtime::models::{Task, next_task},
    scope,
};

/// The future of a group whose body never ends, and whose child leaves its trace.
fn inner(trace: &Trace) -> impl Future<Output = Result<(), GroupError<()>>> + Send + 'static {
    let guard = trace.guard();
    group(async move |g| {
        g.spawn(async move {
            let _guard = guard;
            checkpoint().await;
        });
        std::future::pending::<Result<(), ()>>().await
    })
}

#[test]
fn the_child_of_a_dropped_boundary_is_awaited_by_the_parent() {
    check(bound(2, 3), || {
        let gone = Trace::new();
        let inner = inner(&gone);
        let outer = begin(Task::new(group(async move |_| {
            let mut inner = Box::pin(inner);
            half_way(&mut inner).await;
            checkpoint().await;
            drop(inner);
            Ok::<_, ()>(())
        })));
        let task = begin(next_task());
        let child = thread(|| task.finish());
        outer.finish().unwrap();
        assert_eq!(
            gone.count(),
            1,
            "the parent returned before the child had ended"
        );
        join(child);
    });
}

/// The opener has been given away, and is dropped on another thread while its parent closes.
#[test]
fn a_boundary_that_is_dropped_elsewhere_as_its_parent_closes_is_settled_once() {
    check(bound(1, 1), || {
        let (out, gone) = (Out::new(), Trace::new());
        let (put, inner) = (out.clone(), inner(&gone));
        let outer = begin(Task::new(group(async move |_| {
            let mut inner = Box::pin(inner);
            half_way(&mut inner).await;
            put.put(inner);
            checkpoint().await;
            Ok::<_, ()>(())
        })));
        let opener = out.take();
        let task = begin(next_task());
        let threads = [thread(|| task.finish()), thread(move || drop(opener))];
        outer.finish().unwrap();
        assert_eq!(
            gone.count(),
            1,
            "the parent returned before the child had ended"
        );
        threads.into_iter().for_each(join);
    });
}

/// It is polled there instead; adoption, invariant 4: either the poll sees the mark of an orphan, or
/// who marks it sees the poll and leaves the rest to its end.
#[test]
fn a_boundary_that_is_polled_elsewhere_as_its_parent_closes_is_settled_once() {
    check(bound(1, 2), || {
        let out = Out::new();
        let put = out.clone();
        let outer = begin(Task::new(group(async move |_| {
            let here = Boundary::current().unwrap();
            let inner = group(async move |_| {
                checkpoint().await;
                Ok::<_, ()>(())
            });
            let mut inner = Box::pin(here.wrap(inner));
            half_way(&mut inner).await;
            put.put(inner);
            checkpoint().await;
            Ok::<_, ()>(())
        })));
        let opener = out.take();
        let elsewhere = thread(move || {
            // It has its value, or finds that it was given up.
            if let Err(error) = Task::new(opener).finish() {
                assert!(error.is_cancelled());
            }
        });
        outer.finish().unwrap();
        join(elsewhere);
    });
}

/// The poll of a scope covers those of its inline children: the parent waits that out too.
#[test]
fn no_inline_child_is_polled_once_the_parent_has_returned() {
    check(bound(2, 3), || {
        let (out, polled, event) = (Out::new(), Trace::new(), Event::default());
        let (put, polls, awaited) = (out.clone(), polled.clone(), event.clone());
        let outer = begin(Task::new(group(async move |_| {
            let here = Boundary::current().unwrap();
            let inner = scope(async move |s| {
                s.spawn(async move {
                    awaited.wait().await;
                    polls.leave();
                });
                std::future::pending::<Result<(), ()>>().await
            });
            let mut inner = Box::pin(here.wrap(inner));
            half_way(&mut inner).await;
            put.put(inner);
            checkpoint().await;
            Ok::<_, ()>(())
        })));
        let opener = out.take();
        event.set();
        let elsewhere = thread(move || {
            assert!(Task::new(opener).finish().unwrap_err().is_cancelled());
        });
        outer.finish().unwrap();
        assert!(polled.count() <= 1);
        join(elsewhere);
    });
}

/// A failure below an orphan finds its heir, however late it comes.
#[test]
fn the_failure_of_a_dropped_boundary_climbs_to_its_parent() {
    check(bound(2, 3), || {
        let failed = Trace::new();
        let fails = failed.clone();
        let outer = begin(Task::new(group(async move |_| {
            let mut inner = Box::pin(group(async move |g| {
                g.spawn(async move {
                    checkpoint().await;
                    fails.leave();
                    Err::<(), _>("late")
                });
                std::future::pending::<Result<(), &str>>().await
            }));
            half_way(&mut inner).await;
            checkpoint().await;
            drop(inner);
            Ok::<_, ()>(())
        })));
        let task = begin(next_task());
        let child = thread(|| task.finish());
        let result = outer.finish();
        join(child);
        let told = result
            .err()
            .map_or(0, |error| error.cleanup_failures().len());
        assert_eq!(told, failed.count());
    });
}

/// The parent is told when there is nobody left to use it, and not only at its own close.
#[test]
fn what_a_dropped_boundary_owes_is_released_while_its_parent_goes_on() {
    check(bound(2, 2), || {
        let released = Event::default();
        let releases = released.clone();
        let outer = begin(Task::new(group(async move |_| {
            let mut inner = Box::pin(group(async move |g| {
                let _guard = defer(releases, async |releases| releases.set());
                g.spawn(async { checkpoint().await });
                std::future::pending::<Result<(), ()>>().await
            }));
            half_way(&mut inner).await;
            checkpoint().await;
            drop(inner);
            released.wait().await;
            Ok::<_, ()>(())
        })));
        let task = begin(next_task());
        let child = thread(|| task.finish());
        outer.finish().unwrap();
        join(child);
    });
}
