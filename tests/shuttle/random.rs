//! Random programs: small ones of those that `tests/properties.rs` runs, each under many schedules,
//! and with the same oracle.
//!
//! A failure shows the program, as small as it could be made; the same run finds it again.
//! `SHUTTLE_SCHEDULES` scales the number of programs and of schedules; with another
//! `SHUTTLE_RANDOM_SEED` both are others.

use std::ops::Range;

use shuttle::thread;

use crate::{
    engine::{Choice, block_on, find, schedules},
    programs::{
        generate::{self, Choose},
        grammar::Program,
        interpret::{Pace, execute},
        ledger::Ledger,
        oracle::complaints,
        shrink::simpler,
    },
};

/// Of the schedules that a program of its own has, a random one has a part: there are more of them.
const PART: usize = 100;
/// Under how many schedules a program is tried that may be a simpler one that fails.
const TRIES: usize = 300;

/// SplitMix64.
struct Random(u64);

impl Choose for Random {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % u64::from(n)) as u32
    }
}

/// Under every schedule what comes out is what the rules say.
fn obeys(program: &Program) -> impl Fn() + Send + Sync + Clone + use<> {
    /// For what would come after the end.
    const LATER: usize = 5;
    let program = program.clone();
    move || {
        // A program without children leaves no choice, which PCT takes for a mistake.
        let other = thread::spawn(thread::yield_now);
        let ledger = Ledger::open();
        block_on(execute(program.clone(), Pace::Interleaved, ledger.clone()));
        other.join().expect("it does nothing");
        for _ in 0..LATER {
            thread::yield_now();
        }
        if let Some(what) = complaints(&program, &ledger.entries(), Pace::Interleaved) {
            panic!("{what}\n\n{program}");
        }
    }
}

/// The numbers of the programs.
fn programs(many: usize) -> Range<u64> {
    let seed = std::env::var("SHUTTLE_RANDOM_SEED").map_or(0, |seed| seed.parse().unwrap());
    let (seed, many): (u64, u64) = (seed, many as u64);
    seed * many..(seed + 1) * many
}

/// Tries the programs, and makes the first that fails as small as possible.
fn all_obey(many: usize, steps: u32, choices: &[Choice]) {
    for number in programs(many) {
        let mut program = generate::small(&mut Random(number), steps);
        for &choice in choices {
            let Some(mut what) = find(choice, obeys(&program)) else {
                continue;
            };
            let again = match choice {
                Choice::Random(_) => Choice::Random(TRIES),
                Choice::Pct(_) => Choice::Pct(TRIES),
                other => other,
            };
            while let Some((simpler, found)) = simpler(&program)
                .into_iter()
                .find_map(|simpler| find(again, obeys(&simpler)).map(|found| (simpler, found)))
            {
                (program, what) = (simpler, found);
            }
            panic!("program {number}, {choice:?}, made as small as possible: {what}\n\n{program}");
        }
    }
}

#[test]
fn what_comes_out_of_a_random_program_is_what_the_rules_say() {
    let schedules = (schedules() / PART).max(1);
    let choices = [Choice::Random(schedules), Choice::Pct(schedules)];
    all_obey(20 * schedules, 10, &choices);
}

/// In full where that is soon done, otherwise the beginning.
#[test]
fn what_comes_out_of_a_tiny_program_is_what_the_rules_say() {
    let schedules = schedules() / PART;
    let first = Choice::First {
        preemptions: 1,
        schedules: 20 * schedules.max(1),
    };
    all_obey(3 * schedules.max(1), 4, &[first]);
}
