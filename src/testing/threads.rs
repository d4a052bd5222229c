//! Blocking closures: real threads that pass one baton.
//!
//! Invariants:
//! 1. A closure's thread runs code of others only while `State::baton` names it. It gives the baton
//!    to the executor and never to another closure.
//! 2. Whatever happens in a closure, its last act is to give the baton back.
//! 3. A closure is unwound only while the simulation winds up, and from `block_on` only after the
//!    nested future, and every task that its destruction left behind, has been dropped.

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};

use super::executor::discard;
use super::orphans::{self, Region};
use super::state::{Closure, Core, EntityWaker, Job, Parked, Payload, Phase, State};
use crate::kernel::context;
use crate::runtime::Runtime;

/// So many turns a closure may have after the simulation began to wind up, in questions and in polls of a
/// nested `run`, before it is unwound.
const LATE_TURNS: u64 = 1_000;

/// What this thread is for a simulation.
struct Role {
    core: Arc<Core>,
    /// The closure it runs, or `None` for the executor.
    closure: Option<u64>,
    in_block_on: bool,
}

thread_local! {
    static ROLE: RefCell<Option<Role>> = const { RefCell::new(None) };
}

/// Gives this thread a role for as long as the guard lives.
pub(super) struct RoleGuard(());

impl RoleGuard {
    pub(super) fn enter(core: Arc<Core>, closure: Option<u64>) -> RoleGuard {
        ROLE.set(Some(Role {
            core,
            closure,
            in_block_on: false,
        }));
        RoleGuard(())
    }
}

impl Drop for RoleGuard {
    fn drop(&mut self) {
        ROLE.set(None);
    }
}

/// Whether this thread belongs to a simulation.
pub(super) fn simulated() -> bool {
    ROLE.try_with(|role| role.borrow().is_some())
        .unwrap_or(false)
}

impl Closure {
    /// Has it had all the turns that it may have? If it is in a nested `run`, wakers do not bring it back:
    /// it is stopped in the order of all who cannot go on, after the closures that may borrow from it.
    pub(super) fn is_spent(&self) -> bool {
        self.late > LATE_TURNS
    }
}

/// The payload that unwinds a closure that cannot end otherwise.
pub(super) struct Stopped;

impl Core {
    /// The closure of this simulation that this thread runs.
    fn closure_here(self: &Arc<Self>) -> Option<u64> {
        ROLE.try_with(|role| {
            role.borrow()
                .as_ref()
                .filter(|role| Arc::ptr_eq(&role.core, self))
                .and_then(|role| role.closure)
        })
        .unwrap_or(None)
    }

