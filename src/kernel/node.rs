//! The tree of boundaries: links, and cancellation that reaches everything below at once.
//!
//! Wakers are called, and values of the user dropped, outside locks; for these see "Orders and locks" in
//! `kernel/README.md`.
//!
//! The numbered invariants of this file are in `kernel/README.md` under "The tree".

use std::{
    panic::Location,
    sync::{Arc, Weak},
    task::Waker,
    time::Duration,
};

use slab::Slab;

use super::{
    adoption::AtEnd,
    atomic::{AtomicU32, AtomicUsize, Lock, Memory, OnceLock, Ordering},
    context,
    count::Count,
    inherited::{Inheritance, Salvage},
    ledger::Ledger,
    obligations::Owed,
    report::Warning,
    roll_call::RollCall,
    start::Gate,
    times::NodeTimes,
};
use crate::{cancel::CancelReason, runtime::Runtime, time::Instant};

/// Cancelled by its own request or deadline. Never cleared.
pub(super) const OWN: u32 = 1;
/// A request above is visible here. Follows the parent; see `refresh`.
pub(super) const ABOVE: u32 = 1 << 1;
/// Requests from above stop here.
pub(super) const SHIELD: u32 = 1 << 2;
/// The parent lists this node. Set under the parent's lock, never cleared.
pub(super) const LINKED: u32 = 1 << 3;
/// Counted in the parent's `inner`. Cleared once, by whoever takes it out.
pub(super) const INNER: u32 = 1 << 4;
/// The opener was dropped or forgotten: the parent answers for what is below. Never cleared.
pub(super) const ORPHAN: u32 = 1 << 5;
/// The opener is being polled, the inline children of a scope included; see `drive::Polling`.
pub(super) const POLLING: u32 = 1 << 6;
/// Polled since the parent last looked; see `orphan_unpolled`.
pub(super) const POLLED: u32 = 1 << 13;
/// Nothing is left below; nothing can be added. Set under the lock, never cleared.
pub(super) const ENDED: u32 = 1 << 7;
/// The body has ended, so a request from above while somebody lives below takes the value.
pub(super) const CLOSING: u32 = 1 << 8;
/// Such a request came. Never cleared.
pub(super) const DOOMED: u32 = 1 << 9;
/// Its body lives, so its shield protects the chain around it. Changed under the lock.
pub(super) const ACTIVE: u32 = 1 << 11;
/// The opener has reported that its own request cut the body short.
pub(super) const CAUGHT: u32 = 1 << 12;
/// A real error is held: it must be returned even if cancelled from above. Never cleared.
pub(super) const FAILED: u32 = 1 << 10;

/// Releases are owed here. Set under the lock, never cleared.
pub(super) const OWES: u32 = 1 << 14;
/// Asked to come to an end by its own shutdown. Never cleared.
pub(super) const ASKED: u32 = 1 << 15;
/// Such a question from above is visible here. Follows the parent, as `ABOVE` does.
pub(super) const ASKED_ABOVE: u32 = 1 << 16;

/// Something was linked to it, or owed here. Set under the lock, never cleared.
pub(super) const USED: u32 = 1 << 17;
/// Of a release: a list of the kernel has it, or who reports that nobody can finish it. Before that
/// it is with a `close`. Never cleared.
pub(super) const HANDED: u32 = 1 << 18;

/// A blocking closure of the child may run. Follows `hold` and `release`; only shown.
pub(super) const BLOCKS: u32 = 1 << 19;

/// Opened in a task or thread to which the parent was carried, so it is not polled where that is.
pub(super) const CARRIED: u32 = 1 << 20;

/// What a node stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Run,
    Group,
    Scope,
    /// The inside of a `CancelScope`.
    Cancel,
    /// The wrapper of a spawned child.
    Task,
    /// A release; see `obligations`.
    Release,
    /// A child that belongs to the caller of `start` until it has started.
    Start,
    /// A wait: for a request to stop, or for a place.
    Wait,
}

impl Kind {
    /// Does the opener return a `GroupError`?
    pub(super) fn returns_errors(self) -> bool {
        matches!(self, Kind::Run | Kind::Group | Kind::Scope)
    }

