//! A child that keeps its task against the chunk that gives up its tasks, and against a request.
//!
//! Cell, invariant 5: whichever comes first, no waker is left once both have been there.

use std::{
    panic::Location,
    sync::Arc,
    task::{Wake, Waker},
};

use super::{bound, check, join, thread};
use crate::kernel::{
    cell::End,
    chunk::Group,
    claims::Hold,
    info::Info,
    ledger::Ask,
    node::{Kind, Node, Plan},
};

struct Witness;

impl Wake for Witness {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn no_task_is_kept_once_its_chunk_has_given_up_its_tasks() {
    check(bound(3, 4), || keeps(false));
}

#[test]
fn no_task_is_kept_by_a_child_that_was_pending() {
    check(bound(3, 4), || keeps(true));
}

fn keeps(was_pending: bool) {
    let group = Node::new(Kind::Group, Location::caller(), Plan::default());
    let spawn = || {
        let info = Info::new(None, Location::caller());
        let Ok(admitted) = group.admit(Ask::Queue, info, || Group::without_book(&group)) else {
            panic!("the group is open");
        };
        admitted.handle.leave(|| ());
        admitted.child
    };
    let witness = Arc::new(Witness);
    let waker = Waker::from(witness.clone());
    let child = spawn();
    if was_pending {
        child.park_task(&waker);
    }
    let (given_up, cancelled) = (Hold::new(&child), Hold::new(&child));
    let its_group = group.clone();
    let ending = thread(move || {
        child.keep_memory(&waker);
        drop(waker);
        let finished = child.finish(End::Value, false);
        its_group.child_left(&child, finished.daemon);
        child.retire(finished.owed);
    });
    let canceller = thread(move || cancelled.cancel());
    given_up.give_up_memory();
    join(ending);
    join(canceller);
    assert_eq!(Arc::strong_count(&witness), 1);
    drop(given_up);
    let closed = group.inside.lock().ledger.close();
    drop(closed);
}
