//! Every failure is reported exactly once, and in the right place; cancellation adds none.

use std::collections::BTreeMap;

use crate::programs::{
    grammar::{All, Id, second},
    ledger::{Ending, Event, Origin, Outcome, Place},
};

use super::{Complaints, shape::Kind, story::Story};

pub fn check(story: &Story<'_>, complaints: &mut Complaints) {
    let mut reports: BTreeMap<Origin, Vec<Place>> = BTreeMap::new();
    for entry in story.entries {
        if let Event::Reported(origin, place) = entry.event {
            reports.entry(origin).or_default().push(place);
        }
    }
    let cuts = reports.remove(&Origin::Cut).unwrap_or_default().len();
    cut_releases(story, cuts, complaints);
    for entry in story.entries {
        let (origin, by) = match entry.event {
            // The error of an inner block is only a value until it reaches a group.
            Event::Ready(id, Ending::Error(error))
                if story.shape.group_of(id).is_some() || raced_in(story, id).is_some() =>
            {
                (Origin::Error(error), id)
            }
            Event::Threw(id) => (Origin::Panic(id), id),
            Event::Released(id, Ending::Error(_)) => (Origin::Release(id), id),
            _ => continue,
        };
        let places = reports.remove(&origin).unwrap_or_default();
        if places.len() > 1 {
            complaints.push(format!("{origin:?} was reported {places:?}"));
        }
        if let Some(place) = places.first() {
            if !is_right(story, origin, by, *place) {
                complaints.push(format!("{origin:?} was reported to {place:?}"));
            }
        } else if !may_be_lost(story, origin, by) {
            complaints.push(format!("{origin:?} was not reported"));
        }
    }
    for (origin, places) in reports {
        complaints.push(format!(
            "{origin:?} was reported {places:?} and never happened"
        ));
    }
}

/// The `race_ok` that this is an entrant of. Its failure matters only if the race has no output.
fn raced_in(story: &Story<'_>, id: Id) -> Option<Id> {
    let site = story.shape.site(id);
    site.parent
        .filter(|_| site.kind == Kind::Item(All::RacedOk))
}

/// Each release that was dropped before its end is reported, and nothing else is as one. (The owner
/// of one that is in a forgotten `close` has it, so that one has no end.)
fn cut_releases(story: &Story<'_>, reported: usize, complaints: &mut Complaints) {
    let releases = story.shape.sites.iter();
    let releases = releases.filter(|(_, site)| site.kind == Kind::Release);
    let (mut cut, mut kept) = (0, 0);
    for (&id, _) in releases {
        let has = |fits: fn(Event) -> bool| story.has_any(id, fits);
        let begun = has(|event| matches!(event, Event::Releasing(_)));
        let ended = has(|event| matches!(event, Event::Released(..)));
        match has(|event| matches!(event, Event::Cut(_))) {
            true => cut += 1,
            false if begun && !ended => kept += 1,
            false => {}
        }
    }
    if reported < cut || reported > cut + kept {
        complaints.push(format!(
            "{cut} releases were cut and {reported} reported so"
        ));
    }
}

