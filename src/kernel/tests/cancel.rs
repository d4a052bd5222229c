//! A request to cancel against the child that it is for.
//!
//! Cell, invariants 1 and 3: the waker of the child is stored before the child looks at the flags, a
//! canceller raises the flag before it looks for the waker. So a child that parks is woken or sees the
//! request; one that completes ends once, with a value or cancelled. Roster, invariants 1 to 3: a
//! request for the group walks over the cells while the child retires and the handle leaves.

use std::{future::poll_fn, sync::Arc, task::Poll};

use super::{Out, Trace, begin, bound, check, join, thread};
use crate::{
    JoinHandle, TaskGroup, checkpoint, group,
    kernel::atomic::{AtomicU32, Ordering},
    runtime::models::{Task, next_task},
};

type Opener = Task<Result<(), crate::GroupError<()>>>;

/// A group with one child; gives its opener, its handles, and what the child leaves at its end.
fn child_of(
    child: impl Future<Output = Result<usize, ()>> + Send + 'static,
) -> (Opener, TaskGroup<'static, ()>, JoinHandle<usize>, Trace) {
    let (out, gone) = (Out::new(), Trace::new());
    let (put, guard) = (out.clone(), gone.guard());
    let opener = begin(Task::new(group(async move |g| {
        let child = g.spawn(async move {
            let _guard = guard;
            child.await
        });
        put.put((g, child));
        checkpoint().await;
        Ok::<_, ()>(())
    })));
    let (g, handle) = out.take();
    (opener, g, handle, gone)
}

#[test]
fn a_child_that_parks_while_its_handle_cancels_it_ends() {
    check(bound(2, 3), || {
        let (opener, _, handle, gone) = child_of(std::future::pending());
        let task = next_task();
        let child = thread(|| task.finish());
        handle.cancel();
        opener.finish().unwrap();
        assert_eq!(gone.count(), 1);
        join(child);
        let end = Task::new(handle).finish();
        assert!(end.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_child_that_parks_while_its_group_is_cancelled_ends() {
    check(bound(2, 3), || {
        let (opener, g, handle, gone) = child_of(std::future::pending());
        let task = next_task();
        let child = thread(|| task.finish());
        g.cancel();
        assert!(opener.finish().unwrap_err().is_cancelled());
        assert_eq!(gone.count(), 1);
        join(child);
        let end = Task::new(handle).finish();
        assert!(end.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_child_that_completes_while_it_is_cancelled_ends_once() {
    check(bound(1, 2), || {
        let reached = Trace::new();
        let reaches = reached.clone();
        let (opener, _, handle, gone) = child_of(async move {
            checkpoint().await;
            reaches.leave();
            Ok(7)
        });
        let task = begin(next_task());
        let child = thread(|| task.finish());
        let canceller = thread(move || {
            handle.cancel();
            handle
        });
        opener.finish().unwrap();
        assert_eq!(gone.count(), 1);
        let handle = join(canceller);
        let end = Task::new(handle).finish();
        match reached.count() {
            1 => assert_eq!(end.unwrap(), 7),
            _ => assert!(end.unwrap_err().is_cancelled()),
        }
        join(child);
    });
}

/// The executor may poll at any moment. If the request had returned by then, the child is dropped.
#[test]
fn a_child_is_not_polled_once_a_request_has_returned() {
    check(bound(2, 3), || {
        let polls = Trace::new();
        let polled = polls.clone();
        let (opener, g, _, gone) = child_of(poll_fn(move |_| {
            polled.leave();
            Poll::Pending
        }));
        let mut task = begin(next_task());
        let requested = Arc::new(AtomicU32::new(0));
        let told = requested.clone();
        let child = thread(move || {
            let late = told.load(Ordering::Acquire) == 1;
            let ended = task.poll().is_ready();
            if late {
                assert_eq!(polls.count(), 1, "polled after it was cancelled");
            }
            if !ended {
                task.finish();
            }
        });
        g.cancel();
        requested.store(1, Ordering::Release);
        assert!(opener.finish().unwrap_err().is_cancelled());
        assert_eq!(gone.count(), 1);
        join(child);
    });
}

/// The walk of a request has a claim of its own on the cells, so neither the end of the child nor
/// that of its handle takes them away under it.
#[test]
fn the_cells_outlive_a_request_that_walks_over_them() {
    check(bound(1, 2), || {
        let (opener, g, handle, _) = child_of(async { Ok(7) });
        let task = next_task();
        let child = thread(|| task.finish());
        let canceller = thread(move || g.cancel());
        drop(handle);
        // The request may have come after the end.
        let _ = opener.finish();
        join(child);
        join(canceller);
    });
}
