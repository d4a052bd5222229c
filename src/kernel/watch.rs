//! Waiting for a request to stop.
//!
//! The wait is a leaf of the tree (`Kind::Watch`), linked while it waits, so that a request finds
//! it as it finds a boundary; it keeps nobody's body alive. It looks at the flags after its waker
//! was stored, so a request at any moment is seen.

use std::{
    future::Future,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::node::{ENDED, Kind, Node, Plan};

/// Ready when the code around is asked to stop, or cancelled.
pub(crate) struct Watch {
    location: &'static Location<'static>,
    node: Option<Arc<Node>>,
}

impl Watch {
    #[track_caller]
    pub(crate) fn new() -> Self {
        Watch {
            location: Location::caller(),
            node: None,
        }
    }
}

impl Future for Watch {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let location = self.location;
        let node = self.node.get_or_insert_with(|| {
            let node = Node::new(Kind::Watch, location, Plan::default());
            node.settle_here();
            node.link();
            node
        });
        node.register(cx.waker());
        match node.is_cancelled() || node.is_shutting_down() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(node) = &self.node {
            node.raise(ENDED);
            node.depart();
        }
    }
}
