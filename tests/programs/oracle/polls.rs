//! Nobody is polled any more who can see a request (rules 4 and 19), and nobody absorbs what was asked
//! further out (rule 21). Of requests only those are looked at that have a place in the ledger.
//!
//! In one thread: a request from another one may come in the middle of a poll.

use crate::programs::{
    grammar::Id,
    ledger::{Event, Outcome},
};

use super::{Complaints, causes::Causes, shape::Kind, story::Story};

pub fn check(story: &Story<'_>, causes: &Causes, complaints: &mut Complaints) {
    for (&id, site) in &story.shape.sites {
        if let Some(visible) = causes.visible(story, id) {
            polled_after(story, id, visible, complaints);
        }
        let blocks = matches!(site.kind, Kind::Group { blocks: true, .. });
        let around = site.parent.filter(|_| !site.kind.is_shield() && !blocks);
        let visible = around.and_then(|around| causes.visible(story, around));
        absorbed_after(story, id, visible, complaints);
    }
}

fn polled_after(story: &Story<'_>, id: Id, visible: usize, complaints: &mut Complaints) {
    // The block of a foreign combinator goes with the code around.
    let mut holders = story.shape.holders(id);
    let dropped_as_one = holders.find(|&id| story.shape.site(id).kind != Kind::Foreign);
    let dropped_as_one = dropped_as_one.unwrap_or(id);
    let polls = |id: Id| {
        let polls = story
            .of(id)
            .filter(|(_, event)| matches!(event, Event::Polled(_)));
        polls.map(|(index, _)| index)
    };
    for (n, index) in polls(id).enumerate().filter(|(_, index)| *index > visible) {
        let event = story.entries[visible].event;
        // The first poll of a body, or of an entered future, always happens.
        if n == 0 && story.shape.site(id).kind.is_child() {
            complaints.push(format!(
                "{id} was polled for the first time after {event:?}"
            ));
        }
        // What is inside has to be polled to come to its end. Who is not polled is forgotten: so it
        // is found out, by polls at the instant of the first one that comes afterwards, unless it is laid
        // aside in between.
        let is_open = |inner: Id| {
            let looked_for = |forgotten: usize| {
                let since = forgotten.max(visible);
                let mut polls = polls(dropped_as_one);
                let first = polls.find(|at| *at > since).map(|at| story.at(at));
                first.is_some_and(|first| {
                    [first, story.polled_from(dropped_as_one, first)].contains(&story.at(index))
                })
            };
            let forgotten = story.forgotten(inner).filter(|&at| at < index);
            let mut pauses = story.pauses(inner);
            let aside = pauses.find(|(from, to)| *from < index && to.is_none_or(|to| index < to));
            let unpolled = forgotten.or(aside.map(|(paused, _)| paused));
            unpolled.is_none_or(looked_for) && story.is_open_in(inner, dropped_as_one, index)
        };
        let mut inside = story.shape.sites.keys();
        if n > 0 && !inside.any(|&inner| is_open(inner)) {
            complaints.push(format!("{id} was polled after {event:?}"));
            return;
        }
    }
}

/// What was asked further out is not for this boundary: the code that awaits it never goes on.
fn absorbed_after(story: &Story<'_>, id: Id, visible: Option<usize>, complaints: &mut Complaints) {
    let absorbs = |event| match event {
        Event::Returned(_, outcome) => matches!(
            outcome,
            Outcome::SaysCancelled(0, 0) | Outcome::Cancelled | Outcome::TimedOut
        ),
        _ => false,
    };
    let returned = story.place(id, absorbs);
    if let Some(visible) = visible.filter(|&visible| returned.is_some_and(|at| visible < at)) {
        let event = story.entries[visible].event;
        complaints.push(format!("{id} absorbed {event:?}"));
    }
}
