//! The cells of a group's children: what a handle, the child's wrapper and a canceller share.
//!
//! Cells are made in chunks that grow with the group, so that a child costs no allocation of its
//! own; a chunk is freed when its last cell has ended and its last handle is gone.
//!
//! Invariants
//! 1. A cell serves one child, once. `DONE` is set exactly once, after the output was stored.
//! 2. The output belongs to the child before `DONE`, and afterwards to the handle; to the child
//!    again if the handle was already gone (`GONE`) when `DONE` was set.
//! 3. The waker of the child is stored before the child looks at the cancel flags; a canceller
//!    raises the flag before it looks for the waker. The mutex of the slot orders the two, so one
//!    of them sees the other.
//! 4. No waker is called and nothing of the user's is dropped under the lock of a slot.

use std::{
    panic::Location,
    sync::{Arc, OnceLock, Weak},
    task::Waker,
};

use super::{
    atomic::{AtomicPtr, AtomicU32, AtomicUsize, Lock, Ordering},
    node::Node,
};
use crate::cancel::{CancelKind, CancelReason};

/// The child has a place under the limit. Set under the lock of the group, never cleared; without
/// a limit it is never set.
const ADMITTED: u32 = 1;
/// The handle asked to cancel. Set by any thread, never cleared.
const CANCEL: u32 = 1 << 1;
/// The child has ended and its end stands in `END`. Set by the child, never cleared.
const DONE: u32 = 1 << 2;
/// The handle was dropped, or never given out.
const GONE: u32 = 1 << 3;
/// The child serves the others. Set under the lock of the group, never cleared.
const DAEMON: u32 = 1 << 6;
/// The slot has a waker of the child or its node. Set by the child itself, so it needs no lock to
/// know that there is none.
const OCCUPIED: u32 = 1 << 7;
/// The slot has the waker of who awaits the handle. Set after it was stored: an end that does not
/// see it comes before, and is seen by the look that follows.
const AWAITED: u32 = 1 << 8;
/// How the child ended, two bits; meaningless before `DONE`.
const END: u32 = 0b11 << 4;

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Value = 0,
    Cancelled = 1,
    Failed = 2,
    Panicked = 3,
}

/// What is shared about one child.
#[derive(Default)]
pub(crate) struct Cell {
    flags: AtomicU32,
    /// A `Box<T>` turned raw, where `T` is known to the child's wrapper and to the handle.
    output: AtomicPtr<()>,
    slot: Lock<Slot>,
    info: OnceLock<Info>,
}

#[derive(Default)]
struct Slot {
    /// Wakes the child, once it has been pending.
    task: Option<Waker>,
    /// Wakes who awaits the handle.
    joiner: Option<Waker>,
    /// The child's node, once something linked to it.
    node: Option<Arc<Node>>,
}

/// Who a child is.
#[derive(Clone, Debug)]
pub(crate) struct Info {
    pub(crate) name: Option<Box<str>>,
    pub(crate) location: &'static Location<'static>,
}

/// Several cells in one allocation.
pub(crate) struct Chunk<C: ?Sized = [Cell]> {
    /// The group, to be told when all cells ended; weak, since the group lists its chunks.
    group: Weak<Node>,
    first_id: u64,
    /// Cells that have not ended yet, those not yet given out included.
    live: AtomicUsize,
    /// Where the group's list has this chunk. Changed under the lock of the group only.
    index: AtomicUsize,
    cells: C,
}

impl Chunk {
    fn with_cells<const N: usize>(group: Weak<Node>, index: usize) -> Arc<Chunk> {
        /// Identity only: nothing is published through it, so it need not be seen by models.
        static NEXT_ID: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        Arc::new(Chunk {
            group,
            first_id: NEXT_ID.fetch_add(N as u64, std::sync::atomic::Ordering::Relaxed),
            live: AtomicUsize::new(N),
            index: AtomicUsize::new(index),
            cells: std::array::from_fn::<_, N, _>(|_| Cell::default()),
        })
    }

    /// Asks the daemons among the children to end.
    pub(crate) fn cancel_daemons(&self) {
        for cell in &self.cells {
            let flags = cell.flags.load(Ordering::Acquire);
            if flags & (DAEMON | DONE | CANCEL) == DAEMON {
                cell.cancel();
            }
        }
    }

    /// Wakes every child of the chunk that has a waker.
    pub(crate) fn wake_all(&self) {
        for cell in &self.cells {
            cell.wake_task();
        }
    }
}

