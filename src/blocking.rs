//! Blocking work for a task that waits for it.

use std::{
    convert::Infallible,
    future::{Future, pending},
    panic::Location,
};

use crate::{
    error::GroupError,
    group::group,
    kernel::blocking::{BlockingToken, Pool},
    spawning,
};

/// Runs a blocking closure on a thread of its own and waits for it.
///
/// A cancelled awaiter waits for a closure that has begun, and nothing outlives the boundary; for
/// closures that should stop early use
/// [`spawn_blocking`](crate::TaskGroup::spawn_blocking), whose token tells them. To bound how many run
/// at a time, give a permit of a [`CapacityLimiter`](crate::sync::CapacityLimiter) to the closure. What
/// computes for long rather than waits belongs to `compute` (feature `rayon`).
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::io::Error>> {
/// headcount::run(async |_| {
///     let bytes = headcount::unblock(|| std::fs::read("/dev/null")).await?;
///     assert!(bytes.is_empty());
///     Ok(())
/// })
/// # }
/// ```
///
/// # Panics
///
/// With the panic of the closure; and if polled outside of the boundary where it was first polled.
///
/// # Cancel safety
///
/// Dropped by a foreign `select!`, the boundary around waits for the closure, whose value is lost.
#[track_caller]
pub fn unblock<T: Send + 'static>(
    f: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> + Send {
    ended("unblock", Pool::Blocking, move |_| f())
}

/// Waits for a closure in a hidden group of its own, which a tree shows at the place of the call.
#[track_caller]
pub(crate) fn ended<T: Send + 'static>(
    what: &'static str,
    pool: Pool,
    closure: impl FnOnce(BlockingToken) -> T + Send + 'static,
) -> impl Future<Output = T> + Send {
    let info = spawning::info(None, Location::caller());
    let opening = group(async move |g| {
        let closure = move |token| Ok(closure(token));
        match g.spawn_closure(info, pool, closure).await {
            Ok(value) => Ok(value),
            // It panicked, or the group was cancelled: then this body is dropped here.
            Err(_) => pending().await,
        }
    });
    async move {
        let value: Result<T, GroupError<Infallible>> = opening.await;
        value.unwrap_or_else(|_| {
            panic!(
                "`{what}` was polled outside of the boundary in which it was first polled: await it \
                 where it was started, or start it anew"
            )
        })
    }
}
