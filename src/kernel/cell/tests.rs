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
    Info {
        name: None,
        location: Location::caller(),
    }
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
fn an_output_is_taken_once_and_its_handle_still_leaves() {
    let group = Node::new(Kind::Group, Location::caller(), Plan::default());
    let Ok(admitted) = group.admit(Ask::Queue, info(), || Group::without_book(&group)) else {
        panic!("the group is open");
    };
    let (child, handle) = (admitted.child, admitted.handle);
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

fn spawn(group: &Arc<Node>) -> CellRef {
    let Ok(admitted) = group.admit(Ask::Queue, info(), || Group::without_book(group)) else {
        panic!("the group is open");
    };
    admitted.handle.leave(|| ());
    admitted.child
}

fn end(group: &Arc<Node>, child: &CellRef) {
    let finished = child.finish(End::Value, false);
    group.child_left(child, finished.daemon);
    child.retire(finished.owed);
}

#[cfg(feature = "async-std")]
#[test]
fn the_memory_of_a_task_is_freed_by_the_last_of_its_handle_and_its_chunk() {
    use crate::{
        kernel::claims::Hold,
        runtime::{Label, Runtime},
    };

    for handle_leaves_first in [true, false] {
        let group = Node::new(Kind::Group, Location::caller(), Plan::default());
        let Ok(admitted) = group.admit(Ask::Queue, info(), || Group::without_book(&group)) else {
            panic!("the group is open");
        };
        let (child, handle) = (admitted.child, admitted.handle);
        let label = Label {
            name: None,
            location: Location::caller(),
        };
        let spawned = Runtime::default_runtime().spawn(label, || async {});
        // SAFETY: this is the handle, which has not left.
        unsafe { handle.keep_task(spawned.unwrap()) };
        let cell = Hold::new(&child);
        end(&group, &child);
        // SAFETY: nobody else is here.
        let is_kept = || cell.has_task.with(|has_task| unsafe { *has_task });
        let handle_leaves = || handle.leave(|| ());
        let chunk_gives_up = || cell.give_up_task();
        let (first, last): (&dyn Fn(), &dyn Fn()) = match handle_leaves_first {
            true => (&handle_leaves, &chunk_gives_up),
            false => (&chunk_gives_up, &handle_leaves),
        };
        first();
        assert!(is_kept());
        last();
        assert!(!is_kept());
    }
}

/// A chunk is ripe when half of its children have ended. One child of each stays, so that none is freed.
#[test]
fn of_more_than_six_ripe_chunks_the_oldest_keep_no_tasks() {
    let group = Node::new(Kind::Group, Location::caller(), Plan::default());
    let first: Vec<_> = (0..1 + 4 + 16).map(|_| spawn(&group)).collect();
    first.iter().for_each(|child| end(&group, child));
    let mut staying = Vec::new();
    for ripe in 1..=10_usize {
        staying.push(spawn(&group));
        let others: Vec<_> = (1..64).map(|_| spawn(&group)).collect();
        others.iter().for_each(|child| end(&group, child));
        let keeps = |cell: &CellRef| cell.flags.load(Ordering::Relaxed) & LEFT_OUT == 0;
        let given_up = ripe.saturating_sub(6);
        assert!(!staying[..given_up].iter().any(keeps), "{ripe} ripe chunks");
        assert!(staying[given_up..].iter().all(keeps), "{ripe} ripe chunks");
    }
    staying.iter().for_each(|child| end(&group, child));
    let closed = group.inside.lock().ledger.close();
    drop(closed);
    assert_eq!(Arc::strong_count(&group), 1);
}
