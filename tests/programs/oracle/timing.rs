//! Each boundary returns at the instant of the last thing that held it; and at that which the
//! reference gives, where it knows.

use crate::programs::{
    grammar::{Id, first},
    interpret::Pace,
    ledger::{Ending, Event, Outcome},
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
                .map(|i| (story.at(i), story.at(i))),
            (Kind::StartCall, _) => lost_below(story, first(id), returned)
                .or_else(|| dropped_below(story, first(id), returned)),
            _ => last_below(story, id, returned),
        };
        // What lies aside then does not return before it is polled again.
        let held_until = held_until.map(|(from, to)| (from, story.polled_from(id, to)));
        let at = story.at(returned);
        if let Some((from, to)) = held_until.filter(|(from, to)| at < *from || at > *to) {
            complaints.push(match from == to {
                true => format!("{id} returned at {at}, and was held until {from}"),
                false => format!("{id} returned at {at}, and was held until {from} to {to}"),
            });
        }
    }
    // It takes a poll for one step.
    if story.pace == Pace::Virtual {
        as_the_reference_says(story, complaints);
    }
}

/// When the last thing at or below it happened.
fn last_below(story: &Story<'_>, id: Id, before: usize) -> Option<(u64, u64)> {
    let earlier = story.lives_below(id).filter(|&index| index < before);
    earlier.max().map(|last| (story.at(last), story.at(last)))
}

/// From when to when the caller of a `start` may be held whose child ran in a scope that was forgotten.
/// The child never ends, so nothing tells its caller but that a boundary around gives the scope up. That
/// does so when its own code ends; and if it is cancelled, by whomever, it may find out before, when it
/// looks who inside is still polled, and nothing shows when. What lived below ends first.
fn lost_below(story: &Story<'_>, child: Id, before: usize) -> Option<(u64, u64)> {
    let forgotten = story.forgotten(child).filter(|&index| index < before)?;
    let dropped = story.has_any(child, |event| matches!(event, Event::Dropped(_)));
    if dropped && !owes(story, child, forgotten) {
        return None;
    }
    let scope = story.shape.site(child).parent?;
    let end = |id: Id| {
        let ended = |event| matches!(event, Event::Ready(..) | Event::Dropping(_));
        let mut events = story.of(id);
        let end = events.find(|(index, event)| *index > forgotten && ended(*event));
        end.map(|(index, _)| index)
    };
    // A child goes on when the code around it has ended, unless it is part of what was forgotten.
    let goes_on = |id: Id| story.shape.site(id).kind.is_child() && story.forgotten(id).is_none();
    let mut ancestors: Vec<Id> = story.shape.ancestors(scope).collect();
    let outermost = ancestors.iter().position(|id| goes_on(*id));
    ancestors.truncate(outermost.map_or(ancestors.len(), |child| child + 1));
    let given_up = ancestors.into_iter().filter_map(end).min()?;
    let from = match nobody_asks(story, given_up) {
        true => given_up,
        false => forgotten,
    };
    let (from, to) = (story.at(from), story.at(given_up));
    let last = |id| last_below(story, id, before).map_or(0, |(at, _)| at);
    Some((from.max(last(child)), to.max(last(scope))))
}

/// The same for another child. One that was dropped with its scope while a release was left tells so at
/// once.
fn dropped_below(story: &Story<'_>, child: Id, before: usize) -> Option<(u64, u64)> {
    let dropped = story.lost(child).filter(|&index| index < before);
    let dropped = dropped.filter(|&index| owes(story, child, index));
    let told = dropped.map_or(0, |index| story.at(index));
    let (from, to) = last_below(story, child, before)?;
    Some((from.max(told), to.max(told)))
}

/// Did nobody ask anything to end before that place in the ledger, and has nothing a time limit?
fn nobody_asks(story: &Story<'_>, before: usize) -> bool {
    let limited = |kind| {
        matches!(
            kind,
            Kind::Timeout(_)
                | Kind::Group {
                    deadline: Some(_),
                    ..
                }
                | Kind::Scope {
                    timeout: Some(_),
                    ..
                }
        )
    };
    let asks = |event| {
        matches!(
            event,
            Event::Requested(..)
                | Event::Asked(..)
                | Event::Moved(_)
                | Event::LostDone(_)
                | Event::Ready(_, Ending::Error(_) | Ending::Panic(_))
        )
    };
    let mut sites = story.shape.sites.values();
    let mut earlier = story.entries[..before].iter();
    !sites.any(|site| limited(site.kind)) && !earlier.any(|entry| asks(entry.event))
}

/// Was a release at or below it left to run, or to be ended, at that place in the ledger?
fn owes(story: &Story<'_>, id: Id, index: usize) -> bool {
    story.below(id).any(|below| {
        let events = story.of(below).filter(|(place, _)| *place < index);
        let change = |event| match event {
            Event::Deferred(_) => 1,
            Event::Released(..) | Event::Cut(_) => -1,
            _ => 0,
        };
        events.map(|(_, event)| change(event)).sum::<i32>() > 0
    })
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
