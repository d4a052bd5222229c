//! Waiting until everybody else waits.
//!
//! Invariants:
//! 1. Those who wait are released when nothing can run, all at once, and before time moves.
//! 2. Who is not listed any more although its future is registered has been released.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::inside::simulation;
use super::state::Core;

/// Waits until every other task of the simulation is blocked, before the clock moves.
///
/// With it a test lets what it has set off come to rest, without a guess at a time: all that could
/// happen at this moment of virtual time has happened.
///
/// *Blocked* is a task that has returned `Pending` and was not woken since, whatever it waits for: a
/// sleep, a channel, a lock, a blocking closure, another thread, real I/O. *Not blocked* are a task
/// that can run, a blocking closure that has not begun, one that runs, and one that asks its token
/// in a loop (after 10,000 questions in a row during which nothing else could run it counts as
/// blocked, as it does for the clock: see the [module](crate::testing)). What is joined inline with
/// this call belongs to the same task, and is blocked when the task is.
///
/// Several tasks may wait in this way: each is blocked for the others, and all go on together.
///
/// Trio's function of this purpose takes a *cushion*, for how long everybody has to be blocked. There
/// is none here: no thread or socket of a simulation is on its way and needs a moment, and to wait
/// until others have slept is to sleep.
///
/// # Panics
///
/// Outside of a simulation.
///
/// # Cancel safety
///
/// Dropping it does nothing but stop waiting.
///
/// ```
/// use headcount::{group, testing::{Sim, elapsed, wait_all_blocked}};
/// use std::{convert::Infallible, time::Duration};
///
/// Sim::new(0).run(async {
///     let (send, receive) = async_channel::unbounded();
///     let outcome = group(async |g| {
///         g.spawn(async move {
///             send.send("first").await.unwrap();
///             headcount::time::sleep(Duration::from_secs(60)).await;
///             send.send("a minute later").await.unwrap();
///         });
///         wait_all_blocked().await;
///         assert_eq!(receive.try_recv(), Ok("first"));
///         assert!(receive.try_recv().is_err());
///         assert_eq!(elapsed(), Duration::ZERO);
///         Ok::<_, Infallible>(())
///     });
///     outcome.await.unwrap();
/// });
/// ```
pub async fn wait_all_blocked() {
    let mut wait = Wait {
        core: simulation("wait_all_blocked"),
        key: None,
    };
    poll_fn(|cx| wait.poll(cx)).await
}

/// Who waits for all others, in the order in which they came.
#[derive(Default)]
pub(super) struct Watchers {
    registered: u64,
    waiting: BTreeMap<u64, Waker>,
}

impl Watchers {
    pub(super) fn any(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Releases all; the caller wakes (or drops) them without the lock.
    pub(super) fn release(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.waiting).into_values().collect()
    }
}

struct Wait {
    core: Arc<Core>,
    key: Option<u64>,
}

impl Wait {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = self.core.lock();
        let watchers = &mut state.watchers;
        let key = match self.key {
            Some(key) if watchers.waiting.contains_key(&key) => key,
            Some(_) => {
                self.key = None;
                drop(state);
                drop(waker);
                return Poll::Ready(());
            }
            None => {
                watchers.registered += 1;
                watchers.registered
            }
        };
        self.key = Some(key);
        let former = watchers.waiting.insert(key, waker);
        drop(state);
        drop(former);
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = self.core.lock().watchers.waiting.remove(&key);
            drop(waker);
        }
    }
}
