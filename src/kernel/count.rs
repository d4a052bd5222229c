//! How many children live.
//!
//! Invariants
//! 1. The count goes up only under the lock of the node; see `ledger`.
//! 2. It goes down without the lock, after the child's future, its unread output and what it owed are
//!    gone. `WAITING` in the word that goes down tells the child that brings it to zero that somebody
//!    waits for that: a waiter that raised the flag before the last child left is told by that child,
//!    and one that raised it later sees zero.
//! 3. Until somebody waits, the count stands in two words on two cache lines: who entered, written by
//!    spawners, and, negative, who left, written by children. Neither looks at the other's line. Who
//!    raises `WAITING` adds the one to the other in the same step; from then on spawners count there
//!    too.

use std::mem::MaybeUninit;

use super::atomic::{AtomicU64, Ordering};

/// Somebody waits for the children to end, and who entered has been added. Never cleared.
const WAITING: u64 = 1;
/// One child that is no daemon, in the lower half of a word. Sums wrap, so that a negative number plus
/// who entered is again a small one.
const CHILD: u64 = 1 << 1;
/// One daemon, in the upper half.
const DAEMON: u64 = 1 << 32;
/// In `entered`: who entered has been added to the other word.
const ADDED: u64 = u64::MAX;

/// The number of living children.
#[derive(Default)]
pub(crate) struct Count {
    /// Minus those who left; once `WAITING` is raised, those who live.
    left: OwnLine,
    /// Those who entered, or `ADDED`. Written under the lock of the node only.
    entered: AtomicU64,
}

/// A word on a cache line of its own (of 64 bytes): the children's threads write it while the
/// spawner's works with what stands beside it. Padded and not aligned, since allocators are slow
/// with large alignments and each timeout has a node.
#[repr(C)]
struct OwnLine {
    _before: MaybeUninit<[u64; 7]>,
    word: AtomicU64,
    _after: MaybeUninit<[u64; 7]>,
}

impl Default for OwnLine {
    fn default() -> Self {
        OwnLine {
            _before: MaybeUninit::uninit(),
            word: AtomicU64::new(0),
            _after: MaybeUninit::uninit(),
        }
    }
}

/// The halves of a count.
#[derive(Clone, Copy)]
struct Split {
    others: u32,
    daemons: u32,
}

fn split(word: u64) -> Split {
    Split {
        others: word as u32 >> 1,
        daemons: (word >> 32) as u32,
    }
}

fn one(daemon: bool) -> u64 {
    if daemon { DAEMON } else { CHILD }
}

impl Count {
    /// Only under the lock of the node (invariant 1).
    #[inline]
    pub(super) fn enter(&self, daemon: bool) {
        // Relaxed: the lock orders it against who waits and closes, and the hand-over of the child
        // against its leaving.
        match self.entered.load(Ordering::Relaxed) {
            ADDED => {
                self.left.word.fetch_add(one(daemon), Ordering::Relaxed);
            }
            entered => {
                let entered = entered.wrapping_add(one(daemon));
                self.entered.store(entered, Ordering::Relaxed);
            }
        }
    }

    /// Takes a child out; true if somebody waits and none but daemons are left, or for a daemon, nobody:
    /// the others have been told.
    ///
    /// Release: what the child did comes before the end of its boundary. Acquire: the last child
    /// carries what the others did.
    #[must_use]
    #[inline]
    pub(crate) fn leave(&self, daemon: bool) -> bool {
        // Two calls, so that the one of most children is made with a constant.
        match daemon {
            true => self.take_out(DAEMON) == WAITING,
            false => self.take_out(CHILD) & (DAEMON - 1) == WAITING,
        }
    }

    #[inline(always)]
    fn take_out(&self, one: u64) -> u64 {
        let before = self.left.word.fetch_sub(one, Ordering::AcqRel);
        before.wrapping_sub(one)
    }

    /// Exact under the lock of the node: without it, who waits may add up between the two looks.
    #[inline]
    pub(crate) fn living(&self) -> usize {
        let entered = match self.entered.load(Ordering::Relaxed) {
            ADDED => 0,
            entered => entered,
        };
        let left = self.left.word.load(Ordering::Acquire);
        let now = split(left.wrapping_add(entered));
        // Not exact, the halves may be anything.
        now.others as usize + now.daemons as usize
    }

    /// Does somebody wait, while none but daemons live? Only under the lock of the node.
    pub(super) fn is_left_to_daemons(&self) -> bool {
        // What it shows stays so under the lock, since nobody else enters. Acquire: as in `leave`.
        let left = || self.left.word.load(Ordering::Acquire);
        self.entered.load(Ordering::Relaxed) == ADDED && left() & (DAEMON - 1) == WAITING
    }

    /// From now on the last child tells. True if daemons are left, and nobody else. Only under the
    /// lock of the node.
    pub(super) fn wait(&self) -> bool {
        let now = match self.entered.load(Ordering::Relaxed) {
            ADDED => self.left.word.load(Ordering::Acquire),
            entered => {
                self.entered.store(ADDED, Ordering::Relaxed);
                // One step (invariant 3): a child that left before it is in the sum, and one that
                // leaves after it sees the flag with the sum.
                let added = entered | WAITING;
                let before = self.left.word.fetch_add(added, Ordering::AcqRel);
                before.wrapping_add(added)
            }
        };
        let now = split(now);
        now.others == 0 && now.daemons > 0
    }
}
