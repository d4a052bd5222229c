//! The steps of a block.

use super::{
    End, Sure, Unknown, What, World,
    time::{Cut, Time},
};
use crate::programs::grammar::{Act, Block, Ends, Fate, Id, ROOT, Release, Step, Way};

/// What is around some code.
#[derive(Clone)]
pub(super) struct Around {
    /// The child whose code it is.
    pub(super) task: Id,
    /// When it is asked to end, as far as that is visible.
    pub(super) cut: Cut,
    pub(super) shielded: bool,
    /// The child runs inline. A shield in it keeps alive what is joined with it, and that is beyond
    /// this evaluator.
    pub(super) inline: bool,
    /// The groups in whose text this is, the innermost last.
    pub(super) groups: Vec<Seen>,
    /// Those whose children run inline.
    pub(super) scopes_of_children: Vec<Id>,
    /// Those whose failures do not touch the others.
    pub(super) supervised: Vec<Id>,
    pub(super) scopes: Vec<Id>,
    /// The first node of this child's.
    pub(super) base: usize,
}

impl Around {
    pub(super) fn outside() -> Self {
        Around {
            task: ROOT,
            cut: Cut::NEVER,
            shielded: false,
            inline: false,
            groups: Vec::new(),
            scopes_of_children: Vec::new(),
            supervised: Vec::new(),
            scopes: Vec::new(),
            base: 0,
        }
    }

    /// Has this code been asked to end by then? What others do at the same instant may come first or
    /// later, whatever comes before it in their own code.
    pub(super) fn is_cut(&self, by: Time) -> Sure<bool> {
        let later = self.cut.at > by;
        let of_another = self.cut.by != self.task && (later || self.cut.by != Cut::CLOCK);
        if of_another && self.cut.at.nanos == by.nanos {
            return Err(Unknown);
        }
        Ok(!later)
    }

    pub(super) fn group(&self, up: u8) -> Seen {
        let n = self.groups.len();
        self.groups[n - 1 - usize::from(up) % n]
    }

    fn scope(&self, up: u8) -> Option<Id> {
        let steps = usize::from(up).checked_rem(self.scopes.len())?;
        self.scopes.iter().nth_back(steps).copied()
    }
}

/// A group, as code inside sees it.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) id: Id,
    /// When it is asked to end.
    pub(super) cut: Cut,
    /// This code is below it, and not only in its text: a child that was spawned from here into an
    /// outer group may outlive it.
    pub(super) around: bool,
}

/// What a block owns.
enum Local {
    Guard(Id, Release),
    /// The handle of a child, by its group and its place there.
    Handle(Id, usize),
}

impl World {
    pub(super) fn block(&mut self, block: &Block, now: &mut Time, around: &Around) -> Sure<End> {
        let mut locals = Vec::new();
        let mut end = End::Value;
        for step in block.steps() {
            *now = now.next_step();
            end = self.step(step, now, around, &mut locals)?;
            if end != End::Value {
                break;
            }
        }
        *now = now.next_step();
        for local in locals.into_iter().rev() {
            if let Local::Guard(id, release) = local {
                self.owe(id, release, true);
            }
        }
        Ok(end)
    }

    /// Waits for that time; false if it is cut before.
    pub(super) fn wait(&mut self, until: Time, now: &mut Time, around: &Around) -> Sure<bool> {
        let cut = around.cut;
        if cut.at.nanos == now.nanos && cut.by != around.task {
            return Err(Unknown);
        }
        if cut.at <= *now {
            // Those further out than who sees the request do not hear of this wait: what was given away
            // there does not begin.
            let mut nodes = self.nodes[around.base..].iter();
            let is_certain = nodes.all(|node| node.handed.is_empty());
            return is_certain.then_some(false).ok_or(Unknown);
        }
        self.checkpoint(*now, around.base);
        if until.nanos == now.nanos {
            *now = now.next_turn();
            return Ok(true);
        }
        if cut.at.nanos == until.nanos {
            return Err(Unknown);
        }
        let goes_on = until < cut.at;
        *now = if goes_on { until } else { cut.at.next_turn() };
        Ok(goes_on)
    }

    fn waits(&mut self, until: Time, now: &mut Time, around: &Around) -> Sure<End> {
        let goes_on = self.wait(until, now, around)?;
        Ok(if goes_on { End::Value } else { End::Cut })
    }

