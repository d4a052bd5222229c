//! Runs a program on the public interface of the crate: its steps, one after the other.

use std::{panic::AssertUnwindSafe, panic::catch_unwind, panic::resume_unwind, time::Duration};

use futures_util::future::{Either, select};
use headcount::{
    CancelScope, Cancelled, Deferred, GroupError, Options, Started, TaskGroup, time::Instant,
};

use super::{
    grammar::{
        Act, Block, Blocking, Ends, Enter, Fate, Id, Open, Opener, Program, ROOT, Release, Spawn,
        Start, Step, second,
    },
    homes::{Home, Kept, Missing, Opened, Stack, Token},
    ledger::{
        Boxed, Ending, Event, Joined, Ledger, Oops, Origin, Outcome, Place, Reason, Tracked,
        Watched, caught, parse, returned, thrower,
    },
};

/// How durations pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// In virtual time.
    Virtual,
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
        holds: false,
    };
    if let Err(payload) = caught(env.open(ROOT, program.root)).await {
        let (id, _) = thrower(payload);
        ledger.note(Event::Reported(Origin::Panic(id), Place::Root));
    }
}

/// How long so many ticks of a step are: with `exact`, longer by a fraction of its own.
pub fn lasting(id: Id, ticks: u8, exact: bool) -> Duration {
    let whole = Duration::from_millis(ticks.into());
    let mixed = id.wrapping_add(1).wrapping_mul(0x9e37_79b1) >> 13;
    match exact {
        true => whole + Duration::from_nanos(mixed.into()),
        false => whole,
    }
}

impl Env {
    fn lasting(&self, id: Id, ticks: u8) -> Duration {
        match self.pace {
            Pace::Virtual => lasting(id, ticks, self.exact),
            Pace::Hurried => Duration::from_micros(u64::from(ticks) * 20),
        }
    }

