//! Who lives too long, ends twice or not at all, and how many live.

use super::{add, after, complains, is_return, opened, place, plain, spawn};
use crate::programs::{
    grammar::{Act, Block, Opener, Program, ROOT},
    ledger::{Entry, Event, Joined},
};

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
            let died = |event: Event| matches!(event, Event::Died(_)) && event.id() == 4;
            entries.retain(|entry| !died(entry.event));
        },
    );
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
