//! What is below what: the tree that the rules speak of, read off the program.

use std::collections::BTreeMap;

use crate::programs::grammar::{
    Act, All, Block, Id, Many, Open, Opener, Program, ROOT, Ticks, Way, second,
};

/// What a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A boundary with children.
    Group {
        supervised: bool,
        inline: bool,
        /// Opened by `run`, on a thread.
        blocks: bool,
        limit: Option<u8>,
        grace: bool,
        deadline: Option<Ticks>,
    },
    Timeout(Ticks),
    Scope {
        timeout: Option<Ticks>,
        shielded: bool,
    },
    Shield,
    Bracket,
    /// The caller's side of a `start`.
    StartCall,
    /// Of many futures.
    Many(All),
    Child {
        daemon: bool,
    },
    StartedChild,
    Closure,
    /// One of many.
    Item(All),
    Release,
    /// A block that a foreign combinator polls, or the code that reads many outputs. It is no boundary.
    Foreign,
}

impl Kind {
    /// Requests from above are not visible below it.
    pub fn is_shield(self) -> bool {
        matches!(
            self,
            Kind::Shield | Kind::Release | Kind::Scope { shielded: true, .. }
        )
    }

    /// It may be cancelled before its first poll.
    pub fn is_child(self) -> bool {
        matches!(
            self,
            Kind::Child { .. } | Kind::StartedChild | Kind::Closure | Kind::Item(_)
        )
    }

