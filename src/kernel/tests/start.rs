//! The start of a child against a request for the caller, and for the target.
//!
//! Start, invariants 1 and 2: the gate leaves `Waiting` once. A child that was doomed is cancelled with
//! its caller, who waits for that; one that has started is not cancelled on behalf of the caller. A
//! request for the target ends both.

use super::{Event, Out, Trace, begin, bound, check, join, thread};
use crate::{
    CancelScope, group,
    runtime::models::{Task, next_task},
};

#[test]
fn a_child_belongs_to_the_caller_or_to_the_target() {
    check(bound(1, 1), || {
        let source = CancelScope::new();
        let (entered, release) = (source.clone(), Event::default());
        let (survived, gone) = (Trace::new(), Trace::new());
        let (survives, guard) = (survived.clone(), gone.guard());
        let opener = begin(Task::new(group(async move |g| {
            let awaited = release.clone();
            let start = g.start(async move |started| {
                let _guard = guard;
                started.send(7);
                awaited.wait().await;
                survives.leave();
            });
            let started = match entered.enter(start).await {
                Ok(started) => Some(started.unwrap()),
                Err(_) => None,
            };
            // A doomed child has ended by now: the caller waited for it.
            release.set();
            Ok::<_, ()>(started)
        })));
        let task = next_task();
        let child = thread(|| task.finish());
        let request = thread(move || source.cancel());
        let started = opener.finish().unwrap();
        assert_eq!(gone.count(), 1);
        if started == Some(7) {
            assert_eq!(
                survived.count(),
                1,
                "it had started, and was cancelled with the caller"
            );
        }
        join(child);
        join(request);
    });
}

#[test]
fn a_request_for_the_target_ends_a_starting_child_and_its_caller() {
    check(bound(1, 2), || {
        let (out, gone) = (Out::new(), Trace::new());
        let (put, guard) = (out.clone(), gone.guard());
        let opener = begin(Task::new(group(async move |g| {
            put.put(g.clone());
            let start = g.start(async move |started| {
                let _guard = guard;
                started.send(7);
                std::future::pending::<()>().await
            });
            let _ = start.await;
            std::future::pending::<Result<(), ()>>().await
        })));
        let g = out.take();
        let task = next_task();
        let child = thread(|| task.finish());
        g.cancel();
        assert!(opener.finish().unwrap_err().is_cancelled());
        assert_eq!(gone.count(), 1);
        join(child);
    });
}

/// The child is introduced to the gate after it was spawned: a request before that is caught up with.
#[test]
fn a_request_that_comes_before_the_child_is_known_is_caught_up_with() {
    check(bound(1, 1), || {
        let source = CancelScope::new();
        let (entered, gone) = (source.clone(), Trace::new());
        let guard = gone.guard();
        let mut opener = Task::new(group(async move |g| {
            let start = g.start(async move |started| {
                let _guard = guard;
                std::future::pending::<()>().await;
                started.send(7);
            });
            assert!(entered.enter(start).await.is_err());
            Ok::<_, ()>(())
        }));
        let request = thread(move || source.cancel());
        assert!(opener.poll().is_pending());
        let task = next_task();
        let child = thread(|| task.finish());
        opener.finish().unwrap();
        assert_eq!(gone.count(), 1);
        join(child);
        join(request);
    });
}
