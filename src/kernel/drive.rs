//! The opener's side of a boundary: polls the body, then drains what is below (`closing`).
//!
//! One future serves groups, scopes, `run` and cancel scopes alike; what differs is what they make
//! of the [`Outcome`]. The life of a boundary and its invariants are in `kernel/README.md`.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use log::Level;
use pin_project_lite::pin_project;

use super::{
    adoption::orphan,
    closing::{Closing, poll_closing, watch_deadline},
    context::{self, Frame},
    node::{ENDED, Kind, Node, ORPHAN, POLLING},
    obligations::{Stage, poll_owed},
    threads::{self, Event},
};
use crate::{
    cancel::{CancelKind, CancelReason},
    panics::{self, Panic, Payload},
    runtime::Timer,
};

/// How the body of a boundary ended, once everything below has ended too.
pub(crate) enum Outcome<T> {
    /// It returned.
    Value(T),
    /// It was dropped, or panicked: what the boundary holds tells more.
    Dropped,
    /// It was polled where it does not belong, or after its parent had ended.
    Misplaced,
}

pub(super) enum Phase<T> {
    /// Not polled yet, and not linked.
    Built,
    /// The body lives.
    Running,
    /// The body is gone; what is below ends. The value is what it returned.
    Closing(Option<T>),
    /// Cancelled from above and drained: an ancestor is about to drop the code around.
    Parked,
    Done,
}

pin_project! {
    /// Polls `inner` as the body of the boundary `node`. Never unwinds: panics are recorded in the
    /// node.
    pub(crate) struct Drive<F>
    where
        F: Future,
    {
        node: Arc<Node>,
        #[pin]
        body: Body<F>,
    }

    impl<F> PinnedDrop for Drive<F>
    where
        F: Future,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.body.abandon(this.node);
        }
    }
}

impl<F: Future> Drive<F> {
    /// The node takes its place, and is linked, at the first poll.
    pub(crate) fn new(node: Arc<Node>, inner: F) -> Self {
        Drive {
            node,
            body: Body::new(inner),
        }
    }
}

impl<F: Future> Future for Drive<F> {
    type Output = Outcome<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.body.poll(this.node, cx)
    }
}

pin_project! {
    /// What a boundary polls, and how far that has come. Whoever has it gives it the node.
    pub(super) struct Body<F>
    where
        F: Future,
    {
        #[pin]
        inner: Option<F>,
        phase: Phase<F::Output>,
        polled: bool,
        // Its waker is stored.
        waits: bool,
        misplaced: bool,
        timer: Option<Timer>,
    }
}

impl<F: Future> Body<F> {
    pub(super) fn new(inner: F) -> Self {
        Body {
            inner: Some(inner),
            phase: Phase::Built,
            polled: false,
            waits: false,
            misplaced: false,
            timer: None,
        }
    }

    /// The opener is dropped before its end: its parent takes over what is left.
    pub(super) fn abandon(self: Pin<&mut Self>, node: &Arc<Node>) {
        let mut this = self.project();
        let phase = std::mem::replace(this.phase, Phase::Done);
        if let Phase::Parked = phase {
            node.forget_opener();
        }
        if matches!(phase, Phase::Built | Phase::Parked | Phase::Done) {
            return;
        }
        node.cut_off();
        guard(node, || this.inner.set(None));
        guard(node, || drop(phase));
        node.deactivate();
        if node.parent().is_none() && node.count.living() > 0 {
            panics::log(
                Level::Warn,
                format_args!(
                    "the boundary opened at {} was dropped outside of any other boundary; its {} \
                     cancelled children end detached",
                    node.location,
                    node.count.living(),
                ),
            );
        }
        orphan(node.clone());
    }

