//! `Queue`: items for consumers that may be cancelled.
//!
//! The items stand in a channel; those that came back from a consumer stand in a list before it, in the
//! order in which they came back.
//!
//! Invariants
//! 1. An item counts in `unfinished` from when its `put` begins until it is done, drained, or its
//!    `put` gives up. In between it is in the hands of a `put`, in the channel, in `returned`, or in
//!    one `Taken`.
//! 2. Whoever adds to `returned` tells one more consumer, whoever brings `unfinished` to zero after
//!    the close, or closes, tells all, after the change. A consumer looks after it began to listen.
//!    One that was told and is dropped, or took an item from the channel, passes the word on.
//! 3. `zeros` counts how often `unfinished` came to zero, so that a `join` sees that even if a
//!    producer has been quicker than it.

use std::{
    collections::VecDeque,
    fmt,
    ops::{Deref, DerefMut},
    pin::pin,
    sync::Arc,
};

use async_channel::{Receiver, Sender, TrySendError};
use futures_util::future::{Either, select};

use crate::kernel::atomic::Lock;

/// A queue between producers and consumers, of which nothing gets lost when a consumer is
/// cancelled. Clones share it.
///
/// What [`get`](Queue::get) gives is a guard. Its owner calls [`done`](Taken::done) when the item has
/// been dealt with; if the guard is dropped before that (an error, a panic, a cancellation), the
/// item goes back to the queue, before those that no consumer has had, and another gets it.
/// [`join`](Queue::join) waits until every item is done. So an item is dealt with at least once, as long
/// as there are consumers.
///
/// Compared with Python's `asyncio.Queue`: `done` is `task_done`, and cannot be forgotten.
///
/// A queue does not know who its consumers are, and does not tell that the last one is gone: `put` then fills it, and waits.
/// Where the one consumer may vanish and the producer must notice, as with the lines that are still to be sent to a
/// client, take a channel of `async-channel` instead: sending fails once the receiver is dropped.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// use headcount::{group, run, sync::Queue};
///
/// run(async |g| {
///     let queue = Queue::bounded(5);
///     for _ in 0..3 {
///         let queue = queue.clone();
///         g.spawn_daemon(async move {
///             while let Some(job) = queue.get().await {
///                 /* work on it: the guard is the item */
///                 let _: u32 = *job;
///                 job.done();
///             }
///         });
///     }
///     let producers = group(async |producers| {
///         for producer in 0..2 {
///             let queue = queue.clone();
///             producers.spawn(async move { queue.put(producer).await });
///         }
///         Ok(())
///     });
///     producers.await.expect("nobody closes the queue");
///     queue.join().await; // now every item is done; the daemons are cancelled
///     Ok(())
/// })
/// # }
/// ```
///
/// An item that makes its consumer panic comes back too. Under a [`Restart`](crate::Restart) that
/// is for ever: count the tries in the item.
pub struct Queue<T>(Arc<Inner<T>>);

struct Inner<T> {
    sender: Sender<T>,
    receiver: Receiver<T>,
    state: Lock<State<T>>,
    /// Something for consumers beside the channel: an item came back, or nothing ever comes.
    changed: event_listener::Event,
    /// `unfinished` has come to zero.
    finished: event_listener::Event,
}

struct State<T> {
    returned: VecDeque<T>,
    unfinished: usize,
    zeros: u64,
}

/// The refusal of a [`put`](Queue::put) or [`try_put`](Queue::try_put), with the item.
pub struct PutError<T> {
    item: T,
    full: bool,
}

impl<T> PutError<T> {
    /// Was the queue full?
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Was the queue closed?
    pub fn is_closed(&self) -> bool {
        !self.full
    }

    /// The item that was to be put.
    pub fn into_item(self) -> T {
        self.item
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutError")
            .field("full", &self.full)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.full {
            true => "the queue is full: await `put`, or try again later",
            false => "the queue is closed: it takes no more items",
        })
    }
}

