//! Each boundary returns at the instant of the last thing that held it; and at that which the
//! reference gives, where it knows.

use crate::programs::{
    grammar::{Id, first},
    ledger::{Event, Outcome},
    reference::{self, Known},
};

use super::{Complaints, shape::Kind, story::Story};

pub fn check(story: &Story<'_>, complaints: &mut Complaints) {
    for (&id, site) in &story.shape.sites {
        let Some(returned) = story.returned(id) else {
            continue;
        };
        let Event::Returned(_, outcome) = story.entries[returned].event else {
            continue;
        };
        let held_until = match (site.kind, outcome) {
            (Kind::StartCall, Outcome::Value) => story
                .place(first(id), |event| matches!(event, Event::Sent(_)))
                .map(|i| story.at(i)),
            (Kind::StartCall, _) => last_below(story, first(id), returned),
            _ => last_below(story, id, returned),
        };
        let at = story.at(returned);
        if held_until.is_some_and(|held| held != at) {
            complaints.push(format!(
                "{id} returned at {at}, and was held until {held_until:?}"
            ));
        }
    }
    as_the_reference_says(story, complaints);
}

/// When the last thing at or below it happened.
fn last_below(story: &Story<'_>, id: Id, before: usize) -> Option<u64> {
    let earlier = story.lives_below(id).filter(|&index| index < before);
    earlier.max().map(|last| story.at(last))
}

fn as_the_reference_says(story: &Story<'_>, complaints: &mut Complaints) {
    let Some(known) = reference::predict(story.program) else {
        return;
    };
    for (&id, expected) in &known {
        let happened = story
            .of(id)
            .filter_map(|(index, event)| match (event, expected) {
                (Event::Returned(_, outcome), Known::Returned(..)) => {
                    Some(Known::Returned(story.at(index), outcome))
                }
                (Event::Dropped(_), Known::Ended(_)) => Some(Known::Ended(story.at(index))),
                _ => None,
            });
        let happened: Vec<Known> = happened.collect();
        if happened != [*expected] {
            complaints.push(format!(
                "expected of {id}: {expected:?}; there was {happened:?}"
            ));
        }
    }
    let is_unknown = |event| matches!(event, Event::Returned(id, _) if !known.contains_key(&id));
    let returns = story.entries.iter().filter(|entry| is_unknown(entry.event));
    for entry in returns {
        complaints.push(format!(
            "{entry:?} though the code that awaits it is cancelled"
        ));
    }
}
