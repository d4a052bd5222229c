//! Timeouts: a cancel scope of which nobody has a handle.

use std::{future::Future, time::Duration};

use futures_util::FutureExt;

use crate::{
    cancel,
    error::TimedOut,
    kernel::{node::Deadline, within::Within},
    time::Instant,
};

/// Runs `future` for at most `after`, counted from the first poll.
///
/// When the time is over, the future is dropped at its checkpoint, and `timeout` returns after
/// everything that was started below it has ended. So it can return later than the deadline, but
/// never with something left running. This is where it differs from `async_std::future::timeout`.
///
/// A value that is ready wins over a deadline that has passed. With a duration of zero the future
/// runs to its first checkpoint.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// use headcount::{time::sleep, timeout};
/// use std::time::Duration;
///
/// headcount::run(async |_| {
///     assert_eq!(timeout(Duration::from_secs(5), async { 42 }).await.unwrap(), 42);
///     assert!(timeout(Duration::ZERO, sleep(Duration::from_secs(5))).await.is_err());
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// [`TimedOut`] if this deadline, and no cancellation from outside, cut the future short.
///
/// # Panics
///
/// With the panic of `future`; and if polled outside of the boundary where it was first polled.
///
/// # Cancel safety
///
/// Dropping it drops `future` and cancels what is below; the boundary around waits for that.
#[track_caller]
pub fn timeout<F: Future>(
    after: Duration,
    future: F,
) -> impl Future<Output = Result<F::Output, TimedOut>> {
    within(Deadline::After(after), future)
}

/// [`timeout`] with a point in time.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// use headcount::{Instant, timeout_at};
///
/// headcount::run(async |_| {
///     assert!(timeout_at(Instant::now(), std::future::pending::<()>()).await.is_err());
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// As [`timeout`].
///
/// # Panics
///
/// As [`timeout`].
///
/// # Cancel safety
///
/// As [`timeout`].
#[track_caller]
pub fn timeout_at<F: Future>(
    at: Instant,
    future: F,
) -> impl Future<Output = Result<F::Output, TimedOut>> {
    within(Deadline::At(at), future)
}

/// [`timeout`] for when running out of time is no error: `None` then.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// use headcount::move_on_after;
/// use std::time::Duration;
///
/// headcount::run(async |_| {
///     assert_eq!(move_on_after(Duration::ZERO, std::future::pending::<()>()).await, None);
///     Ok(())
/// })
/// # }
/// ```
///
/// # Panics
///
/// As [`timeout`].
///
/// # Cancel safety
///
/// As [`timeout`].
#[track_caller]
pub fn move_on_after<F: Future>(
    after: Duration,
    future: F,
) -> impl Future<Output = Option<F::Output>> {
    timeout(after, future).map(Result::ok)
}

#[track_caller]
fn within<F: Future>(
    deadline: Deadline,
    future: F,
) -> impl Future<Output = Result<F::Output, TimedOut>> {
    Within::new(deadline, future).map(|(node, outcome)| {
        // Nobody else has a handle, so what this scope caused was its deadline. What it did not cause
        // nobody can be told of.
        let limited = cancel::conclude(node.as_ref(), outcome);
        limited.map_err(|reason| match reason {
            Some(_) => TimedOut(()),
            None => cancel::misplaced(),
        })
    })
}
