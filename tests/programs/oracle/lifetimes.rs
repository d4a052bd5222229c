//! Nobody leaves until everyone is accounted for, and everyone ends once.

use std::collections::BTreeMap;

use crate::programs::{
    grammar::Id,
    ledger::{Event, Joined, Outcome, Thing},
};

use super::{
    Complaints,
    shape::Kind,
    story::{Story, is_life},
};

pub fn check(story: &Story<'_>, complaints: &mut Complaints) {
    nobody_is_left(story, complaints);
    everything_ends_once(story, complaints);
    everything_is_dropped(story, complaints);
    an_output_goes_last(story, complaints);
    a_start_waits(story, complaints);
}

/// Nothing happens below a boundary after it returned, below a child after its handle resolved, or
/// below an inner boundary after the code around it was dropped.
fn nobody_is_left(story: &Story<'_>, complaints: &mut Complaints) {
    let shape = &story.shape;
    let joined = |id| {
        let joined = story.place(id, |event| matches!(event, Event::Joined(..)))?;
        (!story.is_gone(id, joined)).then_some(joined)
    };
    let ends: BTreeMap<Id, [Option<usize>; 3]> = shape
        .sites
        .iter()
        .map(|(&id, site)| {
            // Rule 21: what the code around owns outlives everything below.
            let inline = site.kind.is_boundary() && site.holder == site.code;
            let around = site.code.filter(|_| inline);
            let is_polled = |code: &Id| {
                story.lost(*code).is_none()
                    && story.forgotten(*code).is_none()
                    && !story.is_aside(*code)
            };
            let around = around.filter(is_polled);
            let dropped = around.and_then(|code| story.dropping(code));
            (id, [story.returned(id), joined(id), dropped])
        })
        .collect();
    for (index, entry) in story.entries.iter().enumerate() {
        let id = entry.event.id();
        if !is_life(entry.event) || !shape.sites.contains_key(&id) || story.refused(id) {
            continue;
        }
        let mut below = false;
        for &around in story.waiting_for(id) {
            let [returned, joined, dropped] = ends[&around];
            let mut late = |than: Option<usize>, what: &str| {
                if than.is_some_and(|than| than < index) {
                    complaints.push(format!("{:?} after {what} {around}", entry.event));
                }
            };
            late(returned, "the return of");
            late(joined, "the handle resolved of");
            // The code of an inner boundary is part of the code around.
            let kind = shape.site(around).kind;
            below |= kind != Kind::Foreign && !kind.is_boundary();
            if below {
                late(dropped, "the drop of the code around");
            }
        }
    }
}

fn everything_ends_once(story: &Story<'_>, complaints: &mut Complaints) {
    for (&id, site) in &story.shape.sites {
        let events = || story.of(id).map(|(_, event)| event);
        let is_forgotten = story.forgotten(id).is_some();
        if site.kind == Kind::Release {
            let taken = events().filter(|e| matches!(e, Event::Deferred(_))).count();
            let begun = events()
                .filter(|e| matches!(e, Event::Releasing(_)))
                .count();
            let ended = |e: &Event| matches!(e, Event::Released(..) | Event::Cut(_));
            let ended = events().filter(ended).count();
            if begun > taken || ended > begun || (!is_forgotten && ended < taken) {
                complaints.push(format!(
                    "release {id} was taken {taken} times, began {begun} times and ended {ended} times"
                ));
            }
            if is_forgotten && begun > 0 && ended == 0 {
                // Half-way in a `close`, which is memory of what was forgotten.
                let closing = events().any(|e| matches!(e, Event::Closing(_)));
                if !closing {
                    complaints.push(format!("release {id} began and did not end"));
                }
            }
            continue;
        }
        let made = events().filter(|e| matches!(e, Event::Made(_))).count();
        let dropped = events().filter(|e| matches!(e, Event::Dropped(_))).count();
        if dropped > made || (!is_forgotten && dropped < made) {
            complaints.push(format!(
                "{id} was made {made} times and dropped {dropped} times"
            ));
        }
        let mut over = None;
        for (index, event) in story.of(id) {
            match (event, over) {
                (Event::Polled(_), Some(how)) => {
                    complaints.push(format!("{id} was polled after it was {how}"));
                }
                (Event::Ready(..), None) => over = Some("ready"),
                (Event::Dropping(_), _) => over = Some("dropped"),
                (Event::Joined(_, Joined::Value), None) => {
                    complaints.push(format!(
                        "the handle of {id} gave a value before there was one"
                    ));
                }
                _ => {}
            }
            // (What its closed scope refuses later is dropped by who brings it.)
            let forgotten = story.forgotten(id).is_some_and(|at| at < index) && !story.refused(id);
            if forgotten && matches!(event, Event::Polled(_) | Event::Dropping(_)) {
                complaints.push(format!("{event:?} after it was forgotten"));
            }
        }
    }
}

