//! Blocking work for a task that waits for it.

use std::{
    convert::Infallible,
    future::{Future, pending},
    panic::Location,
    sync::Arc,
};

use futures_util::FutureExt;

use crate::{
    group::{TaskGroup, group},
    hidden::{pass_on, without_value},
    kernel::{
        atomic::Lock,
        blocking::{BlockingToken, Pool},
    },
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
    // Not what the group returns: that would drop it if a release of the closure fails.
    let value = Arc::new(Lock::new(None));
    let place = value.clone();
    let opening = group(async move |g: TaskGroup<'static, Infallible>| {
        let closure = move |token| Ok(closure(token));
        match g.spawn_closure(info, pool, closure).await {
            Ok(value) => {
                *place.lock() = Some(value);
                Ok(())
            }
            // It panicked, or the group was cancelled: then this body is dropped here.
            Err(_) => pending().await,
        }
    });
    opening.then(async move |ended| {
        let value = value.lock().take();
        match (value, ended) {
            (Some(value), Ok(())) => value,
            // A release of the closure failed.
            (Some(value), Err(error)) if !error.is_cancelled() => {
                pass_on(error);
                value
            }
            (_, Err(error)) => without_value(what, error).await,
            (None, Ok(())) => unreachable!("the body has put the value there before it returned"),
        }
    })
}
