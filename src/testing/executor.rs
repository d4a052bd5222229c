//! The loop that runs a simulation, and its orderly end.
//!
//! Invariants:
//! 1. The loop runs on the thread that called `Sim::run`, within the simulation's context. Nothing
//!    unwinds out of it: a panic of a task, destructor or waker ends the simulation as a failure.
//! 2. The end destroys the newest future first, since what spawned it may own what it uses; and
//!    all futures before a closure is made to stop.
//! 3. When the loop has returned, no future, timer or thread of the simulation is left, unless
//!    destructors go on spawning without end. A closure has a number of turns to come to its end, and
//!    is stopped then.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread::JoinHandle;

use super::orphans;
use super::report;
use super::schedule::{Stuck, Turn};
use super::state::{BoxFuture, Core, Job, MAIN, Payload, Phase, Work};
use crate::runtime::Runtime;
use crate::tree::TaskTree;

/// How a simulation ended.
pub(super) enum Ending {
    /// The main future has its output.
    Finished,
    Stuck(String),
    Panicked(Payload),
}

pub(super) struct Executor {
    core: Arc<Core>,
    threads: BTreeMap<u64, JoinHandle<()>>,
    panic: Option<Payload>,
}

impl Executor {
    pub(super) fn new(core: Arc<Core>) -> Executor {
        Executor {
            core,
            threads: BTreeMap::new(),
            panic: None,
        }
    }

    pub(super) fn run(mut self) -> Ending {
        let stuck = loop {
            let turn = self.core.lock().next_turn(self.core.max_steps);
            match turn {
                Turn::Poll(id, future, waker, region) => {
                    orphans::within(&region, || self.poll(id, future, waker));
                }
                Turn::Start(id, job) => self.start(id, job),
                Turn::Resume(id) => self.resume(id),
                Turn::Wake(wakers) => {
                    for waker in wakers {
                        self.guarded(|| waker.wake());
                    }
                }
                Turn::Finished => break None,
                Turn::Stuck(stuck) => break Some(stuck),
            }
            if self.panic.is_some() {
                break None;
            }
        };
        self.end(stuck)
    }

    fn poll(&mut self, id: u64, mut future: BoxFuture, waker: Waker) {
        let polled = catch_unwind(AssertUnwindSafe(|| {
            future.as_mut().poll(&mut Context::from_waker(&waker))
        }));
        match polled {
            Ok(poll) if poll.is_pending() => self.core.put_back(id, future),
            ended => {
                if let Err(payload) = ended {
                    self.note(payload);
                }
                self.guarded(|| drop(future));
                self.core.remove(id);
            }
        }
    }

    fn start(&mut self, id: u64, job: Job) {
        match catch_unwind(AssertUnwindSafe(|| self.core.start(id, job))) {
            Ok(Ok(thread)) => {
                self.threads.insert(id, thread);
                self.let_run(id);
            }
            Ok(Err(error)) => {
                self.core.remove(id);
                self.note(Box::new(format!(
                    "headcount::testing::Sim: no thread for a blocking closure: {error}"
                )));
            }
            Err(payload) => {
                self.core.remove(id);
                self.note(payload);
            }
        }
    }

    fn resume(&mut self, id: u64) {
        self.core.hand_over(id);
        self.let_run(id);
    }

    /// Waits until the closure with the baton has given it back.
    fn let_run(&mut self, id: u64) {
        if !self.core.await_baton(id) {
            return;
        }
        if let Some(thread) = self.threads.remove(&id) {
            // The thread catches the closure's panic itself; what may come here is one of a
            // thread-local's destructor.
            if let Err(payload) = thread.join() {
                self.note(payload);
            }
        }
        self.core.remove(id);
        let panic = self.core.lock().closure_panic.take();
        if let Some(payload) = panic {
            self.note(payload);
        }
    }

    fn guarded(&mut self, f: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
            self.note(payload);
        }
    }

    /// Keeps the first panic; the panic hook has shown the others.
    fn note(&mut self, payload: Payload) {
        match self.panic {
            None => self.panic = Some(payload),
            Some(_) => discard(payload),
        }
    }

    fn end(mut self, stuck: Option<Stuck>) -> Ending {
        // Before the lock, which the clock takes too.
        let tree = stuck.map(|_| TaskTree::of_runtime(&Runtime::Sim(self.core.clone())));
        let (report, main_ended) = {
            let state = self.core.lock();
            let report = stuck
                .zip(tree)
                .map(|(stuck, tree)| report::stuck(&self.core, &state, stuck, &tree));
            (report, !state.entities.contains_key(&MAIN))
        };
        self.wind_up();
        let stopped = self.core.lock().stopped > 0;
        match (report, self.panic.take()) {
            // What breaks while a deadlock is cleared away follows from it.
            (Some(report), panic) if !main_ended || (stopped && panic.is_none()) => {
                if let Some(payload) = panic {
                    discard(payload);
                }
                Ending::Stuck(report)
            }
            (_, Some(payload)) => Ending::Panicked(payload),
            (_, None) => Ending::Finished,
        }
    }

    /// Destroys every future and lets every closure end.
    fn wind_up(&mut self) {
        self.core.lock().phase = Phase::WindingUp;
        loop {
            self.destroy_futures();
            let Some(id) = self.core.lock().next_closure() else {
                break;
            };
            self.resume(id);
        }
        let wakers = {
            let mut state = self.core.lock();
            state.phase = Phase::Over;
            debug_assert!(state.entities.is_empty());
            (state.clock.close(), state.watchers.release())
        };
        self.guarded(|| drop(wakers));
    }

    /// Newest first, with what the destructors spawn.
    fn destroy_futures(&mut self) {
        let left = self.core.lock().entities.len() as u64;
        let bound = left.saturating_add(self.core.max_steps);
        let mut destroyed = 0;
        loop {
            let newest = {
                let state = self.core.lock();
                let mut futures = state.entities.iter().rev();
                futures
                    .find(|(_, entity)| !matches!(entity.work, Work::Closure(_)))
                    .map(|(&id, _)| id)
            };
            let Some(id) = newest else {
                return;
            };
            let Some(entity) = self.core.take(id) else {
                return;
            };
            destroyed += 1;
            if destroyed > bound {
                // Its destructor spawns its like, and would for ever.
                std::mem::forget(entity);
            } else {
                self.guarded(|| drop(entity));
            }
        }
    }
}

/// Drops a panic's payload, whose destructor may panic as well.
pub(super) fn discard(payload: Payload) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(another);
    }
}