    /// Is it polled as a part of its parent's body, which must not be dropped before it has drained?
    fn is_inner(self) -> bool {
        !matches!(self, Kind::Task | Kind::Release | Kind::Wait)
    }
}

/// Where a node stands; fixed at its first poll.
struct Place {
    parent: Option<Arc<Node>>,
    /// The nearest boundary around that has a grace, so that a release deep down need not walk.
    /// Never the last to refer to it: the chain of parents does too.
    graced: Option<Arc<Node>>,
    runtime: Runtime,
}

/// One boundary.
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) name: Option<Box<str>>,
    pub(crate) location: &'static Location<'static>,
    /// Has it a limit? So that the end of a child takes the lock only if it must.
    pub(super) limited: bool,
    /// Does it warn when it closes for long? So that others need not look.
    pub(super) warns: bool,
    /// How long releases may take once the boundary is being torn down.
    pub(super) grace: Option<Duration>,
    place: OnceLock<Place>,
    pub(super) state: AtomicU32,
    /// Living spawned children.
    pub(super) count: Count,
    /// Boundaries polled inside this one's own future that have something to drain.
    pub(super) inner: AtomicUsize,
    /// Shields at work inside this one's own future.
    pub(super) shields: AtomicUsize,
    /// Where the parent's list has this node; `usize::MAX` if it does not. Written under the
    /// parent's lock, taken once.
    pub(super) slot: AtomicUsize,
    pub(super) inside: Lock<Inside>,
    pub(crate) mark: crate::trace::Mark,
    _memory: Memory,
}

/// What stands under the lock of a node.
#[derive(Default)]
pub(super) struct Inside {
    pub(super) ledger: Ledger,
    /// Nodes linked to this one.
    pub(super) subs: Slab<Arc<Node>>,
    /// Wakes the opener.
    pub(super) opener: Option<Waker>,
    pub(super) request: Option<Box<Request>>,
    pub(super) deadline: Option<Deadline>,
    /// When a graceful stop becomes a request to cancel.
    pub(super) stop_at: Option<Instant>,
    /// When the grace ends, once it has begun.
    pub(super) grace_end: Option<Instant>,
    pub(super) owed: Option<Box<Owed>>,
    pub(super) roll_call: RollCall,
    pub(super) inherited: Inheritance,
    pub(super) warning: Option<Box<Warning>>,
    /// That its grace has ended.
    pub(super) told: bool,
    /// If they are recorded.
    pub(super) times: Option<Box<NodeTimes>>,
    /// Of a `start`: what stands between the caller and the child.
    pub(super) gate: Option<Arc<Gate>>,
    /// What else its end is the end of.
    pub(super) at_end: Option<AtEnd>,
}

/// The request that cancelled a boundary.
pub(super) struct Request {
    pub(super) reason: CancelReason,
    /// When it came; `None` without a clock.
    pub(super) at: Option<Instant>,
}

impl Inside {
    /// Stores the waker of the opener. Gives what is to be dropped outside the lock.
    #[must_use]
    pub(super) fn register(&mut self, waker: &Waker) -> Option<Waker> {
        match &self.opener {
            Some(stored) if stored.will_wake(waker) => None,
            _ => self.opener.replace(waker.clone()),
        }
    }
}

/// A deadline as it was given: one that counts from the entry is fixed there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    At(Instant),
    After(Duration),
}

/// How to build a node.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) name: Option<Box<str>>,
    pub(crate) limit: Option<usize>,
    /// So many children of the crate's own have places that the limit does not tell of.
    pub(crate) besides: usize,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) grace: Option<Duration>,
    pub(crate) salvage: Option<Weak<dyn Salvage>>,
    pub(crate) on_suppressed: Option<crate::panics::SuppressedHook>,
    /// Warns when the boundary has been closing for so long.
    pub(crate) warn: Option<Duration>,
}