/// No output and no resource lives on, and none dies twice.
fn everything_is_dropped(story: &Story<'_>, complaints: &mut Complaints) {
    for id in story.shape.sites.keys().copied() {
        for thing in [Thing::Output(id), Thing::Resource(id)] {
            let born = story.count(id, |event| event == Event::Born(thing));
            let died = story.count(id, |event| event == Event::Died(thing));
            // What was forgotten has all that it owned; a handle that leaked or is part of that has
            // the output.
            let keeper = story.keeper(id);
            let is_with_its_keeper = keeper.is_some_and(|keeper| story.forgotten(keeper).is_some());
            let kept = story.has(id, Event::Leaked(id))
                || story.forgotten(id).is_some()
                || (matches!(thing, Thing::Output(_)) && is_with_its_keeper);
            if died > born || (died < born && !kept) {
                complaints.push(format!(
                    "{thing:?} came to life {born} times and died {died} times"
                ));
            }
        }
    }
}

/// What nobody has read of a child goes after everything below it: that may be part of it (rule 21). (That of a
/// `start` need not be `Send`, and so is never kept.)
fn an_output_goes_last(story: &Story<'_>, complaints: &mut Complaints) {
    let children = story.shape.sites.iter();
    let kept = |kind: Kind| kind.is_child() && kind != Kind::StartedChild;
    for (&child, _) in children.filter(|(_, site)| kept(site.kind)) {
        let last = |fits: fn(Thing) -> Event| {
            let event = fits(Thing::Output(child));
            let mut events = story.of(child).rev();
            events.find(|(_, other)| *other == event).map(|(at, _)| at)
        };
        // Of a dangerous one there are two: code has had the other.
        let Some(died) = last(Event::Died).filter(|died| last(Event::Born) < Some(*died)) else {
            continue;
        };
        let read = |event| matches!(event, Event::Joined(..) | Event::Found(..));
        let gone = story.is_gone(child, died) || story.is_aside(child);
        if story.has_any(child, read) || gone {
            continue;
        }
        if let Some(late) = story.lives_below(child).find(|&late| late > died) {
            let event = story.entries[late].event;
            complaints.push(format!("{event:?} after the output of {child} was dropped"));
        }
    }
}

/// Until the child has started it belongs to the caller of `start`.
fn a_start_waits(story: &Story<'_>, complaints: &mut Complaints) {
    let calls = story.shape.sites.iter();
    for (&call, _) in calls.filter(|(_, site)| site.kind == Kind::StartCall) {
        let child = crate::programs::grammar::first(call);
        let returned = story.of(call).find_map(|(index, event)| match event {
            Event::Returned(_, outcome) => Some((index, outcome)),
            _ => None,
        });
        let sent = story.place(child, |event| matches!(event, Event::Sent(_)));
        match returned {
            Some((index, Outcome::Value)) if sent.is_none_or(|sent| sent > index) => {
                complaints.push(format!(
                    "start {child} returned before its child had started"
                ));
            }
            Some((index, Outcome::NotStarted)) if !story.is_gone(child, index) => {
                if let Some(late) = story.lives_below(child).find(|&late| late > index) {
                    let event = story.entries[late].event;
                    complaints.push(format!("{event:?} after the failed start of {child}"));
                }
            }
            _ => {}
        }
    }
}
