//! Groups, scopes, timeouts, shields and brackets.

use super::{
    Child, End, Known, Sure, Unknown, What, World,
    code::{Around, Seen},
    time::{Cut, Time},
};
use crate::programs::{
    grammar::{Block, Enter, Id, Open, Opener, Release, second},
    ledger::Outcome,
};

impl World {
    /// A boundary with children.
    pub(super) fn open(
        &mut self,
        id: Id,
        open: &Open,
        now: &mut Time,
        around: &Around,
    ) -> Sure<End> {
        if open.limit.is_some() || open.grace.is_some() {
            return Err(Unknown);
        }
        let mut own = self.requested(id);
        if let Some(deadline) = open.deadline {
            own = own.or(clock(now.plus(self.nanos(id, deadline)).nanos));
        }
        let mut inside = around.clone();
        inside.cut = around.cut.or(own);
        inside.groups.push(Seen {
            id,
            cut: inside.cut,
            around: true,
        });
        match open.opener {
            Opener::Group => {}
            Opener::Scope => inside.scopes_of_children.push(id),
            Opener::Supervise => inside.supervised.push(id),
        }
        self.groups.entry(id).or_default();
        self.enter_node(id);
        let end = self.block(&open.block, now, &inside)?;
        let body = *now;
        self.body_ended(id, end, body, around);
        self.dismiss_daemons(id, body, around.task)?;
        let children = &self.groups[&id].children;
        let last = children.iter().map(|child| child.ended).max();
        let alone = last.map_or(body, |last| last.max(body));
        let waits = !children.is_empty();
        let ended = self.leave_node(alone);
        if around.cut.ties(alone, ended) {
            return Err(Unknown);
        }
        if waits || ended > body {
            self.checkpoint(body, around.base);
        }
        *now = if ended.is_same_turn(body) {
            ended
        } else {
            ended.next_turn()
        };
        self.conclude(id, open, end, [body, alone, *now], around)
    }

    fn body_ended(&mut self, id: Id, end: End, at: Time, around: &Around) {
        let by = around.task;
        let group = self.groups.entry(id).or_default();
        match end {
            End::Value | End::Cut => return,
            End::Error(_) => group.errors += 1,
            End::Panic(by) => group.panics.push((at, by)),
        }
        self.cause(at, What::Request { whom: id, by });
    }

    /// Daemons are cancelled once the body and all ordinary children have ended.
    fn dismiss_daemons(&mut self, id: Id, body: Time, task: Id) -> Sure<()> {
        let children = &self.groups[&id].children;
        let mut over = body;
        let lives_on = |over: &Time, child: &&Child| {
            !child.daemon && child.spawned <= *over && child.ended > *over
        };
        // Whether a daemon was told to end before the child came that another task brought then.
        let ties = |over: &Time| {
            let mut others = children
                .iter()
                .filter(|child| !child.daemon && child.by != task);
            others.any(|child| child.spawned.nanos == over.nanos && child.ended > *over)
        };
        let has_daemons = children.iter().any(|child| child.daemon);
        loop {
            if has_daemons && ties(&over) {
                return Err(Unknown);
            }
            match children.iter().find(|child| lives_on(&over, child)) {
                Some(child) => over = child.ended,
                None => break,
            }
        }
        let mut late = Vec::new();
        for child in children.iter().filter(|child| child.daemon) {
            // How soon one is told to end that comes when the others have been told is left open.
            if child.spawned.nanos > over.nanos && child.ended > child.spawned {
                return Err(Unknown);
            }
            if child.ended.nanos > over.nanos || child.spawned.nanos == over.nanos {
                late.push(child.id);
            } else if child.ended.nanos == over.nanos {
                return Err(Unknown);
            }
        }
        let by = if over == body { task } else { Cut::CLOCK };
        for whom in late {
            self.cause(over, What::Request { whom, by });
        }
        Ok(())
    }

    /// What the group returns, and how the code around goes on.
    fn conclude(
        &mut self,
        id: Id,
        open: &Open,
        end: End,
        [body, alone, ended]: [Time; 3],
        around: &Around,
    ) -> Sure<End> {
        let supervised = open.opener == Opener::Supervise;
        let mut group = self.groups.remove(&id).unwrap_or_default();
        for child in group
            .children
            .iter()
            .filter(|child| supervised && !child.read)
        {
            match child.end {
                End::Error(_) => group.errors += 1,
                End::Panic(_) => group.cleanups += 1,
                End::Value | End::Cut => {}
            }
        }
        let mut returns = |outcome| {
            self.known.insert(id, Known::Returned(ended.nanos, outcome));
        };
        group.panics.sort();
        if let Some((_, by)) = group.panics.first() {
            returns(Outcome::Panicked(*by));
            return Ok(End::Panic(*by));
        }
        if group.errors + group.cleanups > 0 {
            returns(Outcome::Failed(group.errors, group.cleanups));
            return Ok(if open.propagate {
                End::Error(id)
            } else {
                End::Value
            });
        }
        if end == End::Value {
            // Cancelled from above while a child lives, the value is dropped with the rest.
            let is_cut = around.is_cut(alone)?;
            // Whether who is cut at the very instant of the body's end ends before it.
            let ties = |child: &Child| child.ended.nanos == body.nanos;
            if is_cut && around.cut.at.nanos == body.nanos && group.children.iter().any(ties) {
                return Err(Unknown);
            }
            let doomed = alone > body && is_cut;
            if doomed && around.cut.at < body {
                return Err(Unknown);
            }
            if !doomed {
                returns(Outcome::Value);
                return Ok(End::Value);
            }
        }
        if around.is_cut(ended)? {
            return Ok(End::Cut);
        }
        returns(Outcome::SaysCancelled(0, 0));
        Ok(End::Value)
    }

