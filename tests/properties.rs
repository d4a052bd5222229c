//! Random programs under the simulator: what comes out is what the rules say.
//!
//! `PROGRAMS` is how many programs are run, each under one schedule; the default takes some twenty
//! seconds. Many more:
//!
//! ```console
//! $ PROGRAMS=100000 cargo test --release --test properties
//! ```
//!
//! What fails is made as small as possible, and printed as text with its seed. Its random seed is
//! saved in `tests/properties.regressions`, and tried first in every later run.
#![cfg(not(loom))]

mod programs;

#[path = "properties/strategy.rs"]
mod strategy;

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering},
};

use headcount::testing::Sim;
use proptest::test_runner::{
    Config, FileFailurePersistence, TestCaseError, TestError, TestRunner,
};

use programs::{
    interpret::{Pace, execute},
    ledger::Ledger,
    oracle,
};
use strategy::{Case, Cases};

const PROGRAMS: u32 = 10_000;
/// Under how many schedules a program is tried that may be a simpler one that fails.
const SCHEDULES: u64 = 40;

#[test]
fn what_comes_out_of_a_random_program_is_what_the_rules_say() {
    let cases = env::var("PROGRAMS").map_or(PROGRAMS, |n| n.parse().unwrap());
    let mut runner = TestRunner::new(Config {
        cases,
        max_shrink_iters: 100_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/properties.regressions",
        ))),
        source_file: Some(file!()),
        ..Config::default()
    });
    let shrinking = AtomicBool::new(false);
    let result = runner.run(&Cases, |case| {
        let schedules = match shrinking.load(Ordering::Relaxed) {
            true => SCHEDULES,
            false => 1,
        };
        let wrong = (0..schedules).find_map(|n| wrong_with(&case, case.seed + n));
        match wrong {
            None => Ok(()),
            Some(what) => {
                shrinking.store(true, Ordering::Relaxed);
                Err(TestCaseError::fail(what))
            }
        }
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(what, case)) => panic!("{what}\n\n{}", case.program),
        Err(error) => panic!("{error}"),
    }
}

/// Runs the program under that schedule, and says what is wrong.
fn wrong_with(case: &Case, seed: u64) -> Option<String> {
    let program = case.program.clone();
    let run = move || {
        Sim::new(seed).max_steps(1_000_000).run(async move {
            let ledger = Ledger::open();
            execute(program, Pace::Virtual, ledger.clone()).await;
            ledger
        })
    };
    let ledger = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(ledger) => ledger,
        Err(payload) => {
            let text = payload.downcast_ref::<String>().cloned();
            let text = text.or_else(|| payload.downcast_ref::<&str>().map(|s| s.to_string()));
            return Some(format!("seed {seed}: {}", text.unwrap_or_default()));
        }
    };
    let complaints = oracle::check(&case.program, &ledger.entries(), Pace::Virtual);
    if complaints.is_empty() {
        return None;
    }
    Some(format!("seed {seed}:\n  {}", complaints.join("\n  ")))
}

/// How many of the programs the reference knows every time of, so that it is not idle.
#[test]
fn the_reference_knows_a_good_part_of_the_programs() {
    let known = (0..=255)
        .filter(|seed| programs::reference::predict(&strategy::program_of(*seed)).is_some())
        .count();
    assert!(known > 64, "{known} of 256");
}
