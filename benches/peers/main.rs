//! headcount against what one would use without it, on as many threads.
//!
//! `cargo bench --bench peers`, and after `--`: `--quick` for a short run that only shows that it
//! works, parts of names to measure only those, `--svg FOLDER` to write a plot.
//!
//! What is compared are ratios, ours by theirs, each taken within one round in which both ran one
//! right after the other, in one process: a machine that is slow for a while is then slow for both.
//! The median is the result; the lowest and the highest round show how far to trust it. Each line has a
//! process of its own, so that it does not depend on what heap the lines before it have left.

use std::{
    env,
    process::{Command, Stdio},
    thread,
};

use async_std::task;

use arguments::Arguments;
use contest::{Effort, Measured};
use contests::CONTESTS;

#[path = "../support/arguments.rs"]
mod arguments;
mod contest;
mod contests;
mod plot;
mod report;
#[path = "../support/svg.rs"]
mod svg;
#[allow(dead_code, reason = "the other bench uses the rest")]
#[path = "../support/work/mod.rs"]
mod work;

const FULL: Effort = Effort {
    count: 100_000,
    warm_ups: 2,
    rounds: 11,
};

const QUICK: Effort = Effort {
    count: 5_000,
    warm_ups: 1,
    rounds: 3,
};

fn main() {
    let arguments = Arguments::parse();
    let effort = if arguments.quick { QUICK } else { FULL };
    if let Some(alone) = &arguments.alone {
        return measure_alone(alone, &effort);
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!(
        "note {} worker threads on {cores} cores; {} children or futures, {} rounds",
        work::worker_threads(),
        effort.count,
        effort.rounds
    );
    let mut results = Vec::new();
    for contest in CONTESTS {
        if !arguments.wants(contest.name) {
            continue;
        }
        let measured = Measured::read(&elsewhere(contest.name, arguments.quick));
        let (low, high) = measured.range();
        let ratio = measured.ratio();
        println!("ratio {} {ratio:.3} {low:.3} {high:.3}", contest.name);
        results.push((contest, measured));
    }
    println!("\n{}", report::table(&results));
    println!("{}", report::chart(&results));
    arguments.plot("peers.svg", || plot::ratios(&results));
}

/// What the rounds of one contest gave in a process of its own.
fn elsewhere(name: &str, quick: bool) -> String {
    let program = env::current_exe().expect("the path of this program");
    let mut command = Command::new(program);
    command.args(["--alone", name]).stderr(Stdio::inherit());
    if quick {
        command.arg("--quick");
    }
    let output = command.output().expect("this program could not be started");
    assert!(output.status.success(), "{name}: {}", output.status);
    String::from_utf8(output.stdout).expect("numbers")
}

fn measure_alone(name: &str, effort: &Effort) {
    // Whoever uses the executor below async-std before async-std does settles how many threads it has.
    task::block_on(async {});
    let contest = CONTESTS.iter().find(|contest| contest.name == name);
    for (ours, theirs) in contest::measure(contest.expect("a name of one"), effort) {
        println!("{ours} {theirs}");
    }
}
