//! Who may look at cells, and how long: the ways of a child and of its handle to their cell, and the claims
//! of others on a whole chunk. The invariants stand in `chunk`.

use std::{
    ops::Deref,
    panic::{RefUnwindSafe, UnwindSafe},
    ptr::NonNull,
};

use super::{
    atomic::Ordering,
    cell::Cell,
    chunk::{
        CHILD, CLAIM, Chunk, ChunkPtr, Group, cell, chunk_of, distance, index_of, open, release,
        retire, take_group,
    },
    info::Info,
    times::Times,
};

/// The way of a child or of a handle to its cell, good as long as invariant 2 says.
pub(crate) struct CellRef(NonNull<Cell>);

// SAFETY: what it leads to is shared by threads as in an `Arc<Cell>`, and a cell has nothing but
// atomics, locks, an `Info` that does not change, and an output, which has one owner at a time and is
// `Send`; of the chunk, threads share a counter.
unsafe impl Send for CellRef {}
// SAFETY: as above.
unsafe impl Sync for CellRef {}
impl UnwindSafe for CellRef {}
impl RefUnwindSafe for CellRef {}

impl Deref for CellRef {
    type Target = Cell;

    #[inline]
    fn deref(&self) -> &Cell {
        // SAFETY: child and handle do not look any more after they gave up the claim of the cell or
        // left that to the other (invariant 2): `retire` and `leave` are the last they do with it.
        let cell = unsafe { self.0.as_ref() };
        self.chunk().memory.touch();
        cell
    }
}

impl CellRef {
    /// # Safety
    ///
    /// The cell has been written, the pointer was made by `chunk::cell`, and this is the child's way to
    /// it or the handle's: neither is made twice.
    #[inline]
    pub(super) unsafe fn new(cell: NonNull<Cell>) -> Self {
        CellRef(cell)
    }

    /// A cell outside any group for a child that was refused: it has ended, cancelled.
    pub(crate) fn refused(info: Info) -> CellRef {
        let chunk = open::<1>(None, None);
        // SAFETY: fresh, with a claim of the handle that is made of this.
        let this = unsafe { chunk.as_ref() };
        // SAFETY: it has one.
        let cell = unsafe { cell(chunk, 0) };
        // SAFETY: the chunk's own memory, and nobody has been told of it.
        unsafe { cell.write(Cell::refused(distance(0) as u16, info)) };
        this.given.store(1, Ordering::Relaxed);
        CellRef(cell)
    }

    #[inline]
    fn chunk_ptr(&self) -> ChunkPtr {
        // SAFETY: the cell is there (see `deref`), and was given out as `cell` gave it.
        unsafe { chunk_of(self.0) }
    }

    #[inline]
    fn chunk(&self) -> &Chunk {
        // SAFETY: a cell stands in its chunk, so that one is there too.
        unsafe { self.chunk_ptr().as_ref() }
    }

    /// The group of the child; for the child itself, before it has retired.
    #[inline]
    pub(super) fn group(&self) -> &Group {
        // SAFETY: the chunk keeps the group until its last child has retired, and only then is it
        // written to (invariant 3); the caller is a child that has not.
        let group = self
            .chunk()
            .group
            .with(|group| unsafe { (*group).as_ref() });
        debug_assert!(group.is_some());
        // SAFETY: as above; the chunks of children are made with a group.
        unsafe { group.unwrap_unchecked() }
    }

    /// Tells the group that this cell needs no waking any more. The last that a child does with its
    /// cell. `owed`: the handle is there, and gives up the claim of the cell.
    #[inline]
    pub(super) fn retire(&self, owed: bool) {
        let part = if owed { CHILD } else { CHILD + CLAIM };
        let chunk = self.chunk_ptr();
        // SAFETY: a child retires once, and it kept the chunk until here.
        if unsafe { retire(chunk, part) } {
            // SAFETY: that was the last child, and the caller's.
            unsafe { vacate(chunk) };
        }
    }

    /// The handle leaves, and looks at the cell no more. If the child has ended, `done` first takes
    /// away the output that the handle is owed.
    #[inline]
    pub(super) fn leave(&self, done: impl FnOnce()) {
        let chunk = self.chunk_ptr();
        // SAFETY: the handle has not left before, and leaves once.
        if unsafe { Cell::leave(self.0) } {
            let _release = ReleaseOnDrop(chunk);
            done();
        }
    }

    /// A number that no other child of this process has.
    pub(crate) fn id(&self) -> u64 {
        self.chunk().first_id + index_of(self) as u64
    }

    /// Its row, if times are recorded.
    pub(super) fn times(&self) -> Option<&Times> {
        self.chunk().row(index_of(self))
    }
}