/// The chunks of a group that may have living children; kept under the lock of its node.
#[derive(Default)]
pub(crate) struct Roster {
    chunks: Vec<Arc<Chunk>>,
    /// The chunk that gives out cells, and how many it has given out.
    open: Option<(Arc<Chunk>, usize)>,
    /// How many chunks there have been: small groups get small ones.
    opened: u32,
}

impl Roster {
    /// Gives out a fresh cell.
    pub(crate) fn take_cell(&mut self, group: &Arc<Node>) -> CellRef {
        let given_out = match &self.open {
            Some((chunk, taken)) if *taken < chunk.cells.len() => *taken,
            _ => {
                let (group, index) = (Arc::downgrade(group), self.chunks.len());
                self.opened = self.opened.saturating_add(1);
                let chunk = match self.opened {
                    1 => Chunk::with_cells::<1>(group, index),
                    2 => Chunk::with_cells::<4>(group, index),
                    3 => Chunk::with_cells::<16>(group, index),
                    _ => Chunk::with_cells::<64>(group, index),
                };
                self.chunks.push(chunk.clone());
                self.open = Some((chunk, 0));
                0
            }
        };
        let (chunk, taken) = self.open.as_mut().expect("a chunk was opened above");
        *taken = given_out + 1;
        CellRef {
            chunk: chunk.clone(),
            index: given_out,
        }
    }

    /// The chunks to wake on a cancel, to be walked outside the lock.
    pub(crate) fn chunks(&self) -> Vec<Arc<Chunk>> {
        self.chunks.clone()
    }

    /// Forgets a chunk whose cells have all ended.
    fn remove(&mut self, chunk: &Arc<Chunk>) {
        let open = self.open.as_ref();
        if open.is_some_and(|(open, _)| Arc::ptr_eq(open, chunk)) {
            self.open = None;
        }
        let index = chunk.index.load(Ordering::Relaxed);
        self.chunks.swap_remove(index);
        if let Some(moved) = self.chunks.get(index) {
            moved.index.store(index, Ordering::Relaxed);
        }
    }
}

/// One cell, with its chunk kept alive.
#[derive(Clone)]
pub(crate) struct CellRef {
    chunk: Arc<Chunk>,
    index: usize,
}

impl std::ops::Deref for CellRef {
    type Target = Cell;

    fn deref(&self) -> &Cell {
        &self.chunk.cells[self.index]
    }
}

impl CellRef {
    /// A cell outside any group for a child that was refused: it has ended, cancelled.
    pub(crate) fn refused(info: Info) -> CellRef {
        let chunk = Chunk::with_cells::<1>(Weak::new(), 0);
        let cell = CellRef { chunk, index: 0 };
        cell.introduce(info);
        let end = DONE | ((End::Cancelled as u32) << 4);
        cell.flags.fetch_or(end, Ordering::Release);
        cell
    }

    /// Tells the group that this cell needs no waking any more.
    pub(crate) fn retire(&self) {
        if self.chunk.live.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        if let Some(group) = self.chunk.group.upgrade() {
            group.with_roster(|roster| roster.remove(&self.chunk));
        }
    }

    /// A number that no other child of this process has.
    pub(crate) fn id(&self) -> u64 {
        self.chunk.first_id + self.index as u64
    }
}

impl Cell {
    pub(crate) fn introduce(&self, info: Info) {
        let first = self.info.set(info);
        debug_assert!(first.is_ok(), "a cell serves one child");
    }

    pub(crate) fn info(&self) -> &Info {
        self.info
            .get()
            .expect("a cell is introduced before it is shared")
    }

    /// Only under the lock of the group.
    pub(crate) fn admit(&self) {
        self.flags.fetch_or(ADMITTED, Ordering::AcqRel);
    }

    /// Only under the lock of the group.
    pub(crate) fn mark_daemon(&self) {
        self.flags.fetch_or(DAEMON, Ordering::AcqRel);
    }

    pub(crate) fn is_daemon(&self) -> bool {
        self.flags.load(Ordering::Acquire) & DAEMON != 0
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.flags.load(Ordering::Acquire) & ADMITTED != 0
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.flags.load(Ordering::Acquire) & CANCEL != 0
    }

