//! Inline children: polled by the opener of their scope, so that they may borrow.
//!
//! Invariants
//! 1. No lock is held while a child is polled or dropped.
//! 2. A push while the opener is not looking wakes it: the opener declares under the lock, after a
//!    last look at the empty inbox, that it stops looking.
//! 3. Children are dropped before the body: what the body owns outlives them.
//! 4. The inbox is closed, under the same lock, when nobody will look any more. A child that comes
//!    later, from another thread or from the destructor of a sibling, is dropped by who brings it:
//!    it may own a handle of the scope, and with it the inbox, and would never be freed.
//! 5. The polls of the children are part of the poll of their scope: who orphans the scope meanwhile
//!    leaves the settling to the end of the whole poll, and waits for that.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;
use futures_util::stream::FuturesUnordered;
use pin_project_lite::pin_project;

use super::{
    atomic::Lock,
    book::Book,
    child::Child,
    drive::{Drive, Outcome, Polling},
    node::Node,
    wakes::Wakes,
};
use crate::error::IntoOutcome;

/// How often one poll of the opener goes round before it lets others run.
const ROUNDS: usize = 32;

type BoxedChild<'env> = Pin<Box<dyn Future<Output = ()> + Send + 'env>>;

pin_project! {
    /// A child, and what it needs to the end of its own.
    pub(super) struct Keeping<F, T, E> {
        #[pin]
        child: Child<F, T, E>,
        wakes: Wakes,
        // Dropped after the child.
        book: Arc<Book<E>>,
    }
}

impl<F, T, E> Keeping<F, T, E> {
    pub(super) fn new(child: Child<F, T, E>, book: Arc<Book<E>>) -> Self {
        Keeping {
            child,
            wakes: Wakes::default(),
            book,
        }
    }
}

impl<F, T, E> Future for Keeping<F, T, E>
where
    F: Future,
    F::Output: IntoOutcome<E, Value = T>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let waker = this.wakes.begin_poll(this.child.cell(), cx.waker());
        let waker = waker.unwrap_or(cx.waker());
        this.child.poll(&mut Context::from_waker(waker))
    }
}

/// Where handles put new children until the opener collects them.
#[derive(Default)]
pub(crate) struct Inbox<'env>(Lock<Waiting<'env>>);

#[derive(Default)]
struct Waiting<'env> {
    children: Vec<BoxedChild<'env>>,
    /// The opener is not looking: who pushes wakes it.
    parked: bool,
    /// The opener is gone. Never cleared.
    closed: bool,
}

impl<'env> Inbox<'env> {
    pub(super) fn push(&self, child: BoxedChild<'env>, scope: &Node) {
        let parked = {
            let mut waiting = self.0.lock();
            if waiting.closed {
                drop(waiting);
                return drop(child);
            }
            waiting.children.push(child);
            std::mem::take(&mut waiting.parked)
        };
        if parked {
            scope.wake_opener();
        }
    }

    fn take(&self) -> Vec<BoxedChild<'env>> {
        std::mem::take(&mut self.0.lock().children)
    }

    /// Nobody will look any more.
    fn close(&self) {
        let left = {
            let mut waiting = self.0.lock();
            waiting.closed = true;
            std::mem::take(&mut waiting.children)
        };
        drop(left);
    }

    /// Stops looking; false if there is something to collect.
    fn park(&self) -> bool {
        let mut waiting = self.0.lock();
        waiting.parked = waiting.children.is_empty();
        waiting.parked
    }
}

pin_project! {
    /// The body of a scope together with its children.
    pub(crate) struct Inline<'env, F>
    where
        F: Future,
    {
        node: Arc<Node>,
        inbox: Arc<Inbox<'env>>,
        children: FuturesUnordered<BoxedChild<'env>>,
        #[pin]
        drive: Drive<F>,
    }

    impl<F> PinnedDrop for Inline<'_, F>
    where
        F: Future,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.children.is_empty() {
                this.node.cut_off();
            }
            this.children.clear();
            this.inbox.close();
        }
    }
}

impl<'env, F: Future> Inline<'env, F> {
    pub(crate) fn new(node: Arc<Node>, inbox: Arc<Inbox<'env>>, body: F) -> Self {
        Inline {
            drive: Drive::new(node.clone(), body),
            node,
            inbox,
            children: FuturesUnordered::new(),
        }
    }
}

/// Collects new children, and polls those that were woken; true if one came or ended. Apart from the
/// poll of the scope, so that a deep nest of bodies needs less stack.
fn poll_children<'env>(
    inbox: &Inbox<'env>,
    children: &mut FuturesUnordered<BoxedChild<'env>>,
    cx: &mut Context<'_>,
) -> bool {
    let new = inbox.take();
    let mut progress = !new.is_empty();
    children.extend(new);
    while let Poll::Ready(Some(())) = Pin::new(&mut *children).poll_next(cx) {
        progress = true;
    }
    progress
}

impl<F: Future> Future for Inline<'_, F> {
    type Output = Outcome<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (_polling, _) = Polling::begin(this.node);
        for _ in 0..ROUNDS {
            if let Poll::Ready(outcome) = this.drive.as_mut().poll(cx) {
                // Left over only if an ancestor has forbidden further polls.
                this.children.clear();
                this.inbox.close();
                return Poll::Ready(outcome);
            }
            if this.node.is_orphan() {
                return Poll::Pending;
            }
            if !poll_children(this.inbox, this.children, cx) && this.inbox.park() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