    pub(super) fn poll(
        mut self: Pin<&mut Self>,
        node: &Arc<Node>,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<F::Output>> {
        let mut this = self.as_mut().project();
        let in_place = if let Phase::Built = this.phase {
            // Here and not when it is built: in `timeout(d, group(..))` the group is built first.
            // (A cancel scope and `run` have taken their place before.)
            node.settle_here();
            if node.kind != Kind::Cancel {
                node.link();
            }
            node.link_carried();
            node.activate();
            if node.kind.returns_errors() {
                threads::count(Event::Opened);
            }
            *this.phase = Phase::Running;
            true
        } else {
            node.parent().is_none_or(context::is_under)
        };
        // Other bodies are polled by a task, which counts by itself.
        #[cfg(all(feature = "watchdog", not(any(loom, shuttle))))]
        let _watched = (super::polls::is_watched()
            && (node.kind == Kind::Run || node.parent().is_none()))
        .then(|| super::polls::Polling::begin(node.name.as_deref(), node.location));
        let (_polling, orphan) = Polling::begin(node);
        *this.misplaced |= !in_place;
        if orphan || *this.misplaced {
            node.cut_off();
        }
        let misplaced = *this.misplaced;
        let forbidden = orphan || misplaced;
        if let Phase::Running = this.phase {
            // An ancestor has forbidden further polls of an orphan.
            if *this.polled && (orphan || node.may_drop_inner()) {
                guard(node, || this.inner.set(None));
                *this.phase = Phase::Closing(None);
            } else {
                *this.polled = true;
                let Some(inner) = this.inner.as_mut().as_pin_mut() else {
                    return Poll::Pending;
                };
                let draining = node.begin_draining();
                let polled = match draining && node.only_orphans_drain() {
                    true => Ok(Poll::Pending),
                    false => Frame::Node(node).catch(|| inner.poll(cx)),
                };
                ready!(self.as_mut().after_poll(node, polled, draining, cx));
            }
            node.deactivate();
        }
        let how = Closing {
            forbidden,
            in_place,
            misplaced,
            waits: self.waits,
        };
        self.close(node, how, cx)
    }

    /// What comes of a poll of the body. Ready once the body is gone.
    fn after_poll(
        self: Pin<&mut Self>,
        node: &Arc<Node>,
        polled: Result<Poll<F::Output>, Payload>,
        draining: bool,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut this = self.project();
        let value = match polled {
            Ok(Poll::Ready(value)) => Some(value),
            Ok(Poll::Pending) => {
                // All looks at flags come after this; see `register`.
                node.register(cx.waker());
                *this.waits = true;
                if draining {
                    node.orphan_unpolled(cx.waker());
                }
                watch_deadline(node, this.timer, cx);
                // Pending or not, the body goes on beside it.
                let _ = poll_owed(node, Stage::Body, cx);
                if !node.may_drop_inner() {
                    return Poll::Pending;
                }
                None
            }
            Err(payload) => {
                record_panic(node, payload);
                None
            }
        };
        guard(node, || this.inner.set(None));
        *this.phase = Phase::Closing(value);
        Poll::Ready(())
    }

    fn close(
        self: Pin<&mut Self>,
        node: &Arc<Node>,
        how: Closing,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<F::Output>> {
        let this = self.project();
        poll_closing(node, this.phase, this.timer, how, cx)
    }

    /// The future, if it has not been polled yet: its first poll may do without a node. `go_on` has
    /// to follow, unless that was all.
    pub(super) fn begin_bare(self: Pin<&mut Self>) -> Option<Pin<&mut Option<F>>> {
        let this = self.project();
        if !matches!(this.phase, Phase::Built) {
            return None;
        }
        *this.phase = Phase::Done;
        *this.polled = true;
        Some(this.inner)
    }

    /// Goes on after a first poll that had no node at its beginning. For the node, which has its
    /// place, that poll has begun when it was made; it ends here.
    pub(super) fn go_on(
        mut self: Pin<&mut Self>,
        node: &Arc<Node>,
        polled: Result<Poll<F::Output>, Payload>,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<F::Output>> {
        let _polling = Polling(Some(node));
        node.link_carried();
        let this = self.as_mut().project();
        // That poll dropped the future itself, as the time was over.
        if matches!(polled, Ok(Poll::Pending)) && this.inner.is_none() {
            *this.phase = Phase::Closing(None);
        } else {
            *this.phase = Phase::Running;
            ready!(self.as_mut().after_poll(node, polled, false, cx));
        }
        node.deactivate();
        let how = Closing {
            forbidden: false,
            in_place: true,
            misplaced: false,
            waits: self.waits,
        };
        self.close(node, how, cx)
    }
}

/// A poll of a boundary, which ends on every way out. The poll of a scope covers those of its body
/// and of its children: who orphans it waits for the outermost (adoption, invariant 4).
pub(super) struct Polling<'a>(Option<&'a Arc<Node>>);

impl<'a> Polling<'a> {
    /// Also gives whether the boundary had been orphaned, or had ended.
    pub(super) fn begin(node: &'a Arc<Node>) -> (Self, bool) {
        let before = node.poll_begins();
        // Only who has the future polls it, so a poll that goes on is around this one.
        let outermost = (before & POLLING == 0).then_some(node);
        (Polling(outermost), before & (ORPHAN | ENDED) != 0)
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        if let Some(node) = self.0 {
            node.poll_ends();
        }
    }
}

/// Runs code of the user inside the node's frame.
pub(super) fn guard(node: &Arc<Node>, f: impl FnOnce()) {
    if let Err(payload) = Frame::Node(node).catch(f) {
        record_panic(node, payload);
    }
}

pub(super) fn record_panic(node: &Arc<Node>, payload: Payload) {
    let panic = Panic {
        payload,
        name: node.name.clone(),
        location: node.location,
    };
    let reason = CancelReason::failure(CancelKind::BodyFailed, panic.describe());
    node.record_panic(panic, reason);
}
