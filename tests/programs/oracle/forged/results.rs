//! What is returned, and what is told to whom.

use super::{add, complains, failing, is_return, opened, plain, replace, spawn};
use crate::programs::{
    grammar::{Act, Block, Fate, Opener, Program, ROOT},
    ledger::{Event, Joined, Origin, Outcome, Place},
};

#[test]
fn a_lost_error_is_noticed() {
    complains(&failing(), "Error(6) was not reported", |entries| {
        entries.retain(|entry| !matches!(entry.event, Event::Reported(..)));
    });
}

/// A supervised child (10) fails (12), and another (2) has found its handle (6).
#[test]
fn a_lost_error_that_only_a_shared_handle_had_is_noticed() {
    let mut child = spawn(vec![Act::Fail]);
    if let Act::Spawn(spawn) = &mut child {
        spawn.fate = Fate::Shared;
    }
    let supervised = opened(Opener::Supervise, None, vec![child, Act::Sleep(3)]);
    let finder = spawn(vec![Act::Sleep(1), Act::AwaitShared { cancel: false }]);
    let program = Program::new(true, Block::of(vec![finder, supervised]));
    complains(&program, "Error(12) was not reported", |entries| {
        entries.retain(|entry| !matches!(entry.event, Event::Reported(..)));
    });
}

#[test]
fn an_error_that_is_reported_twice_is_noticed() {
    complains(&failing(), "Error(6) was reported [", |entries| {
        let event = Event::Reported(Origin::Error(6), Place::Suppressed);
        add(entries, event, is_return(2));
    });
}

#[test]
fn an_error_in_the_wrong_place_is_noticed() {
    complains(
        &failing(),
        "Error(6) was reported to Failures(0)",
        |entries| {
            let event = Event::Reported(Origin::Error(6), Place::Failures(ROOT));
            replace(entries, |e| matches!(e, Event::Reported(..)), event);
        },
    );
}

#[test]
fn an_error_for_a_cancelled_sibling_is_noticed() {
    complains(
        &failing(),
        "Error(8) was reported [Failures(2)] and never happened",
        |entries| {
            let event = Event::Reported(Origin::Error(8), Place::Failures(2));
            add(entries, event, |e| matches!(e, Event::Reported(..)));
        },
    );
}

#[test]
fn a_value_in_spite_of_a_failure_is_noticed() {
    complains(&failing(), "returned Value though", |entries| {
        replace(entries, is_return(2), Event::Returned(2, Outcome::Value));
    });
}

#[test]
fn a_cancelled_group_with_a_failure_is_noticed() {
    complains(&failing(), "returned SaysCancelled(1, 0)", |entries| {
        let outcome = Outcome::SaysCancelled(1, 0);
        replace(entries, is_return(2), Event::Returned(2, outcome));
    });
}

#[test]
fn a_value_and_a_timeout_at_once_are_noticed() {
    let program = Program::new(true, Block::of(vec![Act::Timeout(1, Block::default())]));
    complains(&program, "returned TimedOut though", |entries| {
        replace(entries, is_return(2), Event::Returned(2, Outcome::TimedOut));
    });
}

#[test]
fn a_handle_that_says_the_wrong_thing_is_noticed() {
    complains(&plain(), "the handle of 4 says Failed", |entries| {
        let failed = Event::Joined(4, Joined::Failed);
        replace(entries, |e| matches!(e, Event::Joined(4, _)), failed);
    });
}
