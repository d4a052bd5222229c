//! Who frees a chunk, and when. In the cell of each child that has ended stands a waker, which goes
//! with it.

use std::{
    collections::HashSet,
    panic::Location,
    sync::Arc,
    task::{Wake, Waker},
};

use super::*;
use crate::kernel::{
    cell::End,
    ledger::Ask,
    node::{Kind, Node, Plan},
};

struct Witness;

impl Wake for Witness {
    fn wake(self: Arc<Self>) {}
}

/// A group, and who tells of its cells.
struct Model {
    group: Arc<Node>,
    witness: Arc<Witness>,
}

/// A child that is not polled, and its handle.
struct Child {
    cell: CellRef,
    handle: Option<CellRef>,
}

impl Model {
    fn open() -> Self {
        Model {
            group: Node::new(Kind::Group, Location::caller(), Plan::default()),
            witness: Arc::new(Witness),
        }
    }

    fn spawn(&self) -> Child {
        let info = Info::new(None, Location::caller());
        let Ok(admitted) = self
            .group
            .admit(Ask::Queue, info, || Group::without_book(&self.group))
        else {
            panic!("the group is open");
        };
        Child {
            cell: admitted.child,
            handle: Some(admitted.handle),
        }
    }

    fn spawn_many(&self, children: usize) -> Vec<Child> {
        (0..children).map(|_| self.spawn()).collect()
    }

    /// The child ends, and counts out; it gives whether its handle is there.
    fn count_out(&self, child: &Child) -> bool {
        let finished = child.cell.finish(End::Value, false);
        // After its end, which empties the slot.
        child.cell.park_task(&Waker::from(self.witness.clone()));
        self.group.child_left(&child.cell, finished.daemon);
        finished.owed
    }

    fn end(&self, child: &Child) {
        let owed = self.count_out(child);
        child.cell.retire(owed);
    }

    fn close(&self) {
        let closed = self.group.inside.lock().ledger.close();
        drop(closed);
    }

    /// How many cells have not been freed.
    fn cells(&self) -> usize {
        Arc::strong_count(&self.witness) - 1
    }

    fn is_kept_by_a_chunk(&self) -> bool {
        Arc::strong_count(&self.group) > 1
    }
}

impl Child {
    fn leave(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.leave(|| ());
        }
    }
}

/// Chunks of one, four, sixteen and sixty-four cells, also those that are not full.
const SIZES: [usize; 12] = [0, 1, 2, 3, 5, 6, 13, 21, 22, 53, 85, 100];

#[test]
fn a_chunk_is_freed_when_children_and_handles_have_left_and_not_before() {
    for children in SIZES {
        for retired_late in 0..=children.min(20) {
            for handles_stay in [true, false] {
                let model = Model::open();
                let mut all = model.spawn_many(children);
                if !handles_stay {
                    all.iter_mut().for_each(Child::leave);
                }
                let (late, early) = all.split_at(retired_late);
                early.iter().for_each(|child| model.end(child));
                let late: Vec<_> = late
                    .iter()
                    .map(|child| (child, model.count_out(child)))
                    .collect();
                model.close();
                for (child, owed) in late {
                    assert!(model.is_kept_by_a_chunk());
                    child.cell.retire(owed);
                }
                assert!(!model.is_kept_by_a_chunk(), "all children have retired");
                if handles_stay {
                    assert_eq!(model.cells(), children, "a handle may look at its cell");
                    all.iter_mut().for_each(Child::leave);
                }
                assert_eq!(model.cells(), 0);
            }
        }
    }
}

#[test]
fn the_cell_of_an_output_that_cannot_be_dropped_is_freed() {
    let model = Model::open();
    let mut child = model.spawn();
    model.end(&child);
    model.close();
    let handle = child.handle.take().unwrap();
    let dropped = crate::panics::catch(|| handle.leave(|| panic!("a destructor")));
    assert!(dropped.is_err());
    assert_eq!(model.cells(), 0);
}

#[test]
fn chunks_of_those_who_have_ended_are_freed_while_their_group_goes_on() {
    let model = Model::open();
    for _ in 0..1000 {
        let mut child = model.spawn();
        model.end(&child);
        child.leave();
        assert!(model.cells() <= 64, "{} cells", model.cells());
    }
    model.close();
    assert_eq!(model.cells(), 0);
}

#[test]
fn the_first_chunks_of_a_group_are_small() {
    let model = Model::open();
    let mut all = model.spawn_many(1 + 4 + 16 + 64 + 64);
    let sizes = [0, 1, 4, 5, 20, 21, 84, 85].map(|index: usize| all[index].cell.chunk().len);
    assert_eq!(sizes, [1, 4, 4, 16, 16, 64, 64, 64]);
    all.iter().for_each(|child| model.end(child));
    all.iter_mut().for_each(Child::leave);
    model.close();
}

#[test]
fn no_two_children_have_one_number() {
    let model = Model::open();
    let mut all = model.spawn_many(200);
    let numbers: HashSet<_> = all.iter().map(|child| child.cell.id()).collect();
    assert_eq!(numbers.len(), all.len());
    all.iter().for_each(|child| model.end(child));
    all.iter_mut().for_each(Child::leave);
    model.close();
}