    /// Starts the thread of a closure, which has the baton from its first moment.
    pub(super) fn start(self: &Arc<Self>, id: u64, job: Job) -> std::io::Result<JoinHandle<()>> {
        self.lock().baton = Some(id);
        let core = self.clone();
        let region = self.region_of(id);
        let body = move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let _role = RoleGuard::enter(core.clone(), Some(id));
                orphans::within(&region, || {
                    context::with_runtime(&Runtime::Sim(core.clone()), job);
                });
            }));
            let panic = outcome.err().filter(|payload| !payload.is::<Stopped>());
            core.end_closure(id, panic);
        };
        let thread = thread::Builder::new()
            .name("headcount-sim".to_owned())
            .spawn(body);
        if thread.is_err() {
            self.lock().baton = None;
        }
        thread
    }

    fn region_of(&self, id: u64) -> Option<Arc<Region>> {
        self.lock().entities.get(&id)?.region.clone()
    }

    fn end_closure(&self, id: u64, panic: Option<Payload>) {
        let mut state = self.lock();
        if let Some(closure) = state.closure(id) {
            closure.parked = Parked::Ended;
        }
        let second = match &state.closure_panic {
            None => {
                state.closure_panic = panic;
                None
            }
            Some(_) => panic,
        };
        drop(state);
        if let Some(payload) = second {
            discard(payload);
        }
        self.lock().baton = None;
        self.executor.notify_one();
    }

    /// On the executor's thread: lets a parked closure go on.
    pub(super) fn hand_over(&self, id: u64) {
        let mut state = self.lock();
        if let Some(closure) = state.closure(id) {
            closure.parked = Parked::No;
            closure.turn.notify_one();
            state.baton = Some(id);
        }
    }

    /// On the executor's thread: waits until the closure parks or ends. Tells whether it ended.
    pub(super) fn await_baton(&self, id: u64) -> bool {
        let mut state = self.lock();
        while state.baton.is_some() {
            state = self
                .executor
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state
            .closure(id)
            .is_none_or(|closure| closure.parked == Parked::Ended)
    }

    /// On a closure's thread: gives the baton to the executor, waits for it, and tells whether the
    /// closure has to stop.
    fn park(&self, mut state: MutexGuard<'_, State>, id: u64, parked: Parked) -> bool {
        let turn = match state.closure(id) {
            Some(closure) => {
                closure.parked = parked;
                closure.turn.clone()
            }
            None => return false,
        };
        state.baton = None;
        self.executor.notify_one();
        while state.baton != Some(id) {
            state = turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.closure(id).is_some_and(|closure| closure.stop)
    }

    fn set_late(&self, id: u64, turns: u64) {
        if let Some(closure) = self.lock().closure(id) {
            closure.late = turns;
        }
    }

    /// A closure asks its token: others get their turn. Elsewhere it does nothing.
    pub(crate) fn blocking_checkpoint(self: &Arc<Self>) {
        let Some(id) = self.closure_here() else {
            return;
        };
        let mut state = self.lock();
        state.count_steps(1);
        state.fruitless += 1;
        if state.may_go_on(self.max_steps) {
            return;
        }
        let mut stop = false;
        if state.phase != Phase::Running {
            if let Some(closure) = state.closure(id) {
                closure.late += 1;
                stop = closure.is_spent();
            }
        }
        if !stop {
            state.enqueue(id);
            self.park(state, id, Parked::Checkpoint);
            return;
        }
        // A closure that unwinds already is on its way.
        if !thread::panicking() {
            state.stopped += 1;
            drop(state);
            resume_unwind(Box::new(Stopped));
        }
    }

    /// Blocks a closure on a future, which is polled on this thread, when it was woken and the
    /// closure is picked.
    #[track_caller]
    pub(crate) fn block_on<F: Future>(self: &Arc<Self>, future: F) -> F::Output {
        let Some(id) = self.closure_here() else {
            panic!(
                "`run` was called on a simulated task's thread, which it would block for ever: \
                 await `headcount::group` or `headcount::scope` instead, or call `run` inside \
                 `spawn_blocking` (simulation with seed {})",
                self.seed
            );
        };
        let _nested = BlockOnGuard::enter();
        if thread::panicking() {
            // A destructor cleans up, and has turns of its own for that: if it has to be unwound, the
            // process ends.
            self.set_late(id, 0);
        }
        let waker = Waker::from(Arc::new(EntityWaker {
            core: self.clone(),
            id,
        }));
        let mut cx = Context::from_waker(&waker);
        let mut future = Box::pin(future);
        loop {
            if let Some(closure) = self.lock().closure(id) {
                closure.woken = false;
            }
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
            let mut state = self.lock();
            state.fruitless = 0;
            let late = state.phase != Phase::Running;
            let can_run = state.closure(id).is_some_and(|closure| {
                closure.late += u64::from(late);
                closure.woken && !closure.is_spent()
            });
            if can_run {
                state.enqueue(id);
            }
            if self.park(state, id, Parked::BlockOn) {
                break;
            }
        }
        // The simulation winds up, and nothing will ever wake this future, or it goes on for ever. What it
        // leaves behind may borrow from the closure's frames: the executor destroys that before they
        // unwind. Its destructors may ask, too.
        self.set_late(id, 0);
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(future)));
        let mut state = self.lock();
        state.stopped += 1;
        state.enqueue(id);
        self.park(state, id, Parked::Checkpoint);
        if let Some(closure) = self.lock().closure(id) {
            closure.stop = false;
            closure.late = LATE_TURNS;
        }
        match dropped {
            Ok(()) => resume_unwind(Box::new(Stopped)),
            Err(payload) => resume_unwind(payload),
        }
    }
}

/// Marks that this thread polls a nested future, in which no further `run` may block it.
struct BlockOnGuard(());

impl BlockOnGuard {
    #[track_caller]
    fn enter() -> BlockOnGuard {
        let nested = ROLE.with_borrow_mut(|role| {
            role.as_mut()
                .is_some_and(|role| std::mem::replace(&mut role.in_block_on, true))
        });
        assert!(
            !nested,
            "`run` was called inside the body of another `run`, whose thread it would block: await \
             `headcount::group` or `headcount::scope` instead"
        );
        BlockOnGuard(())
    }
}

impl Drop for BlockOnGuard {
    fn drop(&mut self) {
        ROLE.with_borrow_mut(|role| {
            if let Some(role) = role {
                role.in_block_on = false;
            }
        });
    }
}
