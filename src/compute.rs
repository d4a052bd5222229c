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
/// # Pieces on other threads
///
/// The [`Boundary`](crate::Boundary) and the values of each `Local` (feature `task-locals`) are set for the closure, on the
/// thread of rayon that runs it. The pieces of a `par_iter` or `join` are not all run there: others run on threads that
/// know neither. And a thread that waits for its pieces runs what it finds meanwhile, so a piece of one computation may
/// run inside another, and see the boundary and the values of that. So read locals before, and where the
/// boundary matters to a piece, take [`Boundary::current`](crate::Boundary::current) in the closure and
/// [`enter`](crate::Boundary::enter) it in the piece. Do not [`defer`](crate::defer) in a piece: some other boundary, or
/// none, would release it.
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
