//! The cell of a child: what its handle, its wrapper and a canceller share.
//!
//! Invariants
//! 1. A cell serves one child, once. `DONE` is set exactly once, after the output was stored.
//! 2. The output belongs to the child before `DONE`, and afterwards to the handle; to the child
//!    again if the handle was already gone (`GONE`) when `DONE` was set. `STORED` says that there is
//!    one once `DONE` is set, and is cleared by a handle that takes it.
//! 3. The waker of the child is stored before the child looks at the cancel flags; a canceller
//!    raises the flag before it looks for the waker. The mutex of the slot orders the two, so one
//!    of them sees the other.
//! 4. No waker is called and nothing of the user's is dropped under the lock of a slot.

use std::{
    mem::{MaybeUninit, align_of, needs_drop, size_of},
    ptr::NonNull,
    // Models need not see the flag: nothing follows from it.
    sync::{Arc, atomic::AtomicBool},
    task::Waker,
};

use super::{
    atomic::{AtomicU32, Lock, Ordering, UnsafeCell},
    info::Info,
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
/// The child serves the others. Set when the cell is made, never cleared.
const DAEMON: u32 = 1 << 6;
/// The slot has had a waker of the child or its node. Set by the child itself, so it
/// needs no lock to know that there is none.
const OCCUPIED: u32 = 1 << 7;
/// The slot has the node of the child. The same holds for it.
const HAS_NODE: u32 = 1 << 12;
/// The slot has the waker of who awaits the handle. Set after it was stored: an end that does not
/// see it comes before, and is seen by the look that follows.
const AWAITED: u32 = 1 << 8;
/// An output stands in the cell. Set together with `DONE`, cleared by the handle.
const STORED: u32 = 1 << 9;
/// The memory of an inline child is forgotten: it ends no more, and its handle says cancelled. Set
/// once its scope is an orphan, never cleared; `DONE` counts for more.
const LOST: u32 = 1 << 11;
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

/// What a child finds at its end.
pub(crate) struct Finished {
    /// The handle is there. If not, the output stays the child's (invariant 2).
    pub(super) owed: bool,
    pub(super) daemon: bool,
    /// Wakes who awaits the handle.
    pub(super) joiner: Option<Waker>,
}

/// What is shared about one child.
pub(crate) struct Cell {
    flags: AtomicU32,
    /// The code of the child is running, for looks at the tree. Written by the child alone.
    running: AtomicBool,
    /// How many bytes behind the begin of its chunk it stands; see `chunk`.
    pub(super) distance: u16,
    /// A `T`, or a `Box` of it if it is large. The type is known to the child's wrapper and to the
    /// handle, whose is decided by invariant 2.
    output: UnsafeCell<MaybeUninit<[u64; 2]>>,
    info: Info,
    slot: Lock<Slot>,
}

#[derive(Default)]
struct Slot {
    /// Wakes the child, once it has been pending. Who wakes it takes the waker: it comes back with the
    /// poll that follows, if that is pending too.
    task: Option<Waker>,
    /// Wakes who awaits the handle.
    joiner: Option<Waker>,
    /// The child's node, once something linked to it.
    node: Option<Arc<Node>>,
}

impl Cell {
    #[inline]
    pub(super) fn new(distance: u16, info: Info, daemon: bool) -> Self {
        Cell {
            flags: AtomicU32::new(if daemon { DAEMON } else { 0 }),
            running: AtomicBool::new(false),
            distance,
            output: UnsafeCell::new(MaybeUninit::uninit()),
            info,
            slot: Lock::default(),
        }
    }

    /// A cell whose child was refused: it has ended, cancelled.
    pub(super) fn refused(distance: u16, info: Info) -> Self {
        let mut cell = Cell::new(distance, info, false);
        cell.flags = AtomicU32::new(DONE | ((End::Cancelled as u32) << 4));
        cell
    }

    pub(crate) fn info(&self) -> &Info {
        &self.info
    }

    /// Only under the lock of the group.
    pub(crate) fn admit(&self) {
        self.flags.fetch_or(ADMITTED, Ordering::AcqRel);
    }

    /// A daemon that lives and was not asked to end.
    pub(super) fn is_idle_daemon(&self) -> bool {
        self.flags.load(Ordering::Acquire) & (DAEMON | DONE | CANCEL) == DAEMON
    }

    pub(super) fn is_daemon(&self) -> bool {
        self.flags.load(Ordering::Acquire) & DAEMON != 0
    }

    #[inline]
    pub(crate) fn is_admitted(&self) -> bool {
        self.flags.load(Ordering::Acquire) & ADMITTED != 0
    }

    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.flags.load(Ordering::Acquire) & CANCEL != 0
    }

    /// The end of the child, once it has come.
    #[inline]
    pub(crate) fn end(&self) -> Option<End> {
        let flags = self.flags.load(Ordering::Acquire);
        if flags & (DONE | LOST) == LOST {
            return Some(End::Cancelled);
        }
        (flags & DONE != 0).then_some(match (flags & END) >> 4 {
            0 => End::Value,
            1 => End::Cancelled,
            2 => End::Failed,
            _ => End::Panicked,
        })
    }

    #[inline]
    pub(super) fn set_running(&self, running: bool) {
        self.running.store(running, Ordering::Relaxed);
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// Has the child returned `Pending`, or made its node?
    pub(super) fn has_paused(&self) -> bool {
        self.flags.load(Ordering::Acquire) & OCCUPIED != 0
    }

    /// Asks a child to end that nobody knows yet, so that there is nothing to wake or to propagate to.
    pub(super) fn dismiss(&self) {
        self.flags.fetch_or(CANCEL, Ordering::AcqRel);
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
            let mut slot = self.slot.lock();
            (slot.task.take(), slot.node.clone())
        };
        let node = node.filter(|node| node.record_request(CancelReason::new(CancelKind::Explicit)));
        // Last: a child that is woken between the two records would look at one, find that it may
        // not be dropped yet, and be polled; what it awaits would look at the other, and go on.
        if let Some(waker) = waker {
            crate::panics::wake(waker);
        }
        node
    }

    /// The child, if it has not ended, is never polled again, nor dropped in time.
    pub(super) fn lose(&self) {
        self.flags.fetch_or(LOST, Ordering::AcqRel);
        // The flag first, as who awaits stores the waker and then looks at the flag.
        let joiner = self.slot.lock().joiner.take();
        if let Some(joiner) = joiner {
            crate::panics::wake(joiner);
        }
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
        let waker = self.slot.lock().task.take();
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

    /// Whom the waker of the child wakes, and whom that of who awaits the handle does: addresses, to be
    /// compared with each other, or 0.
    pub(super) fn wakes(&self) -> (usize, usize) {
        let whom = |waker: &Option<Waker>| waker.as_ref().map_or(0, |waker| waker.data().addr());
        let slot = self.slot.lock();
        (whom(&slot.task), whom(&slot.joiner))
    }

    /// The node of the child. Called by the child itself.
    #[inline]
    pub(crate) fn node(&self) -> Option<Arc<Node>> {
        if self.flags.load(Ordering::Acquire) & HAS_NODE == 0 {
            return None;
        }
        self.slot_node()
    }

    #[cold]
    pub(super) fn slot_node(&self) -> Option<Arc<Node>> {
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
                self.flags.fetch_or(OCCUPIED | HAS_NODE, Ordering::AcqRel);
                slot.node = Some(node.clone());
                (node, true)
            }
        }
    }

    /// Is the handle gone, so that nobody can ask for the output?
    #[inline]
    pub(crate) fn is_unread(&self) -> bool {
        self.flags.load(Ordering::Acquire) & GONE != 0
    }

    /// Puts the output of a child that has not ended into its cell.
    ///
    /// # Safety
    ///
    /// Called by the child itself, once.
    pub(super) unsafe fn put_output<T>(&self, output: T) {
        // SAFETY: the output is the child's before `DONE` (invariant 2), so nobody else looks here.
        // There is room for it, or for the pointer to a large one.
        self.output.with_mut(|place| unsafe {
            match is_small::<T>() {
                true => place.cast::<T>().write(output),
                false => place.cast::<Box<T>>().write(Box::new(output)),
            }
        });
    }

    /// Takes the output.
    ///
    /// # Safety
    ///
    /// It is there, it is a `T`, it is the caller's by invariant 2, and it is not taken again.
    pub(super) unsafe fn take_output<T>(&self) -> T {
        // SAFETY: as the caller promises; this is how `put_output` put it.
        self.output.with_mut(|place| unsafe {
            match is_small::<T>() {
                true => place.cast::<T>().read(),
                false => *place.cast::<Box<T>>().read(),
            }
        })
    }

    /// Is there an output for the handle, which has seen the end? After this it counts as taken.
    #[inline]
    pub(super) fn claim_output(&self) -> bool {
        // Since the end, nobody but the handle changes the flag.
        let stored = self.flags.load(Ordering::Acquire) & STORED != 0;
        if stored {
            self.flags.fetch_and(!STORED, Ordering::AcqRel);
        }
        stored
    }

    /// Ends the child.
    #[inline]
    pub(crate) fn finish(&self, end: End, stored: bool) -> Finished {
        let stored = if stored { STORED } else { 0 };
        // Added, which is one instruction, since none of these bits was set before.
        // Release: who sees `DONE` sees the output. Acquire: if the handle is gone, everything it
        // did comes before our drop of the output.
        let before = self
            .flags
            .fetch_add(DONE | stored | ((end as u32) << 4), Ordering::AcqRel);
        let joiner = match before & (OCCUPIED | AWAITED) {
            0 => None,
            _ => self.empty_slot(),
        };
        Finished {
            owed: before & GONE == 0,
            daemon: before & DAEMON != 0,
            joiner,
        }
    }

    /// Gives who awaits the handle.
    #[inline(never)]
    fn empty_slot(&self) -> Option<Waker> {
        let (task, joiner, node) = {
            let mut slot = self.slot.lock();
            (slot.task.take(), slot.joiner.take(), slot.node.take())
        };
        drop((task, node));
        joiner
    }

    /// Drops the handle's claim. True if the child has ended, so that the output, and the claim on
    /// the memory, are the handle's to take away; else the child takes them away, which may be at
    /// once. Acquire: the drop of the output comes after its making. Release: who frees the cell
    /// comes after what the handle did with it.
    ///
    /// # Safety
    ///
    /// Called by the handle, once, which does not look at the cell afterwards unless this is true.
    #[inline]
    pub(super) unsafe fn leave(this: NonNull<Cell>) -> bool {
        // SAFETY: the handle has not left yet, so its claim keeps the cell.
        let cell = unsafe { this.as_ref() };
        // Relaxed: `AWAITED` is the handle's own.
        if cell.flags.load(Ordering::Relaxed) & AWAITED != 0 {
            cell.forget_joiner();
        }
        // SAFETY: as above, until the flag is up. The child may free the cell before the call that
        // raises it returns, so that call gets a reference to the word alone, which promises
        // nothing about the memory, and not one to the cell.
        let flags = unsafe { &(*this.as_ptr()).flags };
        // Added, as this is done once.
        flags.fetch_add(GONE, Ordering::AcqRel) & DONE != 0
    }

    /// Drops the waker of who awaited the handle.
    #[inline(never)]
    fn forget_joiner(&self) {
        let joiner = self.slot.lock().joiner.take();
        // Guarded: a panic must not keep the handle from leaving.
        crate::panics::guard("the destructor of a waker", || drop(joiner));
    }

    /// Drops a cell whose memory is about to be freed.
    ///
    /// # Safety
    ///
    /// The cell is there, nobody else has it, and it is not looked at afterwards.
    #[inline]
    pub(super) unsafe fn destroy(this: NonNull<Cell>) {
        // SAFETY: as the caller promises.
        let cell = unsafe { this.as_ref() };
        // Many cells have little to drop: no name, nothing that was ever put into the slot, and,
        // on most systems, a lock that owns no memory.
        let used = cell.flags.load(Ordering::Relaxed) & (OCCUPIED | AWAITED) != 0;
        if used || cell.info.is_named() || needs_drop::<Lock<()>>() {
            // SAFETY: as the caller promises.
            unsafe { this.drop_in_place() };
        }
    }
}

/// Does an output stand in the cell itself, without a destructor? Then it may be left there.
pub(super) const fn is_plain<T>() -> bool {
    is_small::<T>() && !needs_drop::<T>()
}

/// Does an output stand in the cell itself?
const fn is_small<T>() -> bool {
    size_of::<T>() <= size_of::<[u64; 2]>() && align_of::<T>() <= align_of::<u64>()
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