impl Node {
    pub(crate) fn new(kind: Kind, location: &'static Location<'static>, plan: Plan) -> Arc<Node> {
        let inherited = Inheritance::new(plan.salvage, plan.on_suppressed);
        let warns = plan.warn.is_some();
        let warning = plan.warn.and_then(Warning::after);
        Arc::new(Node {
            kind,
            name: plan.name,
            location,
            limited: plan.limit.is_some(),
            warns,
            grace: plan.grace,
            place: OnceLock::new(),
            state: AtomicU32::new(match kind {
                Kind::Release => SHIELD,
                _ => 0,
            }),
            count: Count::default(),
            inner: AtomicUsize::new(0),
            shields: AtomicUsize::new(0),
            slot: AtomicUsize::new(usize::MAX),
            inside: Lock::new(Inside {
                ledger: Ledger::with_limit(plan.limit, plan.besides),
                deadline: plan.deadline,
                warning,
                inherited,
                ..Inside::default()
            }),
            mark: crate::trace::Mark::new(),
            _memory: Memory::new(),
        })
    }

    /// Fixes the parent to the current boundary; false if the node has its place already.
    pub(crate) fn settle_here(&self) -> bool {
        if self.place.get().is_some() {
            return false;
        }
        let runtime = context::runtime();
        self.fix_deadline(&runtime);
        self.note_carried(context::with(context::is_carried));
        self.settle_at(context::node(), runtime)
    }

    /// Is it polled as a part of its parent's body? A `run` counts as one wherever it is: its thread waits.
    pub(super) fn is_inner(&self) -> bool {
        self.kind.is_inner() && (self.kind == Kind::Run || !self.has(CARRIED))
    }

    /// Before it is placed. While a thread unwinds, no request reaches what a destructor awaits there: what
    /// has no error to return for that could not unwind.
    pub(super) fn note_carried(&self, carried: bool) {
        if carried {
            let spared = self.kind != Kind::Run && std::thread::panicking();
            self.raise(if spared { CARRIED | SHIELD } else { CARRIED });
        }
    }

    pub(super) fn settle_at(&self, parent: Option<Arc<Node>>, runtime: Runtime) -> bool {
        let graced = parent.as_ref().and_then(|parent| match parent.grace {
            Some(_) => Some(parent.clone()),
            None => parent.graced_around().cloned(),
        });
        if runtime.records_times() {
            self.note_entry(&runtime);
        }
        let place = Place {
            parent,
            graced,
            runtime,
        };
        self.place.set(place).is_ok()
    }

    #[cold]
    fn note_entry(&self, runtime: &Runtime) {
        let times = NodeTimes::new(runtime.now());
        self.inside.lock().times = Some(Box::new(times));
    }

    /// The nearest boundary around that has a grace.
    pub(super) fn graced_around(&self) -> Option<&Arc<Node>> {
        self.place.get()?.graced.as_ref()
    }

    pub(super) fn is_placed(&self) -> bool {
        self.place.get().is_some()
    }

    pub(crate) fn parent(&self) -> Option<&Arc<Node>> {
        self.place.get()?.parent.as_ref()
    }

    pub(crate) fn runtime(&self) -> Runtime {
        self.with_runtime(Runtime::clone)
    }

    #[inline]
    pub(super) fn with_runtime<R>(&self, f: impl FnOnce(&Runtime) -> R) -> R {
        match self.place.get() {
            Some(place) => f(&place.runtime),
            None => f(&Runtime::default_runtime()),
        }
    }

    /// The name of the task or boundary around, the nearest that has one.
    pub(crate) fn task_name(&self) -> Option<String> {
        let mut node = self;
        loop {
            if let Some(name) = &node.name {
                return Some(name.to_string());
            }
            node = node.parent()?;
        }
    }

    // ---- state ----

    pub(super) fn has(&self, flags: u32) -> bool {
        self.state.load(Ordering::Acquire) & flags != 0
    }

    pub(super) fn clear(&self, flags: u32) {
        self.state.fetch_and(!flags, Ordering::AcqRel);
    }

    pub(super) fn raise(&self, flags: u32) -> u32 {
        self.state.fetch_or(flags, Ordering::AcqRel)
    }

    pub(crate) fn is_orphan(&self) -> bool {
        self.has(ORPHAN)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has(ENDED)
    }

