//! What code can ask the simulation that it runs in.

use std::sync::Arc;
use std::time::Duration;

use super::state::Core;
use crate::kernel::context;
use crate::runtime::Runtime;

/// The simulation around. `what` is the public name that needs one.
#[track_caller]
pub(super) fn simulation(what: &str) -> Arc<Core> {
    match context::runtime() {
        Runtime::Sim(core) => core,
        _ => panic!(
            "`headcount::testing::{what}` was used outside of a simulation: run the test with \
             `Sim::run` or `explore`, and use it in the future that they run"
        ),
    }
}

/// The virtual time since the simulation began.
///
/// Reading it moves nothing. Time moves by itself, when every task is blocked, to the next timer;
/// so a test that wants it to move sleeps.
///
/// # Panics
///
/// Outside of a simulation.
///
/// ```
/// use headcount::{testing::{Sim, elapsed}, time::sleep};
/// use std::time::Duration;
///
/// Sim::new(0).run(async {
///     assert_eq!(elapsed(), Duration::ZERO);
///     sleep(Duration::from_secs(3)).await;
///     assert_eq!(elapsed(), Duration::from_secs(3));
/// });
/// ```
#[track_caller]
pub fn elapsed() -> Duration {
    simulation("elapsed").now().since_epoch()
}

/// The seed of the simulation: for the generator of what the test itself draws at random, so that
/// one number replays all of it.
///
/// # Panics
///
/// Outside of a simulation.
///
/// ```
/// use headcount::testing::{Sim, seed};
///
/// assert_eq!(Sim::new(7).run(async { seed() }), 7);
/// ```
#[track_caller]
pub fn seed() -> u64 {
    simulation("seed").seed
}