    /// The end of the child, once it has come.
    pub(crate) fn end(&self) -> Option<End> {
        let flags = self.flags.load(Ordering::Acquire);
        (flags & DONE != 0).then_some(match (flags & END) >> 4 {
            0 => End::Value,
            1 => End::Cancelled,
            2 => End::Failed,
            _ => End::Panicked,
        })
    }

    /// Asks this child, and everything below it, to end.
    pub(crate) fn cancel(&self) {
        if let Some(node) = self.record_cancel() {
            super::requests::propagate(node);
        }
    }

    /// Asks this child to end; gives its node if the caller has to propagate that.
    pub(super) fn record_cancel(&self) -> Option<Arc<Node>> {
        self.flags.fetch_or(CANCEL, Ordering::AcqRel);
        let (waker, node) = {
            let slot = self.slot.lock();
            (slot.task.clone(), slot.node.clone())
        };
        let node = node.filter(|node| node.record_request(CancelReason::new(CancelKind::Explicit)));
        // Last: a child that is woken between the two records would look at one, find that it may
        // not be dropped yet, and be polled; what it awaits would look at the other, and go on.
        if let Some(waker) = waker {
            crate::panics::wake(waker);
        }
        node
    }

    /// Stores the waker of the child; the caller looks at the flags afterwards (invariant 3).
    pub(crate) fn park_task(&self, waker: &Waker) {
        let old = {
            let mut slot = self.slot.lock();
            self.flags.fetch_or(OCCUPIED, Ordering::AcqRel);
            match &slot.task {
                Some(parked) if parked.will_wake(waker) => None,
                _ => slot.task.replace(waker.clone()),
            }
        };
        drop(old);
    }

    pub(crate) fn wake_task(&self) {
        let waker = self.slot.lock().task.clone();
        if let Some(waker) = waker {
            crate::panics::wake(waker);
        }
    }

    /// Stores the waker of who awaits the handle, unless the child has ended.
    pub(crate) fn park_joiner(&self, waker: &Waker) -> Option<End> {
        let waker = waker.clone();
        let old = self.slot.lock().joiner.replace(waker);
        drop(old);
        self.flags.fetch_or(AWAITED, Ordering::AcqRel);
        self.end()
    }

    /// The node of the child. Called by the child itself.
    pub(crate) fn node(&self) -> Option<Arc<Node>> {
        if self.flags.load(Ordering::Acquire) & OCCUPIED == 0 {
            return None;
        }
        self.slot.lock().node.clone()
    }

    /// The node of the child, made by `make` if there is none yet, and whether it was made.
    /// A request through the handle raises its flag before it looks for the node, so the maker
    /// looks at the flag afterwards.
    pub(crate) fn node_or(&self, make: impl FnOnce() -> Arc<Node>) -> (Arc<Node>, bool) {
        let mut slot = self.slot.lock();
        match &slot.node {
            Some(node) => (node.clone(), false),
            None => {
                let node = make();
                self.flags.fetch_or(OCCUPIED, Ordering::AcqRel);
                slot.node = Some(node.clone());
                (node, true)
            }
        }
    }

    /// Is the handle gone, so that nobody can ask for the output?
    pub(crate) fn is_unread(&self) -> bool {
        self.flags.load(Ordering::Acquire) & GONE != 0
    }

    /// Ends the child. `output` is given back if nobody is left to read it (invariant 2).
    /// The second part wakes who awaits the handle.
    pub(crate) fn finish(&self, end: End, output: *mut ()) -> (bool, Option<Waker>) {
        self.output.store(output, Ordering::Relaxed);
        // Release: who sees `DONE` sees the output. Acquire: if the handle is gone, everything it
        // did comes before our drop of the output.
        let before = self
            .flags
            .fetch_or(DONE | ((end as u32) << 4), Ordering::AcqRel);
        if before & (OCCUPIED | AWAITED) == 0 {
            return (before & GONE == 0, None);
        }
        let (task, joiner, node) = {
            let mut slot = self.slot.lock();
            (slot.task.take(), slot.joiner.take(), slot.node.take())
        };
        drop((task, node));
        (before & GONE == 0, joiner)
    }

    /// Drops the handle's claim. True if the child has ended, so that the output is the handle's.
    pub(crate) fn leave(&self) -> bool {
        self.flags.fetch_or(GONE, Ordering::AcqRel) & DONE != 0
    }

    /// The stored output, for its owner by invariant 2; null if it was taken.
    pub(crate) fn take_output(&self) -> *mut () {
        self.output.swap(std::ptr::null_mut(), Ordering::AcqRel)
    }
}
