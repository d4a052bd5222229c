//! Requests: who is polled after one, who absorbs one, and which reason is given.

use super::{add, complains, failing, opened, replace};
use crate::programs::{
    grammar::{Act, Block, Enter, Id, Opener, Program},
    ledger::{Event, Outcome, Reason},
};

fn cancel_group() -> Act {
    Act::CancelGroup {
        up: 0,
        thread: false,
    }
}

/// A group (2) with these acts.
fn group(acts: Vec<Act>) -> Program {
    let group = opened(Opener::Group, None, acts);
    Program::new(true, Block::of(vec![group]))
}

/// A child (4) sleeps when the body of its group (2) cancels that (10); another one (12) comes too late.
fn cancelled() -> Program {
    let sleeper = super::spawn(vec![Act::Sleep(5)]);
    let late = super::spawn(vec![Act::Yield]);
    group(vec![
        sleeper,
        Act::Sleep(1),
        cancel_group(),
        late,
        Act::Yield,
    ])
}

fn is_reason(of: Id) -> impl Fn(Event) -> bool {
    move |event| matches!(event, Event::Because(id, _) if id == of)
}

#[test]
fn a_poll_after_a_request_is_noticed() {
    complains(
        &cancelled(),
        "4 was polled after Requested(2, 10)",
        |entries| {
            add(entries, Event::Polled(4), |e| e == Event::Requested(2, 10));
        },
    );
}

#[test]
fn a_poll_after_the_failure_of_a_sibling_is_noticed() {
    let children = [vec![Act::Sleep(1), Act::Fail], vec![Act::Sleep(5)]];
    let program = group(children.map(super::spawn).into());
    complains(
        &program,
        "10 was polled after Ready(4, Error(8))",
        |entries| {
            add(entries, Event::Polled(10), |e| {
                matches!(e, Event::Ready(4, _))
            });
        },
    );
}

#[test]
fn a_first_poll_after_a_request_is_noticed() {
    let expected = "12 was polled for the first time after Requested(2, 10)";
    complains(&cancelled(), expected, |entries| {
        add(entries, Event::Polled(12), |e| e == Event::Made(12));
    });
}

#[test]
fn a_scope_that_absorbs_what_was_asked_further_out_is_noticed() {
    let enter = Act::Enter(Enter {
        timeout: None,
        shielded: false,
        early: true,
        block: Block::of(vec![cancel_group(), Act::Yield]),
    });
    complains(
        &group(vec![enter]),
        "4 absorbed Requested(2, 6)",
        |entries| {
            let returned = Event::Returned(4, Outcome::Cancelled);
            add(entries, returned, |e| e == Event::Dropped(4));
        },
    );
}

#[test]
fn a_lost_reason_is_noticed() {
    complains(&cancelled(), "2 gives the reason None", |entries| {
        replace(entries, is_reason(2), Event::Because(2, None));
    });
    complains(&failing(), "2 gives the reason None", |entries| {
        replace(entries, is_reason(2), Event::Because(2, None));
    });
}

/// Who awaits the child (8) is shielded (6), and so hears of the timeout (2) around its group (4).
#[test]
fn a_lost_reason_of_a_child_that_a_timeout_cancelled_is_noticed() {
    let child = super::spawn(vec![Act::Sleep(3)]);
    let awaits = Act::Shield(Block::of(vec![child, Act::Await]));
    let inner = Block::of(vec![opened(Opener::Supervise, None, vec![awaits])]);
    let program = Program::new(true, Block::of(vec![Act::Timeout(1, inner)]));
    complains(&program, "8 gives the reason None", |entries| {
        replace(entries, is_reason(8), Event::Because(8, None));
    });
}

#[test]
fn a_reason_that_has_not_happened_is_noticed() {
    for wrong in [Reason::Deadline, Reason::Shutdown, Reason::BodyFailed] {
        complains(&failing(), "2 gives the reason", |entries| {
            replace(entries, is_reason(2), Event::Because(2, Some(wrong)));
        });
    }
}

#[test]
fn a_reason_that_came_second_is_noticed() {
    // The group (2) is cancelled (4), and then again (6).
    let program = group(vec![cancel_group(), cancel_group(), Act::Yield]);
    let expected = "2 gives the reason Some(Explicit(Some(6)))";
    complains(&program, expected, |entries| {
        let second = Some(Reason::Explicit(Some(6)));
        replace(entries, is_reason(2), Event::Because(2, second));
    });
}

#[test]
fn a_scope_that_does_not_know_what_it_caught_is_noticed() {
    let enter = Act::Enter(Enter {
        timeout: Some(1),
        shielded: false,
        early: false,
        block: Block::of(vec![Act::Sleep(5)]),
    });
    let expected = "2 is wrong about what it caught";
    complains(
        &Program::new(true, Block::of(vec![enter])),
        expected,
        |entries| {
            entries.retain(|entry| entry.event != Event::Caught(2));
        },
    );
}
