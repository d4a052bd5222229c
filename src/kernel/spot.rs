//! A spawned child as its frame shows it: who it is, what was asked of it, and code of the user that runs
//! in its name.

use std::{sync::Arc, task::Context};

use super::{
    chunk::Group,
    claims::CellRef,
    context::Frame,
    node::{Kind, Node, Plan},
    obligations::{Stage, poll_owed},
    times,
};
use crate::{
    cancel::{CancelKind, CancelReason},
    panics::{Panic, Payload},
};

/// A spawned child as its frame shows it.
#[derive(Clone, Copy)]
pub(crate) struct Spot<'a> {
    pub(super) cell: &'a CellRef,
    pub(super) group: &'a Group,
}

impl<'a> Spot<'a> {
    /// Of a child that has not left.
    #[inline]
    pub(super) fn of(cell: &'a CellRef) -> Self {
        let group = cell.group();
        Spot { cell, group }
    }
}

impl Spot<'_> {
    pub(crate) fn group(&self) -> &Arc<Node> {
        &self.group.node
    }

    pub(crate) fn name(&self) -> Option<String> {
        self.cell.info().name().map(String::from)
    }

    /// The name, or else where it was spawned.
    pub(crate) fn describe(&self) -> String {
        let location = || self.cell.info().location().to_string();
        self.name().unwrap_or_else(location)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cell.is_cancelled()
            || match self.cell.node() {
                Some(node) => node.is_cancelled(),
                None => self.group().is_cancelled(),
            }
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        match self.cell.node() {
            Some(node) => node.is_shutting_down(),
            None => self.group().is_shutting_down(),
        }
    }

    /// The node of this child, if it has been made.
    pub(crate) fn made_node(&self) -> Option<Arc<Node>> {
        self.cell.node()
    }

    /// The node of this child if there is one, else that of its group.
    pub(crate) fn nearest_node(&self) -> Arc<Node> {
        self.made_node().unwrap_or_else(|| self.group().clone())
    }

    /// The node of this child, made and linked now if this is the first that asks for it.
    pub(crate) fn node(&self) -> Arc<Node> {
        let (node, made) = self.cell.node_or(|| {
            let info = self.cell.info();
            let plan = Plan {
                name: info.name().map(Box::from),
                ..Plan::default()
            };
            let node = Node::new(Kind::Task, info.location(), plan);
            node.settle_at(Some(self.group().clone()), self.group().runtime());
            node
        });
        if made {
            node.link();
            // A request through the handle that came before the node was published.
            if self.cell.is_cancelled() {
                node.request_kind(CancelKind::Explicit);
            }
        }
        node
    }

    /// Must the child's future be dropped now?
    #[inline]
    pub(super) fn may_drop(&self) -> bool {
        // The node need not show the request yet, for which its cell or its group was asked first.
        (self.cell.is_cancelled() || self.group().is_cancelled()) && self.has_drained_inside()
    }

    #[cold]
    fn has_drained_inside(&self) -> bool {
        let node = self.cell.node();
        node.is_none_or(|node| node.has_drained_inside())
    }

    /// Before a poll: does it call the roll of the boundaries inside, and does the future rest?
    #[inline(always)]
    pub(super) fn begin_draining(&self) -> (bool, bool) {
        #[cold]
        fn begin(node: &Node) -> (bool, bool) {
            let draining = node.begin_draining();
            (draining, draining && node.only_orphans_drain())
        }
        self.cell.node().map_or((false, false), |node| begin(&node))
    }

    /// After a poll that was pending; true if the future must be dropped now. `draining`: this poll
    /// calls the roll of the boundaries inside.
    #[inline(never)]
    pub(super) fn pause(&self, draining: bool, cx: &mut Context<'_>) -> bool {
        self.cell.park_task(cx.waker());
        if let Some(node) = self.cell.node() {
            node.register(cx.waker());
            let _ = poll_owed(&node, Stage::Body, cx);
            if draining {
                node.orphan_unpolled(cx.waker());
            }
        }
        self.may_drop()
    }

    #[cold]
    pub(super) fn record_panic(&self, payload: Payload) {
        let info = self.cell.info();
        let panic = Panic {
            payload,
            name: info.name().map(Box::from),
            location: info.location(),
        };
        let reason = CancelReason::failure(CancelKind::SiblingFailed, panic.describe());
        self.group().record_panic(panic, reason);
    }

    /// Drops an output that nobody reads. What it defers goes to the group, since the child has
    /// nobody left to poll a release.
    pub(super) fn discard<T>(&self, output: T) {
        if let Err(payload) = Frame::Node(self.group()).catch(|| drop(output)) {
            self.record_panic(payload);
        }
    }

    /// Runs code of the user in this child's frame.
    #[inline(always)]
    pub(super) fn enter<R>(&self, is_poll: bool, f: impl FnOnce() -> R) -> Result<R, Payload> {
        let timed = self.group.timed;
        self.cell.set_running(true);
        if timed {
            times::begin(*self, is_poll);
        }
        let result = Frame::Child(self).catch(f);
        self.cell.set_running(false);
        if timed {
            times::end(*self);
        }
        result
    }

    /// The same; true if it did not panic.
    pub(super) fn guard(&self, f: impl FnOnce()) -> bool {
        match self.enter(false, f) {
            Ok(()) => true,
            Err(payload) => {
                self.record_panic(payload);
                false
            }
        }
    }
}
