//! Waiting for a request to stop.
//!
//! The wait is a leaf of the tree (`Kind::Wait`), linked while it waits, so that a request finds
//! it as it finds a boundary; it keeps nobody's body alive. It looks at the flags after its waker
//! was stored, so a request at any moment is seen.

use std::{
    future::Future,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    adoption::AtEnd,
    line::Stand,
    node::{ENDED, Kind, Node, Plan},
};

/// A wait as a leaf of the tree, linked until it is dropped.
pub(super) struct Leaf(Arc<Node>);

impl Leaf {
    /// `stand`: to be left by who settles the leaf, if it is forgotten.
    pub(super) fn new(location: &'static Location<'static>, stand: Option<Stand>) -> Self {
        let node = Node::new(Kind::Wait, location, Plan::default());
        node.inside.lock().at_end = stand.map(AtEnd::LeaveLine);
        node.settle_here();
        node.link();
        Leaf(node)
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        self.0.raise(ENDED);
        self.0.depart();
    }
}

/// Ready when the code around is asked to stop, or cancelled.
pub(crate) struct Watch {
    location: &'static Location<'static>,
    leaf: Option<Leaf>,
}

impl Watch {
    #[track_caller]
    pub(crate) fn new() -> Self {
        Watch {
            location: Location::caller(),
            leaf: None,
        }
    }
}

impl Future for Watch {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let location = self.location;
        let leaf = self.leaf.get_or_insert_with(|| Leaf::new(location, None));
        let node = &leaf.0;
        node.register(cx.waker());
        match node.is_cancelled() || node.is_shutting_down() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}
