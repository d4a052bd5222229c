//! The end of a child against the handle: awaited, dropped, or both.
//!
//! Cell, invariant 2: the output belongs to the child before `DONE`, and afterwards to the handle, or
//! to the child again if the handle was gone. So it is given out once or dropped once. Roster,
//! invariants 1 and 2: whoever of the two comes second gives up the cell.

use super::{Guard, Out, Trace, begin, bound, check, join, thread};
use crate::{
    JoinHandle, checkpoint, group,
    runtime::models::{Task, next_task},
};

/// A group whose child returns a guard, with something beside it that may make it too large for its
/// cell. The child runs in a thread of its own.
fn child_returns<const N: usize>(with_handle: impl FnOnce(JoinHandle<(Guard, [u8; N])>, &Trace)) {
    let (out, dropped) = (Out::new(), Trace::new());
    let (put, output) = (out.clone(), dropped.guard());
    let opener = begin(Task::new(group(async move |g| {
        put.put(g.spawn(async move { Ok((output, [7; N])) }));
        checkpoint().await;
        Ok::<_, ()>(())
    })));
    let task = next_task();
    let child = thread(|| task.finish());
    with_handle(out.take(), &dropped);
    opener.finish().unwrap();
    // Before the child is joined: the group does not return while an output is left that nobody reads.
    assert_eq!(dropped.count(), 1, "the output was dropped once");
    join(child);
}

#[test]
fn who_awaits_a_child_is_given_its_output() {
    check(bound(3, 4), || {
        child_returns::<1>(|handle, dropped| {
            let output = Task::new(handle).finish().unwrap();
            assert_eq!(dropped.count(), 0, "it was given out");
            drop(output);
        });
    });
}

#[test]
fn an_output_that_nobody_reads_is_dropped_once() {
    check(bound(2, 3), || child_returns::<1>(|handle, _| drop(handle)));
}

#[test]
fn a_large_output_that_nobody_reads_is_dropped_once() {
    check(bound(2, 3), || {
        child_returns::<99>(|handle, _| drop(handle))
    });
}

#[test]
fn a_handle_that_is_dropped_while_it_is_awaited_leaves_nothing() {
    check(bound(2, 3), || {
        child_returns::<1>(|handle, dropped| {
            let mut awaiting = Task::new(handle);
            if let std::task::Poll::Ready(output) = awaiting.poll() {
                assert_eq!(dropped.count(), 0);
                drop(output);
            }
        });
    });
}
