//! `Queue`: items for consumers that may be cancelled.
//!
//! Invariants
//! 1. An item is in the hands of a `put` that waits, among those that no consumer has had, in the hands of a
//!    consumer (one `Taken`), or among those that came back, which are the first to be taken. In the last
//!    three of these it counts as `inside`. It goes from one to the next under the lock.
//! 2. A `put` that waits counts as unfinished as long as it has its item. No consumer waits for it: it
//!    comes in by itself when there is room, or is refused after the close.
//! 3. As many consumers are called as there are items, as many producers as there is room, and all of them
//!    once nothing else can come (`line`). A `join` is called by the change after which nothing is
//!    unfinished, so it does not miss that though a producer be quicker than it.
//! 4. Items are dropped outside the lock, and each of them though the destructor of another panics.

mod error;
mod state;

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use self::state::State;
use super::line::{change, wait};
use crate::kernel::atomic::Lock;

pub use self::error::PutError;

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
pub struct Queue<T>(Arc<Lock<State<T>>>);

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
        Queue::with_capacity(Some(capacity))
    }

    /// A queue without a bound: `put` never waits, and what is put too fast fills the memory.
    pub fn unbounded() -> Self {
        Queue::with_capacity(None)
    }

    fn with_capacity(capacity: Option<usize>) -> Self {
        Queue(Arc::new(Lock::new(State::new(capacity))))
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
        let mut waits = Some(item);
        let put = move |state: &mut State<T>, _| {
            let item = waits.take().expect("it has come back, or this is done");
            match state.put(item) {
                Err(refused) if refused.is_full() => {
                    waits = Some(refused.into_item());
                    None
                }
                settled => Some(settled),
            }
        };
        wait(&self.0, |state| &mut state.putters, put).await
    }

    /// Puts an item at the end, unless the queue is full.
    ///
    /// # Errors
    ///
    /// [`PutError`] with the item if the queue is full or closed.
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        change(&self.0, |state| state.put(item))
    }

    /// Takes the first item, and waits while there is none.
    ///
    /// `None` once the queue is closed and every item in it is done. While another consumer has an item in
    /// hand it waits, since that one may come back; so do not keep one yourself when you ask for the
    /// last.
    ///
    /// # Cancel safety
    ///
    /// No item is lost: it is in the queue, or in the guard that this returns.
    pub async fn get(&self) -> Option<Taken<T>> {
        let get = |state: &mut State<T>, _| match state.take() {
            None if state.is_over() => Some(None),
            None => None,
            item => Some(item),
        };
        let item = wait(&self.0, |state| &mut state.getters, get).await?;
        Some(self.hand_out(item))
    }

    /// Takes the first item, if there is one.
    pub fn try_get(&self) -> Option<Taken<T>> {
        let item = change(&self.0, State::take)?;
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
        wait(
            &self.0,
            |state| &mut state.joiners,
            |state, called| (called || state.unfinished() == 0).then_some(()),
        )
        .await;
    }

    /// Takes no more items. Those who wait to put get an error; consumers get what is left, and then
    /// `None`.
    pub fn close(&self) {
        change(&self.0, |state| state.closed = true);
    }

    /// Has it been closed?
    pub fn is_closed(&self) -> bool {
        self.0.lock().closed
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
        self.0.lock().len()
    }

    /// Does no item wait in the queue?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many items are not done: those in the queue, in the hands of consumers, and of a
    /// [`put`](Queue::put) that waits.
    pub fn unfinished(&self) -> usize {
        self.0.lock().unfinished()
    }

    /// How many items it takes; `None` if there is no bound.
    pub fn capacity(&self) -> Option<usize> {
        self.0.lock().capacity
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

impl<T> Taken<T> {
    /// The item has been dealt with. Gives it away, for who still wants it.
    pub fn done(mut self) -> T {
        let item = self.item.take().expect("taken only by what consumes it");
        change(&self.queue.0, State::finish_one);
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
            change(&self.queue.0, |state| state.put_back(item));
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Taken<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Taken").field(&**self).finish()
    }
}
