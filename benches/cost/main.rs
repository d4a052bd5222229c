//! What a child costs: allocations, bytes, instructions, memory, and how that grows.
//!
//! `cargo bench --bench cost`, and after `--`: `--quick` for a short run that only shows that it
//! works, parts of the names of sections to measure only those, `--svg FOLDER` to write plots.

use std::env;

use async_std::task;

use arguments::Arguments;
use report::Report;

mod allocations;
#[path = "../support/arguments.rs"]
mod arguments;
mod counting;
mod growth;
mod instructions;
mod memory;
mod paths;
mod plot;
mod report;
#[path = "../support/svg.rs"]
mod svg;
mod threads;
#[allow(dead_code, reason = "the other bench uses the rest")]
#[path = "../support/work/mod.rs"]
mod work;

type Measure = fn(&Arguments, &mut Report);

fn main() {
    // Whoever uses the executor below async-std before async-std does settles how many threads it has.
    task::block_on(async {});
    if let [_, flag, name, count] = &*env::args().collect::<Vec<_>>()
        && flag == instructions::FLAG
    {
        return paths::run(name, count.parse().unwrap());
    }
    let arguments = Arguments::parse();
    let sections: [(&str, Measure); 5] = [
        // First, while the process has used little memory.
        ("memory", memory::measure),
        ("allocations", allocations::measure),
        ("instructions", instructions::measure),
        ("growth", growth::measure),
        ("threads", threads::measure),
    ];
    for (name, measure) in sections {
        if arguments.wants(name) {
            measure(&arguments, &mut Report::new(name));
        }
    }
}
