//! What a boundary holds until somebody returns or tells it: panics, and errors that could not return
//! where they arose. It climbs to the nearest ancestor that can, and else goes to a hook or into the log.

use std::{
    panic::resume_unwind,
    sync::{Arc, Weak},
};

use log::Level;

use super::{
    context,
    node::{ENDED, Kind, Node, ORPHAN},
    obligations::{Owed, hand_over},
};
use crate::{
    cancel::{CancelKind, CancelReason},
    error::CleanupFailure,
    panics::{self, Panic, Payload, Suppressed, SuppressedHook},
};

/// The typed failures of a group, for when no opener is left to return them.
pub(crate) trait Salvage: Send + Sync {
    fn salvage(&self) -> Vec<CleanupFailure>;
}

/// What a boundary holds for its opener, or leaves to its heir.
#[derive(Default)]
pub(super) struct Inheritance {
    panics: Vec<Panic>,
    cleanup: Vec<CleanupFailure>,
    salvage: Option<Weak<dyn Salvage>>,
    /// The same, once the opener is gone, so that it outlives the last child: a failure that is
    /// recorded late still finds its heir.
    kept: Option<Arc<dyn Salvage>>,
    on_suppressed: Option<SuppressedHook>,
}

impl Inheritance {
    pub(super) fn new(
        salvage: Option<Weak<dyn Salvage>>,
        on_suppressed: Option<SuppressedHook>,
    ) -> Self {
        Inheritance {
            salvage,
            on_suppressed,
            ..Inheritance::default()
        }
    }

    /// The opener is gone.
    pub(super) fn keep_typed(&mut self) {
        self.kept = self.salvage.as_ref().and_then(Weak::upgrade);
    }

    /// What was kept then.
    pub(super) fn take_typed(&mut self) -> Option<Arc<dyn Salvage>> {
        self.kept.take()
    }

    /// What an ended orphan leaves. Its hook stays, for what comes later still.
    pub(super) fn leave(&mut self) -> Inheritance {
        let on_suppressed = self.on_suppressed.clone();
        let stays = Inheritance::new(None, on_suppressed);
        std::mem::replace(self, stays)
    }
}

impl Node {
    /// Records a panic below this boundary and cancels the rest. If the boundary has ended, the
    /// panic climbs to the nearest live ancestor with an opener, or else into the log: the node of a
    /// spawned child has nobody who would take it.
    pub(crate) fn record_panic(self: &Arc<Self>, panic: Panic, reason: CancelReason) {
        let mut node = self;
        let mut panic = Some(panic);
        loop {
            if node.kind != Kind::Task {
                let mut inside = node.inside.lock();
                if !node.has(ENDED) {
                    inside.inherited.panics.extend(panic.take());
                    node.mark_failed();
                }
            }
            match (panic.is_none(), node.parent()) {
                (true, _) => break,
                (false, Some(parent)) => node = parent,
                (false, None) => {
                    panic
                        .into_iter()
                        .for_each(|panic| self.suppress(panic.into()));
                    return;
                }
            }
        }
        node.request(reason);
    }

    /// Records an error that cannot return where it arose: it climbs to the nearest live boundary
    /// that returns a `GroupError`, or else into the log.
    pub(crate) fn record_cleanup(self: &Arc<Self>, failure: CleanupFailure) {
        let mut node = self;
        let mut failure = Some(failure);
        loop {
            if node.kind.returns_errors() {
                let mut inside = node.inside.lock();
                if !node.has(ENDED | ORPHAN) {
                    inside.inherited.cleanup.extend(failure.take());
                    node.mark_failed();
                }
            }
            match (failure.take(), node.parent()) {
                (None, _) => return,
                (Some(left), Some(parent)) => (failure, node) = (Some(left), parent),
                (Some(left), None) => return self.suppress(left.into()),
            }
        }
    }

    /// Holds what the opener is about to return itself, in case that it is gone.
    pub(super) fn hold_unread(self: &Arc<Self>, failure: CleanupFailure) {
        let mut inside = self.inside.lock();
        if self.has(ENDED) {
            drop(inside);
            return self.record_cleanup(failure);
        }
        inside.inherited.cleanup.push(failure);
    }

    /// Hands what cannot be carried to the nearest hook, or writes it into the log.
    pub(crate) fn suppress(&self, suppressed: Suppressed) {
        let mut node = Some(self);
        while let Some(here) = node {
            let hook = here.inside.lock().inherited.on_suppressed.clone();
            if let Some(hook) = hook {
                return panics::guard("an on_suppressed hook", || hook(&suppressed));
            }
            node = here.parent().map(|parent| &**parent);
        }
        panics::log(Level::Error, format_args!("{suppressed}"));
    }

    /// The panics and cleanup failures that wait for the opener.
    pub(crate) fn take_held(&self) -> (Vec<Panic>, Vec<CleanupFailure>) {
        let mut inside = self.inside.lock();
        let held = &mut inside.inherited;
        (
            std::mem::take(&mut held.panics),
            std::mem::take(&mut held.cleanup),
        )
    }

    /// The first panic that the ended boundary holds, if any; the others are suppressed.
    pub(super) fn take_panic(&self) -> Option<Panic> {
        if !self.has_failed() {
            return None;
        }
        let (panics, _) = self.take_held();
        let mut panics = panics.into_iter();
        let first = panics.next();
        panics.for_each(|panic| self.suppress(panic.into()));
        first
    }

    /// Goes on unwinding with that panic.
    pub(crate) fn resume_panic(&self) {
        if let Some(panic) = self.take_panic() {
            panic.resume();
        }
    }
}

/// Tells of a panic of a destructor that cannot go on.
pub(crate) fn suppress(payload: Payload) {
    match context::node() {
        Some(node) => {
            let panic = Panic {
                payload,
                name: node.name.clone(),
                location: node.location,
            };
            node.suppress(panic.into());
        }
        None => panics::guard("a destructor", || resume_unwind(payload)),
    }
}

/// Moves what an ended orphan held to its ancestors; each item finds its own heir.
pub(super) fn bequeath(node: &Arc<Node>, estate: Inheritance, owed: Option<Box<Owed>>) {
    for mut obligation in owed.into_iter().flat_map(|owed| owed.into_all()) {
        // What it waited for has ended.
        obligation.hurry();
        hand_over(node.parent().cloned(), &node.runtime(), obligation);
    }
    for panic in estate.panics {
        let reason = CancelReason::failure(CancelKind::SiblingFailed, panic.describe());
        node.record_panic(panic, reason);
    }
    let typed = estate.kept.map_or_else(Vec::new, |book| book.salvage());
    for failure in estate.cleanup.into_iter().chain(typed) {
        node.record_cleanup(failure);
    }
}
