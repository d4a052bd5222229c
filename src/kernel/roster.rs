//! The memory of a group's cells, and the list of those that may have to be woken.
//!
//! Cells are made in chunks that grow with the group, so that a child costs no allocation of its
//! own. Nobody counts references to a cell; its chunk counts, in one word, the *children* that have
//! not retired, and the *claims* on the memory.
//!
//! Invariants
//! 1. A chunk of n cells starts with n children and n claims, those of the cells that are not yet
//!    given out included, with one claim of the group, and with what invariant 6 says. Whoever
//!    brings the word to zero frees it.
//! 2. The claim of a cell is given up once: by the child as it retires if it found the handle gone,
//!    by the handle if it found the child done. So a handle may look at the cell until it left, a
//!    child until it has retired, and both for longer if they hold a claim of their own (`Hold`).
//! 3. While a child has not retired, its chunk keeps the group: its node, and the book that the
//!    child records its failure in. A child that has counted out may thus still tell the group so.
//!    The last child of a chunk takes the chunk off the group's list, gives up the group's claim, and
//!    lets go of the group, in this order. A handle never lets go of a group.
//! 4. At its close a group has no living children: cells that were never given out are retired
//!    then, by the group itself. This breaks the circle between the group and the chunk.
//! 5. A cell is written before it is given out, under the lock of the group, and not moved. Whoever
//!    walks over a chunk learned under that lock how many cells had been given out.
//! 6. Besides, a chunk of more than one cell has one more child, the *last*, and one more claim. They belong to who retires
//!    the child that makes the chunk ripe, who may thus tell the group: the claim goes to the
//!    group's list of ripe chunks (`ripe`), then the last child retires.

use std::{
    iter::successors,
    mem::{MaybeUninit, offset_of},
    ops::Deref,
    panic::{RefUnwindSafe, UnwindSafe},
    ptr::NonNull,
    sync::Arc,
};

pub(crate) use super::cell::{End, Info};
use super::{
    atomic::{AtomicU64, AtomicUsize, Memory, Ordering, UnsafeCell},
    cell::Cell,
    node::Node,
    ripe::{Reaped, Remains, Ripe, Spent},
    times::Times,
};
use crate::runtime::Runtime;

/// One child, in the lower half of the word of a chunk.
const CHILD: u64 = 1;
/// One claim, in the upper half.
const CLAIM: u64 = 1 << 32;

/// Several cells in one allocation. In the order of the fields, so that whatever their number is, the
/// cells begin at one distance from the begin of the chunk.
#[repr(C)]
pub(super) struct Chunk<C: ?Sized = [MaybeUninit<Cell>]> {
    /// Children and claims (invariants 1 and 2).
    held: AtomicU64,
    /// The group, until the last child has retired (invariant 3).
    group: UnsafeCell<Option<Group>>,
    first_id: u64,
    len: usize,
    /// How many children are left, the last one included, when it becomes ripe.
    ripe_at: u32,
    /// Those in the group's list. Looked at and changed under the lock of the group only.
    neighbours: UnsafeCell<Neighbours>,
    /// How many cells have been given out. Changed under the lock of the group only.
    given: AtomicUsize,
    /// A row for each cell, if times are recorded.
    times: Option<Box<[Times]>>,
    memory: Memory,
    /// A std one: each cell sees to itself.
    cells: std::cell::UnsafeCell<C>,
}

/// The chunks before and behind one in the list of its group.
#[derive(Clone, Copy)]
struct Neighbours {
    before: Option<ChunkPtr>,
    after: Option<ChunkPtr>,
}

/// What the children of a chunk need of their group.
pub(super) struct Group {
    pub(super) node: Arc<Node>,
    /// The `Book`, of a type that the children know.
    pub(super) book: NonNull<()>,
    /// What keeps the book, if nothing else does.
    pub(super) _kept: Option<Kept>,
    /// Times are recorded.
    pub(super) timed: bool,
}

#[cfg(all(test, not(any(loom, shuttle))))]
impl Group {
    /// For children that never look at a book.
    pub(super) fn without_book(node: &Arc<Node>) -> Self {
        Group {
            node: node.clone(),
            book: NonNull::dangling(),
            _kept: None,
            timed: false,
        }
    }
}

/// Something that is kept and not looked at.
pub(super) type Kept = Arc<dyn Send + Sync>;

