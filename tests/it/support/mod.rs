//! Helpers of the contract tests.

mod fail;
mod futures;
mod layers;
mod ledger;
mod logged;
mod real;
mod tracked;
mod wakers;
mod workers;

pub use fail::{Named, Oops, done, message, ok};
pub use futures::{
    Gate, PanicOnDrop, PollCount, Relay, catch, drops_later_panicking, ends_and_panics_later,
    poll_for, poll_once, yield_now,
};
pub use layers::{Boxed, Layer, nested, nested_with_owners, nestings, shielded_sleep};
pub use ledger::Ledger;
pub use logged::{PANICS, logged};
pub use real::{Flag, block_on, spin_until};
pub use tracked::{Census, Tracked};
pub use wakers::{BadWaker, LeftTask};
pub use workers::{on_these_workers, on_workers};

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

/// How many schedules of the simulator every case is tried under.
pub const SEEDS: u64 = 500;

/// Under how many schedules each of many nestings is tried.
pub const FEW: u64 = 8;

/// How many openings stand one inside the other where polls recurse (case 37). In a debug build the calls
/// that tracing adds take as much of the stack again.
pub const INLINE: usize = if cfg!(feature = "tracing") { 250 } else { 500 };

/// So many virtual seconds.
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// So many virtual milliseconds.
pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Runs the program that `program` makes once under each of `seeds` schedules.
pub fn sim<F, Fut>(seeds: u64, program: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    for seed in 0..seeds {
        let root = program();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            headcount::testing::Sim::new(seed).run(root);
        }));
        if let Err(payload) = outcome {
            eprintln!("the failing seed is {seed}");
            resume_unwind(payload);
        }
    }
}
