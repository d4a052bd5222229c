//! When everything ends, by the rules alone: a small evaluator of programs, without tasks, wakers or
//! counters.
//!
//! It evaluates the code of everybody from the inside, as if nobody were ever cancelled, and writes
//! down every cause: a failure, a request, a moved deadline. The earliest of them is certain, for
//! what happens before a cause does not depend on it. So that one becomes a fact, and the evaluation
//! begins again, until there is no cause that is not a fact.
//!
//! Where two things happen at one instant and their order matters, the schedule decides, and the
//! evaluator gives up: so it looks only at programs whose durations all differ. It also gives up where it meets what it does not know (limits, graces, foreign
//! combinators, threads).

mod boundaries;
mod children;
mod code;
mod time;

use std::collections::BTreeMap;

use time::{Cut, Time};

use super::{
    grammar::{Id, Program, ROOT, Release},
    interpret::lasting,
    ledger::Outcome,
};

/// What must be found in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// A boundary returned this at that time.
    Returned(u64, Outcome),
    /// The code of a child was dropped at that time.
    Ended(u64),
}

/// When everything ends; `None` if the rules do not tell.
pub fn predict(program: &Program) -> Option<BTreeMap<Id, Known>> {
    /// More causes than steps there cannot be, apart from daemons that are told to end.
    const ROUNDS: usize = 500;
    if !program.exact {
        return None;
    }
    let mut world = World::default();
    for _ in 0..ROUNDS {
        world.forget_all_but_the_facts();
        let mut now = Time::START;
        let outside = code::Around::outside();
        world.open(ROOT, &program.root, &mut now, &outside).ok()?;
        match world.earliest_cause() {
            Some(cause) if world.has_a_rival(&cause) => return None,
            Some(cause) => world.becomes_fact(cause),
            None => return Some(world.known),
        }
    }
    None
}

/// The evaluator cannot say.
#[derive(Debug)]
struct Unknown;
type Sure<T> = Result<T, Unknown>;

/// How code ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Value,
    Error(Id),
    Panic(Id),
    Cut,
}

#[derive(Clone, Copy, Debug)]
struct Cause {
    at: Time,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// This boundary or child is asked to end, by code of that child.
    Request { whom: Id, by: Id },
    /// The deadline of this scope is moved to that time, by code of that child.
    Move { scope: Id, to: u64, by: Id },
}

#[derive(Default)]
struct World {
    /// Facts.
    requests: BTreeMap<Id, Cut>,
    moves: BTreeMap<Id, Vec<(Time, u64)>>,
    /// What this round found.
    causes: Vec<Cause>,
    known: BTreeMap<Id, Known>,
    groups: BTreeMap<Id, Group>,
    /// Boundaries and children that owe releases, the innermost last.
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Group {
    children: Vec<Child>,
    errors: usize,
    panics: Vec<(Time, Id)>,
    cleanups: usize,
}

struct Child {
    id: Id,
    /// By code of that child.
    by: Id,
    spawned: Time,
    /// Its releases have run.
    ended: Time,
    daemon: bool,
    end: End,
    /// Its failure belongs to a handle that was read, or leaked.
    read: bool,
}

/// The releases of one boundary or child.
struct Node {
    /// Where their failures go.
    group: Id,
    /// Given away, to begin at the next checkpoint.
    handed: Vec<u64>,
    /// The last that began ends then.
    busy: Time,
    /// For the end.
    torn_down: Vec<u64>,
}

impl World {
    fn forget_all_but_the_facts(&mut self) {
        self.causes.clear();
        self.known.clear();
        self.groups.clear();
        self.nodes.clear();
    }

    fn nanos(&self, id: Id, ticks: u8) -> u64 {
        lasting(id, ticks, true).as_nanos() as u64
    }

    fn cause(&mut self, at: Time, what: What) {
        self.causes.push(Cause { at, what });
    }

    fn is_fact(&self, cause: &Cause) -> bool {
        match cause.what {
            What::Request { whom, .. } => {
                let known = self.requests.get(&whom);
                known.is_some_and(|known| known.at <= cause.at)
            }
            What::Move { scope, to, .. } => {
                let known = self.moves.get(&scope);
                known.is_some_and(|known| known.contains(&(cause.at, to)))
            }
        }
    }

    fn earliest_cause(&self) -> Option<Cause> {
        let new = self.causes.iter().filter(|cause| !self.is_fact(cause));
        new.min_by_key(|cause| cause.at).copied()
    }

    /// Does another task move the same deadline at the same instant? Then the schedule decides which
    /// of the two is the last.
    fn has_a_rival(&self, cause: &Cause) -> bool {
        let What::Move { scope, by, .. } = cause.what else {
            return false;
        };
        let rival = |other: &Cause| match other.what {
            What::Move {
                scope: same,
                by: task,
                ..
            } => same == scope && task != by,
            What::Request { .. } => false,
        };
        let then = |other: &&Cause| other.at.nanos == cause.at.nanos;
        self.causes.iter().filter(then).any(rival)
    }

    fn becomes_fact(&mut self, cause: Cause) {
        match cause.what {
            What::Request { whom, by } => {
                self.requests.insert(whom, Cut { at: cause.at, by });
            }
            What::Move { scope, to, .. } => {
                let moves = self.moves.entry(scope).or_default();
                moves.push((cause.at, to));
                moves.sort();
            }
        }
    }

    fn requested(&self, whom: Id) -> Cut {
        self.requests.get(&whom).copied().unwrap_or(Cut::NEVER)
    }

    /// A node of releases whose failures go to that group.
    fn enter_node(&mut self, group: Id) {
        self.nodes.push(Node {
            group,
            handed: Vec::new(),
            busy: Time::START,
            torn_down: Vec::new(),
        });
    }

    fn node(&mut self) -> &mut Node {
        self.nodes.last_mut().expect("code runs in a node")
    }

    /// A release that nobody awaits, at the end or at the next checkpoint.
    fn owe(&mut self, id: Id, release: Release, at_the_end: bool) {
        let takes = self.nanos(id, release.takes);
        let node = self.node();
        match at_the_end {
            true => node.torn_down.push(takes),
            false => node.handed.push(takes),
        }
        self.unattended(release);
    }

    fn unattended(&mut self, release: Release) {
        if release.ends != super::grammar::Ends::Well {
            let group = self.node().group;
            self.groups.entry(group).or_default().cleanups += 1;
        }
    }

    /// The code around returns `Pending`: what was given away begins.
    fn checkpoint(&mut self, now: Time, base: usize) {
        for node in &mut self.nodes[base..] {
            for takes in node.handed.drain(..) {
                node.busy = node.busy.max(now).plus(takes);
            }
        }
    }

    /// Everybody below has ended by then; runs what is owed, one after the other.
    fn leave_node(&mut self, alone: Time) -> Time {
        let node = self.nodes.pop().expect("one was entered");
        let owed = node.handed.into_iter().chain(node.torn_down);
        owed.fold(alone.max(node.busy), Time::plus)
    }
}