/// A chunk, without any say in how long it lives. It may be used for the whole of it, and so may the
/// pointers to its cells, which are made of it.
pub(super) type ChunkPtr = NonNull<Chunk>;

/// How many bytes behind the begin of its chunk a cell stands.
const fn distance(index: usize) -> usize {
    offset_of!(Chunk<[MaybeUninit<Cell>; 1]>, cells) + index * size_of::<Cell>()
}

fn open<const N: usize>(group: Option<Group>, before: Option<ChunkPtr>) -> ChunkPtr {
    const { assert!(distance(N) <= u16::MAX as usize) };
    /// Identity only: nothing is published through it, so it need not be seen by models.
    static NEXT_ID: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let first_id = NEXT_ID.fetch_add(N as u64, std::sync::atomic::Ordering::Relaxed);
    let held = match &group {
        Some(_) if ripens(N) => N as u64 * (CHILD + CLAIM) + CHILD + 2 * CLAIM,
        Some(_) => N as u64 * (CHILD + CLAIM) + CLAIM,
        None => N as u64 * CLAIM,
    };
    let timed = group.as_ref().is_some_and(|group| group.timed);
    let mut chunk = Box::<Chunk<[MaybeUninit<Cell>; N]>>::new_uninit();
    let place = chunk.as_mut_ptr();
    // SAFETY: `place` is a fresh allocation for this type. Every field is written but the cells,
    // which need not be. Field by field, since a value made on the stack would be copied with all
    // its empty cells.
    let chunk = unsafe {
        (&raw mut (*place).held).write(AtomicU64::new(held));
        (&raw mut (*place).group).write(UnsafeCell::new(group));
        (&raw mut (*place).first_id).write(first_id);
        (&raw mut (*place).len).write(N);
        (&raw mut (*place).ripe_at).write(ripe_at(N));
        let neighbours = Neighbours {
            before,
            after: None,
        };
        (&raw mut (*place).neighbours).write(UnsafeCell::new(neighbours));
        (&raw mut (*place).given).write(AtomicUsize::new(0));
        (&raw mut (*place).times).write(timed.then(|| rows(N)));
        (&raw mut (*place).memory).write(Memory::new());
        chunk.assume_init()
    };
    let chunk: NonNull<Chunk<[MaybeUninit<Cell>; N]>> = NonNull::from(Box::leak(chunk));
    chunk
}

#[cold]
fn rows(count: usize) -> Box<[Times]> {
    (0..count).map(|_| Times::default()).collect()
}

/// # Safety
///
/// The chunk is there, and has that many cells.
#[inline]
unsafe fn cell(chunk: ChunkPtr, index: usize) -> NonNull<Cell> {
    // SAFETY: as the caller promises, it stays within the chunk.
    unsafe { chunk.cast::<Cell>().byte_add(distance(index)) }
}

/// The chunk that a cell stands in.
///
/// # Safety
///
/// The cell is there, and the pointer was made by `cell`.
#[inline]
unsafe fn chunk_of(cell: NonNull<Cell>) -> ChunkPtr {
    // SAFETY: as the caller promises, this goes back to the begin of the chunk, where its length stands
    // (`repr(C)`).
    unsafe {
        let chunk = cell.byte_sub(usize::from((*cell.as_ptr()).distance));
        let len = (*chunk.cast::<Chunk<[MaybeUninit<Cell>; 0]>>().as_ptr()).len;
        let cells = NonNull::slice_from_raw_parts(chunk.cast::<MaybeUninit<Cell>>(), len);
        NonNull::new_unchecked(cells.as_ptr() as *mut Chunk)
    }
}

/// Which of the cells of its chunk it is.
fn index_of(cell: &Cell) -> usize {
    (usize::from(cell.distance) - distance(0)) / size_of::<Cell>()
}

impl Chunk {
    /// Notes when a child enters. Under the lock of its group.
    #[cold]
    fn stamp(&self, index: usize) {
        // SAFETY: the cell that is given out counts as a child, so the group is there (invariant 3).
        let now = self.group.with(|group| unsafe {
            let group = (*group).as_ref();
            group.map(|group| group.node.with_runtime(Runtime::now))
        });
        if let (Some(now), Some(times)) = (now, self.row(index)) {
            times.enter(now);
        }
    }

