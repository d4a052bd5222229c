//! The boundary of a timeout: a cancel scope that nobody has a handle of, and whose node is made only
//! if something needs it.
//!
//! Invariants
//! 1. The node is made at most once: when the code inside asks for its boundary in the first poll, or
//!    after that poll if it is pending, or has panicked. So until then nothing is linked below, nothing
//!    is owed, nobody can have requested anything here, and no other thread knows of it.
//! 2. It is made in the place where the first poll happens, with the deadline as it was fixed then: what
//!    it shows is what it had shown, had it been there from the beginning.
//! 3. Without a node the first poll ends in two ways only: with a value, or because the time was over
//!    at its beginning and nobody above is to report in its place. Everything else is for `Body`.

use std::{
    cell::{Cell, OnceCell},
    future::Future,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;

use super::{
    context::{self, Frame},
    drive::{Body, Outcome, record_panic},
    node::{Deadline, Kind, Node, Plan},
};
use crate::{
    cancel::{CancelKind, CancelReason},
    runtime::Moment,
    time::Instant,
};

pin_project! {
    /// Polls a future within a deadline. Gives what came of it, and the node if there was one: without
    /// it `Dropped` says that the time is over.
    pub(crate) struct Within<F>
    where
        F: Future,
    {
        deadline: Deadline,
        location: &'static Location<'static>,
        node: Option<Arc<Node>>,
        #[pin]
        body: Body<F>,
    }

    impl<F> PinnedDrop for Within<F>
    where
        F: Future,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(node) = this.node {
                this.body.abandon(node);
            }
        }
    }
}

impl<F: Future> Within<F> {
    #[track_caller]
    pub(crate) fn new(deadline: Deadline, future: F) -> Self {
        Within {
            deadline,
            location: Location::caller(),
            node: None,
            body: Body::new(future),
        }
    }
}

impl<F: Future> Future for Within<F> {
    type Output = (Option<Arc<Node>>, Outcome<F::Output>);

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let outcome = match &*this.node {
            Some(node) => ready!(this.body.poll(node, cx)),
            None => {
                let (deadline, location) = (*this.deadline, *this.location);
                let first = context::with(|outer| {
                    let lazy = Lazy::new(deadline, location, outer);
                    first_poll(this.body.as_mut(), &lazy, this.node, cx)
                });
                ready!(first)
            }
        };
        Poll::Ready((this.node.take(), outcome))
    }
}

/// The first poll. Leaves the node in `made` if there is one.
#[inline]
fn first_poll<F: Future>(
    mut body: Pin<&mut Body<F>>,
    lazy: &Lazy<'_>,
    made: &mut Option<Arc<Node>>,
    cx: &mut Context<'_>,
) -> Poll<Outcome<F::Output>> {
    // Other timeouts are polled by a task, which counts by itself.
    #[cfg(all(feature = "watchdog", not(any(loom, shuttle))))]
    let _watched = (super::polls::is_watched() && lazy.is_outermost())
        .then(|| super::polls::Polling::begin(None, lazy.location));
    let Some(mut inner) = body.as_mut().begin_bare() else {
        panic!("a timeout was polled again after it had returned");
    };
    let frame = Frame::Lazy(lazy);
    let mut value = None;
    let mut caught = frame.catch(|| {
        let future = inner.as_mut().as_pin_mut();
        if let Some(Poll::Ready(ready)) = future.map(|future| future.poll(cx)) {
            value = Some(ready);
            inner.set(None);
        }
    });
    if caught.is_ok() && value.is_none() && lazy.expire() {
        caught = frame.catch(|| inner.set(None));
    }
    let expired = lazy.expired.get();
    if caught.is_ok() && lazy.made_node().is_none() {
        match value {
            Some(value) => return Poll::Ready(Outcome::Value(value)),
            // Not if the destructors have cancelled what is around.
            None if expired && !lazy.is_cancelled_from_above() => {
                return Poll::Ready(Outcome::Dropped);
            }
            None => {}
        }
    }
    let node = &*made.insert(lazy.node().clone());
    let polled = match (caught, value) {
        (Ok(()), Some(value)) => Ok(Poll::Ready(value)),
        (Ok(()), None) => Ok(Poll::Pending),
        (Err(payload), None) => Err(payload),
        // It has returned, and its destructor has panicked.
        (Err(payload), Some(value)) => {
            record_panic(node, payload);
            Ok(Poll::Ready(value))
        }
    };
    body.go_on(node, polled, cx)
}

