//! Who computes the outputs: children that take one item after another.
//!
//! Invariants
//! 1. A worker takes a further item only if the one before was ready in its first poll and left nothing
//!    to wait for. Else it ends with that item, and its output comes to the desk when the kernel drops
//!    the [`Letter`]: after the child and what it owed have ended, since its handle is gone by then.
//! 2. A worker that is dropped before it has left closes the desk: its group was cancelled.
//! 3. It begins no item once it was cancelled, and lets others run after [`TURNS`] items.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::desk::{Desk, Next};
use crate::kernel::context;

/// How many items one poll begins.
const TURNS: usize = 16;

/// A child that takes items from the desk.
pub(super) struct Worker<F, T> {
    /// The number and the future of the item.
    item: u64,
    future: Option<Pin<Box<F>>>,
    /// It has been pending.
    waits: bool,
    /// Its next visit to the desk is one that it was called for.
    called: bool,
    /// After the future: to be dropped in this order.
    place: Place<F, T>,
}

impl<F, T> Worker<F, T> {
    pub(super) fn new(desk: Arc<Desk<F, T>>, number: u64) -> Self {
        Worker {
            item: 0,
            future: None,
            waits: false,
            called: true,
            place: Place {
                desk: Some(desk),
                number,
            },
        }
    }
}

impl<F, T> Future for Worker<F, T>
where
    F: Future<Output = Result<T, Infallible>> + Send + 'static,
    T: Send + 'static,
{
    type Output = Result<Letter<F, T>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (mut turn, mut output) = (0, None);
        loop {
            let future = match &mut this.future {
                Some(future) => future,
                None => {
                    let Some(desk) = &this.place.desk else {
                        panic!("a worker was polled after it had left");
                    };
                    if turn == TURNS {
                        cx.waker().wake_by_ref();
                        drop(output.and_then(|output| desk.post(output)));
                        return Poll::Pending;
                    }
                    let called = std::mem::replace(&mut this.called, false);
                    match desk.next(this.place.number, called, output.take(), cx.waker()) {
                        Next::Item(number, future) => {
                            this.item = number;
                            this.future.insert(future)
                        }
                        Next::Idle => {
                            this.called = true;
                            return Poll::Pending;
                        }
                        Next::Leave => return Poll::Ready(Ok(this.place.leave(None))),
                    }
                }
            };
            if turn > 0 && context::is_cancelled() {
                return Poll::Pending;
            }
            let Poll::Ready(Ok(value)) = future.as_mut().poll(cx) else {
                this.waits = true;
                return Poll::Pending;
            };
            let value = (this.item, value);
            this.future = None;
            if this.waits || context::task_node().is_some() {
                return Poll::Ready(Ok(this.place.leave(Some(value))));
            }
            output = Some(value);
            turn += 1;
        }
    }
}

/// What a worker has of the desk, until it leaves.
struct Place<F, T> {
    desk: Option<Arc<Desk<F, T>>>,
    number: u64,
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
            desk.close();
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
