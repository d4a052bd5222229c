//! Small whole programs under shuttle, which decides about every switch between their threads and
//! tasks. What is checked is written down by the programs themselves, see `ledger`.
//!
//! Only with `--cfg shuttle`: `ci/shuttle.sh` runs it, and says how to run more of it.
#![cfg(shuttle)]

mod engine;
mod ledger;
#[path = "../programs/mod.rs"]
mod programs;

mod adoption;
mod blocking;
mod canary;
mod cancelling;
mod failures;
mod handles;
mod limits;
mod panics;
mod random;
mod releases;
mod runs;
mod spawning;
mod starts;
mod supervising;
mod time;