    fn row(&self, index: usize) -> Option<&Times> {
        Some(&self.times.as_ref()?[index])
    }
}

/// Gives up a part of the word. `None` if that was the last of it, and the chunk must be freed.
///
/// # Safety
///
/// As `subtract`.
#[inline]
unsafe fn give_up(chunk: ChunkPtr, part: u64) -> Option<u64> {
    // SAFETY: as the caller promises.
    let left = unsafe { subtract(chunk, part) };
    (left != 0).then_some(left)
}

/// Gives up a part of the word; what is left of it.
///
/// Release: what was done with the cells comes before they are freed, and what a child did before
/// the group lets go of the chunk. Acquire: the last one carries what the others did.
///
/// # Safety
///
/// The part is the caller's, who does not touch the chunk afterwards unless he holds another.
#[inline]
unsafe fn subtract(chunk: ChunkPtr, part: u64) -> u64 {
    // SAFETY: the part that is given up keeps the chunk until the word is changed. Others may free
    // it before the call that changes it returns, so that call gets a reference to the word alone,
    // which promises nothing about the memory, and not one to the chunk.
    let held = unsafe { &(*chunk.as_ptr()).held };
    held.fetch_sub(part, Ordering::AcqRel) - part
}

/// Gives up claims on a chunk.
///
/// # Safety
///
/// The claims are the caller's, who does not touch the chunk afterwards.
#[inline]
unsafe fn release(chunk: ChunkPtr) {
    // SAFETY: as the caller promises.
    if unsafe { give_up(chunk, CLAIM) }.is_none() {
        // SAFETY: that was the last of the word (invariant 1).
        unsafe { free(chunk) }
    }
}

