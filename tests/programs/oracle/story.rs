//! A ledger by step.

use std::collections::BTreeMap;

use crate::programs::{
    grammar::{Id, Program, second},
    interpret::Pace,
    ledger::{Entry, Event},
};

use super::shape::{Kind, Shape};

/// What a check looks at.
pub struct Story<'a> {
    pub program: &'a Program,
    pub shape: Shape,
    pub entries: &'a [Entry],
    pub pace: Pace,
    /// For each number, where in the ledger it occurs.
    places: Vec<Vec<usize>>,
    /// For each site, who has to wait for it: itself first, and then from the inside out.
    waiting: BTreeMap<Id, Vec<Id>>,
}

impl<'a> Story<'a> {
    pub fn new(program: &'a Program, entries: &'a [Entry], pace: Pace) -> Self {
        let shape = Shape::of(program);
        let most = shape.sites.keys().next_back().copied().unwrap_or(0);
        let steps = program.root.block.last() + 2;
        let mut places = vec![Vec::new(); most.max(steps) as usize + 2];
        for (index, entry) in entries.iter().enumerate() {
            places[entry.event.id() as usize].push(index);
        }
        let mut story = Story {
            program,
            shape,
            entries,
            pace,
            places,
            waiting: BTreeMap::new(),
        };
        let sites = story.shape.sites.keys();
        // What runs inline is memory of its scope, and nobody else waits for it.
        let waits = |id: Id| story.shape.site(id).holder.is_none();
        story.waiting = sites.map(|&id| (id, story.outwards(id, waits))).collect();
        story
    }

    /// The boundaries and children to which the failure of a step may climb.
    pub fn climbs(&self, id: Id) -> Vec<Id> {
        let innermost = self.shape.around(id).next();
        innermost.map_or(Vec::new(), |id| self.outwards(id, |_| true))
    }

    /// The code that has a child's handle: that which has spawned it, or which has found it. `None` if it was
    /// shared, and nobody has found it.
    pub fn keeper(&self, child: Id) -> Option<Id> {
        let mut events = self.of(child).rev();
        let last = events.find_map(|(_, event)| match event {
            Event::Found(_, by) => Some(Some(self.shape.code_of(by))),
            Event::Shared(_) => Some(None),
            _ => None,
        });
        last.unwrap_or_else(|| Some(self.shape.code_of(child)))
    }

    /// The same for a panic. That of an output's destructor is one of the group that drops it, or of the
    /// code that has the handle.
    pub fn panic_climbs(&self, by: Id) -> Vec<Id> {
        let mut climbs = self.climbs(by);
        if self
            .shape
            .sites
            .get(&by)
            .is_some_and(|site| site.kind.is_child())
        {
            let keepers = [Some(self.shape.code_of(by)), self.keeper(by)];
            let keepers = keepers.into_iter().flatten();
            climbs.extend(keepers.flat_map(|code| self.outwards(code, |_| true)));
        }
        climbs
    }

    /// From the site outwards; to the callers of `start` too, where a child has not started and is
    /// `called`.
    fn outwards(&self, id: Id, called: impl Fn(Id) -> bool) -> Vec<Id> {
        let mut found = vec![id];
        let mut next = 0;
        while let Some(&id) = found.get(next) {
            next += 1;
            let site = self.shape.site(id);
            let call = self.is_unstarted(id) && called(id);
            for around in site.parent.into_iter().chain(call.then(|| second(id))) {
                if !found.contains(&around) {
                    found.push(around);
                }
            }
        }
        found
    }

    /// A child that never said that it has started; its failure belongs to the caller of `start`.
    pub fn is_unstarted(&self, id: Id) -> bool {
        self.shape.site(id).kind == Kind::StartedChild
            && (!self.has(id, Event::Sent(id)) || self.has(id, Event::Refused(id)))
    }

    /// Who has to wait for this site, from the site itself outwards.
    pub fn waiting_for(&self, id: Id) -> &[Id] {
        &self.waiting[&id]
    }

