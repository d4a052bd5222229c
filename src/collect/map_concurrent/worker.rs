//! Who computes the outputs: children that take one item after another.
//!
//! Invariants
//! 1. A worker takes a further item only if the one before was ready in its first poll and left nothing
//!    to wait for. Else it ends with that item, and its output comes to the desk when the [`Letter`] is
//!    dropped, by the kernel or with the handle: after the child and what it owed have ended.
//! 2. A worker that is dropped before it has left closes the desk: its group is cancelled.
//! 3. It begins no item once it was cancelled, and lets others run after [`TURNS`] items, or when they have
//!    taken longer than a [`SLICE`].

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::desk::{Desk, Next};
use crate::{hidden, kernel::context, time::Instant};

/// How many items one poll begins.
const TURNS: usize = 16;
/// How long it goes on to begin some.
const SLICE: Duration = Duration::from_micros(500);

/// A child that takes items from the desk.
pub(super) struct Worker<F, T> {
    /// The number and the future of the item.
    item: u64,
    future: Option<Pin<Box<F>>>,
    /// Of an item whose future is being dropped; which may panic.
    output: Option<(u64, T)>,
    /// The item has been pending.
    waits: bool,
    /// After the future: to be dropped in this order.
    place: Place<F, T>,
}

impl<F, T> Worker<F, T> {
    /// One that is on its way to the desk.
    pub(super) fn new(desk: Arc<Desk<F, T>>, number: u64) -> Self {
        Worker {
            item: 0,
            future: None,
            output: None,
            waits: false,
            place: Place {
                desk: Some(desk),
                number,
                called: true,
            },
        }
    }
}

// What is pinned stands in a box.
impl<F, T> Unpin for Worker<F, T> {}

impl<F, T> Future for Worker<F, T>
where
    F: Future<Output = Result<T, Infallible>> + Send + 'static,
    T: Send + 'static,
{
    type Output = Result<Letter<F, T>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (mut turn, mut slice) = (0, None);
        loop {
            let Some(desk) = &this.place.desk else {
                panic!("a worker was polled after it had left");
            };
            let future = match &mut this.future {
                Some(future) => future,
                None => {
                    let output = this.output.take();
                    if turn == TURNS || slice.is_some_and(|end| Instant::now() >= end) {
                        cx.waker().wake_by_ref();
                        drop(output.and_then(|output| desk.post(output)));
                        return Poll::Pending;
                    }
                    let (me, called) = (this.place.number, &mut this.place.called);
                    match desk.next(me, called, output, cx.waker()) {
                        Next::Item((number, future)) => {
                            this.item = number;
                            this.future.insert(future)
                        }
                        Next::Idle => return Poll::Pending,
                        Next::Leave => return Poll::Ready(Ok(this.place.leave(None))),
                        Next::Cancelled => {
                            cx.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                    }
                }
            };
            if turn > 0 && context::is_cancelled() {
                // Woken, in case that it is not cancelled any more when the kernel looks.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let Poll::Ready(Ok(output)) = future.as_mut().poll(cx) else {
                if !std::mem::replace(&mut this.waits, true) {
                    desk.waits();
                }
                return Poll::Pending;
            };
            this.output = Some((this.item, output));
            this.future = None;
            if this.waits || context::task_node().is_some() {
                if !this.waits {
                    desk.waits();
                }
                let output = this.output.take();
                return Poll::Ready(Ok(this.place.leave(output)));
            }
            turn += 1;
            slice.get_or_insert_with(|| Instant::now() + SLICE);
        }
    }
}

/// What a worker has of the desk, until it leaves.
struct Place<F, T> {
    desk: Option<Arc<Desk<F, T>>>,
    number: u64,
    /// It is on its way there, or idle.
    called: bool,
}

impl<F, T> Place<F, T> {
    fn leave(&mut self, output: Option<(u64, T)>) -> Letter<F, T> {
        let desk = self.desk.take();
        Letter { output, desk }
    }
}

impl<F, T> Drop for Place<F, T> {
    fn drop(&mut self) {
        if let Some(desk) = &self.desk {
            hidden::drop_each(desk.abandon(self.number, self.called));
        }
    }
}

/// The last output of a worker on its way (invariant 1).
pub(super) struct Letter<F, T> {
    output: Option<(u64, T)>,
    desk: Option<Arc<Desk<F, T>>>,
}

impl<F, T> Drop for Letter<F, T> {
    fn drop(&mut self) {
        if let (Some(output), Some(desk)) = (self.output.take(), &self.desk) {
            drop(desk.post(output));
        }
    }
}
