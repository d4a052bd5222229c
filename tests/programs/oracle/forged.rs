//! The oracle itself: what the simulator wrote is doctored, and the oracle must complain.

use crate::programs::{
    engine::simulated,
    grammar::{
        Act, Block, Ends, Fate, Id, Open, Opener, Program, ROOT, Release, Spawn, Start, Way,
    },
    interpret::Pace,
    ledger::{Ending, Entry, Event, Joined, Origin, Outcome, Place},
};

use super::check;

fn opened(opener: Opener, limit: Option<u8>, acts: Vec<Act>) -> Act {
    Act::Open(Open {
        opener,
        limit,
        grace: None,
        deadline: None,
        propagate: false,
        block: Block::of(acts),
    })
}

fn spawn(acts: Vec<Act>) -> Act {
    Act::Spawn(Spawn {
        up: 0,
        way: Way::Plain,
        fate: Fate::Kept,
        block: Block::of(acts),
    })
}

fn defer(takes: u8) -> Act {
    Act::Defer(Release {
        takes,
        ends: Ends::Well,
        nested: false,
    })
}

/// A group (2) whose child (4) sleeps, and is joined; then two releases (12 and 14) in another (10)
/// with a child (16) that has one too (18).
fn plain() -> Program {
    let first = opened(
        Opener::Group,
        Some(1),
        vec![spawn(vec![Act::Sleep(2)]), Act::Await],
    );
    let second = opened(
        Opener::Group,
        None,
        vec![defer(1), defer(1), spawn(vec![defer(1), Act::Sleep(3)])],
    );
    let acts = vec![first, second];
    Program::new(true, Block::of(acts))
}

/// A group (2) whose child (4) fails (6).
fn failing() -> Program {
    let inner = opened(
        Opener::Group,
        None,
        vec![spawn(vec![Act::Fail]), Act::Sleep(5)],
    );
    Program::new(true, Block::of(vec![inner]))
}

/// The oracle has nothing to say about what happened, and says this about what `forge` makes of it.
#[track_caller]
fn complains(program: &Program, expected: &str, forge: impl FnOnce(&mut Vec<Entry>)) {
    let mut entries = simulated(program, 7);
    assert_eq!(
        check(program, &entries, Pace::Virtual),
        Vec::<String>::new()
    );
    forge(&mut entries);
    let complaints = check(program, &entries, Pace::Virtual);
    assert!(
        complaints
            .iter()
            .any(|complaint| complaint.contains(expected)),
        "{expected:?} is not in {complaints:#?} of\n{program}"
    );
}

#[track_caller]
fn place(entries: &[Entry], fits: impl Fn(Event) -> bool) -> usize {
    entries.iter().position(|entry| fits(entry.event)).unwrap()
}

fn is_return(of: Id) -> impl Fn(Event) -> bool {
    move |event| matches!(event, Event::Returned(id, _) if id == of)
}

/// Moves the one event behind the other, to its time.
#[track_caller]
fn after(entries: &mut Vec<Entry>, event: Event, other: impl Fn(Event) -> bool) {
    let moved = entries.remove(place(entries, |e| e == event));
    let to = place(entries, other);
    let at = entries[to].at;
    entries.insert(to + 1, Entry { at, ..moved });
}

/// Adds an event behind the other.
#[track_caller]
fn add(entries: &mut Vec<Entry>, event: Event, other: impl Fn(Event) -> bool) {
    let to = place(entries, other);
    let at = entries[to].at;
    entries.insert(to + 1, Entry { at, event });
}

#[track_caller]
fn replace(entries: &mut [Entry], old: impl Fn(Event) -> bool, new: Event) {
    let at = place(entries, old);
    entries[at].event = new;
}

#[test]
fn a_child_that_outlives_its_group_is_noticed() {
    complains(&plain(), "Dropped(4) after the return of 2", |entries| {
        after(entries, Event::Dropped(4), is_return(2));
    });
}

#[test]
fn a_poll_after_the_end_is_noticed() {
    complains(&plain(), "4 was polled after it was dropped", |entries| {
        add(entries, Event::Polled(4), |e| e == Event::Dropped(4));
    });
}

#[test]
fn a_release_after_the_return_is_noticed() {
    complains(&plain(), "after the return of 10", |entries| {
        after(entries, Event::Released(12, Ending::Value), is_return(10));
    });
}

