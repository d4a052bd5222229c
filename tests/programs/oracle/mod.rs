//! Compares what happened with what the rules allow. Written from the rules, not from the kernel.
//!
//! - `lifetimes`: everything below a boundary ends before it returns, once, and leaves nothing.
//! - `releases`: each runs once, one after the other, inner before outer.
//! - `reports`: every error and panic is reported once, and in its place.
//! - `results`: what is returned fits what happened inside; a value excludes a timeout.
//! - `polls`: nobody is polled any more who sees a request; nobody absorbs what was asked further out.
//! - `reasons`: what was cancelled says why, and the first reason sticks.
//! - `limits`: never more children than allowed.
//! - `timing`: each boundary returns at the instant of the last thing that held it, and, where the
//!   reference knows it, at the time that the rules give.
//!
//! `shape` is the tree that the rules speak of, `story` the ledger by step, and `causes` who asks whom
//! to end.

mod causes;
#[cfg(all(test, not(shuttle)))]
mod forged;
mod lifetimes;
mod limits;
mod polls;
mod reasons;
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
    let causes = causes::Causes::of(&story);
    reasons::check(&story, &causes, &mut complaints);
    if pace == Pace::Virtual {
        polls::check(&story, &causes, &mut complaints);
    }
    if pace != Pace::Hurried {
        timing::check(&story, &mut complaints);
    }
    complaints
}

/// The same as text.
pub fn complaints(program: &Program, entries: &[Entry], pace: Pace) -> Option<String> {
    let complaints = check(program, entries, pace);
    (!complaints.is_empty()).then(|| format!("\n  {}", complaints.join("\n  ")))
}
