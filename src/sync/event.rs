//! `Event`: a flag to wait for.
//!
//! Invariant: whoever puts the flag up calls all who wait, under the same lock. Who waits goes on because it
//! was called, and not because the flag is up: that may have been taken down since.

use std::{fmt, sync::Arc, task::Waker};

use super::line::{Line, Lines, change, wait};
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
pub struct Event(Arc<Lock<Flag>>);

#[derive(Default)]
struct Flag {
    up: bool,
    waiters: Line,
}

impl Lines for Flag {
    fn call(&mut self, told: &mut Vec<Waker>) {
        if self.up {
            self.waiters.call(usize::MAX, told);
        }
    }
}

impl Event {
    /// An event whose flag is down.
    pub fn new() -> Self {
        Event::default()
    }

    /// Puts the flag up: everybody who waits goes on, and who comes later does not wait.
    pub fn set(&self) {
        change(&self.0, |flag| flag.up = true);
    }

    /// Takes the flag down: who comes now waits for the next [`set`](Event::set). Those who waited
    /// for the last one go on all the same, even if they have not run since.
    pub fn clear(&self) {
        self.0.lock().up = false;
    }

    /// Is the flag up?
    pub fn is_set(&self) -> bool {
        self.0.lock().up
    }

    /// Waits until the flag is up, or has been up for a moment since this was first polled.
    ///
    /// # Cancel safety
    ///
    /// Nothing can be lost.
    pub async fn wait(&self) {
        wait(
            &self.0,
            |flag| &mut flag.waiters,
            |flag, called| (called || flag.up).then_some(()),
        )
        .await;
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("is_set", &self.is_set())
            .finish_non_exhaustive()
    }
}
