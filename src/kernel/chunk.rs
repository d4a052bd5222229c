//! The memory of a group's cells.
//!
//! Cells are made in chunks that grow with the group, so that a child costs no allocation of its
//! own. Nobody counts references to a cell; its chunk counts, in one word, the *children* that have
//! not retired, and the *claims* on the memory.
//!
//! Invariants
//! 1. A chunk of n cells starts with n children and n claims, those of the cells that are not yet
//!    given out included, and with one claim of the group. That of a child which was refused has its
//!    claim alone: no children, no group, and no claim of one. Whoever brings the word to zero frees
//!    it.
//! 2. The claim of a cell is given up once: by the child as it retires if it found the handle gone,
//!    by the handle if it found the child done. So a handle may look at the cell until it left, a
//!    child until it has retired, and both for longer if they hold a claim of their own (`claims`).
//! 3. While a child has not retired, its chunk keeps the group: its node, and the book that the
//!    child records its failure in. A child that has counted out may thus still tell the group so.
//!    The last child of a chunk takes the chunk off the group's list, gives up the group's claim, and
//!    lets go of the group. A handle never lets go of a group.
//! 4. At its close a group has no living children: cells that were never given out are retired
//!    then, by the group itself. This breaks the circle between the group and the chunk.
//! 5. A cell is written before it is given out, under the lock of the group, and not moved. Whoever
//!    walks over a chunk learned under that lock how many cells had been given out.

use std::{
    mem::{MaybeUninit, offset_of},
    ptr::NonNull,
    sync::Arc,
};

use super::{
    atomic::{AtomicU64, AtomicUsize, Memory, Ordering, UnsafeCell},
    cell::Cell,
    node::Node,
    times::Times,
};
use crate::runtime::Runtime;

/// One child, in the lower half of the word of a chunk.
pub(super) const CHILD: u64 = 1;
/// One claim, in the upper half.
pub(super) const CLAIM: u64 = 1 << 32;

/// Several cells in one allocation. In the order of the fields, so that whatever their number is, the
/// cells begin at one distance from the begin of the chunk.
#[repr(C)]
pub(super) struct Chunk<C: ?Sized = [MaybeUninit<Cell>]> {
    /// Children and claims (invariants 1 and 2).
    pub(super) held: AtomicU64,
    /// The group, until the last child has retired (invariant 3).
    pub(super) group: UnsafeCell<Option<Group>>,
    pub(super) first_id: u64,
    pub(super) len: usize,
    /// Those in the group's list. Looked at and changed under the lock of the group only.
    pub(super) neighbours: UnsafeCell<Neighbours>,
    /// How many cells have been given out. Changed under the lock of the group only.
    pub(super) given: AtomicUsize,
    /// A row for each cell, if times are recorded.
    pub(super) times: Option<Box<[Times]>>,
    pub(super) memory: Memory,
    /// A std one: each cell sees to itself.
    cells: std::cell::UnsafeCell<C>,
}

/// The chunks before and behind one in the list of its group.
#[derive(Clone, Copy)]
pub(super) struct Neighbours {
    pub(super) before: Option<ChunkPtr>,
    pub(super) after: Option<ChunkPtr>,
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
pub(super) const fn distance(index: usize) -> usize {
    offset_of!(Chunk<[MaybeUninit<Cell>; 1]>, cells) + index * size_of::<Cell>()
}

pub(super) fn open<const N: usize>(group: Option<Group>, before: Option<ChunkPtr>) -> ChunkPtr {
    const { assert!(distance(N) <= u16::MAX as usize) };
    /// Identity only: nothing is published through it, so it need not be seen by models.
    static NEXT_ID: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let first_id = NEXT_ID.fetch_add(N as u64, std::sync::atomic::Ordering::Relaxed);
    let held = match &group {
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
pub(super) unsafe fn cell(chunk: ChunkPtr, index: usize) -> NonNull<Cell> {
    // SAFETY: as the caller promises, it stays within the chunk.
    unsafe { chunk.cast::<Cell>().byte_add(distance(index)) }
}

/// The chunk that a cell stands in.
///
/// # Safety
///
/// The cell is there, and the pointer was made by `cell`.
#[inline]
pub(super) unsafe fn chunk_of(cell: NonNull<Cell>) -> ChunkPtr {
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
pub(super) fn index_of(cell: &Cell) -> usize {
    (usize::from(cell.distance) - distance(0)) / size_of::<Cell>()
}

impl Chunk {
    /// Notes when a child enters. Under the lock of its group.
    #[cold]
    pub(super) fn stamp(&self, index: usize) {
        // SAFETY: the cell that is given out counts as a child, so the group is there (invariant 3).
        let now = self.group.with(|group| unsafe {
            let group = (*group).as_ref();
            group.map(|group| group.node.with_runtime(Runtime::now))
        });
        if let (Some(now), Some(times)) = (now, self.row(index)) {
            times.enter(now);
        }
    }

    pub(super) fn row(&self, index: usize) -> Option<&Times> {
        Some(&self.times.as_ref()?[index])
    }
}

/// Gives up a part of the word; what is left of it. If that is nothing, the chunk must be freed.
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

/// Retires children; true if those were the last. The word cannot come to zero, since the group gives up
/// its claim later.
///
/// # Safety
///
/// As `subtract`.
#[inline]
pub(super) unsafe fn retire(chunk: ChunkPtr, part: u64) -> bool {
    // SAFETY: as the caller promises.
    unsafe { subtract(chunk, part) as u32 == 0 }
}

/// Gives up a claim on a chunk.
///
/// # Safety
///
/// The claim is the caller's, who does not touch the chunk afterwards.
#[inline]
pub(super) unsafe fn release(chunk: ChunkPtr) {
    // SAFETY: as the caller promises.
    if unsafe { subtract(chunk, CLAIM) } == 0 {
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

/// # Safety
///
/// The last child of the chunk has retired, and the caller did that: nobody else looks at the group
/// of the chunk any more.
pub(super) unsafe fn take_group(chunk: ChunkPtr) -> Option<Group> {
    // SAFETY: as the caller promises; the group's claim still keeps the chunk.
    unsafe { chunk.as_ref().group.with_mut(|group| (*group).take()) }
}