    pub fn is_boundary(self) -> bool {
        match self {
            Kind::Group { .. }
            | Kind::Timeout(_)
            | Kind::Scope { .. }
            | Kind::Shield
            | Kind::Bracket
            | Kind::StartCall
            | Kind::Many(_) => true,
            Kind::Child { .. }
            | Kind::StartedChild
            | Kind::Closure
            | Kind::Item(_)
            | Kind::Release
            | Kind::Foreign => false,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Site {
    pub kind: Kind,
    /// The boundary or child that has to wait for it.
    pub parent: Option<Id>,
    /// In whose code it is started.
    pub code: Option<Id>,
    /// Whose memory it is part of.
    pub holder: Option<Id>,
}

pub struct Shape {
    pub sites: BTreeMap<Id, Site>,
    /// In which boundary or child, and in whose code, each step is.
    steps: BTreeMap<Id, (Id, Id)>,
    pub exact: bool,
}

/// Where some code is.
#[derive(Clone)]
struct Place {
    code: Id,
    boundary: Id,
    /// The groups around, the innermost last.
    groups: Vec<(Id, Opener)>,
}

impl Shape {
    pub fn of(program: &Program) -> Self {
        let mut shape = Shape {
            sites: BTreeMap::new(),
            steps: BTreeMap::new(),
            exact: program.exact,
        };
        shape.sites.insert(
            ROOT,
            Site {
                kind: group(&program.root),
                parent: None,
                code: None,
                holder: None,
            },
        );
        let place = Place {
            code: ROOT,
            boundary: ROOT,
            groups: vec![(ROOT, program.root.opener)],
        };
        shape.block(&program.root.block, &place);
        shape
    }

    pub fn site(&self, id: Id) -> &Site {
        &self.sites[&id]
    }

    /// The boundaries and children around, from the inside out, without `id` itself.
    pub fn ancestors(&self, id: Id) -> impl Iterator<Item = Id> {
        std::iter::successors(self.site(id).parent, |id| self.site(*id).parent)
    }

    /// The boundaries, children and releases in which this step, or what it starts, runs.
    pub fn around(&self, id: Id) -> impl Iterator<Item = Id> {
        let own = self.sites.contains_key(&id).then_some(id);
        let innermost = own.or_else(|| self.steps.get(&id).map(|(boundary, _)| *boundary));
        let around = std::iter::successors(innermost, |id| self.site(*id).parent);
        around.filter(|id| self.site(*id).kind != Kind::Foreign)
    }

    /// Whose code a step is part of.
    pub fn code_of(&self, id: Id) -> Id {
        self.steps.get(&id).map_or(ROOT, |(_, code)| *code)
    }

    /// `id`, and what its memory is part of, from the inside out.
    pub fn holders(&self, id: Id) -> impl Iterator<Item = Id> {
        std::iter::successors(Some(id), |id| self.site(*id).holder)
    }

    /// The group that a child's failure, or that of a body, belongs to.
    pub fn group_of(&self, id: Id) -> Option<Id> {
        match self.site(id).kind {
            Kind::Group { .. } => Some(id),
            Kind::Item(way) if !way.has_failures() => None,
            kind if kind.is_child() => self.site(id).parent,
            _ => None,
        }
    }

    /// It fails at once, and says that it was cancelled.
    pub fn is_race_of_nobody(&self, id: Id) -> bool {
        let mut sites = self.sites.values();
        self.site(id).kind == Kind::Many(All::RacedOk) && !sites.any(|site| site.parent == Some(id))
    }

    /// Does it return a `GroupError`?
    pub fn has_group_error(&self, id: Id) -> bool {
        match self.site(id).kind {
            Kind::Group { .. } => true,
            Kind::Many(way) => way.has_group_error(),
            _ => false,
        }
    }

    pub fn is_supervised(&self, id: Id) -> bool {
        match self.site(id).kind {
            Kind::Group { supervised, .. } => supervised,
            Kind::Many(way) => way.is_supervised(),
            _ => false,
        }
    }

    fn add(&mut self, id: Id, kind: Kind, parent: Id, code: Id, holder: Option<Id>) {
        let (parent, code) = (Some(parent), Some(code));
        let site = Site {
            kind,
            parent,
            code,
            holder,
        };
        self.sites.insert(id, site);
    }

    fn block(&mut self, block: &Block, place: &Place) {
        for step in block.steps() {
            self.step(step.id, &step.act, place);
        }
    }

    /// A boundary that is polled where it is opened.
    fn inline(&mut self, id: Id, kind: Kind, block: &Block, place: &Place) {
        self.add(id, kind, place.boundary, place.code, Some(place.code));
        let mut inside = place.clone();
        (inside.code, inside.boundary) = (id, id);
        self.block(block, &inside);
    }

    fn child(&mut self, id: Id, kind: Kind, up: u8, block: &Block, place: &Place) {
        let target = place.group(up);
        let inline = matches!(self.site(target).kind, Kind::Group { inline: true, .. });
        self.add(id, kind, target, place.code, inline.then_some(target));
        let mut inside = place.clone();
        (inside.code, inside.boundary) = (id, id);
        self.block(block, &inside);
    }

    fn release(&mut self, id: Id, boundary: Id, code: Id) {
        self.add(id, Kind::Release, boundary, code, Some(code));
    }

    fn many(&mut self, id: Id, many: &Many, place: &Place) {
        let (boundary, code) = (place.boundary, place.code);
        self.add(id, Kind::Foreign, boundary, code, Some(code));
        let around = second(id);
        self.add(around, Kind::Many(many.way), boundary, id, Some(id));
        for (item, block) in many.items() {
            self.steps.insert(item, (around, id));
            self.add(item, Kind::Item(many.way), around, id, None);
            let mut inside = place.clone();
            (inside.code, inside.boundary) = (item, item);
            self.block(block, &inside);
        }
    }

    fn step(&mut self, id: Id, act: &Act, place: &Place) {
        self.steps.insert(id, (place.boundary, place.code));
        match act {
            Act::Defer(_) => self.release(id, place.boundary, place.code),
            Act::Open(open) => {
                let mut inside = place.clone();
                inside.groups.push((id, open.opener));
                self.inline(id, group(open), &open.block, &inside);
            }
            Act::Timeout(ticks, block) => self.inline(id, Kind::Timeout(*ticks), block, place),
            Act::Enter(enter) => {
                let kind = Kind::Scope {
                    timeout: enter.timeout,
                    shielded: enter.shielded,
                };
                self.inline(id, kind, &enter.block, place);
            }
            Act::Shield(block) => self.inline(id, Kind::Shield, block, place),
            Act::Bracket { block, .. } => {
                self.inline(id, Kind::Bracket, block, place);
                self.release(second(id), id, id);
            }
            Act::Race(_, block) | Act::Forget(_, block) | Act::Pause { block, .. } => {
                let (boundary, code) = (place.boundary, place.code);
                self.add(id, Kind::Foreign, boundary, code, Some(code));
                let mut inside = place.clone();
                inside.code = id;
                self.block(block, &inside);
            }
            Act::Many(many) => self.many(id, many, place),
            Act::Spawn(spawn) => {
                let daemon = spawn.way == Way::Daemon;
                self.child(id, Kind::Child { daemon }, spawn.up, &spawn.block, place);
            }
            Act::Start(start) => {
                let (boundary, code) = (place.boundary, place.code);
                self.add(second(id), Kind::StartCall, boundary, code, Some(code));
                self.child(id, Kind::StartedChild, start.up, &start.block, place);
            }
            Act::Blocking(blocking) => {
                let Some(target) = place.parallel(blocking.up) else {
                    return;
                };
                self.add(id, Kind::Closure, target, place.code, None);
                let Some(block) = &blocking.run else {
                    return;
                };
                let run = second(id);
                let kind = Kind::Group {
                    supervised: false,
                    inline: false,
                    blocks: true,
                    limit: None,
                    grace: false,
                    deadline: None,
                };
                self.add(run, kind, id, id, None);
                let mut inside = place.clone();
                (inside.code, inside.boundary) = (run, run);
                inside.groups.push((run, Opener::Group));
                self.block(block, &inside);
            }
            _ => {}
        }
    }
}

impl Place {
    fn group(&self, up: u8) -> Id {
        let n = self.groups.len();
        self.groups[n - 1 - usize::from(up) % n].0
    }

    /// The first group from there on outwards that has threads for closures.
    fn parallel(&self, up: u8) -> Option<Id> {
        let outwards = (0..self.groups.len()).map(|n| self.group(up.wrapping_add(n as u8)));
        outwards.into_iter().find(|id| {
            let found = self.groups.iter().find(|(group, _)| group == id);
            found.is_some_and(|(_, opener)| *opener == Opener::Group)
        })
    }
}

fn group(open: &Open) -> Kind {
    Kind::Group {
        supervised: open.opener == Opener::Supervise,
        inline: open.opener == Opener::Scope,
        blocks: false,
        limit: open.limit,
        grace: open.grace.is_some(),
        deadline: open.deadline,
    }
}
