//! Who asks whom to end, as far as the ledger shows it: requests, failures of children and bodies, and
//! what a foreign combinator drops. When a deadline or a grace has passed it does not show.

use std::collections::BTreeMap;

use crate::programs::{
    grammar::{All, Id},
    ledger::{Ending, Event, Reason},
};

use super::{shape::Kind, story::Story};

#[derive(Clone, Copy, Debug)]
pub struct Cause {
    /// Where it is in the ledger.
    pub at: usize,
    pub why: Reason,
    /// It asks at that place, before anything else happens. (A closure's thread fails after it has
    /// written so, and other threads may run meanwhile.)
    pub at_once: bool,
}

/// For each boundary and child what asks it to end, in order.
pub struct Causes(BTreeMap<Id, Vec<Cause>>);

impl Causes {
    pub fn of(story: &Story<'_>) -> Self {
        let mut causes = Causes(BTreeMap::new());
        for (index, entry) in story.entries.iter().enumerate() {
            match entry.event {
                Event::Requested(whom, by) => {
                    causes.add(whom, index, Reason::Explicit(Some(by)), true);
                }
                Event::Ready(id, Ending::Error(_) | Ending::Panic(_)) => {
                    let Some(group) = story.shape.group_of(id) else {
                        causes.of_item(story, id, index);
                        continue;
                    };
                    if id == group {
                        causes.add(group, index, Reason::BodyFailed, true);
                    } else if !story.shape.is_supervised(group) && !story.is_unstarted(id) {
                        let at_once = story.shape.site(id).kind != Kind::Closure;
                        causes.add(group, index, Reason::SiblingFailed, at_once);
                    }
                }
                Event::Ready(id, Ending::Value) => causes.of_item(story, id, index),
                Event::Entered(id) if story.shape.is_race_of_nobody(id) => {
                    causes.add(id, index, Reason::Explicit(None), true);
                }
                Event::LostDone(foreign) => causes.dropped(story, foreign, index),
                _ => {}
            }
        }
        causes
    }

    fn add(&mut self, whom: Id, at: usize, why: Reason, at_once: bool) {
        let cause = Cause { at, why, at_once };
        self.0.entry(whom).or_default().push(cause);
    }

    /// One of many has ended, which is not supervised.
    fn of_item(&mut self, story: &Story<'_>, id: Id, at: usize) {
        let (site, event) = (story.shape.site(id), story.entries[at].event);
        let why = match (site.kind, event) {
            (Kind::Item(_), Event::Ready(_, Ending::Panic(_))) => Reason::SiblingFailed,
            // It has won.
            (Kind::Item(All::Raced), _)
            | (Kind::Item(All::RacedOk), Event::Ready(_, Ending::Value)) => Reason::Explicit(None),
            _ => return,
        };
        self.add(site.parent.expect("one of many"), at, why, true);
    }

    /// Every boundary that was open in that block is dropped, unless it has been forgotten.
    fn dropped(&mut self, story: &Story<'_>, foreign: Id, index: usize) {
        let lost = story.lost(foreign).unwrap_or(index);
        for (&id, site) in &story.shape.sites {
            let is_open = site.kind.is_boundary() && story.is_open_in(id, foreign, lost);
            if is_open && story.forgotten(id).is_none_or(|at| at > lost) {
                self.add(id, index, Reason::Dropped, true);
            }
        }
    }

    /// What asks it before that place in the ledger.
    pub fn before(&self, id: Id, index: usize) -> impl Iterator<Item = Cause> + '_ {
        let causes = self.0.get(&id).into_iter().flatten().copied();
        causes.take_while(move |cause| cause.at < index)
    }

    /// Where the first request is that is visible in there: to itself, or to something around up to
    /// the nearest shield.
    pub fn visible(&self, story: &Story<'_>, id: Id) -> Option<usize> {
        let mut first = None;
        let mut next = Some(id);
        while let Some(id) = next {
            let mut own = self.before(id, usize::MAX).filter(|cause| cause.at_once);
            let own = own.next().map(|cause| cause.at);
            first = first.into_iter().chain(own).min();
            let site = story.shape.site(id);
            next = site.parent.filter(|_| !site.kind.is_shield());
        }
        first
    }
}