impl<T> std::error::Error for PutError<T> {}

/// An item of a [`Queue`] in the hands of a consumer. Dropped before it is [`done`](Taken::done), it
/// goes back to the queue.
#[must_use = "an item that is not done goes back to the queue"]
pub struct Taken<T> {
    item: Option<T>,
    queue: Queue<T>,
}

impl<T> Queue<T> {
    /// A queue of at most `capacity` items. (Those that come back from consumers may be more.) The memory
    /// for all of them is allocated here, at once.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0: no item could ever be put. If it is more than could be allocated anywhere, such
    /// as `usize::MAX`: use [`unbounded`](Queue::unbounded).
    #[track_caller]
    pub fn bounded(capacity: usize) -> Self {
        assert!(
            capacity > 0,
            "a queue with a capacity of 0 would take no item, ever: use at least 1, or \
             `Queue::unbounded`"
        );
        Queue::on(async_channel::bounded(capacity))
    }

    /// A queue without a bound: `put` never waits, and what is put too fast fills the memory.
    pub fn unbounded() -> Self {
        Queue::on(async_channel::unbounded())
    }

    fn on((sender, receiver): (Sender<T>, Receiver<T>)) -> Self {
        Queue(Arc::new(Inner {
            sender,
            receiver,
            state: Lock::new(State {
                returned: VecDeque::new(),
                unfinished: 0,
                zeros: 0,
            }),
            changed: event_listener::Event::new(),
            finished: event_listener::Event::new(),
        }))
    }

    /// Puts an item at the end, and waits for that while the queue is full.
    ///
    /// # Errors
    ///
    /// [`PutError`] with the item if the queue is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it drops the item, which is then not in the queue and does not count.
    pub async fn put(&self, item: T) -> Result<(), PutError<T>> {
        let count = Count::begin(&self.0);
        match self.0.sender.send(item).await {
            Ok(()) => {
                count.stays();
                Ok(())
            }
            Err(refused) => Err(PutError {
                item: refused.into_inner(),
                full: false,
            }),
        }
    }

