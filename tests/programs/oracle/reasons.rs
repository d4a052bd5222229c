//! Why something was cancelled: the reason that it gives has happened, and no other came first.

use crate::programs::{
    grammar::Id,
    interpret::{Pace, lasting},
    ledger::{Event, Outcome, Reason},
};

use super::{Complaints, causes::Causes, shape::Kind, story::Story};

pub fn check(story: &Story<'_>, causes: &Causes, complaints: &mut Complaints) {
    for (index, entry) in story.entries.iter().enumerate() {
        let Event::Because(id, reason) = entry.event else {
            continue;
        };
        let is_right = match (story.shape.site(id).kind.is_child(), reason) {
            (true, Some(reason)) => is_of_child(story, causes, id, reason, index),
            (true, None) => false,
            (false, Some(reason)) => is_first(story, causes, id, reason, index),
            (false, None) => !has_reason(story, causes, id, index),
        };
        if !is_right {
            let known: Vec<Reason> = causes.before(id, index).map(|cause| cause.why).collect();
            complaints.push(format!("{id} gives the reason {reason:?} after {known:?}"));
        }
    }
    for (&id, site) in &story.shape.sites {
        let cancelled = story.has(id, Event::Returned(id, Outcome::Cancelled));
        let is_scope = matches!(site.kind, Kind::Scope { .. });
        if is_scope && cancelled != story.has(id, Event::Caught(id)) {
            complaints.push(format!("{id} is wrong about what it caught"));
        }
    }
}

/// Is there a reason that it must know?
fn has_reason(story: &Story<'_>, causes: &Causes, id: Id, index: usize) -> bool {
    // On threads the call comes some time after its place in the ledger.
    causes.before(id, index).any(|cause| {
        story.pace == Pace::Virtual || !matches!(cause.why, Reason::Explicit(_) | Reason::Dropped)
    })
}

/// Has this happened to the boundary, and nothing else before?
fn is_first(story: &Story<'_>, causes: &Causes, id: Id, reason: Reason, index: usize) -> bool {
    let Some(begun) = may_begin(story, causes, id, reason, index) else {
        return false;
    };
    let others = causes.before(id, index).filter(|cause| cause.why != reason);
    let mut others = others.filter(|cause| cause.at_once);
    story.pace != Pace::Virtual || others.all(|cause| cause.at > begun)
}

/// The earliest place in the ledger at which the boundary may have been cancelled for this reason.
fn may_begin(
    story: &Story<'_>,
    causes: &Causes,
    id: Id,
    reason: Reason,
    index: usize,
) -> Option<usize> {
    let mut known = causes.before(id, index);
    let known = known.find(|cause| cause.why == reason);
    let known = known.map(|cause| cause.at);
    match reason {
        Reason::Explicit(_) | Reason::Dropped => known,
        // A destructor or a release may have panicked too.
        Reason::SiblingFailed | Reason::BodyFailed => {
            let thrown = |index: &usize| match story.entries[*index].event {
                Event::Threw(by) => story.panic_climbs(by).contains(&id),
                _ => false,
            };
            let thrown = (0..index).find(thrown);
            known.into_iter().chain(thrown).min()
        }
        Reason::Shutdown => story.place(id, |event| matches!(event, Event::Asked(..))),
        Reason::Deadline => deadline(story, id),
    }
}

/// The first place in the ledger at which its deadline may have passed.
fn deadline(story: &Story<'_>, id: Id) -> Option<usize> {
    let ticks = match story.shape.site(id).kind {
        Kind::Group { deadline, .. } => deadline,
        Kind::Scope { timeout, .. } => timeout,
        Kind::Timeout(ticks) => Some(ticks),
        _ => None,
    };
    let entered = story.place(id, |event| matches!(event, Event::Entered(_)))?;
    let moved = story.place(id, |event| matches!(event, Event::Moved(_)));
    let due = ticks.map(|ticks| match story.pace {
        Pace::Virtual | Pace::Interleaved => {
            story.at(entered) + lasting(id, ticks, story.shape.exact).as_nanos() as u64
        }
        Pace::Hurried => 0,
    });
    // Where to it was moved is not looked at.
    let due = due.into_iter().chain(moved.map(|at| story.at(at))).min()?;
    story.entries.iter().position(|entry| entry.at >= due)
}

/// The handle of a supervised child gives its own reason, or that of something around.
fn is_of_child(story: &Story<'_>, causes: &Causes, id: Id, reason: Reason, index: usize) -> bool {
    let is_child = |id: Id| story.shape.site(id).kind.is_child();
    match reason {
        // By a handle; or a daemon was told that it is not needed any more.
        Reason::Explicit(None) => {
            let asked = |id| story.has_any(id, |event| matches!(event, Event::Requested(..)));
            let dismissed = |id| story.shape.site(id).kind == Kind::Child { daemon: true };
            let mut around = story.shape.ancestors(id).filter(|id| is_child(*id));
            // A race has a winner.
            let asks_itself = |id: Id| {
                let kind = story.shape.site(id).kind;
                matches!(kind, Kind::Many(way) if way.is_race())
            };
            asked(id)
                || around.any(|id| asked(id) || dismissed(id))
                || story.shape.ancestors(id).any(asks_itself)
        }
        Reason::Dropped => story.refused(id) || story.adopted(id),
        _ => {
            let mut around = story.shape.ancestors(id);
            around.any(|id| may_begin(story, causes, id, reason, index).is_some())
        }
    }
}