    async fn sleep(&self, id: Id, ticks: u8) {
        match self.pace {
            Pace::Virtual => headcount::time::sleep(self.lasting(id, ticks)).await,
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

    /// The code of a child whose output is dangerous to drop.
    fn bomb(self, block: Block) -> Watched<Tracked> {
        let (ledger, unit) = (self.ledger.clone(), self.unit);
        let code = self.code(block, None);
        let armed = ledger.clone();
        let code = async move {
            drop(code.await?);
            Ok(armed.bomb(unit))
        };
        Watched::new(&ledger, unit, Box::pin(code))
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

    async fn open(&self, id: Id, open: Open) -> Result<Tracked, GroupError<Oops>> {
        let limited = open.limit.is_some();
        let options = self.options(id, &open);
        let Open { opener, block, .. } = open;
        let env = self.clone();
        let body = move |opened| env.in_group(id, limited, opened).watched(block);
        let opening: Boxed<_> = match opener {
            Opener::Group => Box::pin(options.group(|g| body(Opened::Group(g)))),
            Opener::Scope => Box::pin(options.scope(|s| body(Opened::Scope(s)))),
            Opener::Supervise => Box::pin(options.supervise(|s| body(Opened::Supervise(s)))),
        };
        let outcome = |result: &Result<_, _>| self.outcome(id, result);
        returned(&self.ledger, id, opening, outcome).await
    }

    fn options(&self, id: Id, open: &Open) -> Options {
        let mut options = Options::new();
        if let Some(limit) = open.limit {
            options = options.limit(limit.into());
        }
        if let Some(grace) = open.grace {
            options = options.grace(self.lasting(id, grace));
        }
        if let Some(deadline) = open.deadline {
            options = options.deadline(Instant::now() + self.lasting(id, deadline));
        }
        if id == ROOT {
            let env = self.clone();
            options = options.on_suppressed(move |left| env.report(left.text(), Place::Suppressed));
        }
        options
    }

    /// The real error of an inner group becomes one of this code, if it is to be handed on.
    fn hand_on(
        &self,
        id: Id,
        result: Result<Tracked, GroupError<Oops>>,
        propagate: bool,
    ) -> Result<(), Oops> {
        match result {
            Err(error) if propagate && !error.is_cancelled() => Err(Oops(id)),
            _ => Ok(()),
        }
    }

    fn outcome(&self, id: Id, result: &Result<Tracked, GroupError<Oops>>) -> Outcome {
        let Err(error) = result else {
            return Outcome::Value;
        };
        for failure in error.failures() {
            let origin = Origin::Error(failure.error().0);
            let place = Place::Failures(id);
            self.ledger.note(Event::Reported(origin, place));
        }
        for failure in error.cleanup_failures() {
            self.report(&failure.error().to_string(), Place::Cleanups(id));
        }
        let reason = error.reason().map(Reason::of);
        self.ledger.note(Event::Because(id, reason));
        let (failures, cleanups) = (error.failures().len(), error.cleanup_failures().len());
        match error.is_cancelled() {
            true => Outcome::SaysCancelled(failures, cleanups),
            false => Outcome::Failed(failures, cleanups),
        }
    }

    fn report(&self, text: &str, place: Place) {
        let origin = parse(text).unwrap_or_else(|| panic!("whose is this: {text}"));
        self.ledger.note(Event::Reported(origin, place));
    }

    async fn enter(&self, id: Id, enter: &Enter) -> Result<(), Oops> {
        let scope = match enter.timeout {
            Some(ticks) => CancelScope::with_timeout(self.lasting(id, ticks)),
            None => CancelScope::new(),
        };
        if enter.shielded {
            scope.shield(true);
        }
        if enter.early {
            self.ledger.note(Event::Requested(id, id));
            scope.cancel_with(id.to_string());
        }
        let mut env = self.at(id);
        env.scopes.push((id, scope.clone()));
        let entered = scope.enter(env.watched(enter.block.clone()));
        let outcome = |result: &Result<_, Cancelled>| {
            let reason = scope.reason();
            if let Err(error) = result {
                // What the error says is what the scope says.
                let (one, other) = (error.reason(), reason.as_ref());
                assert_eq!(one.map(|it| it.kind), other.map(|it| it.kind));
            }
            let reason = reason.as_ref().map(Reason::of);
            self.ledger.note(Event::Because(id, reason));
            if scope.cancelled_caught() {
                self.ledger.note(Event::Caught(id));
            }
            match result {
                Ok(result) => returned_value(result),
                Err(_) => Outcome::Cancelled,
            }
        };
        match returned(&self.ledger, id, entered, outcome).await {
            Ok(result) => result.map(drop),
            Err(_) => Ok(()),
        }
    }

    fn bracket(
        &self,
        env: Env,
        acquire: u8,
        block: Block,
        release: Release,
    ) -> impl Future<Output = Result<Tracked, Oops>> + Send + use<> {
        let (id, taker, releaser) = (env.unit, env.clone(), env.clone());
        headcount::bracket(
            async move {
                taker.sleep(id, acquire).await;
                taker.ledger.note(Event::Deferred(second(id)));
                Ok(taker.ledger.resource(second(id)))
            },
            move |guard| {
                let (ledger, code) = (env.ledger.clone(), env.code(block, None));
                let holding = async move {
                    let result = code.await;
                    drop(guard);
                    result
                };
                Watched::new(&ledger, id, Box::pin(holding))
            },
            move |resource| releaser.release(second(id), release, resource),
        )
    }

    fn defer(&self, id: Id, release: Release) -> Deferred<Tracked> {
        self.ledger.note(Event::Deferred(id));
        let env = self.clone();
        headcount::defer(self.ledger.resource(id), move |resource| {
            env.release(id, release, resource)
        })
    }

    fn release(
        self,
        id: Id,
        release: Release,
        resource: Tracked,
    ) -> impl Future<Output = Result<(), String>> + Send + use<> {
        /// Notes when the release is dropped half-way.
        struct Unfinished(Ledger, Id);
        impl Drop for Unfinished {
            fn drop(&mut self) {
                self.0.note(Event::Cut(self.1));
            }
        }
        async move {
            let _resource = resource;
            self.ledger.note(Event::Releasing(id));
            let unfinished = Unfinished(self.ledger.clone(), id);
            if release.nested {
                let env = self.clone();
                let inner = headcount::group(async move |g: TaskGroup<'static, Oops>| {
                    g.spawn(async move { env.sleep(id, release.takes).await });
                    Ok(())
                });
                let _ = inner.await;
            } else {
                self.sleep(id, release.takes).await;
            }
            std::mem::forget(unfinished);
            let ended = |ending| self.ledger.note(Event::Released(id, ending));
            match release.ends {
                Ends::Well => ended(Ending::Value),
                Ends::Failing => {
                    ended(Ending::Error(id));
                    return Err(format!("release {id}"));
                }
                Ends::Panicking => {
                    ended(Ending::Panic(id));
                    self.ledger.throw(id);
                }
            }
            Ok(())
        }
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

    async fn spawn(&self, id: Id, spawn: &Spawn, stack: &mut Stack) {
        let home = self.home(spawn.up).clone();
        let (env, block) = (self.child(id, &home), spawn.block.clone());
        let child = match spawn.bomb {
            false => env.watched(block),
            true => env.bomb(block),
        };
        let may_wait = !(home.limited && self.holds);
        let kept = home.spawn(id, spawn.way, child, may_wait).await;
        self.ledger.note(Event::Spawned(id));
        if let Some(kept) = kept {
            self.keep(id, kept, spawn.fate, stack);
        }
    }

    fn keep(&self, id: Id, kept: Kept, fate: Fate, stack: &mut Stack) {
        match fate {
            Fate::Dropped => drop(kept),
            Fate::Kept => stack.handle(kept),
            Fate::Leaked => {
                self.ledger.note(Event::Leaked(id));
                std::mem::forget(kept);
            }
        }
    }

    async fn join(&self, kept: Kept) {
        let id = kept.id;
        let joined = match kept.wait().await {
            Ok(_) => Joined::Value,
            Err(Missing::Cancelled(reason)) => {
                if reason.is_some() {
                    self.ledger.note(Event::Because(id, reason));
                }
                Joined::Cancelled
            }
            Err(Missing::Failed(error)) => {
                if let Some(Oops(error)) = error {
                    let (origin, place) = (Origin::Error(error), Place::Handle(id));
                    self.ledger.note(Event::Reported(origin, place));
                }
                Joined::Failed
            }
            Err(Missing::Panicked(payload)) => {
                if let Some(payload) = payload {
                    let (origin, place) = (Origin::Panic(thrower(payload).0), Place::Handle(id));
                    self.ledger.note(Event::Reported(origin, place));
                }
                Joined::Panicked
            }
        };
        self.ledger.note(Event::Joined(id, joined));
    }

    async fn start(&self, id: Id, start: &Start) {
        let home = self.home(start.up).clone();
        let env = self.child(id, &home);
        let (block, after) = (start.block.clone(), usize::from(start.sends_after));
        if home.limited && self.holds {
            return;
        }
        let child = move |started| {
            let (ledger, unit) = (env.ledger.clone(), env.unit);
            Watched::new(&ledger, unit, env.code(block, Some((started, after))))
        };
        let Some(starting) = home.start(child) else {
            return;
        };
        let outcome = |result: &Result<Token, _>| match result {
            Ok(token) => {
                token.taken();
                Outcome::Value
            }
            Err(_) => Outcome::NotStarted,
        };
        let result = returned(&self.ledger, second(id), starting, outcome).await;
        if let Some(Oops(error)) = result.err().and_then(|error| error.into_error()) {
            let (origin, place) = (Origin::Error(error), Place::Start(id));
            self.ledger.note(Event::Reported(origin, place));
        }
    }

    fn block(&self, id: Id, blocking: &Blocking, stack: &mut Stack) {
        let outwards = (0..self.homes.len()).map(|n| self.home(blocking.up.wrapping_add(n as u8)));
        let Some((home, group)) = outwards.into_iter().find_map(Home::parallel) else {
            return;
        };
        let (env, asks) = (self.child(id, home), blocking.asks);
        let (closure, run) = (Closure::new(&self.ledger, id), blocking.run.clone());
        let handle = group.spawn_blocking(move |token| {
            let closure = closure;
            closure.0.note(Event::Polled(id));
            for _ in 0..asks {
                token.is_cancelled();
            }
            let result = match run {
                Some(block) => env.run(block),
                None => Ok(()),
            };
            closure.0.note(Event::Ready(
                id,
                match &result {
                    Ok(()) => Ending::Value,
                    Err(Oops(id)) => Ending::Error(*id),
                },
            ));
            result.map(|()| closure.0.output(id))
        });
        self.ledger.note(Event::Spawned(id));
        let kept = Kept::new(id, home, handle);
        self.keep(id, kept, blocking.fate, stack);
    }

    /// Calls `run` on this thread, which may be blocked.
    fn run(self, block: Block) -> Result<(), Oops> {
        let (closure, id, env) = (self.unit, second(self.unit), self.clone());
        let called = catch_unwind(AssertUnwindSafe(|| {
            headcount::run(|g| env.in_group(id, false, Opened::Group(g)).watched(block))
        }));
        match called {
            Ok(result) => {
                let outcome = self.outcome(id, &result);
                self.ledger.note(Event::Returned(id, outcome));
                self.hand_on(closure, result, true)
            }
            Err(payload) => {
                let (by, payload) = thrower(payload);
                let panicked = Outcome::Panicked(by);
                self.ledger.note(Event::Returned(id, panicked));
                self.ledger.note(Event::Ready(closure, Ending::Panic(by)));
                resume_unwind(payload)
            }
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
        true => std::thread::spawn(call).join().unwrap(),
    }
}

/// A blocking closure's life, as `Watched` for code.
struct Closure(Ledger, Id);

impl Closure {
    fn new(ledger: &Ledger, id: Id) -> Self {
        ledger.note(Event::Made(id));
        Closure(ledger.clone(), id)
    }
}

impl Drop for Closure {
    fn drop(&mut self) {
        self.0.note(Event::Dropping(self.1));
        self.0.note(Event::Dropped(self.1));
    }
}
