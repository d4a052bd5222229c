//! Who frees the memory of the tasks of children that have ended.
//!
//! The runtime frees a task that nobody keeps on the thread that polled it last, while the spawner
//! asks the allocator for the memory of the next: two threads at work on one heap get into each
//! other's way. So the cells keep the tasks, and the spawner frees them, those of a whole chunk
//! before it opens the next one.
//!
//! Invariants
//! 1. A chunk becomes ripe once, when half of its children have retired. Before that, it keeps no
//!    more tasks of children that have ended than of others.
//! 2. At most `MOST` ripe chunks of a group keep tasks. Whoever makes one more ripe has the oldest
//!    give up its tasks: those of its children that have ended are freed by this, and those of the
//!    others at their end. A chunk that is reaped, or whose group closes, is let go as it is: what it
//!    keeps goes with its last handle.
//! 3. The ripe chunks are let go outside the lock of the group.

use std::collections::VecDeque;

use super::roster::ChunkClaim;

/// How many ripe chunks may keep tasks, each up to 64 of a few hundred bytes.
const MOST: usize = 6;

/// The ripe chunks of a group, the oldest first; kept under the lock of its node.
#[derive(Default)]
pub(super) struct Ripe {
    chunks: VecDeque<ChunkClaim>,
    /// The group is closed, and keeps nothing.
    closed: bool,
}

/// Chunks without children, to be let go outside the lock.
pub(super) struct Reaped {
    _chunks: [Option<ChunkClaim>; 2],
}

impl Ripe {
    /// Takes in a chunk that became ripe. Gives one that has to give up its tasks.
    pub(super) fn push(&mut self, chunk: ChunkClaim) -> Option<ChunkClaim> {
        if self.closed {
            return Some(chunk);
        }
        self.chunks.push_back(chunk);
        match self.chunks.len() > MOST {
            true => self.chunks.pop_front(),
            false => None,
        }
    }

    /// The oldest chunks, if all of their children have retired. Two for each that is opened, so
    /// that a spawner catches up.
    pub(super) fn reap(&mut self) -> Option<Box<Reaped>> {
        let mut next = || match self.chunks.front() {
            Some(chunk) if chunk.is_vacant() => self.chunks.pop_front(),
            _ => None,
        };
        let first = next()?;
        Some(Box::new(Reaped {
            _chunks: [Some(first), next()],
        }))
    }

    pub(super) fn close(&mut self) -> VecDeque<ChunkClaim> {
        self.closed = true;
        std::mem::take(&mut self.chunks)
    }
}
