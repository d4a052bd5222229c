//! Linking on the first pending poll against requests, and against the end of what is linked to.
//!
//! The tree, invariant 1: a link, once made, looks at the flags above and passes on what it finds, so
//! a request at any moment is seen by everything below. An unused cancel scope ends without the lock,
//! and either its end sees what is linked below it, or the link sees the end.

use super::{Event, Out, Trace, begin, bound, check, join, thread};
use crate::{
    Boundary, CancelScope, checkpoint, group,
    runtime::models::{Task, next_task},
};

#[test]
fn a_boundary_that_is_opened_in_a_child_sees_a_request() {
    check(bound(2, 2), || {
        let (out, gone) = (Out::new(), Trace::new());
        let (put, guard) = (out.clone(), gone.guard());
        let opener = begin(Task::new(group(async move |g| {
            g.spawn(async move {
                let _guard = guard;
                let inner = group(async |_| std::future::pending::<Result<(), ()>>().await);
                let _ = inner.await;
                unreachable!("the code around a boundary that was cancelled does not go on");
            });
            put.put(g);
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

/// What is opened in a foreign task links below a scope that ends at the same time.
#[test]
fn nothing_stays_linked_to_a_scope_that_ends_unused() {
    check(bound(1, 2), || {
        let out = Out::new();
        let put = out.clone();
        let opener = begin(Task::new(group(async move |_| {
            let scope = CancelScope::new();
            let inside = async {
                put.put(Boundary::current().unwrap());
                checkpoint().await;
            };
            scope.enter(inside).await.unwrap();
            Ok::<_, ()>(())
        })));
        let boundary = out.take();
        let foreign = thread(move || {
            let inner = group(async |_| Ok::<_, ()>(()));
            // It is cancelled if it came too late.
            let _ = Task::new(boundary.wrap(inner)).finish();
        });
        opener.finish().unwrap();
        join(foreign);
    });
}

/// The same where what is opened there lasts, and the end of the scope has to cancel it.
#[test]
fn what_links_below_a_scope_that_ends_is_waited_for_or_finds_itself_cancelled() {
    check(bound(1, 1), || {
        let (out, gone) = (Out::new(), Trace::new());
        let (put, guard) = (out.clone(), gone.guard());
        let opener = begin(Task::new(group(async move |_| {
            let inside = async {
                put.put(Boundary::current().unwrap());
                checkpoint().await;
            };
            CancelScope::new().enter(inside).await.unwrap();
            Ok::<_, ()>(())
        })));
        let boundary = out.take();
        let foreign = thread(move || {
            let inner = group(async move |_| {
                let _guard = guard;
                std::future::pending::<Result<(), ()>>().await
            });
            let result = Task::new(boundary.wrap(inner)).finish();
            assert!(result.unwrap_err().is_cancelled());
        });
        opener.finish().unwrap();
        join(foreign);
        assert_eq!(gone.count(), 1);
    });
}

/// Two links are made at the same time, from below the same boundary outwards.
#[test]
fn of_two_that_link_at_once_both_see_a_request() {
    check(bound(1, 1), || {
        let never = Event::default();
        let (out, gone) = (Out::new(), [Trace::new(), Trace::new()]);
        let (put, guards) = (out.clone(), [gone[0].guard(), gone[1].guard()]);
        let opener = begin(Task::new(group(async move |g| {
            for guard in guards {
                let never = never.clone();
                g.spawn(async move {
                    let _guard = guard;
                    let inner = group(async |_| Ok::<_, ()>(never.wait().await));
                    let _ = inner.await;
                });
            }
            put.put(g);
            std::future::pending::<Result<(), ()>>().await
        })));
        let g = out.take();
        let tasks = [next_task(), next_task()];
        let threads = tasks.map(|task| thread(|| task.finish()));
        g.cancel();
        assert!(opener.finish().unwrap_err().is_cancelled());
        assert_eq!((gone[0].count(), gone[1].count()), (1, 1));
        threads.into_iter().for_each(join);
    });
}
