//! What is returned fits what happened inside.

use crate::programs::{
    grammar::{All, Id, ROOT},
    interpret::{Pace, lasting},
    ledger::{Ending, Event, Joined, Outcome},
};

use super::{Complaints, shape::Kind, story::Story};

pub fn check(story: &Story<'_>, complaints: &mut Complaints) {
    if story.returned(ROOT).is_none() {
        complaints.push("the root did not return".into());
    }
    for (&id, site) in &story.shape.sites {
        if let Kind::Many(way) = site.kind {
            in_order(story, id, way, complaints);
        }
        let mut returned = 0;
        for (index, event) in story.of(id) {
            match event {
                Event::Returned(_, outcome) => {
                    returned += 1;
                    let inside = inside(story, id, index);
                    if !fits(story, id, site.kind, inside, outcome, index) {
                        complaints.push(format!(
                            "{:?} {id} returned {outcome:?} though its code ended with {inside:?}",
                            site.kind
                        ));
                    }
                }
                Event::Joined(_, joined) => {
                    let inside = inside(story, id, index);
                    if !joins(story, id, inside, joined, index) {
                        complaints.push(format!(
                            "the handle of {id} says {joined:?} though it ended with {inside:?}"
                        ));
                    }
                }
                _ => {}
            }
        }
        if returned > 1 {
            complaints.push(format!("{id} returned {returned} times"));
        }
    }
}

/// How the code inside ended; `None` if it was dropped before its end.
fn inside(story: &Story<'_>, id: Id, before: usize) -> Option<Ending> {
    let mut events = story.of(id).take_while(|(index, _)| *index < before);
    events.find_map(|(_, event)| match event {
        Event::Ready(_, ending) => Some(ending),
        _ => None,
    })
}

fn fits(
    story: &Story<'_>,
    id: Id,
    kind: Kind,
    inside: Option<Ending>,
    outcome: Outcome,
    index: usize,
) -> bool {
    let requested = || {
        story
            .place(id, |event| {
                matches!(event, Event::Requested(..) | Event::Asked(..))
            })
            .is_some()
    };
    match (kind, outcome) {
        (Kind::StartCall, outcome) => {
            matches!(
                outcome,
                Outcome::Value | Outcome::NotStarted | Outcome::Panicked(_)
            )
        }
        // Where a panic came from is a matter of reports.
        (_, Outcome::Panicked(_)) => true,
        (Kind::Many(way), Outcome::Value) => {
            gave_all(story, id, way) && !has_failed(story, id, index)
        }
        (Kind::Many(All::Gathered), Outcome::Failed(failures, cleanups)) => failures + cleanups > 0,
        (Kind::Many(All::RacedOk), Outcome::Failed(failures, cleanups)) => {
            cleanups > 0 || failures == items(story, id).len()
        }
        (Kind::Many(_), Outcome::SaysCancelled(0, 0)) => story.shape.is_race_of_nobody(id),
        (Kind::Group { .. }, Outcome::Value) => {
            inside == Some(Ending::Value) && !has_failed(story, id, index)
        }
        (Kind::Group { .. }, Outcome::Failed(failures, cleanups)) => failures + cleanups > 0,
        (
            Kind::Group {
                blocks, deadline, ..
            },
            Outcome::SaysCancelled(0, 0),
        ) => {
            // A body that returned its value keeps it, if it was not cancelled from above.
            let kept = inside.is_some() && !blocks;
            !kept && (blocks || deadline.is_some() || requested())
        }
        (Kind::Timeout(ticks), Outcome::TimedOut) => {
            let passed = story.of(id).next().is_none_or(|(made, _)| {
                let due = lasting(id, ticks, story.shape.exact).as_nanos();
                u128::from(story.at(index) - story.at(made)) >= due
            });
            inside.is_none() && (passed || story.pace == Pace::Hurried)
        }
        (Kind::Scope { timeout, .. }, Outcome::Cancelled) => {
            let moved = story.has(id, Event::Moved(id));
            inside.is_none() && (timeout.is_some() || moved || requested())
        }
        (Kind::Timeout(_) | Kind::Scope { .. } | Kind::Shield | Kind::Bracket, outcome) => {
            match outcome {
                Outcome::Value => inside == Some(Ending::Value),
                // `bracket` has no code inside if it could not acquire.
                Outcome::Error(error) => inside == Some(Ending::Error(error)),
                _ => false,
            }
        }
        _ => false,
    }
}

/// No output is given twice, nor before that of an earlier item if they are to come in order.
fn in_order(story: &Story<'_>, many: Id, way: All, complaints: &mut Complaints) {
    let given = given(story, many);
    let is_right = match way {
        All::Settled | All::Mapped { in_order: true, .. } => items(story, many).starts_with(&given),
        _ => (1..given.len()).all(|n| !given[..n].contains(&given[n])),
    };
    if !is_right {
        complaints.push(format!("{many} gave the outputs of {given:?}"));
    }
}

/// The items whose outputs were given.
fn given(story: &Story<'_>, many: Id) -> Vec<Id> {
    let given = story.entries.iter().filter_map(|entry| match entry.event {
        Event::Joined(id, _) if story.shape.site(id).parent == Some(many) => Some(id),
        _ => None,
    });
    given.collect()
}

fn items(story: &Story<'_>, many: Id) -> Vec<Id> {
    let sites = story.shape.sites.iter();
    let items = sites.filter(|(_, site)| site.parent == Some(many));
    items.map(|(id, _)| *id).collect()
}

/// Was the output of each item given? Of a race, that of one: `race_ok` without entrants fails.
fn gave_all(story: &Story<'_>, many: Id, way: All) -> bool {
    let items = items(story, many).len();
    let expected = match way {
        All::Raced => items.min(1),
        All::RacedOk => 1,
        _ => items,
    };
    given(story, many).len() == expected
}

/// Did a child, or the body, fail before the group returned? (A supervised child's failure belongs to
/// its handle, and one that had not started to the caller of `start`.)
fn has_failed(story: &Story<'_>, id: Id, index: usize) -> bool {
    let before = story.entries[..index].iter();
    before.into_iter().any(|entry| match entry.event {
        Event::Ready(child, Ending::Error(_)) => {
            let unstarted = story.is_unstarted(child);
            story.shape.group_of(child) == Some(id)
                && !unstarted
                && (child == id || !story.shape.is_supervised(id))
        }
        _ => false,
    })
}

fn joins(story: &Story<'_>, id: Id, inside: Option<Ending>, joined: Joined, index: usize) -> bool {
    match joined {
        Joined::Value => inside == Some(Ending::Value),
        Joined::Failed => matches!(inside, Some(Ending::Error(_))),
        // Its destructor may have panicked, or what it left below.
        Joined::Panicked => story.entries.iter().any(|entry| {
            let below = |by: Id| story.panic_climbs(by).contains(&id);
            matches!(entry.event, Event::Threw(by) if below(by))
        }),
        // Its scope may have been taken away while it released; its failure climbs all the same.
        Joined::Cancelled => {
            story.is_gone(id, index) || !matches!(inside, Some(Ending::Error(_) | Ending::Panic(_)))
        }
    }
}
