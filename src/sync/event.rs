//! `Event`: a flag to wait for.
//!
//! Invariant: `sets` goes up, under the lock, whenever the flag goes up, and before the waiters are
//! told. Who waits compares it with what it was when the wait began. That is what decides, and not
//! that one was woken: a waiter that is cancelled after it was told passes the word on to another,
//! which may have come after the flag was taken down again.

use std::{fmt, sync::Arc};

use crate::kernel::atomic::Lock;

/// A flag that tasks wait for. Clones share it.
///
/// It stays up until somebody takes it down: who comes while it is up need not wait.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// use headcount::sync::Event;
///
/// headcount::run(async |g| {
///     let ready = Event::new();
///     for _ in 0..3 {
///         let ready = ready.clone();
///         g.spawn(async move { ready.wait().await });
///     }
///     ready.set(); // all three go on
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Event(Arc<Inner>);

#[derive(Default)]
struct Inner {
    flag: Lock<Flag>,
    raised: event_listener::Event,
}

#[derive(Clone, Copy, Default)]
struct Flag {
    up: bool,
    /// How often it went up.
    sets: u64,
}

impl Event {
    /// An event whose flag is down.
    pub fn new() -> Self {
        Event::default()
    }

    /// Puts the flag up: everybody who waits goes on, and who comes later does not wait.
    pub fn set(&self) {
        {
            let mut flag = self.0.flag.lock();
            if flag.up {
                return;
            }
            flag.up = true;
            flag.sets += 1;
        }
        self.0.raised.notify(usize::MAX);
    }

    /// Takes the flag down: who comes now waits for the next [`set`](Event::set). Those who waited
    /// for the last one go on all the same, even if they have not run since.
    pub fn clear(&self) {
        self.0.flag.lock().up = false;
    }

    /// Is the flag up?
    pub fn is_set(&self) -> bool {
        self.flag().up
    }

    /// Waits until the flag is up, or has been up for a moment since this was first polled.
    ///
    /// # Cancel safety
    ///
    /// Nothing can be lost.
    pub async fn wait(&self) {
        let began = self.flag();
        if began.up {
            return;
        }
        loop {
            let raised = self.0.raised.listen();
            // A `set` that comes after this look finds the listener.
            if self.flag().sets != began.sets {
                return;
            }
            raised.await;
        }
    }

    fn flag(&self) -> Flag {
        *self.0.flag.lock()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("is_set", &self.is_set())
            .finish_non_exhaustive()
    }
}
