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
    claims::{CellRef, Hold},
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

fn spawn(group: &Arc<Node>) -> CellRef {
    let (child, handle) = admit(group);
    handle.leave(|| ());
    child
}

fn end(group: &Arc<Node>, child: &CellRef) {
    let finished = child.finish(End::Value, false);
    group.child_left(child, finished.daemon);
    child.retire(finished.owed);
}

/// A child that was pending, and how often it was woken.
fn spawn_parked(group: &Arc<Node>) -> (CellRef, Arc<Calls>) {
    let child = spawn(group);
    let calls = Arc::<Calls>::default();
    child.park_task(&Waker::from(calls.clone()));
    (child, calls)
}

#[test]
fn a_child_that_keeps_its_task_keeps_the_waker_that_it_parked_with_or_its_last() {
    let group = Node::new(Kind::Group, Location::caller(), Plan::default());
    let (parked, calls) = spawn_parked(&group);
    let (fresh, last) = (spawn(&group), Arc::<Calls>::default());
    // Of the chunk of four, so that nothing is freed before.
    let (first, _others) = (Hold::new(&parked), [(); 2].map(|()| spawn(&group)));
    let second = Hold::new(&fresh);
    for (child, calls) in [(&parked, &calls), (&fresh, &last)] {
        child.keep_memory(&Waker::from(last.clone()));
        end(&group, child);
        assert_eq!(Arc::strong_count(calls), 2, "the slot has it");
    }
    for (cell, calls) in [(first, calls), (second, last)] {
        cell.give_up_memory();
        assert_eq!(Arc::strong_count(&calls), 1);
        assert_eq!(calls.0.load(SeqCst), 0, "it is not woken");
    }
}

#[test]
fn a_chunk_that_has_given_up_its_tasks_lets_no_child_keep_its_own() {
    let group = Node::new(Kind::Group, Location::caller(), Plan::default());
    let (parked, calls) = spawn_parked(&group);
    let cell = Hold::new(&parked);
    cell.give_up_memory();
    cell.wake_task();
    assert_eq!(calls.0.load(SeqCst), 1, "a child that lives is still woken");
    let last = Arc::<Calls>::default();
    parked.park_task(&Waker::from(last.clone()));
    parked.keep_memory(&Waker::from(last.clone()));
    end(&group, &parked);
    assert_eq!(Arc::strong_count(&last), 1);
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
        let keeps = |cell: &CellRef| cell.memory.load(Ordering::Relaxed) != LEFT_OUT;
        let given_up = ripe.saturating_sub(6);
        assert!(!staying[..given_up].iter().any(keeps), "{ripe} ripe chunks");
        assert!(staying[given_up..].iter().all(keeps), "{ripe} ripe chunks");
    }
    staying.iter().for_each(|child| end(&group, child));
    let closed = group.inside.lock().ledger.close();
    drop(closed);
    assert_eq!(Arc::strong_count(&group), 1);
}

/// Those of its children that are spawned later would keep their tasks for as long as one of them stays.
#[test]
fn a_ripe_chunk_that_still_gives_out_cells_is_not_the_one_to_give_up_its_tasks() {
    let group = Node::new(Kind::Group, Location::caller(), Plan::default());
    let first: Vec<_> = (0..1 + 4 + 16).map(|_| spawn(&group)).collect();
    first.iter().for_each(|child| end(&group, child));
    let full: Vec<Vec<_>> = (0..6)
        .map(|_| (0..64).map(|_| spawn(&group)).collect())
        .collect();
    let mut open: Vec<_> = (0..32).map(|_| spawn(&group)).collect();
    let held = Hold::new(&open[0]);
    open.drain(..).for_each(|child| end(&group, &child));
    for chunk in &full {
        chunk[..32].iter().for_each(|child| end(&group, child));
    }
    let gives_up = |cell: &Cell| cell.memory.load(Ordering::Relaxed) == LEFT_OUT;
    assert!(gives_up(&full[0][63]) && !gives_up(&full[1][63]));
    assert!(!gives_up(&held));
    for chunk in &full {
        chunk[32..].iter().for_each(|child| end(&group, child));
    }
    drop(group.inside.lock().ledger.close());
    assert!(gives_up(&held));
}

/// It would stay as long as the handle does: such a chunk never becomes ripe.
#[test]
fn a_chunk_of_a_single_child_keeps_no_task() {
    let group = Node::new(Kind::Group, Location::caller(), Plan::default());
    let (first, second) = (spawn(&group), spawn(&group));
    assert!(!first.group().keeps_tasks);
    assert!(second.group().keeps_tasks);
    [first, second].iter().for_each(|child| end(&group, child));
}