/// When the time is over.
enum Due {
    At(Instant),
    /// So long after the poll began.
    After(Moment, Duration),
}

impl Due {
    fn at(&self) -> Instant {
        match *self {
            Due::At(at) => at,
            Due::After(entered, after) => entered.instant() + after,
        }
    }
}

/// The boundary during its first poll.
pub(crate) struct Lazy<'a> {
    outer: Option<&'a Frame<'a>>,
    location: &'static Location<'static>,
    due: Due,
    /// The time was over, and the future is to be dropped.
    expired: Cell<bool>,
    node: OnceCell<Arc<Node>>,
}

impl<'a> Lazy<'a> {
    #[inline]
    fn new(
        deadline: Deadline,
        location: &'static Location<'static>,
        outer: Option<&'a Frame<'a>>,
    ) -> Self {
        let due = match deadline {
            Deadline::At(at) => Due::At(at),
            Deadline::After(after) => Due::After(context::look_in(outer), after),
        };
        Lazy {
            outer,
            location,
            due,
            expired: Cell::new(false),
            node: OnceCell::new(),
        }
    }

    pub(super) fn outer(&self) -> Option<&Frame<'a>> {
        self.outer
    }

    pub(super) fn made_node(&self) -> Option<&Arc<Node>> {
        self.node.get()
    }

    /// The node, made now if this is the first that asks for it. From then on it is being polled.
    #[cold]
    pub(super) fn node(&self) -> &Arc<Node> {
        if let Some(node) = self.made_node() {
            return node;
        }
        // Before it begins: a subscriber that is told of something there may ask for this one.
        let outer = self.outer.and_then(Frame::node);
        let node = self.node.get_or_init(|| {
            let plan = Plan {
                deadline: Some(Deadline::At(self.due.at())),
                ..Plan::default()
            };
            let node = Node::new(Kind::Cancel, self.location, plan);
            let runtime = context::runtime_of(self.outer);
            node.note_carried(context::is_carried(self.outer));
            node.settle_at(outer, runtime);
            node.activate();
            node.poll_begins();
            node
        });
        // Not before it is there: a subscriber that is told of the request may ask for it.
        if self.expired.get() {
            node.record_request(CancelReason::new(CancelKind::Deadline));
        }
        node
    }

    pub(super) fn is_cancelled(&self) -> bool {
        match self.made_node() {
            Some(node) => node.is_cancelled(),
            None => self.expired.get() || self.is_cancelled_from_above(),
        }
    }

    fn is_cancelled_from_above(&self) -> bool {
        self.outer.is_some_and(Frame::is_cancelled)
    }

    /// Has this deadline, or one around it, passed? Nobody can move this one, so it needs no node.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.due.at() <= now || self.outer.is_some_and(|outer| outer.is_overdue(now))
    }

    /// Is the time over, and is it for this boundary to say so? Of several whose time is over the
    /// outermost reports, and one that is cancelled from above does not. From then on what the future
    /// drops finds itself cancelled.
    fn expire(&self) -> bool {
        if self.made_node().is_some() {
            return false;
        }
        let now = || match self.due {
            Due::At(_) => context::look_in(self.outer).instant(),
            Due::After(entered, _) => entered.instant(),
        };
        let over = match self.due {
            Due::At(at) => at <= now(),
            Due::After(_, after) => after.is_zero(),
        };
        let others = |outer: &Frame<'_>| outer.is_cancelled() || outer.is_overdue(now());
        let expired = over && !self.outer.is_some_and(others);
        self.expired.set(expired);
        expired
    }

    /// Is there no boundary around?
    #[cfg(all(feature = "watchdog", not(any(loom, shuttle))))]
    fn is_outermost(&self) -> bool {
        match self.outer {
            None => true,
            #[cfg(feature = "testing")]
            Some(Frame::Runtime(_)) => true,
            Some(
                Frame::Lazy(_)
                | Frame::Node(_)
                | Frame::Child(_)
                | Frame::Foreign(_)
                | Frame::Blocking(_),
            ) => false,
        }
    }
}
