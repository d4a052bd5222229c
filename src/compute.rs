//! Closures that compute, on rayon's threads.

use std::future::Future;

use crate::{
    blocking,
    kernel::blocking::{BlockingToken, Pool},
};

/// Runs a closure that computes for long on rayon's threads, and waits for it. Needs the feature
/// `rayon`.
///
/// Rayon has one thread for each core, and what the closure does with `par_iter` or `join` runs on
/// them in parallel. A closure that waits, for a disk or a lock, belongs to
/// [`unblock`](crate::unblock()): here it would take a core away.
///
/// A cancelled awaiter waits for a closure that has begun, and nothing outlives the boundary; the
/// [token](BlockingToken) tells the closure to stop. One that has not begun is dropped, unrun.
///
/// In a simulation (see `testing`) the closure runs in strict hand-off with the tasks, like a
/// blocking one.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// use rayon::prelude::*;
///
/// headcount::run(async |_| {
///     let sum: u64 = headcount::compute(|token| {
///         let squares = (0..1000_u64).into_par_iter().map(|n| n * n);
///         squares.take_any_while(|_| !token.is_cancelled()).sum()
///     })
///     .await;
///     assert_eq!(sum, 332_833_500);
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
pub fn compute<T: Send + 'static>(
    f: impl FnOnce(BlockingToken) -> T + Send + 'static,
) -> impl Future<Output = T> + Send {
    blocking::ended("compute", Pool::Computing, f)
}
