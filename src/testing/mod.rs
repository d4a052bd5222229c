//! The deterministic simulator, for tests (feature `testing`).
//!
//! [`Sim`] runs a future, and everything it spawns, on the calling thread. A seed decides who is
//! polled next, so one seed is one schedule: a failing test prints its seed, and the seed replays
//! it. [`explore`] tries many. The clock is virtual: it stands still while anything can run, and
//! jumps to the next timer when nothing can, so a test over hours takes no time.
//!
//! ```
//! use headcount::{Instant, testing::Sim, time::sleep};
//! use std::time::Duration;
//!
//! let took = Sim::new(7).run(async {
//!     let start = Instant::now();
//!     sleep(Duration::from_secs(24 * 3600)).await;
//!     start.elapsed()
//! });
//! assert_eq!(took, Duration::from_secs(24 * 3600));
//! ```
//!
//! Beside the two: [`Sequencer`] makes tasks take turns, [`wait_all_blocked`] waits until what was
//! set off has come to rest, [`assert_no_orphans`] finds who was left behind,
//! [`assert_checkpoints`] and [`assert_no_checkpoints`] tell where others may run. The
//! [guide] puts them together.
//!
//! # What replays
//!
//! What waits through this crate, but for two of its locks. A seed gives the same schedule on every machine; a new
//! version of the crate may change it. What the simulator does not control does not replay:
//!
//! - Threads that the test starts itself, the system's clock, addresses, and the order of a `HashMap`.
//! - A [`Mutex`](crate::sync::Mutex) for which several tasks wait, and an [`RwLock`](crate::sync::RwLock) which several
//!   want to write or to read upgradably. They come from async-lock, as those of `async_std::sync` do, and there who
//!   has waited for half a millisecond of *real* time goes first.
//! - `select!` of futures, `futures_util::select!` and `stream_select!`, which draw from a random number generator of the
//!   thread. Take `select_biased!`, `futures_util::future::select` or the `race` of the prelude.
//!
//! # What hangs
//!
//! A simulation reports a deadlock, a livelock and an endless run. It cannot report what never gives the thread back: a
//! task that loops without an await, a task that blocks its thread, and what the next section names.
//!
//! # Blocking closures
//!
//! They run on threads of their own, but in strict hand-off: either the executor runs or exactly
//! one closure. A closure gives the others a turn when it asks its token for cancellation, and
//! while it is blocked in a nested `run`. It must not wait in another way for something that
//! another task or closure does (a lock, a channel, a barrier): the other one never gets its turn. Nor may a
//! computation wait for pieces of its own that ask the token on rayon's threads until it says yes: there the question
//! gives nobody a turn.
//!
//! Time stands still while a closure runs. A closure that asks its token again and again in order
//! to wait for a deadline would therefore never see it: after 10,000 questions in a row during
//! which nothing else could run, the clock moves on to the next timer.
//!
//! # Outside events
//!
//! Other threads may wake a simulated task, but the simulator does not wait for them: when nothing
//! can run and no timer is set, it reports a deadlock. A task that waits for real I/O shows up
//! there. Often that is not a socket but `async_std::task::sleep`, `async_std::future::timeout` or
//! `async_std::fs`: take [`time`](crate::time), [`timeout`](crate::timeout()) and [`unblock`](crate::unblock()).

mod blocked;
mod checkpoints;
mod clock;
mod executor;
mod explore;
mod inside;
mod orphans;
mod random;
mod report;
mod schedule;
mod sequencer;
pub(crate) mod sim;
mod state;
#[cfg(test)]
mod tests;
mod threads;

#[doc = include_str!("../../docs/testing.md")]
pub mod guide {}

pub use blocked::wait_all_blocked;
pub use checkpoints::{assert_checkpoints, assert_no_checkpoints};
pub use explore::explore;
pub use inside::{elapsed, seed};
pub use orphans::assert_no_orphans;
pub use sequencer::{Sequencer, Turn};
pub use sim::Sim;
