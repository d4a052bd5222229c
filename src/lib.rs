// Of two definitions of a link the first holds: these, and not those at the end of README.md, which lead to files that
// the documentation does not have. In the place of the picture it has one that shows nothing.
//! [cancellation]: crate::cancellation
//! [debugging]: crate::debugging
//! [from asyncio]: crate::from_asyncio
//! [recipes]: crate::recipes
//! [streams]: crate::streams
//! [testing]: crate::testing::guide
//! [traces]: crate::traces
//! [examples]: #in-the-repository
//! [performance]: #in-the-repository
//! [changes]: #in-the-repository
//! [contributing]: #in-the-repository
//! [MIT]: https://opensource.org/license/mit
//! [Apache-2.0]: https://www.apache.org/licenses/LICENSE-2.0
//! [timeline picture]: data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7
//!
#![doc = include_str!("../README.md")]
//!
//! ## In the repository
//!
//! These files are beside the source, and not in this documentation: `examples/README.md`, `docs/performance.md`,
//! `docs/verification.md`, `CHANGELOG.md`, `CONTRIBUTING.md`, and the picture of a timeline, `docs/plots/timeline.png`.

mod blocking;
mod boundary;
mod cancel;
mod carry;
mod cleanup;
mod collect;
#[cfg(all(feature = "rayon", not(loom)))]
mod compute;
mod conclude;
#[cfg(all(unix, feature = "signal", not(loom)))]
mod dump;
mod error;
mod group;
mod handle;
mod hidden;
mod kernel;
#[cfg(all(feature = "task-locals", not(any(loom, shuttle))))]
mod local;
mod options;
mod panics;
mod plain;
#[cfg(all(feature = "process", not(loom)))]
mod process;
#[cfg(not(loom))]
mod produce;
mod restart;
mod run;
mod runtime;
mod scope;
#[cfg(all(feature = "signal", not(loom)))]
mod signal;
mod spawning;
mod start;
mod stats;
mod supervise;
#[cfg(not(loom))]
pub mod sync;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
#[cfg(all(feature = "timeline", not(any(loom, shuttle))))]
pub mod timeline;
mod timeout;
mod trace;
pub mod tree;
#[cfg(all(feature = "watchdog", not(any(loom, shuttle))))]
pub mod watchdog;

pub use blocking::unblock;
pub use boundary::Boundary;
pub use cancel::{
    CancelKind, CancelReason, CancelScope, cancelled, checkpoint, current_deadline, is_cancelled,
    is_shutting_down, shield,
};
pub use cleanup::{Deferred, bracket, defer};
pub use collect::{
    AsCompleted, IntoItems, MapConcurrent, ReturnWhen, as_completed, gather, gather_settled,
    map_concurrent, race, race_ok, wait,
};
#[cfg(all(feature = "rayon", not(loom)))]
pub use compute::compute;
#[cfg(all(unix, feature = "signal", not(loom)))]
pub use dump::DumpSignal;
#[doc(hidden)]
pub use error::Returns;
pub use error::{
    BoxError, Cancelled, CleanupFailure, Failure, GroupError, IntoOutcome, IntoRelease, JoinError,
    StartError, TaskError, TimedOut, TrySpawnError,
};
pub use group::{TaskGroup, group};
pub use handle::{JoinHandle, TaskId};
pub use kernel::blocking::BlockingToken;
#[cfg(all(feature = "task-locals", not(any(loom, shuttle))))]
pub use local::Local;
pub use options::Options;
pub use panics::Suppressed;
#[cfg(all(feature = "process", not(loom)))]
pub use process::{Process, spawn_process};
#[cfg(not(loom))]
pub use produce::{Feed, Produced};
pub use restart::{Restart, RestartError, Restarts};
pub use run::run;
pub use scope::{Scope, scope};
pub use spawning::GroupStats;
pub use start::Started;
pub use stats::{Stats, stats};
pub use supervise::{SupervisedHandle, Supervisor, supervise};
pub use time::Instant;
pub use timeout::{move_on_after, timeout, timeout_at};
pub use tree::{TaskTree, record_times, tree};

/// The traits of futures-concurrency, for inline joins, races and merges: `use headcount::prelude::*`.
/// Needs the feature `futures-concurrency`, which is on by default.
///
/// What such a race drops half-way is safe here: the boundary around waits for what it had started.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// use headcount::{prelude::*, time::sleep};
/// use std::time::Duration;
///
/// headcount::run(async |_| {
///     let both = (async { 1 }, async { 2 }).join().await;
///     assert_eq!(both, (1, 2));
///     let quick = (async { "quick" }, async { sleep(Duration::from_secs(9)).await; "slow" });
///     assert_eq!(quick.race().await, "quick");
///     Ok(())
/// })
/// # }
/// ```
#[cfg(all(feature = "futures-concurrency", not(loom)))]
pub mod prelude {
    pub use futures_concurrency::prelude::*;
}

#[doc = include_str!("../docs/cancellation.md")]
pub mod cancellation {}

#[doc = include_str!("../docs/debugging.md")]
pub mod debugging {}

#[cfg(not(loom))]
#[doc = include_str!("../docs/from-asyncio.md")]
pub mod from_asyncio {}

#[doc = include_str!("../docs/recipes.md")]
pub mod recipes {}

#[cfg(not(loom))]
#[doc = include_str!("../docs/streams.md")]
pub mod streams {}

#[cfg(all(feature = "tracing", not(any(loom, shuttle))))]
#[doc = include_str!("../docs/traces.md")]
pub mod traces {}
