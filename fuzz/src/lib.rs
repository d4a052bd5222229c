//! What the fuzz targets do with their input: they make a program of it, run it, and ask the oracle
//! of `tests/programs`.

#[path = "../../tests/programs/mod.rs"]
pub mod programs;

use std::{panic, process, sync::Once};

use arbitrary::Unstructured;

use programs::{
    engine::{on_threads, simulate},
    generate::{Choose, program},
    grammar::Program,
    interpret::Pace,
    oracle::complaints,
};

struct Input<'a>(Unstructured<'a>);

impl Choose for Input<'_> {
    fn below(&mut self, n: u32) -> u32 {
        // When the input is at its end, this is 0.
        self.0.int_in_range(0..=n - 1).unwrap_or(0)
    }
}

/// The first bytes are the seed of the schedule, the others are the choices that make the program.
/// Aborts if what comes out is wrong.
pub fn in_the_simulator(input: &[u8]) {
    leave_panics_to_the_engine();
    let mut input = Input(Unstructured::new(input));
    let seed = input.below(1 << 16);
    let program = program(&mut input);
    if let Err(what) = simulate(&program, seed.into()) {
        fail(&what, &program);
    }
}

/// As `in_the_simulator`, on async-std. All bytes make the program.
pub fn on_real_threads(input: &[u8]) {
    let program = program(&mut Input(Unstructured::new(input)));
    let entries = on_threads(&program).entries();
    if let Some(what) = complaints(&program, &entries, Pace::Hurried) {
        fail(&what, &program);
    }
}

/// libFuzzer's hook aborts at any panic, also at a deadlock of which the engine knows that it is right.
fn leave_panics_to_the_engine() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| panic::set_hook(Box::new(|info| eprintln!("{info}"))));
}

fn fail(what: &str, program: &Program) -> ! {
    eprintln!("{what}\n\n{program}");
    process::abort();
}