    /// Notes that the boundary's own request cut its body short.
    pub(crate) fn mark_caught(&self) {
        self.raise(CAUGHT);
    }

    pub(crate) fn was_caught(&self) -> bool {
        self.has(CAUGHT)
    }

    pub(crate) fn mark_failed(&self) {
        self.raise(FAILED);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.has(FAILED)
    }

    /// Can one look tell that no request is visible here, and that the boundary has not ended?
    #[inline]
    pub(super) fn is_plainly_open(&self) -> bool {
        let state = self.state.load(Ordering::Acquire);
        state & (LINKED | SHIELD | OWN | ABOVE | ENDED) == LINKED
    }

    /// Is a request visible here, its own or one from above?
    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        // For a linked node, one look.
        let state = self.state.load(Ordering::Acquire);
        match state & (LINKED | SHIELD | OWN | ABOVE) {
            LINKED => false,
            seen if seen & (LINKED | SHIELD) == LINKED => true,
            seen => seen & OWN != 0 || self.is_cancelled_from_above(),
        }
    }

    /// Is a request from above visible here?
    pub(crate) fn is_cancelled_from_above(&self) -> bool {
        self.sees_from_above(OWN, ABOVE)
    }

    /// Is the code in here asked to come to an end, by its own boundary or from above?
    pub(crate) fn is_shutting_down(&self) -> bool {
        self.has(ASKED) || self.sees_from_above(ASKED, ASKED_ABOVE)
    }

    /// `above` follows what the parent sees of `own`, out to the nearest shield.
    fn sees_from_above(&self, own: u32, above: u32) -> bool {
        let mut node = self;
        loop {
            let state = node.state.load(Ordering::Acquire);
            if state & SHIELD != 0 {
                return false;
            }
            if state & LINKED != 0 {
                return state & above != 0;
            }
            // Not linked: nothing lives below it, so nobody keeps its flag up to date.
            let Some(parent) = node.parent() else {
                return false;
            };
            if parent.has(own) {
                return true;
            }
            node = parent;
        }
    }

    /// May the opener drop its inner future now?
    pub(crate) fn may_drop_inner(&self) -> bool {
        self.is_cancelled() && self.kind != Kind::Start && self.has_drained_inside()
    }

    /// Cancellation unwinds from the inside out: not while a boundary inside drains or a shield is
    /// at work.
    pub(super) fn has_drained_inside(&self) -> bool {
        self.shields.load(Ordering::Acquire) == 0 && self.inner.load(Ordering::Acquire) == 0
    }

    pub(super) fn has_inner(&self) -> bool {
        self.inner.load(Ordering::Acquire) != 0
    }

    // ---- polling ----

    /// Marks the start of a poll of the opener; gives the flags from before.
    pub(super) fn poll_begins(&self) -> u32 {
        self.raise(POLLING | POLLED)
    }

    pub(super) fn poll_ends(self: &Arc<Self>) {
        let before = self.state.fetch_and(!POLLING, Ordering::AcqRel);
        if before & ORPHAN != 0 {
            super::adoption::orphaned_poll_ends(self.clone());
        }
    }

    pub(super) fn is_being_polled(&self) -> bool {
        self.has(POLLING)
    }

    /// Stores the waker of the opener. The caller looks at flags and counts afterwards, and those
    /// who change them take the lock for the waker afterwards: one of the two sees the other.
    pub(crate) fn register(&self, waker: &Waker) {
        let old = self.inside.lock().register(waker);
        drop(old);
    }

    /// The opener needs no waking any more.
    pub(super) fn forget_opener(&self) {
        let opener = self.inside.lock().opener.take();
        drop(opener);
    }

    pub(crate) fn wake_opener(&self) {
        let waker = self.inside.lock().opener.clone();
        if let Some(waker) = waker {
            crate::panics::wake(waker);
        }
    }
}

impl Drop for Node {
    /// A deep chain of parents is freed in a loop, not by recursion.
    fn drop(&mut self) {
        let mut parent = self.place.take().and_then(|place| place.parent);
        while let Some(mut node) = parent.and_then(Arc::into_inner) {
            parent = node.place.take().and_then(|place| place.parent);
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