    /// Every site that this one has to wait for, and itself.
    pub fn below(&self, id: Id) -> impl Iterator<Item = Id> + '_ {
        let sites = self.waiting.iter();
        sites
            .filter(move |(_, waiting)| waiting.contains(&id))
            .map(|(below, _)| *below)
    }

    /// Where in the ledger something happens to this site or below it.
    pub fn lives_below(&self, id: Id) -> impl Iterator<Item = usize> + '_ {
        let let_in = self.below(id).filter(|below| !self.refused(*below));
        let events = let_in.flat_map(|below| self.of(below));
        events
            .filter(|(_, event)| is_life(*event))
            .map(|(index, _)| index)
    }

    /// Every event of this number, with its place in the ledger.
    pub fn of(&self, id: Id) -> impl DoubleEndedIterator<Item = (usize, Event)> + '_ {
        let places = self.places[id as usize].iter();
        places.map(|&index| (index, self.entries[index].event))
    }

    /// Where the first such event is.
    pub fn place(&self, id: Id, fits: impl Fn(Event) -> bool) -> Option<usize> {
        let mut events = self.of(id);
        events
            .find(|(_, event)| fits(*event))
            .map(|(index, _)| index)
    }

    pub fn has(&self, id: Id, event: Event) -> bool {
        self.place(id, |other| other == event).is_some()
    }

    pub fn count(&self, id: Id, fits: impl Fn(Event) -> bool) -> usize {
        self.of(id).filter(|(_, event)| fits(*event)).count()
    }

    pub fn at(&self, index: usize) -> u64 {
        self.entries[index].at
    }

    pub fn returned(&self, id: Id) -> Option<usize> {
        self.place(id, |event| matches!(event, Event::Returned(..)))
    }

    pub fn dropping(&self, id: Id) -> Option<usize> {
        self.place(id, |event| matches!(event, Event::Dropping(_)))
    }

    /// Where it was forgotten, with the block whose memory it is part of.
    pub fn forgotten(&self, id: Id) -> Option<usize> {
        let mut holders = self.shape.holders(id);
        holders
            .find_map(|id| self.place(id, |event| matches!(event, Event::Forgot(_))))
            .or_else(|| self.forgotten(self.waits_in(id)?))
    }

    /// The code in which a child waits for a place under the limit, whose memory it is until then.
    fn waits_in(&self, id: Id) -> Option<Id> {
        let site = self.shape.site(id);
        let made = || self.has(id, Event::Made(id));
        let waits =
            matches!(site.kind, Kind::Child { .. }) && made() && !self.has(id, Event::Spawned(id));
        site.code.filter(|_| waits)
    }

    /// From where to where it lay aside, with the block whose memory it is part of. For ever, if that was not
    /// polled again.
    pub fn pauses(&self, id: Id) -> impl Iterator<Item = (usize, Option<usize>)> + '_ {
        self.shape.holders(id).filter_map(|id| {
            let paused = self.place(id, |event| matches!(event, Event::Paused(_)))?;
            let resumed = self.place(id, |event| matches!(event, Event::Resumed(_)));
            Some((paused, resumed))
        })
    }

    /// The first instant from that one on at which it did not lie aside.
    pub fn polled_from(&self, id: Id, mut at: u64) -> u64 {
        // One may begin in the poll with which another ends.
        while let Some(later) = self.pauses(id).find_map(|(paused, resumed)| {
            let (paused, resumed) = (self.at(paused), self.at(resumed?));
            (paused <= at && at < resumed).then_some(resumed)
        }) {
            at = later;
        }
        at
    }

    /// Did it lie aside until it was dropped?
    pub fn is_aside(&self, id: Id) -> bool {
        self.pauses(id).any(|(_, resumed)| resumed.is_none())
    }

    /// Where a foreign combinator dropped it half-way.
    pub fn lost(&self, id: Id) -> Option<usize> {
        let mut holders = self.shape.holders(id);
        holders.find_map(|id| self.place(id, |event| matches!(event, Event::Lost(_))))
    }

    /// Had it been dropped by a foreign combinator, or forgotten, with what it is memory of? An inline
    /// child ends there with its scope, and what it leaves belongs to the boundaries around.
    pub fn is_gone(&self, id: Id, index: usize) -> bool {
        let gone = [self.lost(id), self.forgotten(id)];
        gone.into_iter().flatten().any(|gone| gone < index)
    }

    /// Was it spawned after its group had closed, or into one that takes no more children? Then it is
    /// dropped in the call, unpolled.
    pub fn refused(&self, id: Id) -> bool {
        let is_item = matches!(self.shape.site(id).kind, Kind::Item(_));
        if is_item || self.has_any(id, |event| matches!(event, Event::Polled(_))) {
            return false;
        }
        let made = self.place(id, |event| matches!(event, Event::Made(_)));
        let dropped = self.place(id, |event| matches!(event, Event::Dropped(_)));
        let spawned = self.place(id, |event| matches!(event, Event::Spawned(_)));
        match spawned {
            Some(spawned) => dropped.is_some_and(|dropped| dropped < spawned),
            // The child of a `start`: nothing else happened meanwhile.
            None if self.shape.site(id).kind == Kind::StartedChild => {
                let at_once = dropped.is_some() && made.map(|made| made + 2) == dropped;
                at_once || self.pace != Pace::Virtual
            }
            // Dropped with the code that waited for a place under the limit.
            None => dropped.is_some(),
        }
    }

    pub fn has_any(&self, id: Id, fits: impl Fn(Event) -> bool) -> bool {
        self.place(id, fits).is_some()
    }

    /// Is the boundary, which is memory of that other code, open at that place in the ledger? Also if it
    /// was forgotten.
    pub fn is_open_in(&self, id: Id, code: Id, index: usize) -> bool {
        let before =
            |id, fits: fn(Event) -> bool| self.place(id, fits).is_some_and(|at| at < index);
        let is_forgotten = |id: &Id| before(*id, |event| matches!(event, Event::Forgot(_)));
        if !self.shape.holders(id).skip(1).any(|holder| holder == code) {
            return false;
        }
        // What is forgotten is there for ever.
        let between = self.shape.holders(id).skip(1).take_while(|id| *id != code);
        let mut between = between.take_while(|id| !is_forgotten(id));
        before(id, |event| matches!(event, Event::Entered(_)))
            && !before(id, |event| matches!(event, Event::Returned(..)))
            && !between.any(|id| before(id, |event| matches!(event, Event::Dropping(_))))
    }

    /// Was it, or something around it, taken away by a foreign combinator, so that it is not its own
    /// opener that waits for what is below?
    pub fn adopted(&self, id: Id) -> bool {
        let around = std::iter::once(id).chain(self.shape.ancestors(id));
        around
            .into_iter()
            .any(|id| self.lost(id).is_some() || self.forgotten(id).is_some() || self.is_aside(id))
    }
}

/// Something that happens to a child, a body or a release; not what others note about it.
pub fn is_life(event: Event) -> bool {
    matches!(
        event,
        Event::Made(_)
            | Event::Polled(_)
            | Event::Ready(..)
            | Event::Dropping(_)
            | Event::Dropped(_)
            | Event::Sent(_)
            | Event::Deferred(_)
            | Event::Given(_)
            | Event::Closing(_)
            | Event::Releasing(_)
            | Event::Released(..)
            | Event::Cut(_)
    )
}
