//! What the fuzz targets do with their input: they make a program of it, run it, and ask the oracle
//! of `tests/programs`.

#[path = "../../tests/programs/mod.rs"]
pub mod programs;

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
/// Panics if what comes out is wrong.
pub fn in_the_simulator(input: &[u8]) {
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

fn fail(what: &str, program: &Program) -> ! {
    panic!("{what}\n\n{program}");
}
