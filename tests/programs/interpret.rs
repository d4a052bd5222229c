//! Runs a program on the public interface of the crate: its steps, one after the other.

mod boundaries;
mod children;
mod closures;
mod many;
mod releases;

#[cfg(not(shuttle))]
use std::thread;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::{Either, select};
use headcount::{CancelScope, Started, time::Instant};
#[cfg(shuttle)]
use shuttle::thread;

use super::{
    grammar::{Act, Block, Id, Program, ROOT, Step, second},
    homes::{Home, Kept, Opened, Stack, Token},
    ledger::{
        Boxed, Event, Ledger, Oops, Origin, Outcome, Place, Tracked, Watched, caught, returned,
        thrower,
    },
};

/// How durations pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// In virtual time.
    Virtual,
    /// In virtual time, which stands still while anybody can run; other threads run between any two
    /// steps.
    #[cfg_attr(not(shuttle), allow(dead_code, reason = "this is for shuttle"))]
    Interleaved,
    /// A sleep is a few checkpoints, and a deadline is near. Nothing is said about when it passes.
    Hurried,
}

/// Where some code runs.
#[derive(Clone)]
pub struct Env {
    pub ledger: Ledger,
    exact: bool,
    pace: Pace,
    /// The child or boundary that this is the code of.
    unit: Id,
    /// The groups around, the innermost last.
    homes: Vec<Home>,
    scopes: Vec<(Id, CancelScope)>,
    /// Handles that all code finds.
    shared: Arc<Mutex<Vec<Kept>>>,
    /// A child of a group with a limit is around, and holds a place: to wait for another one might
    /// be to wait for ever.
    holds: bool,
}

/// Runs the program to its end, and writes the ledger. To be polled outside of any boundary.
pub async fn execute(program: Program, pace: Pace, ledger: Ledger) {
    let env = Env {
        ledger: ledger.clone(),
        exact: program.exact,
        pace,
        unit: ROOT,
        homes: Vec::new(),
        scopes: Vec::new(),
        shared: Arc::default(),
        holds: false,
    };
    let at_root = |payload| {
        let (id, _) = thrower(payload);
        ledger.note(Event::Reported(Origin::Panic(id), Place::Root));
    };
    if let Err(payload) = caught(env.open(ROOT, program.root)).await {
        at_root(payload);
    }
    let left = std::mem::take(&mut *env.shared.lock().unwrap());
    for kept in left {
        // Its output may be dangerous to drop.
        catch_unwind(AssertUnwindSafe(|| drop(kept))).unwrap_or_else(at_root);
    }
}

/// How long so many ticks of a step are: with `exact`, longer by a fraction of its own.
pub fn lasting(id: Id, ticks: u8, exact: bool) -> Duration {
    let whole = Duration::from_millis(ticks.into());
    // So mixed that sums of some are hardly ever those of others.
    let mut mixed = id.wrapping_add(1).wrapping_mul(0x9e37_79b1);
    mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca6b);
    mixed = (mixed ^ (mixed >> 13)) >> 13;
    match exact {
        true => whole + Duration::from_nanos(mixed.into()),
        false => whole,
    }
}

impl Env {
    fn lasting(&self, id: Id, ticks: u8) -> Duration {
        match self.pace {
            Pace::Virtual | Pace::Interleaved => lasting(id, ticks, self.exact),
            Pace::Hurried => Duration::from_micros(u64::from(ticks) * 20),
        }
    }

    async fn sleep(&self, id: Id, ticks: u8) {
        match self.pace {
            Pace::Virtual | Pace::Interleaved => {
                headcount::time::sleep(self.lasting(id, ticks)).await;
            }
            Pace::Hurried => {
                for _ in 0..ticks {
                    headcount::checkpoint().await;
                }
            }
        }
    }

    fn at(&self, unit: Id) -> Env {
        Env {
            unit,
            ..self.clone()
        }
    }

    fn in_group(&self, id: Id, limited: bool, opened: Opened) -> Env {
        let mut env = self.at(id);
        env.homes.push(Home {
            id,
            limited,
            opened,
        });
        env
    }

    /// The group so many steps outwards.
    fn home(&self, up: u8) -> &Home {
        &self.homes[self.homes.len() - 1 - usize::from(up) % self.homes.len()]
    }

    fn scope(&self, up: u8) -> Option<&(Id, CancelScope)> {
        let steps = usize::from(up).checked_rem(self.scopes.len())?;
        self.scopes.iter().nth_back(steps)
    }

    /// The code of a child of this group.
    fn child(&self, id: Id, home: &Home) -> Env {
        let mut env = self.at(id);
        env.holds |= home.limited;
        env
    }

    fn watched(self, block: Block) -> Watched<Tracked> {
        let (ledger, unit) = (self.ledger.clone(), self.unit);
        Watched::new(&ledger, unit, self.code(block, None))
    }

    /// The code of a block. It says that it has started after so many steps.
    fn code(
        self,
        block: Block,
        mut starts: Option<(Started<Token>, usize)>,
    ) -> Boxed<Result<Tracked, Oops>> {
        Box::pin(async move {
            let mut stack = Stack::default();
            for (n, step) in block.steps().iter().enumerate() {
                self.start_after(n, &mut starts);
                self.perform(step, &mut stack).await?;
            }
            self.start_after(block.steps().len(), &mut starts);
            // A value that is being returned while a destructor panics would leak.
            drop(stack);
            Ok(self.ledger.output(self.unit))
        })
    }

    fn start_after(&self, n: usize, starts: &mut Option<(Started<Token>, usize)>) {
        if let Some((started, _)) = starts.take_if(|(_, after)| *after == n) {
            self.ledger.note(Event::Sent(self.unit));
            let (token, fate) = Token::new();
            started.send(token);
            if fate.was_refused() {
                self.ledger.note(Event::Refused(self.unit));
            }
        }
    }

