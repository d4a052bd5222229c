//! Running a test under many schedules.

use std::ffi::OsString;
use std::future::Future;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

use super::sim::{Failure, Sim};

/// Says which seeds to run instead.
const VARIABLE: &str = "HEADCOUNT_SEED";

/// Runs the future that `f` makes in a simulation for each of the seeds, until one fails.
///
/// If the environment variable `HEADCOUNT_SEED` is set, it says which seeds run instead, in every
/// call of this function:
///
/// - a number, `HEADCOUNT_SEED=17`, runs that seed: this is how a failure is replayed;
/// - a range without its end, `HEADCOUNT_SEED=0..10000`, runs those: fewer while you work, more in a
///   nightly job.
///
/// # Panics
///
/// With the failure of the first simulation that fails, after telling its seed; without any seeds;
/// and if `HEADCOUNT_SEED` is neither a number nor a range with something in it.
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
    let asked = asked_for(std::env::var_os(VARIABLE));
    explore_all(asked, seeds, Location::caller(), f);
}

#[track_caller]
pub(super) fn explore_all<Fut>(
    asked: Option<RangeInclusive<u64>>,
    seeds: impl IntoIterator<Item = u64>,
    location: &'static Location<'static>,
    f: impl Fn() -> Fut,
) where
    Fut: Future<Output = ()> + Send + 'static,
{
    if let Some(seeds) = asked {
        return seeds.for_each(|seed| attempt(seed, location, &f));
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

/// The seeds that the environment asks for.
#[track_caller]
pub(super) fn asked_for(variable: Option<OsString>) -> Option<RangeInclusive<u64>> {
    let variable = variable.filter(|value| !value.is_empty())?;
    let seeds = variable
        .to_str()
        .and_then(|text| match text.split_once("..") {
            None => text.parse().ok().map(|seed| seed..=seed),
            Some((start, end)) => {
                let (start, end) = (start.parse().ok()?, end.parse::<u64>().ok()?);
                (start < end).then(|| start..=end - 1)
            }
        });
    if seeds.is_none() {
        panic!(
            "{VARIABLE} has to be a number from 0 to 2^64-1, or a range like 0..100, and is \
             {variable:?}"
        );
    }
    seeds
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