    /// Puts an item at the end, unless the queue is full.
    ///
    /// # Errors
    ///
    /// [`PutError`] with the item if the queue is full or closed.
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        let count = Count::begin(&self.0);
        match self.0.sender.try_send(item) {
            Ok(()) => {
                count.stays();
                Ok(())
            }
            Err(refused) => Err(PutError {
                full: matches!(refused, TrySendError::Full(_)),
                item: refused.into_inner(),
            }),
        }
    }

    /// Takes the first item, and waits while there is none.
    ///
    /// `None` once the queue is closed and every item is done. While another consumer has an item in
    /// hand it waits, since that one may come back; so do not keep one yourself when you ask for the
    /// last.
    ///
    /// # Cancel safety
    ///
    /// No item is lost: it is in the queue, or in the guard that this returns.
    pub async fn get(&self) -> Option<Taken<T>> {
        loop {
            if let Some(taken) = self.try_get() {
                return Some(taken);
            }
            let changed = self.0.changed.listen();
            if let Some(taken) = self.try_get() {
                return Some(taken);
            }
            if self.is_over() {
                return None;
            }
            match select(pin!(self.0.receiver.recv()), changed).await {
                Either::Left((Ok(item), _)) => return Some(self.hand_out(item)),
                // Closed and empty, but something may come back.
                Either::Left((Err(_), changed)) => changed.await,
                Either::Right(_) => {}
            }
        }
    }

    /// Takes the first item, if there is one.
    pub fn try_get(&self) -> Option<Taken<T>> {
        let returned = self.0.state.lock().returned.pop_front();
        let item = returned.or_else(|| self.0.receiver.try_recv().ok())?;
        Some(self.hand_out(item))
    }

    fn hand_out(&self, item: T) -> Taken<T> {
        Taken {
            item: Some(item),
            queue: self.clone(),
        }
    }

    /// Waits until no item is left that is not [`done`](Taken::done): none in the queue, none in the
    /// hands of a consumer, and none of a [`put`](Queue::put) that waits.
    ///
    /// # Cancel safety
    ///
    /// Nothing can be lost.
    pub async fn join(&self) {
        let began = {
            let state = self.0.state.lock();
            if state.unfinished == 0 {
                return;
            }
            state.zeros
        };
        loop {
            let finished = self.0.finished.listen();
            if self.0.state.lock().zeros != began {
                return;
            }
            finished.await;
        }
    }

    /// Takes no more items. Those who wait to put get an error; consumers get what is left, and then
    /// `None`.
    pub fn close(&self) {
        self.0.sender.close();
        self.0.changed.notify(usize::MAX);
    }

    /// Has it been closed?
    pub fn is_closed(&self) -> bool {
        self.0.sender.is_closed()
    }

    /// Takes out all items that nobody has in hand, and counts them as done. On a queue that is not
    /// closed, those who wait to put may put theirs meanwhile, and those are taken too.
    pub fn drain(&self) -> Vec<T> {
        let mut taken = Vec::new();
        while let Some(next) = self.try_get() {
            taken.push(next.done());
        }
        taken
    }

    /// How many items wait in the queue.
    pub fn len(&self) -> usize {
        let returned = self.0.state.lock().returned.len();
        returned + self.0.receiver.len()
    }

    /// Does no item wait in the queue?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many items are not done: those in the queue, in the hands of consumers, and of a
    /// [`put`](Queue::put) that waits.
    pub fn unfinished(&self) -> usize {
        self.0.state.lock().unfinished
    }

    /// How many items it takes; `None` if there is no bound.
    pub fn capacity(&self) -> Option<usize> {
        self.0.sender.capacity()
    }

    /// Will there never be an item any more?
    fn is_over(&self) -> bool {
        self.is_closed() && self.unfinished() == 0
    }
}

impl<T> Inner<T> {
    /// One item less (invariants 2 and 3).
    fn finish_one(&self) {
        {
            let mut state = self.state.lock();
            state.unfinished -= 1;
            if state.unfinished > 0 {
                return;
            }
            state.zeros += 1;
        }
        self.finished.notify(usize::MAX);
        if self.sender.is_closed() {
            self.changed.notify(usize::MAX);
        }
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Queue(self.0.clone())
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.len())
            .field("unfinished", &self.unfinished())
            .field("capacity", &self.capacity())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// The count of an item that is being put; taken back if it is not.
struct Count<'a, T>(Option<&'a Inner<T>>);

impl<'a, T> Count<'a, T> {
    fn begin(queue: &'a Inner<T>) -> Self {
        queue.state.lock().unfinished += 1;
        Count(Some(queue))
    }

    fn stays(mut self) {
        self.0 = None;
    }
}

impl<T> Drop for Count<'_, T> {
    fn drop(&mut self) {
        if let Some(queue) = self.0 {
            queue.finish_one();
        }
    }
}

impl<T> Taken<T> {
    /// The item has been dealt with. Gives it away, for who still wants it.
    pub fn done(mut self) -> T {
        let item = self.item.take().expect("taken only by what consumes it");
        self.queue.0.finish_one();
        item
    }
}

impl<T> Deref for Taken<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.item.as_ref().expect("taken only by what consumes it")
    }
}

impl<T> DerefMut for Taken<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.item.as_mut().expect("taken only by what consumes it")
    }
}

impl<T> Drop for Taken<T> {
    fn drop(&mut self) {
        if let Some(item) = self.item.take() {
            let queue = &self.queue.0;
            queue.state.lock().returned.push_back(item);
            // One more than were told before: each item that came back needs a consumer.
            queue.changed.notify_additional(1);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Taken<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Taken").field(&**self).finish()
    }
}