    fn step(
        &mut self,
        step: &Step,
        now: &mut Time,
        around: &Around,
        locals: &mut Vec<Local>,
    ) -> Sure<End> {
        let id = step.id;
        match &step.act {
            Act::Sleep(ticks) => {
                let until = now.plus(self.nanos(id, *ticks));
                return self.waits(until, now, around);
            }
            Act::Yield => return self.waits(*now, now, around),
            Act::Fail => return Ok(End::Error(id)),
            Act::Panic => return Ok(End::Panic(id)),
            Act::Defer(release) => locals.push(Local::Guard(id, *release)),
            Act::Drop => {
                if let Some((id, release)) = newest_guard(locals) {
                    self.owe(id, release, false);
                }
            }
            Act::Close => {
                if let Some((id, release)) = newest_guard(locals) {
                    return self.close(id, release, now, around);
                }
            }
            Act::Open(open) => return self.open(id, open, now, around),
            Act::Timeout(ticks, block) => return self.timeout(id, *ticks, block, now, around),
            Act::Enter(enter) => return self.enter(id, enter, now, around),
            Act::Shield(block) => return self.shield(id, block, now, around),
            Act::Bracket {
                acquire,
                block,
                release,
            } => return self.bracket(id, *acquire, block, *release, now, around),
            Act::Spawn(spawn) => {
                if spawn.way == Way::WhenFree {
                    return Err(Unknown);
                }
                let (group, child) = self.spawn(id, spawn, *now, around)?;
                if spawn.fate == Fate::Kept {
                    locals.extend(child.map(|child| Local::Handle(group, child)));
                }
            }
            Act::Await => {
                let place = locals.iter().rposition(|l| matches!(l, Local::Handle(..)));
                if let Some(Local::Handle(group, child)) = place.map(|at| locals.remove(at)) {
                    return self.join(group, child, now, around);
                }
            }
            Act::CancelChild => {
                let mut handles = locals.iter().rev().filter_map(|local| match local {
                    Local::Handle(group, child) => Some((*group, *child)),
                    Local::Guard(..) => None,
                });
                if let Some((group, child)) = handles.next() {
                    let child = &self.groups[&group].children[child];
                    // At the instant of its end the schedule decides, unless it has had no turn yet.
                    if child.ended.nanos == now.nanos && !child.spawned.is_same_turn(*now) {
                        return Err(Unknown);
                    }
                    if child.ended > *now {
                        self.request(child.id, *now, around);
                    }
                }
            }
            Act::CancelGroup { up, .. } => self.request(around.group(*up).id, *now, around),
            Act::CancelScope { up, .. } => {
                if let Some(scope) = around.scope(*up) {
                    self.request(scope, *now, around);
                }
            }
            Act::Deadline { up, after } => {
                if let Some(scope) = around.scope(*up) {
                    let to = now.plus(self.nanos(id, *after)).nanos;
                    let by = around.task;
                    self.cause(*now, What::Move { scope, to, by });
                }
            }
            Act::Shutdown { up, grace } => {
                let at = now.plus(self.nanos(id, *grace));
                let (whom, by) = (around.group(*up).id, Cut::CLOCK);
                self.cause(at, What::Request { whom, by });
            }
            Act::Bomb
            | Act::Heed(_)
            | Act::Race(..)
            | Act::Forget(..)
            | Act::Pause { .. }
            | Act::Blocking(_)
            | Act::Start(_)
            | Act::Many(_)
            | Act::Item(_)
            | Act::AwaitShared { .. } => return Err(Unknown),
        }
        Ok(End::Value)
    }

    fn request(&mut self, whom: Id, now: Time, around: &Around) {
        let by = around.task;
        self.cause(now, What::Request { whom, by });
    }

    /// A release that its owner awaits; cut, it goes on as a debt.
    fn close(&mut self, id: Id, release: Release, now: &mut Time, around: &Around) -> Sure<End> {
        let until = now.plus(self.nanos(id, release.takes));
        if !self.wait(until, now, around)? {
            let node = self.node();
            node.busy = node.busy.max(until);
            self.unattended(release);
            return Ok(End::Cut);
        }
        Ok(match release.ends {
            Ends::Panicking => End::Panic(id),
            Ends::Well | Ends::Failing => End::Value,
        })
    }
}

fn newest_guard(locals: &mut Vec<Local>) -> Option<(Id, Release)> {
    let is_guard = |local: &Local| matches!(local, Local::Guard(..));
    match locals.remove(locals.iter().rposition(is_guard)?) {
        Local::Guard(id, release) => Some((id, release)),
        Local::Handle(..) => None,
    }
}
