//! Times.

use super::{complains, is_return, opened, place, plain, spawn};
use crate::programs::{
    grammar::{Act, Block, Opener, Program, Start},
    ledger::Event,
};

#[test]
fn a_timeout_before_its_time_is_noticed() {
    let slow = Block::of(vec![Act::Sleep(5)]);
    let program = Program::new(true, Block::of(vec![Act::Timeout(2, slow)]));
    complains(&program, "returned TimedOut though", |entries| {
        for entry in entries {
            entry.at = entry.at.min(1_000_000);
        }
    });
}

#[test]
fn a_boundary_that_returns_too_late_is_noticed() {
    complains(&plain(), "and was held until", |entries| {
        let returned = place(entries, is_return(10));
        for entry in &mut entries[returned..] {
            entry.at += 1;
        }
    });
}

#[test]
fn children_one_after_the_other_are_noticed() {
    let children = (0..2).map(|_| spawn(vec![Act::Sleep(2)])).collect();
    let program = Program::new(true, Block::of(vec![opened(Opener::Group, None, children)]));
    complains(&program, "expected of 4: Ended(", |entries| {
        let first = place(entries, |e| matches!(e, Event::Ready(..)) && e.id() != 2);
        for entry in &mut entries[first..] {
            entry.at *= 2;
        }
    });
}

#[test]
fn a_start_that_returns_before_its_forgotten_scope_is_given_up_is_noticed() {
    let start = |up, sends_after, acts| {
        let block = Block::of(acts);
        Act::Start(Start {
            up,
            sends_after,
            block,
        })
    };
    // The child (6) of the root waits for one (8) in the scope (4).
    let inner = start(0, 2, vec![Act::Sleep(5)]);
    let scope = opened(Opener::Scope, None, vec![start(1, 0, vec![inner])]);
    let forgets = Act::Forget(1, Block::of(vec![scope]));
    let program = Program::new(false, Block::of(vec![forgets, Act::Sleep(2)]));
    complains(
        &program,
        "9 returned at 1000000, and was held until 3000000",
        |entries| {
            let returned = place(entries, is_return(9));
            entries[returned].at = 1_000_000;
        },
    );
}