/// # Safety
///
/// The word of the chunk is zero: nobody looks at it any more.
#[cold]
unsafe fn free(chunk: ChunkPtr) {
    // SAFETY: nobody else has the chunk, and all that was done with it came before, since the word
    // was given up with release and acquire. The cells that were given out have been written.
    unsafe {
        let given = chunk.as_ref().given.load(Ordering::Relaxed);
        for index in 0..given {
            Cell::destroy(cell(chunk, index));
        }
        drop(Box::from_raw(chunk.as_ptr()));
    }
}

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
    ripe: Ripe,
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
        (CellRef(cell), CellRef(cell))
    }

    /// Makes cells to give out. What it gives is to be dropped outside the lock.
    #[cold]
    pub(super) fn open_chunk(&mut self, group: Group) -> Option<Box<Reaped>> {
        let reaped = self.ripe.reap();
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
        reaped
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

    /// Gives what is to be dropped outside the lock.
    pub(super) fn close(&mut self) -> Closed {
        let mut closed = Closed::default();
        if let Some(open) = self.open.take() {
            self.close_open(open, &mut closed);
        }
        closed._ripe = self.ripe.close();
        closed
    }

    /// Retires the cells that nobody will ask for any more (invariant 4).
    fn close_open(&mut self, chunk: ChunkPtr, closed: &mut Closed) {
        // SAFETY: the group has a claim on the chunks of its list, which is locked.
        let this = unsafe { chunk.as_ref() };
        let rest = this.len - this.given.load(Ordering::Relaxed);
        // SAFETY: nobody else has the cells that were not given out, and the chunk is open no more, so
        // that they are given up once (invariant 4).
        let left = unsafe { give_up(chunk, rest as u64 * (CHILD + CLAIM)) };
        let mut left = left.map_or(0, |left| left as u32);
        let ripe = this.ripe_at;
        if left <= ripe && ripe < left + rest as u32 {
            // It became ripe now, and is let go with the others.
            // SAFETY: the claim and the last child are those of who makes it ripe (invariant 6).
            closed._now_ripe = Some(Spent::new(unsafe { ChunkClaim::ripe(chunk) }));
            // SAFETY: as above.
            left = unsafe { give_up(chunk, CHILD) }.map_or(0, |left| left as u32);
        }
        if left == 0 {
            self.remove(this);
            // SAFETY: the last child has retired, in this call.
            closed._group = unsafe { take_group(chunk) };
            // SAFETY: the group's claim, with which its list was left.
            closed._vacated = Some(unsafe { ChunkClaim::of_the_group(chunk) });
        }
    }

    /// Forgets a chunk whose children have all retired.
    fn remove(&mut self, chunk: &Chunk) {
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

/// # Safety
///
/// The last child of the chunk has retired, and the caller did that: nobody else looks at the group
/// of the chunk any more.
unsafe fn take_group(chunk: ChunkPtr) -> Option<Group> {
    // SAFETY: as the caller promises; the group's claim still keeps the chunk.
    unsafe { chunk.as_ref().group.with_mut(|group| (*group).take()) }
}

/// What a close leaves to drop.
#[derive(Default)]
pub(super) struct Closed {
    _group: Option<Group>,
    /// Before what is ripe, so that a chunk which nobody else has is freed without a walk.
    _vacated: Option<ChunkClaim>,
    _now_ripe: Option<Spent>,
    _ripe: Remains,
}

/// The way of a child or of a handle to its cell, good as long as invariant 2 says.
pub(crate) struct CellRef(NonNull<Cell>);

// SAFETY: what it leads to is shared by threads as in an `Arc<Cell>`, and a cell has nothing but
// atomics, locks, an `Info` that does not change, and an output and the memory of a task, each of
// which has one owner at a time and is `Send`; of the chunk, threads share a counter.
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
        let (chunk, ripe) = (self.chunk_ptr(), self.chunk().ripe_at);
        // SAFETY: a child retires once, and it kept the chunk until here. The word cannot come to
        // zero, since the group gives up its claim later.
        let left = unsafe { subtract(chunk, part) } as u32;
        if left == ripe {
            // SAFETY: the caller's child was the one that makes the chunk ripe.
            unsafe { ripen(chunk) };
        } else if left == 0 {
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

/// Does a chunk become ripe at all? For a single child that is not worth a place in the list.
const fn ripens(len: usize) -> bool {
    len > 1
}

/// What a chunk of so many cells has as its `ripe_at`.
const fn ripe_at(len: usize) -> u32 {
    match ripens(len) {
        true => (len / 2) as u32 + 1,
        false => u32::MAX,
    }
}

/// Tells the group that half of the children of a chunk have retired, and retires its last child
/// (invariant 6).
///
/// # Safety
///
/// The caller has retired the child that makes the chunk ripe.
#[cold]
unsafe fn ripen(chunk: ChunkPtr) {
    // SAFETY: the last child has not retired, which is the caller's, so the group is there
    // (invariant 3).
    let group = unsafe { chunk.as_ref().group.with(|group| (*group).as_ref()) };
    let node = &group.expect("the last child has not retired").node;
    // SAFETY: the claim is that of who makes the chunk ripe.
    let claim = unsafe { ChunkClaim::ripe(chunk) };
    let oldest = node.with_roster(|roster| roster.ripe.push(claim));
    drop(oldest);
    // SAFETY: the last child is retired here only. The word cannot come to zero, since the group
    // gives up its claim later.
    let left = unsafe { give_up(chunk, CHILD) };
    if left.is_some_and(|left| left as u32 == 0) {
        // SAFETY: that was the last of all children.
        unsafe { vacate(chunk) };
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
    unsafe fn new(chunk: ChunkPtr) -> Self {
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
    /// Called once for a chunk, by who makes it ripe (invariant 6).
    unsafe fn ripe(chunk: ChunkPtr) -> Self {
        ChunkClaim(chunk)
    }

    /// # Safety
    ///
    /// Called once for a chunk, by who takes it off the list of its group.
    unsafe fn of_the_group(chunk: ChunkPtr) -> Self {
        ChunkClaim(chunk)
    }

    /// Have all children of the chunk retired? Relaxed: nothing follows from it but who frees what.
    pub(super) fn is_vacant(&self) -> bool {
        self.held() as u32 == 0
    }

    /// Is this the last that keeps the chunk?
    fn is_last(&self) -> bool {
        self.held() == CLAIM
    }

    fn held(&self) -> u64 {
        // SAFETY: the claim keeps the chunk.
        unsafe { self.0.as_ref() }.held.load(Ordering::Relaxed)
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
    /// Over the cells that were given out until now. Under the lock of the group, or when it has
    /// closed and gives out none any more.
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

    /// Gives up the tasks that the chunk keeps. Called once for a chunk.
    pub(super) fn give_up_tasks(&self) {
        // If nobody else has the chunk, it is freed with them.
        if !self.claim.is_last() {
            self.cells().for_each(Cell::give_up_task);
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