/// Lets go of a chunk whose children have all retired (invariant 3).
///
/// # Safety
///
/// The caller has retired the last child.
#[cold]
unsafe fn vacate(chunk: ChunkPtr) {
    // SAFETY: as the caller promises.
    let group = unsafe { take_group(chunk) };
    if let Some(group) = &group {
        // SAFETY: the group's claim keeps the chunk.
        let chunk = unsafe { chunk.as_ref() };
        group.node.with_roster(|roster| roster.remove(chunk));
    }
    // SAFETY: the group's claim, with which its list was left.
    unsafe { release(chunk) };
}

/// Gives up a claim even if the destructor of an output panics.
struct ReleaseOnDrop(ChunkPtr);

impl Drop for ReleaseOnDrop {
    fn drop(&mut self) {
        // SAFETY: the claim of the cell, which its handle gives up (invariant 2).
        unsafe { release(self.0) };
    }
}

/// A claim on a chunk of one's own.
pub(super) struct ChunkClaim(ChunkPtr);

// SAFETY: as for `CellRef`.
unsafe impl Send for ChunkClaim {}
// SAFETY: as for `CellRef`.
unsafe impl Sync for ChunkClaim {}

impl ChunkClaim {
    /// # Safety
    ///
    /// Somebody else has a claim on the chunk, or is a child of it, during the call.
    pub(super) unsafe fn new(chunk: ChunkPtr) -> Self {
        // SAFETY: as the caller promises. Relaxed: nothing is freed while the other claim stands,
        // and whoever gives up either synchronizes with the last.
        let before = unsafe { chunk.as_ref() }
            .held
            .fetch_add(CLAIM, Ordering::Relaxed);
        assert!(before < 1 << 63, "too many references to one cell");
        ChunkClaim(chunk)
    }

    /// # Safety
    ///
    /// Called once for a chunk, by who takes it off the list of its group.
    pub(super) unsafe fn of_the_group(chunk: ChunkPtr) -> Self {
        ChunkClaim(chunk)
    }
}

impl Drop for ChunkClaim {
    fn drop(&mut self) {
        // SAFETY: this claim was made in `new`, or handed over.
        unsafe { release(self.0) };
    }
}

/// The way to a cell for others than the child and its handle.
pub(crate) struct Hold {
    cell: CellRef,
    claim: ChunkClaim,
}

impl Hold {
    pub(crate) fn new(cell: &CellRef) -> Self {
        // SAFETY: who can look at a cell has a claim on its chunk, or is a child of it.
        let claim = unsafe { ChunkClaim::new(cell.chunk_ptr()) };
        Hold {
            cell: CellRef(cell.0),
            claim,
        }
    }
}

impl Clone for Hold {
    fn clone(&self) -> Self {
        Hold::new(&self.cell)
    }
}

impl Deref for Hold {
    type Target = Cell;

    fn deref(&self) -> &Cell {
        debug_assert_eq!(self.claim.0, self.cell.chunk_ptr());
        &self.cell
    }
}

/// A walk over the cells that a chunk had given out.
pub(crate) struct Walk {
    claim: ChunkClaim,
    given: usize,
}

impl Walk {
    /// Over the cells that were given out until now. Under the lock of the group.
    pub(super) fn new(claim: ChunkClaim) -> Self {
        // SAFETY: the claim keeps the chunk.
        let given = unsafe { claim.0.as_ref() }.given.load(Ordering::Relaxed);
        Walk { claim, given }
    }

    fn cells(&self) -> impl Iterator<Item = &Cell> {
        // SAFETY: the claim keeps the chunk.
        unsafe { self.claim.0.as_ref() }.memory.touch();
        // SAFETY: these had been written when the walk was prepared (invariant 5), and cells are
        // shared until they are freed.
        (0..self.given).map(|index| unsafe { cell(self.claim.0, index).as_ref() })
    }

    /// Shows each child that has not ended: its number, its cell, and its times if they are recorded.
    pub(super) fn show_living<'a>(&'a self, mut f: impl FnMut(u64, &'a Cell, Option<&'a Times>)) {
        // SAFETY: the claim keeps the chunk.
        let chunk = unsafe { self.claim.0.as_ref() };
        for (index, cell) in self.cells().enumerate() {
            if cell.end().is_none() {
                f(chunk.first_id + index as u64, cell, chunk.row(index));
            }
        }
    }

    /// Asks the daemons among the children to end.
    pub(crate) fn cancel_daemons(&self) {
        let daemons = self.cells().filter(|cell| cell.is_idle_daemon());
        daemons.for_each(Cell::cancel);
    }

    /// Those who have not ended never will.
    pub(super) fn lose_all(&self) {
        self.cells().for_each(Cell::lose);
    }

    /// Wakes every child of the chunk that has a waker.
    pub(crate) fn wake_all(&self) {
        self.cells().for_each(Cell::wake_task);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