#[test]
fn a_handle_that_resolves_too_early_is_noticed() {
    complains(&plain(), "after the handle resolved of 4", |entries| {
        after(entries, Event::Joined(4, Joined::Value), |e| {
            matches!(e, Event::Ready(4, _))
        });
    });
}

#[test]
fn an_outer_owner_that_dies_before_what_is_inside_is_noticed() {
    complains(
        &plain(),
        "after the drop of the code around 10",
        |entries| {
            let ready = |e| matches!(e, Event::Ready(ROOT, _));
            entries.truncate(place(entries, ready));
            after(entries, Event::Dropped(16), is_return(10));
            entries.remove(place(entries, is_return(10)));
            let at = place(entries, |e| e == Event::Dropped(16));
            let event = Event::Dropping(ROOT);
            let entry = Entry {
                event,
                ..entries[at]
            };
            entries.insert(at, entry);
        },
    );
}

#[test]
fn a_child_that_is_dropped_twice_is_noticed() {
    complains(
        &plain(),
        "4 was made 1 times and dropped 2 times",
        |entries| {
            add(entries, Event::Dropped(4), |e| e == Event::Dropped(4));
        },
    );
}

#[test]
fn a_child_that_never_ends_is_noticed() {
    complains(
        &plain(),
        "4 was made 1 times and dropped 0 times",
        |entries| {
            entries.retain(|entry| entry.event != Event::Dropped(4));
        },
    );
}

#[test]
fn a_leaked_output_is_noticed() {
    complains(
        &plain(),
        "came to life 1 times and died 0 times",
        |entries| {
            entries
                .retain(|entry| !matches!(entry.event, Event::Died(thing) if thing_is(thing, 4)));
        },
    );
}

fn thing_is(thing: crate::programs::ledger::Thing, id: Id) -> bool {
    Event::Died(thing).id() == id
}

#[test]
fn a_release_that_runs_twice_is_noticed() {
    complains(
        &plain(),
        "release 12 was taken 1 times, began 2 times",
        |entries| {
            add(entries, Event::Releasing(12), |e| {
                matches!(e, Event::Released(12, _))
            });
        },
    );
}

#[test]
fn a_skipped_release_is_noticed() {
    complains(
        &plain(),
        "release 12 was taken 1 times, began 0 times",
        |entries| {
            entries.retain(|entry| {
                !matches!(entry.event, Event::Releasing(12) | Event::Released(12, _))
            });
        },
    );
}

#[test]
fn releases_side_by_side_are_noticed() {
    complains(&plain(), "release 12 began while 14 ran", |entries| {
        after(entries, Event::Releasing(12), |e| e == Event::Releasing(14));
    });
}

#[test]
fn a_release_in_the_order_of_taking_is_noticed() {
    complains(&plain(), "release 12 ran before 14", |entries| {
        let swap = |event| match event {
            Event::Releasing(12) => Event::Releasing(14),
            Event::Releasing(14) => Event::Releasing(12),
            Event::Released(12, ending) => Event::Released(14, ending),
            Event::Released(14, ending) => Event::Released(12, ending),
            event => event,
        };
        for entry in entries {
            entry.event = swap(entry.event);
        }
    });
}

#[test]
fn an_outer_release_before_an_inner_one_is_noticed() {
    complains(&plain(), "release 14 began before 18 ended", |entries| {
        after(entries, Event::Released(18, Ending::Value), |e| {
            e == Event::Releasing(14)
        });
    });
}

#[test]
fn a_release_cut_without_a_grace_is_noticed() {
    complains(
        &plain(),
        "release 12 was cut though there is no grace",
        |entries| {
            let released = |e| matches!(e, Event::Released(12, _));
            replace(entries, released, Event::Cut(12));
        },
    );
}

#[test]
fn a_lost_error_is_noticed() {
    complains(&failing(), "Error(6) was not reported", |entries| {
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
fn a_handle_that_says_the_wrong_thing_is_noticed() {
    complains(&plain(), "the handle of 4 says Failed", |entries| {
        let failed = Event::Joined(4, Joined::Failed);
        replace(entries, |e| matches!(e, Event::Joined(4, _)), failed);
    });
}

#[test]
fn a_child_too_many_is_noticed() {
    let children = (0..2).map(|_| spawn(vec![Act::Sleep(1)])).collect();
    let program = Program::new(
        true,
        Block::of(vec![opened(Opener::Group, Some(1), children)]),
    );
    complains(&program, "2 children of 2 live, of at most 1", |entries| {
        after(entries, Event::Polled(8), |e| e == Event::Polled(4));
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
