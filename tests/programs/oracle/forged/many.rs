//! What many futures at once give and when, and what the items may do.

use super::{add, after, complains, is_return, place, replace};
use crate::programs::{
    grammar::{Act, All, Block, Many, Program},
    ledger::{Ending, Event, Joined, Outcome},
};

/// A map with these items, the first of which is 4.
fn mapped(limit: u8, items: [Vec<Act>; 2]) -> Program {
    let items = items.map(|acts| Act::Item(Block::of(acts)));
    let way = All::Mapped {
        limit,
        in_order: true,
    };
    many(way, items.into())
}

/// Many (2) with such items, and their boundary (3).
fn many(way: All, items: Vec<Act>) -> Program {
    let many = Act::Many(Many {
        way,
        takes: None,
        bomb: false,
        block: Block::of(items),
    });
    Program::new(true, Block::of(vec![many]))
}

/// Of items 4, which sleeps (6), and 8.
fn sleeping(limit: u8) -> Program {
    mapped(limit, [vec![Act::Sleep(1)], vec![]])
}

#[test]
fn a_map_that_keeps_an_output_is_noticed() {
    let expected = "3 returned Value";
    complains(&sleeping(2), expected, |entries| {
        let at = place(entries, |e| e == Event::Joined(8, Joined::Value));
        entries.remove(at);
    });
}

#[test]
fn a_map_that_gives_outputs_out_of_order_is_noticed() {
    let expected = "3 gave the outputs of [8, 4]";
    complains(&sleeping(2), expected, |entries| {
        let first = Event::Joined(4, Joined::Value);
        after(entries, first, |e| e == Event::Joined(8, Joined::Value));
    });
}

#[test]
fn a_map_with_more_items_at_a_time_than_it_may_have_is_noticed() {
    let expected = "2 children of 3 live, of at most 1";
    complains(&sleeping(1), expected, |entries| {
        after(entries, Event::Ready(4, Ending::Value), |e| {
            e == Event::Polled(8)
        });
    });
}

#[test]
fn a_map_that_returns_before_an_item_is_dropped_is_noticed() {
    complains(
        &sleeping(2),
        "Dropped(4) after the return of 3",
        |entries| {
            after(entries, Event::Dropped(4), is_return(3));
        },
    );
}

#[test]
fn an_item_that_begins_when_another_has_panicked_is_noticed() {
    let program = mapped(1, [vec![Act::Panic], vec![]]);
    let expected = "8 was polled for the first time after Ready(4";
    complains(&program, expected, |entries| {
        add(entries, Event::Polled(8), |e| {
            matches!(e, Event::Ready(4, _))
        });
    });
}

#[test]
fn a_map_whose_panic_is_lost_is_noticed() {
    let program = mapped(1, [vec![Act::Panic], vec![]]);
    complains(&program, "Panic(6) was not reported", |entries| {
        let is_report = |e| matches!(e, Event::Reported(..));
        let at = place(entries, is_report);
        entries.remove(at);
        assert!(
            entries
                .iter()
                .any(|e| e.event == Event::Returned(3, Outcome::Panicked(6)))
        );
    });
}

#[test]
fn a_loser_of_a_race_that_goes_on_is_noticed() {
    let items = [1, 2].map(|ticks| Act::Item(Block::of(vec![Act::Sleep(ticks)])));
    let program = many(All::Raced, items.into());
    complains(&program, "8 was polled after Ready(4", |entries| {
        add(entries, Event::Polled(8), |e| {
            matches!(e, Event::Ready(4, _))
        });
    });
}

/// Items 4, which fails (6), and 8, which has an output.
fn one_fails(way: All) -> Program {
    let failing = Act::Item(Block::of(vec![Act::Fail]));
    many(way, vec![failing, Act::Item(Block::default())])
}

#[test]
fn a_gather_that_gives_outputs_though_an_item_failed_is_noticed() {
    complains(&one_fails(All::Gathered), "3 returned Value", |entries| {
        let fails = |e| matches!(e, Event::Returned(3, Outcome::Failed(..)));
        replace(entries, fails, Event::Returned(3, Outcome::Value));
    });
}

#[test]
fn a_gather_that_loses_the_failure_is_noticed() {
    let expected = "Error(6) was not reported";
    complains(&one_fails(All::Gathered), expected, |entries| {
        let at = place(entries, |e| matches!(e, Event::Reported(..)));
        entries.remove(at);
    });
}

#[test]
fn an_item_that_goes_on_when_another_of_a_gather_has_failed_is_noticed() {
    let items = [vec![Act::Fail], vec![Act::Sleep(1)]].map(|acts| Act::Item(Block::of(acts)));
    let program = many(All::Gathered, items.into());
    complains(&program, "after Ready(4", |entries| {
        add(entries, Event::Polled(8), |e| {
            matches!(e, Event::Ready(4, _))
        });
    });
}

#[test]
fn a_race_for_success_that_fails_though_one_succeeded_is_noticed() {
    complains(&one_fails(All::RacedOk), "3 returned Failed", |entries| {
        let failed = Event::Returned(3, Outcome::Failed(1, 0));
        replace(entries, is_return(3), failed);
    });
}

#[test]
fn a_race_for_success_that_loses_a_failure_is_noticed() {
    let failing = Act::Item(Block::of(vec![Act::Fail]));
    let program = many(All::RacedOk, vec![failing]);
    complains(&program, "Error(6) was not reported", |entries| {
        let at = place(entries, |e| matches!(e, Event::Reported(..)));
        entries.remove(at);
    });
}

#[test]
fn a_lost_failure_of_one_of_many_is_noticed() {
    let program = many(All::Settled, vec![Act::Item(Block::of(vec![Act::Fail]))]);
    complains(&program, "Error(6) was not reported", |entries| {
        let at = place(entries, |e| matches!(e, Event::Reported(..)));
        entries.remove(at);
    });
}
