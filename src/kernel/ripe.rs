//! Who frees the memory of the tasks of children that have ended.
//!
//! The runtime frees a task that nobody keeps on the thread that polled it last, while the spawner
//! asks the allocator for the memory of the next: two threads at work on one heap get into each
//! other's way. So the cells keep the tasks, by their wakers, and the spawner frees them, those of a
//! whole chunk before it opens the next one.
//!
//! Invariants
//! 1. A chunk becomes ripe once, when half of its children have retired. Before that, it keeps no
//!    more tasks of children that have ended than of others. A chunk of a single child never does, and
//!    keeps no task.
//! 2. At most `MOST` ripe chunks of a group keep tasks. Whoever makes one more ripe has the oldest of
//!    those that give out no more cells give up its tasks: those of its children that have ended are freed by this, and those of the
//!    others at their end. A chunk that is reaped, or whose group closes, gives up its tasks too: a
//!    handle that lives on keeps the cells of its chunk, and no task.
//! 3. Tasks are given up, and chunks let go, outside the lock of the group (`Spent`).

use std::collections::VecDeque;

use super::{
    chunk::ChunkPtr,
    claims::{ChunkClaim, Walk},
};

/// How many ripe chunks may keep tasks, each up to 64 of a few hundred bytes.
const MOST: usize = 6;

/// The ripe chunks of a group, the oldest first; kept under the lock of its node.
#[derive(Default)]
pub(super) struct Ripe {
    chunks: VecDeque<ChunkClaim>,
    /// The group is closed, and keeps nothing.
    closed: bool,
}

/// A chunk that gives up its tasks and is let go: by its drop, outside the lock.
pub(super) struct Spent(Walk);

impl Drop for Spent {
    fn drop(&mut self) {
        self.0.give_up_tasks();
    }
}

impl Spent {
    /// Once for a chunk; under the lock, unless it is closed.
    pub(super) fn new(chunk: ChunkClaim) -> Self {
        Spent(Walk::new(chunk))
    }
}

/// The ripe chunks of a group that is closed.
#[derive(Default)]
pub(super) struct Remains(VecDeque<ChunkClaim>);

impl Drop for Remains {
    fn drop(&mut self) {
        self.0.drain(..).map(Spent::new).for_each(drop);
    }
}

/// Chunks without children.
pub(super) type Reaped = (Spent, Option<Spent>);

impl Ripe {
    /// Takes in a chunk that became ripe. Gives one that has to give up its tasks: not the `open` one,
    /// whose cells are not all there yet.
    pub(super) fn push(&mut self, chunk: ChunkClaim, open: Option<ChunkPtr>) -> Option<Spent> {
        if self.closed {
            return Some(Spent::new(chunk));
        }
        self.chunks.push_back(chunk);
        if self.chunks.len() <= MOST {
            return None;
        }
        let oldest = self.chunks.iter().position(|chunk| !chunk.is_of(open));
        self.chunks.remove(oldest?).map(Spent::new)
    }

    /// The oldest chunks, if all of their children have retired. Two for each that is opened, so
    /// that a spawner catches up.
    pub(super) fn reap(&mut self) -> Option<Box<Reaped>> {
        let mut next = || match self.chunks.front() {
            Some(chunk) if chunk.is_vacant() => self.chunks.pop_front().map(Spent::new),
            _ => None,
        };
        let first = next()?;
        Some(Box::new((first, next())))
    }

    pub(super) fn close(&mut self) -> Remains {
        self.closed = true;
        Remains(std::mem::take(&mut self.chunks))
    }
}
