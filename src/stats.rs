//! What has happened in this process, in numbers.

use crate::kernel::threads;

/// Counters of the process since its start, as plain numbers for any metrics library.
///
/// Everything counts, of all groups and all threads, simulations included. The counters of threads are
/// added up one after the other, so numbers that are read while the program goes on may be a few
/// events apart. None of them goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Stats {
    /// Boundaries that were opened: `run`, `group`, `scope`, `supervise`, and what is built of them.
    pub opened: u64,
    /// Children that were let in.
    pub spawned: u64,
    /// Children that ended with a value.
    pub completed: u64,
    /// Children that ended with an error or a panic. (Those of `supervise` count as completed: their
    /// failures are values of their handles.)
    pub failed: u64,
    /// Children that were cancelled.
    pub cancelled: u64,
    /// Releases, of `defer` and `bracket`, that ran and ended.
    pub finalized: u64,
    /// Boundaries that were dropped or forgotten before they had ended, so that the one around waits for
    /// what is left below. Also those below which nothing was left, as a timeout that a `select` drops.
    pub adopted: u64,
    /// The most children that lived in one group at a time, of groups that have ended. Those that go on
    /// tell theirs, as exact as this: [`GroupStats::peak`](crate::GroupStats::peak).
    pub peak: usize,
}

/// The counters of this process.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// use headcount::{run, stats};
///
/// run(async |g| {
///     for _ in 0..3 {
///         g.spawn(async {});
///     }
///     Ok(())
/// })?;
/// let stats = stats();
/// assert_eq!((stats.opened, stats.spawned, stats.completed), (1, 3, 3));
/// # Ok(())
/// # }
/// ```
pub fn stats() -> Stats {
    let (counts, peak) = threads::totals();
    let count = |event: threads::Event| counts[event as usize];
    Stats {
        opened: count(threads::Event::Opened),
        spawned: count(threads::Event::Spawned),
        completed: count(threads::Event::Completed),
        failed: count(threads::Event::Failed) + count(threads::Event::Panicked),
        cancelled: count(threads::Event::Cancelled),
        finalized: count(threads::Event::Finalized),
        adopted: count(threads::Event::Adopted),
        peak,
    }
}
