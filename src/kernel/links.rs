//! Links: how a parent lists the boundaries that have to be found below it.
//!
//! The numbered invariants are in `kernel/README.md` under "The tree".

use std::sync::Arc;

use super::{
    atomic::Ordering,
    node::{BLOCKS, CARRIED, ENDED, INNER, LINKED, Node, USED},
    roots,
};
use crate::cancel::CancelKind;

impl Node {
    /// Makes sure that the parents list this node, out to the root, so that requests find what
    /// lives below it. Links come from the inside out; each looks at the flags above once it is
    /// linked and passes on what it finds, so a request at any moment is seen.
    pub(crate) fn link(self: &Arc<Self>) {
        let mut node = self.clone();
        while !node.has(LINKED) {
            let Some(parent) = node.parent().cloned() else {
                if node.raise(LINKED) & LINKED == 0 {
                    roots::enter(&node);
                }
                return;
            };
            {
                let mut inside = parent.inside.lock();
                if parent.raise(USED) & ENDED != 0 {
                    // Opened in a boundary that was carried past its end.
                    drop(inside);
                    node.raise(LINKED);
                    node.request_kind(CancelKind::Dropped);
                    return;
                }
                let inner = if node.is_inner() { INNER } else { 0 };
                let before = node.raise(LINKED | inner);
                if before & LINKED != 0 {
                    return;
                }
                if before & ENDED != 0 {
                    // It has ended at the same moment, unused, and nobody would take it out.
                    node.clear(inner);
                    return;
                }
                let slot = inside.subs.insert(node.clone());
                // A swap and no store: loom does not know that what `unlink` swaps at the same
                // time comes either before or after a store.
                node.slot.swap(slot, Ordering::AcqRel);
                if inner != 0 {
                    parent.inner.fetch_add(1, Ordering::AcqRel);
                }
            }
            // A cancel scope may end while it is linked: its opener took it out before, and found
            // nothing. Read by a read-modify-write, so that one of the two sees the other.
            if node.raise(0) & ENDED != 0 {
                return node.depart();
            }
            if node.refresh() {
                super::requests::propagate(node);
            }
            node = parent;
        }
    }

    /// Links a cancel scope that is polled elsewhere than its parent: nobody else would wake it for a request.
    pub(super) fn link_carried(self: &Arc<Self>) {
        if self.has(CARRIED) {
            self.link();
        }
    }

    /// Takes this node out of what its parent's future has inside: from now on it does not keep
    /// that future from being dropped.
    pub(super) fn leave_inner(&self) {
        if self.state.fetch_and(!INNER, Ordering::AcqRel) & INNER == 0 {
            return;
        }
        if let Some(parent) = self.parent() {
            let last = parent.inner.fetch_sub(1, Ordering::AcqRel) == 1;
            if last && parent.is_cancelled() {
                parent.wake_opener();
            }
        }
    }

    /// Takes this node out of the parent's list, once it has ended.
    pub(super) fn unlink(&self) -> Option<Arc<Node>> {
        let Some(parent) = self.parent() else {
            roots::leave(self);
            return None;
        };
        let slot = self.slot.swap(usize::MAX, Ordering::AcqRel);
        if slot == usize::MAX {
            return None;
        }
        let own = parent.inside.lock().subs.try_remove(slot);
        debug_assert!(own.is_some(), "a linked node is listed until it ends");
        self.leave_inner();
        Some(parent.clone())
    }

    /// Keeps the future around from being dropped while a blocking closure runs.
    pub(crate) fn hold(&self) {
        self.inner.fetch_add(1, Ordering::AcqRel);
        self.raise(BLOCKS);
    }

    /// Ends a `hold`.
    pub(crate) fn release(&self) {
        self.clear(BLOCKS);
        self.inner.fetch_sub(1, Ordering::AcqRel);
    }
}
