//! The list of a group's chunks: of those that may have living children, which may have to be woken. The
//! invariants stand in `chunk`.

use std::iter::successors;

use super::{
    atomic::Ordering,
    cell::Cell,
    chunk::{
        CHILD, CLAIM, Chunk, ChunkPtr, Group, Neighbours, cell, distance, open, retire, take_group,
    },
    claims::{CellRef, ChunkClaim, Walk},
    info::Info,
};

/// The chunks of a group that may have living children; kept under the lock of its node.
#[derive(Default)]
pub(crate) struct Roster {
    /// The ends of the list of chunks, in the order of their making.
    first: Option<ChunkPtr>,
    latest: Option<ChunkPtr>,
    /// The chunk that has cells to give out.
    open: Option<ChunkPtr>,
    /// How many chunks there have been: small groups get small ones.
    opened: u32,
}

// SAFETY: the pointers lead to chunks on which the group has a claim, so they are there from
// whatever thread the list is used; what may be looked at in a chunk from any thread, see `CellRef`.
// Their `group` is written by the one who retires the last child only, when nobody reads it.
unsafe impl Send for Roster {}

impl Roster {
    /// Is there a cell to give out?
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Gives out a fresh cell: the child's way to it, and the handle's. Only while it is open.
    #[inline(always)]
    pub(super) fn take_cell(&mut self, info: Info, daemon: bool) -> (CellRef, CellRef) {
        let chunk = self.open.expect("a chunk with a cell to give out");
        // SAFETY: the open chunk has cells to give out, which count as children (invariant 1).
        let this = unsafe { chunk.as_ref() };
        let index = this.given.load(Ordering::Relaxed);
        // SAFETY: an open chunk has one more.
        let cell = unsafe { cell(chunk, index) };
        // SAFETY: the cell is the chunk's own memory, and nobody has been told of it (invariant 5).
        unsafe { cell.write(Cell::new(distance(index) as u16, info, daemon)) };
        if this.times.is_some() {
            this.stamp(index);
        }
        this.given.store(index + 1, Ordering::Relaxed);
        if index + 1 == this.len {
            self.open = None;
        }
        // SAFETY: it was written above, as the next of the chunk.
        unsafe { (CellRef::new(cell), CellRef::new(cell)) }
    }

    /// Makes cells to give out.
    #[cold]
    pub(super) fn open_chunk(&mut self, group: Group) {
        let (group, before) = (Some(group), self.latest);
        self.opened = self.opened.saturating_add(1);
        let chunk = match self.opened {
            1 => open::<1>(group, before),
            2 => open::<4>(group, before),
            3 => open::<16>(group, before),
            _ => open::<64>(group, before),
        };
        match before {
            // SAFETY: the group has a claim on the chunks of its list, which is locked.
            Some(before) => unsafe { change_neighbours(before, |its| its.after = Some(chunk)) },
            None => self.first = Some(chunk),
        }
        self.latest = Some(chunk);
        self.open = Some(chunk);
    }

    /// The chunks to wake on a cancel, to be walked outside the lock.
    pub(crate) fn chunks(&self) -> Vec<Walk> {
        // SAFETY: the group has a claim on the chunks of its list, which is locked.
        let walk = |chunk| Walk::new(unsafe { ChunkClaim::new(chunk) });
        // SAFETY: as above.
        let after =
            |chunk: &ChunkPtr| unsafe { chunk.as_ref().neighbours.with(|its| (*its).after) };
        successors(self.first, after).map(walk).collect()
    }

    /// Retires the cells that nobody will ask for any more (invariant 4). Gives what is to be dropped
    /// outside the lock.
    pub(super) fn close(&mut self) -> Option<Closed> {
        let chunk = self.open.take()?;
        // SAFETY: the group has a claim on the chunks of its list, which is locked.
        let this = unsafe { chunk.as_ref() };
        let rest = this.len - this.given.load(Ordering::Relaxed);
        // SAFETY: nobody else has the cells that were not given out, and the chunk is open no more, so
        // that they are given up once (invariant 4).
        if !unsafe { retire(chunk, rest as u64 * (CHILD + CLAIM)) } {
            return None;
        }
        self.remove(this);
        // SAFETY: the last child has retired, in this call; and the group's claim, with which its list was
        // left.
        let (group, claim) = unsafe { (take_group(chunk), ChunkClaim::of_the_group(chunk)) };
        Some(Closed {
            _claim: claim,
            _group: group,
        })
    }

    /// Forgets a chunk whose children have all retired.
    pub(super) fn remove(&mut self, chunk: &Chunk) {
        // SAFETY: the list is locked.
        let Neighbours { before, after } = chunk.neighbours.with(|own| unsafe { *own });
        match before {
            // SAFETY: the group has a claim on the chunks of its list, which is locked.
            Some(before) => unsafe { change_neighbours(before, |its| its.after = after) },
            None => self.first = after,
        }
        match after {
            // SAFETY: as above.
            Some(after) => unsafe { change_neighbours(after, |its| its.before = before) },
            None => self.latest = before,
        }
    }
}

/// # Safety
///
/// The chunk is there, and the list of its group is locked.
unsafe fn change_neighbours(chunk: ChunkPtr, change: impl FnOnce(&mut Neighbours)) {
    // SAFETY: as the caller promises.
    unsafe { chunk.as_ref().neighbours.with_mut(|its| change(&mut *its)) };
}

/// What a close leaves to drop.
pub(super) struct Closed {
    _claim: ChunkClaim,
    _group: Option<Group>,
}
