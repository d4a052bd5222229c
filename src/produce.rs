//! A child that produces a stream.

use std::{
    fmt, iter,
    pin::Pin,
    task::{Context, Poll, ready},
};

use async_channel::{Receiver, Sender};
use futures_core::Stream;

use crate::{cancel::checkpoint, error::JoinError, handle::JoinHandle, hidden::drop_each};

/// Where a child that [`spawn_stream`](crate::TaskGroup::spawn_stream) has spawned puts its items.
pub struct Feed<T>(Sender<T>);

impl<T> Feed<T> {
    /// Gives an item to the stream, and waits while its buffer is full.
    ///
    /// When the stream is gone, the child is being cancelled, and ends here. Inside a
    /// [`shield`](crate::shield()) it goes on, and the item is dropped; so it does for somebody else to whom
    /// the child gave the feed.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it drops the item.
    pub async fn send(&self, item: T) {
        if self.0.send(item).await.is_err() {
            checkpoint().await;
        }
    }
}

impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

/// The items of a child, as a stream. Made by [`spawn_stream`](crate::TaskGroup::spawn_stream).
///
/// It ends when the child has ended, with its releases, also if somebody else has the [`Feed`] then. If the
/// child was cancelled or failed, the last item is that error: so a stream that was cut short does not look
/// complete.
#[must_use = "dropping the stream cancels the child that produces it"]
pub struct Produced<T> {
    items: Pin<Box<Receiver<T>>>,
    child: Option<JoinHandle<()>>,
    /// How it has ended, until the stream has told.
    error: Option<JoinError>,
}

/// Both ends of a stream, with the handle still to come.
#[track_caller]
pub(crate) fn channel<T>(capacity: usize) -> (Feed<T>, impl FnOnce(JoinHandle<()>) -> Produced<T>) {
    assert!(
        capacity > 0,
        "a stream with a buffer of 0 would take no item, ever: use at least 1"
    );
    let (sender, receiver) = async_channel::bounded(capacity);
    let produced = move |child| Produced {
        items: Box::pin(receiver),
        child: Some(child),
        error: None,
    };
    (Feed(sender), produced)
}

impl<T> Stream for Produced<T> {
    type Item = Result<T, JoinError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(Some(item)) = self.items.as_mut().poll_next(cx) {
            return Poll::Ready(Some(Ok(item)));
        }
        // Also while the channel is open: its other end may be forgotten, or somewhere else.
        if let Some(child) = &mut self.child {
            let ended = ready!(Pin::new(child).poll(cx));
            self.child = None;
            self.error = ended.err();
            // Whoever may still have the feed gives nothing any more.
            self.items.close();
            // What it gave last may have come since.
            if let Ok(item) = self.items.try_recv() {
                return Poll::Ready(Some(Ok(item)));
            }
        }
        Poll::Ready(self.error.take().map(Err))
    }
}

impl<T> Drop for Produced<T> {
    fn drop(&mut self) {
        if let Some(child) = &self.child {
            child.cancel();
        }
        self.items.close();
        drop_each(iter::from_fn(|| self.items.try_recv().ok()));
    }
}

impl<T> fmt::Debug for Produced<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Produced")
            .field("child", &self.child)
            .finish_non_exhaustive()
    }
}
