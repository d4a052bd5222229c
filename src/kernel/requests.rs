//! Requests to cancel: how they are recorded, how they reach everything below at once, and what
//! deadlines and shields do to them. Invariants: `kernel/README.md`, "The tree", 2 and 3.

use std::sync::Arc;

use super::{
    atomic::{AtomicU32, Ordering},
    node::{
        ABOVE, ACTIVE, ASKED_ABOVE, CLOSING, DOOMED, Deadline, Kind, Node, OWN, Request, SHIELD,
    },
    stopping::earliest,
};
use crate::{
    cancel::{CancelKind, CancelReason},
    runtime::Runtime,
    time::Instant,
};

impl Node {
    /// Requests cancellation of everything below; the first request stays. True if this was it.
    pub(crate) fn request(self: &Arc<Self>, reason: CancelReason) -> bool {
        let first = self.record_request(reason);
        if first {
            propagate(self.clone());
        }
        first
    }

    /// The first half of a request: the caller has to `propagate` it.
    pub(super) fn record_request(self: &Arc<Self>, reason: CancelReason) -> bool {
        {
            let mut inside = self.inside.lock();
            if self.raise(OWN) & OWN != 0 {
                return false;
            }
            let at = self.with_runtime(Runtime::try_now);
            inside.request = Some(Box::new(Request { reason, at }));
        }
        self.mark.requested(self);
        self.begin_grace();
        true
    }

    pub(crate) fn request_kind(self: &Arc<Self>, kind: CancelKind) -> bool {
        !self.has(OWN) && self.request(CancelReason::new(kind))
    }

    /// The opener is gone. What is below stays cancelled from now on; if it was cancelled from above
    /// already, that is no request of its own.
    pub(crate) fn cut_off(self: &Arc<Self>) {
        match self.is_cancelled_from_above() {
            true => drop(self.raise(OWN)),
            false => drop(self.request_kind(CancelKind::Dropped)),
        }
    }

    pub(crate) fn reason(&self) -> Option<CancelReason> {
        let inside = self.inside.lock();
        inside
            .request
            .as_ref()
            .map(|request| request.reason.clone())
    }

    /// Why what is in here was cancelled: the nearest reason out to a shield.
    pub(crate) fn visible_reason(&self) -> Option<CancelReason> {
        let mut node = self;
        loop {
            if let Some(reason) = node.reason() {
                return Some(reason);
            }
            if node.has(SHIELD) {
                return None;
            }
            node = node.parent()?;
        }
    }

