//! The simulator's face.

use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use super::clock::Timer;
use super::executor::{Ending, Executor, discard};
pub(crate) use super::state::Core;
use super::state::Payload;
use super::threads::{RoleGuard, simulated};
use crate::kernel::context;
use crate::runtime::{Label, Runtime};

/// Polls at one instant of virtual time before a simulation counts as a livelock.
const MAX_STEPS: u64 = 10_000_000;

/// A deterministic simulation of a program: one thread, a virtual clock, and a schedule that the
/// seed decides. See the [module](crate::testing).
///
/// ```
/// use headcount::{testing::Sim, time::sleep};
/// use std::time::Duration;
///
/// let answer = Sim::new(1).run(async {
///     sleep(Duration::from_secs(3600)).await;
///     42
/// });
/// assert_eq!(answer, 42);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a simulation does nothing until it is run"]
pub struct Sim {
    seed: u64,
    max_steps: u64,
}

/// Why a simulation has no output.
pub(super) enum Failure {
    Stuck(String),
    Panicked(Payload),
}

impl Failure {
    /// Panics as the simulation did.
    #[track_caller]
    pub(super) fn raise(self) -> ! {
        match self {
            Failure::Stuck(report) => panic!("{report}"),
            Failure::Panicked(payload) => resume_unwind(payload),
        }
    }
}

impl Sim {
    /// A simulation with this seed.
    ///
    /// ```
    /// use headcount::testing::Sim;
    ///
    /// for seed in 0..10 {
    ///     Sim::new(seed).run(async { /* the test */ });
    /// }
    /// ```
    pub fn new(seed: u64) -> Self {
        Sim {
            seed,
            max_steps: MAX_STEPS,
        }
    }

    /// Sets how many polls, and questions of blocking closures to their tokens, may happen while
    /// virtual time stands still, before the simulation is taken for a livelock and fails. Ten
    /// million unless told otherwise; a turn of a closure counts as fifty.
    ///
    /// Ten times as many may happen in all, so that a heartbeat does not keep a test alive for ever
    /// whose main future is stuck. After the main future has ended, the bound holds for all that
    /// its leftover closures still do. Closures that wait for a deadline by asking their tokens
    /// need up to half a million for each instant (see the [module](crate::testing)).
    ///
    /// ```should_panic
    /// use headcount::{testing::Sim, time::sleep};
    /// use std::time::Duration;
    ///
    /// Sim::new(0).max_steps(1000).run(async {
    ///     loop {
    ///         sleep(Duration::ZERO).await;
    ///     }
    /// });
    /// ```
    pub fn max_steps(mut self, steps: u64) -> Self {
        self.max_steps = steps;
        self
    }

    /// Runs `fut`, and everything that it spawns, on this thread, and returns its output.
    ///
    /// When `fut` has ended, blocking closures that still run are let run to their end, and the
    /// tasks that are left are destroyed. When `run` returns or panics, nothing of the simulation
    /// is left, no thread either.
    ///
    /// # Panics
    ///
    /// A failed simulation shows its seed and panics, after it has destroyed all its futures:
    ///
    /// - with the panic of `fut`, or of anything else that panicked, unchanged;
    /// - on a deadlock (nothing can run, no timer is set), with the list of who waits, where each
    ///   was spawned, and the virtual time. It does not wait for other threads, so a task that
    ///   waits for real I/O shows up there;
    /// - on a livelock or an endless run (see [`max_steps`](Sim::max_steps)), with that list too.
    ///
    /// It also panics when called inside a task or another simulation.
    ///
    /// ```should_panic
    /// use headcount::testing::Sim;
    ///
    /// // Panics with: deadlock at 0ns of virtual time, seed 3: nothing can run and no timer is set.
    /// Sim::new(3).run(std::future::pending::<()>());
    /// ```
    #[track_caller]
    pub fn run<F>(self, fut: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self.simulate(Location::caller(), fut) {
            Ok(output) => output,
            Err(failure) => failure.raise(),
        }
    }

    #[track_caller]
    pub(super) fn simulate<F>(
        self,
        location: &'static Location<'static>,
        fut: F,
    ) -> Result<F::Output, Failure>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        assert!(
            !simulated(),
            "`Sim::run` was called inside a simulation: call it from a plain test function, and \
             here await the future itself"
        );
        assert!(
            !Runtime::inside_task(),
            "`Sim::run` was called inside a task, whose thread it would block: call it from a plain \
             test function (`#[test]`, not `#[async_std::test]`)"
        );
        let core = Core::new(self.seed, self.max_steps);
        let output = Arc::new(Mutex::new(None));
        let main = {
            let output = output.clone();
            async move {
                let value = fut.await;
                *output.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            }
        };
        let label = Label {
            name: None,
            location,
        };
        core.spawn(label, Box::pin(main));
        let ending = {
            let _role = RoleGuard::enter(core.clone(), None);
            context::with_runtime(&Runtime::Sim(core.clone()), || Executor::new(core).run())
        };
        let value = output.lock().unwrap_or_else(PoisonError::into_inner).take();
        let failure = match (ending, value) {
            (Ending::Finished, Some(value)) => return Ok(value),
            (Ending::Finished, None) => unreachable!("the main future has ended"),
            (Ending::Stuck(report), value) => {
                drop_quietly(value);
                Failure::Stuck(report)
            }
            (Ending::Panicked(payload), value) => {
                drop_quietly(value);
                Failure::Panicked(payload)
            }
        };
        eprintln!("headcount::testing::Sim: seed {}", self.seed);
        Err(failure)
    }
}

/// The simulation has failed already, and can fail only once.
fn drop_quietly<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        discard(payload);
    }
}
