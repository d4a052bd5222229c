//! Random programs: what comes out of them is what the rules say.
//!
//! In the simulator each runs under one schedule. They are the same ones in every run, unless
//! `PROGRAMS_SEED` says another number; `PROGRAMS` is how many. Many more are run by
//!
//! ```console
//! $ PROGRAMS_SEED=2 PROGRAMS=100000 cargo test --release --test properties
//! ```
//!
//! What fails is made as small as possible, and printed as text with its seed. Its random seed is
//! saved in `tests/properties.regressions`, and tried first in every later run.
#![cfg(not(loom))]

mod programs;

#[path = "properties/strategy.rs"]
mod strategy;
#[path = "it/support/workers.rs"]
mod workers;

use std::{
    collections::VecDeque,
    env,
    fmt::Debug,
    str::FromStr,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use proptest::test_runner::{
    Config, FileFailurePersistence, RngSeed, TestCaseError, TestError, TestRunner,
};

use programs::{
    engine::{on_threads, simulate},
    grammar::Program,
    interpret::Pace,
    ledger::Ledger,
    oracle::complaints,
    reference,
};
use strategy::{Cases, program_of};
use workers::on_workers;

/// Of the default run.
const PROGRAMS: u32 = 10_000;
/// Under how many schedules a program is tried that may be a simpler one that fails.
const SCHEDULES: u64 = 40;

#[test]
fn what_comes_out_of_a_random_program_is_what_the_rules_say() {
    let mut runner = TestRunner::new(Config {
        cases: programs_wanted(PROGRAMS),
        max_shrink_iters: 100_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/properties.regressions",
        ))),
        source_file: Some(file!()),
        // So that a run says the same again, here and elsewhere.
        rng_seed: RngSeed::Fixed(number("PROGRAMS_SEED", 1)),
        ..Config::default()
    });
    let shrinking = AtomicBool::new(false);
    let right = AtomicU32::new(0);
    let result = runner.run(&Cases, |case| {
        let schedules = match shrinking.load(Ordering::Relaxed) {
            true => SCHEDULES,
            false => 1,
        };
        let mut seeds = case.seed..case.seed + schedules;
        match seeds.try_for_each(|seed| simulate(&case.program, seed)) {
            Ok(()) => {
                right.fetch_add(
                    1 - u32::from(shrinking.load(Ordering::Relaxed)),
                    Ordering::Relaxed,
                );
                Ok(())
            }
            Err(what) => {
                shrinking.store(true, Ordering::Relaxed);
                Err(TestCaseError::fail(what))
            }
        }
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(what, case)) => {
            let right = right.into_inner();
            panic!(
                "after {right} programs, made as small as possible: {what}\n\n{}",
                case.program
            )
        }
        Err(error) => panic!("{error}"),
    }
}

/// On real threads only what holds for every schedule and every clock is looked at.
#[test]
fn what_comes_out_on_real_threads_is_what_the_rules_say() {
    /// So many programs back, it is seen whether anything has happened after the end.
    const LATER: usize = 20;
    on_workers(
        "what_comes_out_on_real_threads_is_what_the_rules_say",
        || {
            let mut latest: VecDeque<(Program, Ledger)> = VecDeque::new();
            let many = u64::from(programs_wanted(1000));
            let first = number("PROGRAMS_SEED", 0_u64).wrapping_mul(many);
            for seed in first..first.saturating_add(many) {
                let program = program_of(seed);
                let ledger = on_threads(&program);
                latest.push_back((program, ledger));
                let looked_at = [latest.len().checked_sub(1), latest.len().checked_sub(LATER)];
                for (program, ledger) in looked_at.into_iter().flatten().map(|n| &latest[n]) {
                    if let Some(what) = complaints(program, &ledger.entries(), Pace::Hurried) {
                        panic!("{what}\n\n{program}");
                    }
                }
                if latest.len() == LATER {
                    latest.pop_front();
                }
            }
        },
    );
}

/// The reference gives up where the schedule decides; that must not be everywhere.
#[test]
fn the_reference_knows_every_time_of_a_third_of_the_programs() {
    let known = (0..3000).filter(|seed| reference::predict(&program_of(*seed)).is_some());
    let known = known.count();
    assert!(known >= 1000, "{known} of 3000");
}

fn programs_wanted(usually: u32) -> u32 {
    number("PROGRAMS", usually)
}

/// What an environment variable says.
fn number<N: FromStr<Err: Debug>>(variable: &str, usually: N) -> N {
    env::var(variable).map_or(usually, |n| n.parse().unwrap())
}
