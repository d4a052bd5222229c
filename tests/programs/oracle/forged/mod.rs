//! The oracle itself: what the simulator wrote is doctored, and the oracle must complain.

mod cancelling;
mod lifetimes;
mod many;
mod releases;
mod results;
mod timing;

use super::check;
use crate::programs::{
    engine::simulated,
    grammar::{Act, Block, Ends, Fate, Id, Open, Opener, Program, Release, Spawn, Way},
    interpret::Pace,
    ledger::{Entry, Event},
};

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
        bomb: false,
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
