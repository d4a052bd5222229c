//! Finalizers: one after the other, the last taken first, inner before outer; cut only by a grace.

use crate::programs::{grammar::Id, ledger::Event};

use super::{Complaints, shape::Kind, story::Story};

/// A release that began.
struct Run {
    id: Id,
    /// The boundary or child that it belongs to.
    boundary: Id,
    /// In whose code it was taken, and when.
    code: Id,
    taken: usize,
    begun: usize,
    ended: usize,
    /// Closed by its owner, who runs it himself.
    closed: bool,
    /// Given away before the end of the body, so that it is released alongside.
    given: bool,
}

pub fn check(story: &Story<'_>, complaints: &mut Complaints) {
    let runs: Vec<Run> = story
        .shape
        .sites
        .iter()
        .filter(|(_, site)| site.kind == Kind::Release)
        .filter_map(|(&id, _)| run(story, id))
        .collect();
    for run in &runs {
        let graced = story
            .shape
            .ancestors(run.id)
            .any(|id| matches!(story.shape.site(id).kind, Kind::Group { grace: true, .. }));
        let cut = story.place(run.id, |event| matches!(event, Event::Cut(_)));
        // The memory of its `close` has it, and nobody polls that.
        let is_aside = run.closed && story.is_aside(run.code);
        if cut.is_some() && !graced && !is_aside {
            complaints.push(format!(
                "release {} was cut though there is no grace",
                run.id
            ));
        }
        for other in &runs {
            pair(story, run, other, complaints);
        }
    }
}

fn run(story: &Story<'_>, id: Id) -> Option<Run> {
    let site = story.shape.site(id);
    let ended = |event| matches!(event, Event::Released(..) | Event::Cut(_));
    Some(Run {
        id,
        boundary: site.parent?,
        code: site.code?,
        taken: story.place(id, |event| matches!(event, Event::Deferred(_)))?,
        begun: story.place(id, |event| matches!(event, Event::Releasing(_)))?,
        ended: story.place(id, ended).unwrap_or(usize::MAX),
        closed: story.has(id, Event::Closing(id)),
        given: story.has(id, Event::Given(id)) || site.code != site.parent,
    })
}

fn pair(story: &Story<'_>, one: &Run, other: &Run, complaints: &mut Complaints) {
    if one.id == other.id || one.closed || other.closed {
        return;
    }
    let (first, second) = (one.id, other.id);
    if one.boundary == other.boundary {
        if one.begun < other.begun && other.begun < one.ended {
            complaints.push(format!("release {second} began while {first} ran"));
        }
        let torn_down = !one.given && !other.given;
        let same = one.code == other.code;
        if same && torn_down && one.taken < other.taken && one.begun < other.begun {
            complaints.push(format!(
                "release {first} ran before {second}, which was taken later"
            ));
        }
    }
    let is_inner = story
        .shape
        .ancestors(first)
        .skip(1)
        .any(|id| id == other.boundary);
    // A child may still come while a release of the group runs.
    let both = one.taken < other.begun && other.begun < one.ended;
    if is_inner && !other.given && both {
        complaints.push(format!(
            "release {second} began before {first} ended, which is further in"
        ));
    }
}
