//! What a simulation knows: its tasks and closures, who can run, and whose turn it is.
//!
//! Invariants:
//! 1. No code of others runs under the lock: futures, closures and wakers are polled, called, woken
//!    and dropped outside of it.
//! 2. Whoever can run is in `ready` exactly once, marked `queued`. A finished one may linger there
//!    and is skipped; nothing but the order of earlier events decides the order of the list.
//! 3. Exactly one of {executor, one closure} has the baton. `baton` names the closure; `None` is
//!    the executor. Other threads only wake.
//! 4. Identities are counted, never reused, and never derived from addresses.
//! 5. A waker keeps the core alive, but after the end the core is empty.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};

use super::blocked::Watchers;
use super::clock::Clock;
use super::orphans::{self, Region};
use super::random::Random;
use super::sequencer::Sequence;
use crate::runtime::Label;
use crate::time::Instant;

/// The identity of the main future.
pub(super) const MAIN: u64 = 0;

pub(super) type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
pub(super) type Job = Box<dyn FnOnce() + Send>;
pub(super) type Payload = Box<dyn std::any::Any + Send>;

/// One simulation, as its tasks, closures, timers and wakers see it.
pub(crate) struct Core {
    pub(super) seed: u64,
    pub(super) max_steps: u64,
    state: Mutex<State>,
    /// Where the executor waits for the baton.
    pub(super) executor: Condvar,
}

pub(super) struct State {
    pub(super) clock: Clock,
    pub(super) random: Random,
    pub(super) watchers: Watchers,
    /// Those that tasks have taken steps of, for the report.
    pub(super) sequences: Vec<Weak<Sequence>>,
    next_id: u64,
    pub(super) entities: BTreeMap<u64, Entity>,
    pub(super) ready: Vec<u64>,
    pub(super) baton: Option<u64>,
    /// Closures begun or not, that have not ended.
    pub(super) closures: usize,
    pub(super) main_ended: bool,
    /// Since time moved last; after the main future ended, since then.
    pub(super) steps: u64,
    /// Since the start.
    pub(super) all_steps: u64,
    /// Questions of closures in a row that led to nothing.
    pub(super) fruitless: u64,
    pub(super) phase: Phase,
    /// Closures that had to be unwound.
    pub(super) stopped: usize,
    /// The first panic that escaped a closure.
    pub(super) closure_panic: Option<Payload>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// Futures are being destroyed; closures run to their end.
    WindingUp,
    Over,
}

/// A task or a blocking closure.
pub(super) struct Entity {
    pub(super) name: Option<Box<str>>,
    pub(super) location: &'static Location<'static>,
    pub(super) waker: Waker,
    pub(super) queued: bool,
    /// Where it was spawned, for `assert_no_orphans`.
    pub(super) region: Option<Arc<Region>>,
    pub(super) work: Work,
}

pub(super) enum Work {
    /// `None` while it is polled.
    Task(Option<BoxFuture>),
    /// A closure that has not begun.
    Job(Job),
    Closure(Closure),
}

/// A closure that has begun, on its own thread.
pub(super) struct Closure {
    pub(super) parked: Parked,
    /// Its nested future was woken.
    pub(super) woken: bool,
    /// Its next park ends by unwinding.
    pub(super) stop: bool,
    /// Turns since the winding up began.
    pub(super) late: u64,
    /// Where its thread waits for the baton.
    pub(super) turn: Arc<Condvar>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Parked {
    /// It has the baton.
    No,
    /// In a question to its token: can run.
    Checkpoint,
    /// In a nested `run`, can run once woken.
    BlockOn,
    /// Its thread is about to end.
    Ended,
}

impl Core {
    pub(super) fn new(seed: u64, max_steps: u64) -> Arc<Core> {
        Arc::new(Core {
            seed,
            max_steps,
            executor: Condvar::new(),
            state: Mutex::new(State {
                clock: Clock::default(),
                random: Random::new(seed),
                watchers: Watchers::default(),
                sequences: Vec::new(),
                next_id: MAIN,
                entities: BTreeMap::new(),
                ready: Vec::new(),
                baton: None,
                closures: 0,
                main_ended: false,
                steps: 0,
                all_steps: 0,
                fruitless: 0,
                phase: Phase::Running,
                stopped: 0,
                closure_panic: None,
            }),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing of others runs under the lock, so a poisoned one is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_epoch(self.lock().clock.now())
    }

    /// Schedules a task. After the end of the simulation the future is dropped instead.
    pub(crate) fn spawn(self: &Arc<Self>, label: Label<'_>, future: BoxFuture) {
        self.insert(label, Work::Task(Some(future)));
    }

    /// Schedules a closure. It is dropped unrun if the simulation has ended or fails before its
    /// turn.
    pub(crate) fn spawn_blocking(self: &Arc<Self>, label: Label<'_>, job: Job) {
        self.insert(label, Work::Job(job));
    }

    fn insert(self: &Arc<Self>, label: Label<'_>, work: Work) {
        let mut state = self.lock();
        if state.phase == Phase::Over {
            drop(state);
            drop(work);
            return;
        }
        let id = state.next_id;
        state.next_id += 1;
        if matches!(work, Work::Job(_)) {
            state.closures += 1;
        }
        let waker = Waker::from(Arc::new(EntityWaker {
            core: self.clone(),
            id,
        }));
        state.entities.insert(
            id,
            Entity {
                name: label.name.map(Into::into),
                location: label.location,
                waker,
                queued: true,
                region: orphans::current(),
                work,
            },
        );
        state.ready.push(id);
    }

    /// Notes a sequencer, to tell of it when nothing goes on.
    pub(super) fn know(&self, sequence: &Arc<Sequence>) {
        let sequences = &mut self.lock().sequences;
        if !sequences
            .iter()
            .any(|known| known.as_ptr() == Arc::as_ptr(sequence))
        {
            sequences.retain(|known| known.strong_count() > 0);
            sequences.push(Arc::downgrade(sequence));
        }
    }

    /// Forgets a task or closure that has ended.
    pub(super) fn remove(&self, id: u64) {
        drop(self.take(id));
    }

    /// Takes out a task or closure, to be dropped by the caller.
    pub(super) fn take(&self, id: u64) -> Option<Entity> {
        let mut state = self.lock();
        let entity = state.entities.remove(&id)?;
        if !matches!(entity.work, Work::Task(_)) {
            state.closures -= 1;
            state.fruitless = 0;
        }
        if id == MAIN && state.phase == Phase::Running {
            state.main_ended = true;
            state.steps = 0;
        }
        Some(entity)
    }

    /// Gives a future back that was pending.
    pub(super) fn put_back(&self, id: u64, future: BoxFuture) {
        if let Some(Entity {
            work: Work::Task(slot),
            ..
        }) = self.lock().entities.get_mut(&id)
        {
            *slot = Some(future);
        }
    }
}

/// Wakes a task, or a closure in a nested `run`. Harmless after the end.
pub(super) struct EntityWaker {
    pub(super) core: Arc<Core>,
    pub(super) id: u64,
}

impl Wake for EntityWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.core.lock();
        let can_run = match state.entities.get_mut(&self.id).map(|e| &mut e.work) {
            Some(Work::Task(_)) => true,
            Some(Work::Closure(closure)) => {
                closure.woken = true;
                closure.parked == Parked::BlockOn && !closure.is_spent()
            }
            Some(Work::Job(_)) | None => false,
        };
        if can_run {
            state.enqueue(self.id);
        }
    }
}
