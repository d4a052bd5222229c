//! What stands in a cell, seen by one thread.

use std::{
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Wake, Waker},
};

use super::*;
use crate::kernel::{
    chunk::Group,
    claims::CellRef,
    ledger::Ask,
    node::{Kind, Plan},
};

#[derive(Default)]
struct Calls(AtomicUsize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn info() -> Info {
    Info::new(None, Location::caller())
}

/// The child's way to its cell, and the handle's.
fn admit(group: &Arc<Node>) -> (CellRef, CellRef) {
    let Ok(admitted) = group.admit(Ask::Queue, info(), || Group::without_book(group)) else {
        panic!("the group is open");
    };
    (admitted.child, admitted.handle)
}

#[test]
fn a_child_is_woken_by_the_waker_of_its_last_poll_alone() {
    let cell = CellRef::refused(info());
    let calls = [(); 2].map(|()| Arc::new(Calls::default()));
    for calls in &calls {
        cell.park_task(&Waker::from(calls.clone()));
    }
    cell.wake_task();
    let woken = calls.each_ref().map(|calls| calls.0.load(SeqCst));
    assert_eq!(woken, [0, 1]);
    cell.leave(|| ());
    assert_eq!(Arc::strong_count(&calls[1]), 1, "the cell is freed");
}

#[test]
fn a_handle_that_leaves_takes_the_waker_of_who_awaited_it_along() {
    let group = Node::new(Kind::Group, Location::caller(), Plan::default());
    let (child, handle) = admit(&group);
    let calls = Arc::new(Calls::default());
    assert!(handle.park_joiner(&Waker::from(calls.clone())).is_none());
    handle.leave(|| ());
    assert_eq!(Arc::strong_count(&calls), 1, "the child lives on");
    let finished = child.finish(End::Cancelled, false);
    group.child_left(&child, finished.daemon);
    child.retire(finished.owed);
    let closed = group.inside.lock().ledger.close();
    drop(closed);
}

#[test]
fn an_output_is_taken_once_and_its_handle_still_leaves() {
    let group = Node::new(Kind::Group, Location::caller(), Plan::default());
    let (child, handle) = admit(&group);
    // SAFETY: this is the child, which has not ended.
    unsafe { child.put_output(7_u64) };
    let finished = child.finish(End::Value, true);
    assert!(finished.owed);
    group.child_left(&child, finished.daemon);
    child.retire(finished.owed);
    assert!(handle.claim_output());
    // SAFETY: this is the handle, which has claimed the output just now.
    assert_eq!(unsafe { handle.take_output::<u64>() }, 7);
    assert!(!handle.claim_output());
    assert_eq!(handle.end(), Some(End::Value));
    let mut has_ended = false;
    handle.leave(|| has_ended = true);
    assert!(has_ended, "the memory is the handle's to free");
}
