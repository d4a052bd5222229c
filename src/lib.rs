#![doc = include_str!("../README.md")]

mod blocking;
mod boundary;
mod cancel;
mod cleanup;
mod collect;
mod conclude;
mod error;
mod group;
mod handle;
mod kernel;
mod options;
mod panics;
mod restart;
mod run;
mod runtime;
mod scope;
#[cfg(all(feature = "signal", not(loom)))]
mod signal;
mod spawning;
mod start;
mod supervise;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
mod timeout;

pub use blocking::unblock;
pub use boundary::Boundary;
pub use cancel::{
    CancelKind, CancelReason, CancelScope, cancelled, checkpoint, current_deadline, is_cancelled,
    is_shutting_down, shield,
};
pub use cleanup::{Deferred, bracket, defer};
pub use collect::{ReturnWhen, gather, gather_settled, race, race_ok, wait};
#[doc(hidden)]
pub use error::Returns;
pub use error::{
    BoxError, Cancelled, CleanupFailure, Failure, GroupError, IntoOutcome, IntoRelease, JoinError,
    StartError, TaskError, TimedOut, TrySpawnError,
};
pub use group::{TaskGroup, group};
pub use handle::{JoinHandle, TaskId};
pub use kernel::blocking::BlockingToken;
pub use options::Options;
pub use panics::Suppressed;
pub use restart::{Restart, RestartError, Restarts};
pub use run::run;
pub use scope::{Scope, scope};
pub use spawning::GroupStats;
pub use start::Started;
pub use supervise::{SupervisedHandle, Supervisor, supervise};
pub use time::Instant;
pub use timeout::{move_on_after, timeout, timeout_at};

#[doc = include_str!("../docs/cancellation.md")]
pub mod cancellation {}

#[doc = include_str!("../docs/recipes.md")]
pub mod recipes {}