/// Is this the place that the rules give?
fn is_right(story: &Story<'_>, origin: Origin, by: Id, place: Place) -> bool {
    let around = |id: Id| story.climbs(by).contains(&id);
    match origin {
        Origin::Error(_) => {
            if let Some(race) = raced_in(story, by) {
                let returns = |event| match event {
                    Event::Returned(_, outcome) => !matches!(outcome, Outcome::Panicked(_)),
                    _ => false,
                };
                return match place {
                    Place::Failures(id) => id == race,
                    // It could not return them.
                    _ if story.has_any(race, returns) => false,
                    Place::Cleanups(id) => story.climbs(race).contains(&id),
                    place => place == Place::Suppressed,
                };
            }
            let Some(group) = story.shape.group_of(by) else {
                return false;
            };
            if story.is_unstarted(by) {
                let call = second(by);
                return match place {
                    Place::Start(id) => id == by,
                    // The caller could not return.
                    Place::Cleanups(id) => story.climbs(call).contains(&id),
                    place => place == Place::Suppressed,
                };
            }
            let is_child = by != group;
            let supervised = is_child && story.shape.is_supervised(group);
            let dropped = |keeper| story.dropping(keeper) > story.returned(group);
            let kept = || story.keeper(by).is_none_or(dropped);
            match story
                .returned(group)
                .map(|index| story.entries[index].event)
            {
                _ if supervised && place == Place::Handle(by) => true,
                // Its handle was dropped unread after the group had returned.
                Some(_) if supervised && place == Place::Suppressed && kept() => true,
                Some(Event::Returned(_, Outcome::Failed(..))) => place == Place::Failures(group),
                Some(Event::Returned(_, Outcome::Panicked(_))) => place == Place::Suppressed,
                // It could not return, or the failure was too late for it.
                Some(_) if !supervised => false,
                _ => match place {
                    Place::Cleanups(id) => around(id),
                    place => place == Place::Suppressed,
                },
            }
        }
        Origin::Panic(_) => match place {
            Place::Root | Place::Suppressed => true,
            Place::Cleanups(id) | Place::Handle(id) => story.panic_climbs(by).contains(&id),
            _ => false,
        },
        Origin::Release(_) => match place {
            // The nearest that returns a `GroupError`, unless that could not return.
            Place::Cleanups(id) => {
                let climbs = story.climbs(by).into_iter();
                let mut groups = climbs.filter(|id| story.shape.has_group_error(*id));
                groups.find(|&group| group == id || !passes_on(story, group)) == Some(id)
            }
            Place::Close(id) => id == by,
            place => place == Place::Suppressed,
        },
        Origin::Cut => true,
    }
}

/// Could it not return, so that the failures of its releases climb? The one of many futures does so also if
/// it panics.
fn passes_on(story: &Story<'_>, group: Id) -> bool {
    let panics = |event| matches!(event, Event::Returned(_, Outcome::Panicked(_)));
    let is_many = matches!(story.shape.site(group).kind, Kind::Many(_));
    story.adopted(group) || (is_many && story.has_any(group, panics))
}

/// What is forgotten cannot report what only its own memory knows, nor can a handle that leaked.
fn may_be_lost(story: &Story<'_>, origin: Origin, by: Id) -> bool {
    let forgotten = |id: Id| story.forgotten(id).is_some();
    let leaked = |id: Id| story.has(id, Event::Leaked(id));
    match origin {
        Origin::Error(_) => {
            if let Some(race) = raced_in(story, by) {
                let entrants = story.shape.sites.iter();
                let mut entrants = entrants.filter(|(_, site)| site.parent == Some(race));
                let failed = |event| matches!(event, Event::Ready(_, Ending::Error(_)));
                return match story.returned(race).map(|at| story.entries[at].event) {
                    Some(Event::Returned(_, outcome)) => outcome == Outcome::Value,
                    // It was still open.
                    _ => !entrants.all(|(&id, _)| story.has_any(id, failed)),
                };
            }
            let Some(group) = story.shape.group_of(by) else {
                return false;
            };
            let inline = matches!(
                story.shape.site(group).kind,
                Kind::Group { inline: true, .. }
            );
            let supervised = story.shape.is_supervised(group);
            // The errors of an inline scope might borrow, so only its own future may touch them.
            let with_its_scope = inline && forgotten(group);
            let with_its_handle = leaked(by) || story.keeper(by).is_some_and(forgotten);
            let with_its_call = story.is_unstarted(by) && forgotten(second(by));
            with_its_scope || (supervised && by != group && with_its_handle) || with_its_call
        }
        // A supervised child's.
        _ => story.panic_climbs(by).into_iter().any(|id| {
            let group = story.shape.group_of(id).filter(|group| *group != id);
            let supervised = group.is_some_and(|group| story.shape.is_supervised(group));
            supervised && (leaked(id) || story.keeper(id).is_some_and(forgotten))
        }),
    }
}
