//! headcount against what one would use without it, in one process and on as many threads.
//!
//! `cargo bench --bench peers`, and after `--`: `--quick` for a short run that only shows that it
//! works, parts of names to measure only those, `--svg FOLDER` to write a plot.
//!
//! What is compared are ratios, ours by theirs, each taken within one round in which both ran one
//! right after the other: a machine that is slow for a while is then slow for both. The median is
//! the result; the lowest and the highest round show how far to trust it.

use std::thread;

use async_std::task;

use arguments::Arguments;
use contest::Effort;
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
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!(
        "note {} worker threads on {cores} cores; {} children or futures, {} rounds",
        work::worker_threads(),
        effort.count,
        effort.rounds
    );
    // Whoever uses the executor below async-std before async-std does settles how many threads it has.
    task::block_on(async {});

    let mut results = Vec::new();
    for contest in CONTESTS {
        if !arguments.wants(contest.name) {
            continue;
        }
        let measured = contest::measure(contest, &effort);
        let (low, high) = measured.range();
        let ratio = measured.ratio();
        println!("ratio {} {ratio:.3} {low:.3} {high:.3}", contest.name);
        results.push((contest, measured));
    }
    println!("\n{}", report::table(&results));
    println!("{}", report::chart(&results));
    arguments.plot("peers.svg", || plot::ratios(&results));
}
