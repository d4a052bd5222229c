//! The spans of boundaries, and the events in them.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tracing::{Span, debug, dispatcher};

use super::open::{End, Open};
use crate::{
    error::GroupError,
    kernel::{
        marked,
        node::{Kind, Node},
    },
    panics,
};

/// The span of a boundary, while it is open and somebody listens.
pub(crate) struct Mark(Mutex<Option<Span>>);

impl Mark {
    pub(crate) fn new() -> Self {
        Mark(Mutex::new(None))
    }

    pub(super) fn span(&self) -> Option<Span> {
        let span = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        span.clone()
    }

    pub(super) fn set(&self, span: Option<Span>) {
        marked::note();
        let mut mark = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *mark, span);
        drop(mark);
        // Outside of the lock: the last to go closes the span, which calls the subscriber.
        drop(before);
    }

    /// Somebody has requested the cancellation of `node`, which has this mark; called without any lock. A
    /// cancel scope has no span: what happens to it is an event of the boundary around.
    pub(crate) fn requested(&self, node: &Node) {
        let Some(span) = self.nearest(node) else {
            return;
        };
        let Some(reason) = node.reason() else {
            return;
        };
        let (request, by) = (format!("{:?}", reason.kind), reason.by.as_deref());
        tell(&span, || {
            debug!(
                target: "headcount",
                parent: &span,
                request,
                what = what(node.kind),
                location = %node.location,
                by,
                reason = %reason,
                "cancellation requested",
            );
        });
    }

    /// Somebody has asked it to come to an end; called without any lock.
    pub(crate) fn asked(&self, node: &Node) {
        let Some(span) = self.nearest(node) else {
            return;
        };
        tell(&span, || {
            debug!(
                target: "headcount",
                parent: &span,
                request = "Stop",
                what = what(node.kind),
                location = %node.location,
                "graceful stop requested",
            );
        });
    }

    /// The span of the nearest boundary that has one.
    fn nearest(&self, node: &Node) -> Option<Span> {
        if !marked::ever() {
            return None;
        }
        let mut span = self.span();
        let mut next = node.parent();
        while let (None, Some(node)) = (&span, next) {
            span = node.mark.span();
            next = node.parent();
        }
        span
    }
}

/// An event for those who listen to the span. The kernel goes on, whatever they do.
fn tell(span: &Span, event: impl FnOnce()) {
    panics::guard("a subscriber", || {
        span.with_subscriber(|(_, subscriber)| dispatcher::with_default(subscriber, event));
    });
}

fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::Run | Kind::Group | Kind::Scope => "boundary",
        Kind::Cancel => "cancel scope",
        Kind::Task => "child",
        Kind::Release => "release",
        Kind::Start => "start",
        Kind::Wait => "wait",
    }
}

pin_project! {
    /// The future of an opener, with its span from the first poll on.
    pub(crate) struct Boundary<F> {
        kind: &'static str,
        node: Arc<Node>,
        open: Option<Open>,
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Boundary<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(open) = this.open {
                open.inside(|| this.future.set(None));
            }
        }
    }
}

pub(crate) fn boundary<F>(kind: &'static str, node: Arc<Node>, future: F) -> Boundary<F> {
    Boundary {
        kind,
        node,
        open: None,
        future: Some(future),
    }
}

impl<F, R, E> Future for Boundary<F>
where
    F: Future<Output = Result<R, GroupError<E>>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            panic!("the future of a boundary was polled again after it had returned");
        };
        let open = this
            .open
            .get_or_insert_with(|| Open::boundary(this.kind, this.node));
        let polled = open.inside(|| future.poll(cx));
        if let Poll::Ready(outcome) = &polled {
            open.ends(End::of_group(outcome));
            open.inside(|| this.future.set(None));
            *this.open = None;
        }
        polled
    }
}

/// A boundary whose opener blocks its thread.
pub(crate) struct Opened(Open);

impl Opened {
    pub(crate) fn new(kind: &'static str, node: &Arc<Node>) -> Self {
        Opened(Open::boundary(kind, node))
    }

    /// What the thread polls, perhaps among tasks of others.
    pub(crate) fn around<F>(&self, future: F) -> Polled<'_, F> {
        Polled {
            span: self.0.span(),
            future: Some(future),
        }
    }

    pub(crate) fn conclude<R, E>(
        mut self,
        f: impl FnOnce() -> Result<R, GroupError<E>>,
    ) -> Result<R, GroupError<E>> {
        let outcome = self.0.inside(f);
        self.0.ends(End::of_group(&outcome));
        outcome
    }
}

pin_project! {
    pub(crate) struct Polled<'a, F> {
        span: &'a Span,
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Polled<'_, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _entered = this.span.enter();
            this.future.set(None);
        }
    }
}

impl<F: Future> Future for Polled<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let future = this.future.as_pin_mut();
        let future = future.expect("taken out by the drop only");
        let _entered = this.span.enter();
        future.poll(cx)
    }
}

#[cfg(all(test, feature = "async-std"))]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::{
        carry::What,
        kernel::{info::Info, node::Plan},
    };

    /// Who holds the lock of a mark would stop whoever looks into it. (No test in this process has a
    /// subscriber.)
    #[test]
    fn without_a_subscriber_neither_a_spawn_nor_a_request_looks_into_a_mark() {
        let here = Location::caller();
        let group = Node::new(Kind::Group, here, Plan::default());
        let held = group.mark.0.lock().unwrap();
        drop(Open::child(What::Task, &group, &Info::new(None, here)));
        assert!(group.request_kind(crate::CancelKind::Explicit));
        group.mark.asked(&group);
        drop(held);
    }
}