    async fn perform(&self, step: &Step, stack: &mut Stack) -> Result<(), Oops> {
        let id = step.id;
        match &step.act {
            Act::Sleep(ticks) => self.sleep(id, *ticks).await,
            Act::Yield => headcount::checkpoint().await,
            Act::Fail => return Err(Oops(id)),
            Act::Panic => self.ledger.throw(id),
            Act::Bomb => stack.bomb(&self.ledger, id),
            Act::Heed(ticks) => {
                let asked = std::pin::pin!(headcount::cancelled());
                select(asked, Box::pin(self.sleep(id, *ticks))).await;
            }
            Act::Defer(release) => {
                let guard = self.defer(id, *release);
                stack.guard(id, guard);
            }
            Act::Drop => {
                if let Some((id, guard)) = stack.take_guard() {
                    self.ledger.note(Event::Given(id));
                    drop(guard);
                }
            }
            Act::Close => {
                if let Some((id, guard)) = stack.take_guard() {
                    self.ledger.note(Event::Closing(id));
                    if let Err(error) = guard.close().await {
                        self.report(&error.to_string(), Place::Close(id));
                    }
                }
            }
            Act::Open(open) => {
                let result = self.open(id, open.clone()).await;
                self.hand_on(id, result, open.propagate)?;
            }
            Act::Timeout(ticks, block) => {
                let body = self.at(id).watched(block.clone());
                let timeout = headcount::timeout(self.lasting(id, *ticks), body);
                let outcome = |result: &Result<_, _>| match result {
                    Ok(result) => returned_value(result),
                    Err(_) => Outcome::TimedOut,
                };
                if let Ok(result) = returned(&self.ledger, id, timeout, outcome).await {
                    drop(result?);
                }
            }
            Act::Enter(enter) => self.enter(id, enter).await?,
            Act::Shield(block) => {
                let shield = headcount::shield(self.at(id).watched(block.clone()));
                drop(returned(&self.ledger, id, shield, returned_value).await?);
            }
            Act::Bracket {
                acquire,
                block,
                release,
            } => {
                let env = self.at(id);
                let bracket = self.bracket(env, *acquire, block.clone(), *release);
                drop(returned(&self.ledger, id, bracket, returned_value).await?);
            }
            Act::Race(ticks, block) => {
                let lost = self.foreign(id, *ticks, block).await?;
                if let Some(loser) = lost {
                    self.ledger.note(Event::Lost(id));
                    drop(loser);
                    self.ledger.note(Event::LostDone(id));
                }
            }
            Act::Forget(ticks, block) => {
                if let Some(loser) = self.foreign(id, *ticks, block).await? {
                    self.ledger.note(Event::Forgot(id));
                    std::mem::forget(loser);
                }
            }
            Act::Pause { after, away, block } => {
                if let Some(aside) = self.foreign(id, *after, block).await? {
                    self.ledger.note(Event::Paused(id));
                    self.sleep(second(id), *away).await;
                    self.ledger.note(Event::Resumed(id));
                    drop(aside.await?);
                }
            }
            Act::Many(many) => self.many(id, many).await?,
            Act::Item(_) => {}
            Act::Spawn(spawn) => self.spawn(id, spawn, stack).await,
            Act::Blocking(blocking) => self.block(id, blocking, stack),
            Act::Start(start) => self.start(id, start).await,
            Act::Await => {
                if let Some(kept) = stack.take_handle(|kept| !(self.holds && kept.limited)) {
                    self.join(kept).await;
                }
            }
            Act::CancelChild => drop(stack.with_handle(|kept| {
                self.ledger.note(Event::Requested(kept.id, id));
                kept.cancel();
            })),
            Act::AwaitShared { cancel } => self.join_shared(id, *cancel).await,
            Act::CancelGroup { up, thread } => {
                let home = self.home(*up).clone();
                self.ledger.note(Event::Requested(home.id, id));
                here_or_there(*thread, move || home.opened.cancel(id));
            }
            Act::CancelScope { up, thread } => {
                if let Some((scope_id, scope)) = self.scope(*up).cloned() {
                    self.ledger.note(Event::Requested(scope_id, id));
                    here_or_there(*thread, move || scope.cancel_with(id.to_string()));
                }
            }
            Act::Deadline { up, after } => {
                if let Some((scope_id, scope)) = self.scope(*up) {
                    self.ledger.note(Event::Moved(*scope_id));
                    scope.set_deadline(Some(Instant::now() + self.lasting(id, *after)));
                }
            }
            Act::Shutdown { up, grace } => {
                let home = self.home(*up);
                self.ledger.note(Event::Asked(home.id, id));
                home.opened.shutdown(self.lasting(id, *grace));
            }
        }
        Ok(())
    }

    /// Polls the block beside a timer, and gives it back if the timer is first.
    async fn foreign(
        &self,
        id: Id,
        ticks: u8,
        block: &Block,
    ) -> Result<Option<Box<Watched<Tracked>>>, Oops> {
        let block = Box::new(self.at(id).watched(block.clone()));
        match select(block, Box::pin(self.sleep(id, ticks))).await {
            Either::Left((result, _)) => result.map(|_| None),
            Either::Right(((), loser)) => Ok(Some(loser)),
        }
    }
}

fn returned_value(result: &Result<Tracked, Oops>) -> Outcome {
    match result {
        Ok(_) => Outcome::Value,
        Err(Oops(id)) => Outcome::Error(*id),
    }
}

fn here_or_there(there: bool, call: impl FnOnce() + Send + 'static) {
    match there {
        false => call(),
        true => thread::spawn(call).join().unwrap(),
    }
}