    pub(super) fn timeout(
        &mut self,
        id: Id,
        ticks: u8,
        block: &Block,
        now: &mut Time,
        around: &Around,
    ) -> Sure<End> {
        let mut inside = around.clone();
        let due = now.plus(self.nanos(id, ticks)).nanos;
        inside.cut = around.cut.or(clock(due));
        let code = |world: &mut World, now: &mut Time| world.block(block, now, &inside);
        self.section(id, Some(Outcome::TimedOut), now, around, code)
    }

    pub(super) fn enter(
        &mut self,
        id: Id,
        enter: &Enter,
        now: &mut Time,
        around: &Around,
    ) -> Sure<End> {
        if enter.shielded && around.inline {
            return Err(Unknown);
        }
        let mut inside = around.clone();
        inside.scopes.push(id);
        let mut own = self.requested(id);
        if enter.early {
            let (at, by) = (*now, around.task);
            own = own.or(Cut { at, by });
        }
        let due = enter.timeout;
        let mut due = due.map(|ticks| now.plus(self.nanos(id, ticks)).nanos);
        for (at, to) in self.moves.get(&id).into_iter().flatten() {
            if due.is_none_or(|due| due > at.nanos) {
                due = Some(*to);
            }
        }
        own = own.or(due.map_or(Cut::NEVER, clock));
        inside.cut = match enter.shielded {
            true => own,
            false => around.cut.or(own),
        };
        inside.shielded |= enter.shielded;
        let mut outside = around.clone();
        if enter.shielded {
            // What is around is not visible in there, so the scope itself absorbs.
            outside.cut = Cut::NEVER;
        }
        let block = &enter.block;
        let code = |world: &mut World, now: &mut Time| world.block(block, now, &inside);
        self.section(id, Some(Outcome::Cancelled), now, &outside, code)
    }

    pub(super) fn shield(
        &mut self,
        id: Id,
        block: &Block,
        now: &mut Time,
        around: &Around,
    ) -> Sure<End> {
        if around.inline {
            return Err(Unknown);
        }
        let mut inside = around.clone();
        inside.cut = Cut::NEVER;
        inside.shielded = true;
        let code = |world: &mut World, now: &mut Time| world.block(block, now, &inside);
        self.section(id, None, now, around, code)
    }

    pub(super) fn bracket(
        &mut self,
        id: Id,
        acquire: u8,
        block: &Block,
        release: Release,
        now: &mut Time,
        around: &Around,
    ) -> Sure<End> {
        if around.inline {
            return Err(Unknown);
        }
        let code = |world: &mut World, now: &mut Time| {
            let acquired = now.plus(world.nanos(id, acquire));
            let shielded = Around {
                cut: Cut::NEVER,
                ..around.clone()
            };
            world.wait(acquired, now, &shielded)?;
            let end = world.block(block, now, around)?;
            world.owe(second(id), release, true);
            Ok(end)
        };
        self.section(id, None, now, around, code)
    }

    /// A boundary without children; `absorbs` is what it returns if it is cut by itself.
    fn section(
        &mut self,
        id: Id,
        absorbs: Option<Outcome>,
        now: &mut Time,
        around: &Around,
        code: impl FnOnce(&mut World, &mut Time) -> Sure<End>,
    ) -> Sure<End> {
        let group = self.node().group;
        self.enter_node(group);
        let end = code(self, now)?;
        let ended = self.leave_node(*now);
        if around.cut.ties(*now, ended) {
            return Err(Unknown);
        }
        if !ended.is_same_turn(*now) {
            self.checkpoint(*now, around.base);
            *now = ended.next_turn();
        }
        let outcome = match end {
            End::Value => Outcome::Value,
            End::Error(error) => Outcome::Error(error),
            End::Panic(by) => Outcome::Panicked(by),
            End::Cut => match absorbs {
                Some(outcome) if !around.is_cut(*now)? => outcome,
                _ => return Ok(End::Cut),
            },
        };
        self.known.insert(id, Known::Returned(ended.nanos, outcome));
        Ok(match end {
            End::Cut => End::Value,
            end => end,
        })
    }
}

fn clock(nanos: u64) -> Cut {
    Cut {
        at: Time::at(nanos),
        by: Cut::CLOCK,
    }
}
