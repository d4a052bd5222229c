//! Compares what happened with what the rules allow. Written from the rules, not from the kernel.
//!
//! - `lifetimes`: everything below a boundary ends before it returns, once, and leaves nothing.
//! - `releases`: each runs once, one after the other, inner before outer.
//! - `reports`: every error and panic is reported once, and in its place.
//! - `results`: what is returned fits what happened inside; a value excludes a timeout.
//! - `limits`: never more children than allowed.
//! - `timing`: each boundary returns at the instant of the last thing that held it, and, where the
//!   reference knows it, at the time that the rules give.
//!
//! `shape` is the tree that the rules speak of, and `story` the ledger by step.

#[cfg(test)]
mod forged;
mod lifetimes;
mod limits;
mod releases;
mod reports;
mod results;
mod shape;
mod story;
mod timing;

use super::{grammar::Program, interpret::Pace, ledger::Entry};

/// What is wrong.
pub type Complaints = Vec<String>;

/// Every rule that the program broke.
pub fn check(program: &Program, entries: &[Entry], pace: Pace) -> Complaints {
    let story = story::Story::new(program, entries, pace);
    let mut complaints = Vec::new();
    lifetimes::check(&story, &mut complaints);
    releases::check(&story, &mut complaints);
    reports::check(&story, &mut complaints);
    results::check(&story, &mut complaints);
    limits::check(&story, &mut complaints);
    if pace == Pace::Virtual {
        timing::check(&story, &mut complaints);
    }
    complaints
}
