//! Releases.

use super::{add, after, complains, is_return, plain, replace};
use crate::programs::ledger::{Ending, Event};

#[test]
fn a_release_after_the_return_is_noticed() {
    complains(&plain(), "after the return of 10", |entries| {
        after(entries, Event::Released(12, Ending::Value), is_return(10));
    });
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
