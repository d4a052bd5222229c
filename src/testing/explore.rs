//! Running a test under many schedules.

use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

use super::sim::{Failure, Sim};

/// Names the one seed to run, instead of all.
const VARIABLE: &str = "HEADCOUNT_SEED";

/// Runs the future that `f` makes in a simulation for each of the seeds, until one fails.
///
/// If the environment variable `HEADCOUNT_SEED` is set, only that seed runs: this is how a failure
/// is replayed.
///
/// # Panics
///
/// With the failure of the first simulation that fails, after telling its seed; without any seeds;
/// and if `HEADCOUNT_SEED` is not a number.
///
/// ```
/// use headcount::{testing::explore, time::sleep};
/// use std::time::Duration;
///
/// explore(0..100, || async {
///     sleep(Duration::from_secs(1)).await;
/// });
/// ```
#[track_caller]
pub fn explore<Fut>(seeds: impl IntoIterator<Item = u64>, f: impl Fn() -> Fut)
where
    Fut: Future<Output = ()> + Send + 'static,
{
    let only = chosen(std::env::var_os(VARIABLE));
    explore_all(only, seeds, Location::caller(), f);
}

#[track_caller]
pub(super) fn explore_all<Fut>(
    only: Option<u64>,
    seeds: impl IntoIterator<Item = u64>,
    location: &'static Location<'static>,
    f: impl Fn() -> Fut,
) where
    Fut: Future<Output = ()> + Send + 'static,
{
    if let Some(seed) = only {
        return attempt(seed, location, &f);
    }
    let mut any = false;
    for seed in seeds {
        any = true;
        attempt(seed, location, &f);
    }
    assert!(
        any,
        "`explore` was given no seeds, so it would check nothing: pass a range such as 0..100"
    );
}

/// The seed that the environment asks for.
#[track_caller]
pub(super) fn chosen(variable: Option<std::ffi::OsString>) -> Option<u64> {
    let variable = variable.filter(|value| !value.is_empty())?;
    match variable.to_str().map(str::parse) {
        Some(Ok(seed)) => Some(seed),
        _ => panic!("{VARIABLE} has to be a number from 0 to 2^64-1, and is {variable:?}"),
    }
}

#[track_caller]
fn attempt<Fut>(seed: u64, location: &'static Location<'static>, f: &impl Fn() -> Fut)
where
    Fut: Future<Output = ()> + Send + 'static,
{
    // Making the future is part of the test.
    let outcome = catch_unwind(AssertUnwindSafe(|| Sim::new(seed).simulate(location, f())));
    let failure = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(failure)) => failure,
        Err(payload) => Failure::Panicked(payload),
    };
    eprintln!("{}", advice(seed, location));
    match failure {
        Failure::Panicked(payload) => resume_unwind(payload),
        stuck => stuck.raise(),
    }
}

pub(super) fn advice(seed: u64, location: &Location<'_>) -> String {
    format!(
        "headcount::testing::explore at {location}: seed {seed} failed. Set {VARIABLE}={seed} to \
         run it alone, or replace the call by Sim::new({seed}).run(..)."
    )
}
