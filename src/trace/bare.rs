//! Nothing is traced.

use std::sync::Arc;

use crate::kernel::node::Node;

/// The span of a boundary.
pub(crate) struct Mark;

impl Mark {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Mark
    }

    #[inline(always)]
    pub(crate) fn requested(&self, _node: &Node) {}

    #[inline(always)]
    pub(crate) fn asked(&self, _node: &Node) {}
}

/// The future of an opener.
#[inline(always)]
pub(crate) fn boundary<F>(_kind: &'static str, _node: Arc<Node>, future: F) -> F {
    future
}

/// A boundary whose opener blocks its thread.
pub(crate) struct Opened;

impl Opened {
    #[inline(always)]
    pub(crate) fn new(_kind: &'static str, _node: &Arc<Node>) -> Self {
        Opened
    }

    #[inline(always)]
    pub(crate) fn around<F>(&self, future: F) -> F {
        future
    }

    #[inline(always)]
    pub(crate) fn conclude<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }
}