    /// The boundary's own deadline, once it has been entered.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.inside.lock().deadline {
            Some(Deadline::At(at)) => Some(at),
            Some(Deadline::After(_)) | None => None,
        }
    }

    /// Asks every boundary around whose deadline has passed too, out to the nearest shield: of
    /// nested boundaries with one deadline the outermost is to report.
    pub(crate) fn expire_around(&self, now: Instant) {
        let mut node = self;
        while let Some(parent) = node.parent().filter(|_| !node.has(SHIELD)) {
            if parent.deadline().is_some_and(|deadline| deadline <= now) {
                parent.request_kind(CancelKind::Deadline);
            }
            node = parent;
        }
    }

    pub(crate) fn set_deadline(&self, deadline: Option<Instant>) {
        self.inside.lock().deadline = deadline.map(Deadline::At);
        self.wake_opener();
    }

    /// The earliest deadline from here out to the nearest shield.
    pub(crate) fn effective_deadline(&self) -> Option<Instant> {
        let (mut node, mut deadline) = (self, None);
        loop {
            deadline = earliest(deadline, node.deadline());
            match node.parent() {
                Some(parent) if !node.has(SHIELD) => node = parent,
                _ => return deadline,
            }
        }
    }

    /// Fixes a deadline that counts from the entry.
    pub(super) fn fix_deadline(&self, runtime: &Runtime) {
        let mut inside = self.inside.lock();
        if let Some(Deadline::After(after)) = inside.deadline {
            inside.deadline = Some(Deadline::At(runtime.now() + after));
        }
    }

    /// Stops requests from above here, or lets them through again.
    pub(crate) fn set_shield(self: &Arc<Self>, on: bool) {
        self.change_shield(|state| match on {
            true => state.fetch_or(SHIELD, Ordering::AcqRel),
            false => state.fetch_and(!SHIELD, Ordering::AcqRel),
        });
        self.link_shield();
        propagate(self.clone());
    }

    /// The body begins: a shield protects the boundaries around it from now on.
    pub(super) fn activate(self: &Arc<Self>) {
        if !self.switch_unshielded(|state| state | ACTIVE) {
            self.change_shield(|state| state.fetch_or(ACTIVE, Ordering::AcqRel));
            self.link_shield();
        }
    }

    /// The body is gone.
    pub(super) fn deactivate(&self) {
        if !self.switch_unshielded(|state| state & !ACTIVE) {
            self.change_shield(|state| state.fetch_and(!ACTIVE, Ordering::AcqRel));
        }
    }

    /// Changes `ACTIVE` without the lock if there is no shield, so that no count has to follow. In
    /// one step: a shield that is raised at the same time comes before, or sees the change.
    fn switch_unshielded(&self, change: impl Fn(u32) -> u32) -> bool {
        let unshielded = |state: u32| (state & SHIELD == 0).then(|| change(state));
        self.state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, unshielded)
            .is_ok()
    }

    /// A shield at work is linked, so that the boundaries around find it if its future is forgotten:
    /// nothing else tells them that it will never be left.
    fn link_shield(self: &Arc<Self>) {
        if self.has(SHIELD) && self.has(ACTIVE) && self.kind != Kind::Release {
            self.link();
        }
    }

    fn change_shield(&self, change: impl FnOnce(&AtomicU32) -> u32) {
        const AT_WORK: u32 = SHIELD | ACTIVE;
        let inside = self.inside.lock();
        let before = change(&self.state) & AT_WORK == AT_WORK;
        let after = self.state.load(Ordering::Acquire) & AT_WORK == AT_WORK;
        match (before, after) {
            (false, true) => self.chain().for_each(|node| {
                node.shields.fetch_add(1, Ordering::AcqRel);
            }),
            (true, false) => {
                let left = self
                    .chain()
                    .filter(|node| node.shields.fetch_sub(1, Ordering::AcqRel) == 1);
                let left: Vec<_> = left.filter(|node| node.is_cancelled()).collect();
                drop(inside);
                left.into_iter().for_each(Node::wake_opener);
            }
            _ => {}
        }
    }

    /// The boundaries around this one whose openers are polled by the same task: dropping one of
    /// them would drop this one too. The chain ends with the wrapper of a spawned child; through
    /// an inline child it goes on into the scope that polls it. A release is no part of the body
    /// that runs beside it, so it ends there too.
    fn chain(&self) -> impl Iterator<Item = &Node> {
        let mut next = self.parent().filter(|_| self.kind != Kind::Release);
        std::iter::from_fn(move || {
            let node = next?;
            let parent = node.parent();
            next = match node.kind {
                Kind::Task => parent.filter(|group| group.kind == Kind::Scope),
                Kind::Run | Kind::Release => None,
                _ => parent,
            };
            Some(&**node)
        })
    }

    pub(crate) fn is_doomed(&self) -> bool {
        self.has(DOOMED)
    }

    /// The value of the body is not to be delivered.
    pub(crate) fn doom(&self) {
        self.raise(DOOMED);
    }

    /// Under the lock, so that the look at the flags and at who lives is one step.
    pub(super) fn doom_if_cancelled(&self) {
        if self.has(CLOSING) && self.is_cancelled_from_above() && self.count.living() > 0 {
            self.raise(DOOMED);
        }
    }

    /// Takes over what is visible from above; true if that has changed, and no shield is in between.
    pub(super) fn refresh(self: &Arc<Self>) -> bool {
        let Some(parent) = self.parent() else {
            return false;
        };
        let (before, after) = {
            // The lock makes the look at the parent and the change here one step among refreshes:
            // the last one to run has seen the parent's last state.
            let _inside = self.inside.lock();
            let before = self.follow(ABOVE, parent.is_cancelled());
            self.follow(ASKED_ABOVE, parent.is_shutting_down());
            self.doom_if_cancelled();
            (before, self.state.load(Ordering::Acquire))
        };
        if after & SHIELD != 0 {
            return false;
        }
        if after & ABOVE != 0 {
            self.begin_grace();
        }
        (before ^ after) & (ABOVE | ASKED_ABOVE) != 0
    }

    fn follow(&self, flag: u32, on: bool) -> u32 {
        match on {
            true => self.state.fetch_or(flag, Ordering::AcqRel),
            false => self.state.fetch_and(!flag, Ordering::AcqRel),
        }
    }
}

/// Tells everything below a node whose visible state has changed: a worklist instead of recursion,
/// so depth costs no stack; wakers are collected under the locks and called outside.
pub(super) fn propagate(start: Arc<Node>) {
    let mut work = vec![start];
    while let Some(node) = work.pop() {
        let (opener, chunks, subs, gate) = {
            let inside = node.inside.lock();
            let subs: Vec<_> = inside.subs.iter().map(|(_, sub)| sub.clone()).collect();
            let chunks = inside.ledger.roster.chunks();
            (inside.opener.clone(), chunks, subs, inside.gate.clone())
        };
        if let Some(gate) = gate.filter(|_| node.is_cancelled()) {
            work.extend(gate.doom());
        }
        if let Some(opener) = opener {
            crate::panics::wake(opener);
        }
        for chunk in chunks {
            chunk.wake_all();
        }
        work.extend(subs.into_iter().filter(|sub| sub.refresh()));
    }
}
