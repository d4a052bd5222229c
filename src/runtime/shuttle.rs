//! The runtime seam on shuttle, for the programs in `tests/shuttle` (only with `--cfg shuttle`).
//!
//! A child is a task of shuttle and a blocking closure one of its threads, so that shuttle decides
//! about every switch. What happens between two steps of the kernel's locks and atomics is one step.
//!
//! The clock is a task too: when it runs, it moves the time on to the next timer. Under a scheduler
//! that knows it by its name and runs it last, time stands still while anybody else can run; under
//! any other, every amount of time may pass between any two steps.

use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use shuttle::{
    current::{self, ChildLabelFn, TaskName},
    future,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::time::Instant;

/// The name of the task that is the clock.
const CLOCK: &str = "the clock";

pub(super) fn spawn<F: Future<Output = ()> + Send + 'static>(fut: F) {
    drop(future::spawn(by_its_wakes(fut)));
}

pub(super) fn spawn_blocking(job: impl FnOnce() + Send + 'static) {
    drop(thread::spawn(job));
}

pub(super) fn block_on<F: Future>(fut: F) -> F::Output {
    future::block_on(by_its_wakes(fut))
}

pub(super) fn blocking_checkpoint() {
    thread::yield_now();
}

pub(super) fn now() -> Instant {
    Instant::from_epoch(Clock::here().lock().now)
}

/// Polls a future once for each wake. Shuttle alone does not: its mutexes wake a task that waits for
/// them through the waker of its future. So a future is polled for nothing after such a wait, which
/// hides a wake that is missing; and if it is woken during the wait, the wait takes that wake away.
async fn by_its_wakes<F: Future>(fut: F) -> F::Output {
    let mut fut = pin!(fut);
    let mut signal = None;
    poll_fn(|cx| {
        let signal = signal.get_or_insert_with(|| {
            Arc::new(Signal {
                woken: AtomicBool::new(true),
                task: cx.waker().clone(),
            })
        });
        // Between a look that finds nothing and the task's sleep there is no step of anybody.
        while signal.woken.swap(false, Ordering::SeqCst) {
            let waker = Waker::from(signal.clone());
            let polled = fut.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_ready() {
                return polled;
            }
        }
        Poll::Pending
    })
    .await
}

/// The wakes of one future.
struct Signal {
    /// An atomic of shuttle's: each wake is a step of its own.
    woken: AtomicBool,
    task: Waker,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.task.wake_by_ref();
    }
}

shuttle::lazy_static! {
    static ref OF_THIS_EXECUTION: Arc<Clock> = Arc::default();
}

/// The time and the timers of one execution. Its lock is not shuttle's: it is never held over a
/// switch, and when the time moves is decided by when the clock's task runs.
#[derive(Default)]
struct Clock(Mutex<State>);

#[derive(Default)]
struct State {
    now: Duration,
    next_id: u64,
    /// By the time they are due.
    armed: BTreeMap<(Duration, u64), Waker>,
    /// Is there a task that moves the time?
    started: bool,
    /// Wakes that task; it sleeps while no timer is armed.
    task: Option<Waker>,
}

impl Clock {
    fn here() -> Arc<Clock> {
        OF_THIS_EXECUTION.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A timer was armed.
    fn go(self: &Arc<Self>) {
        let (first, task) = {
            let mut state = self.lock();
            let first = !std::mem::replace(&mut state.started, true);
            (first, state.task.take())
        };
        if first {
            self.start();
        } else if let Some(task) = task {
            task.wake();
        }
    }

    fn start(self: &Arc<Self>) {
        let named = ChildLabelFn(Arc::new(|_, labels| {
            labels.insert(TaskName::from(CLOCK));
        }));
        current::set_label_for_task(current::me(), named);
        let clock = self.clone();
        drop(future::spawn(poll_fn(move |cx| clock.tick(cx))));
        current::remove_label_for_task::<ChildLabelFn>(current::me());
    }

    /// Moves the time on to the next timer.
    fn tick(&self, cx: &mut Context<'_>) -> Poll<()> {
        let (due, more) = {
            let mut state = self.lock();
            let state = &mut *state;
            if let Some((&(at, _), _)) = state.armed.first_key_value() {
                state.now = at;
            }
            let later = state.armed.split_off(&(state.now, u64::MAX));
            let due = std::mem::replace(&mut state.armed, later);
            state.task = Some(cx.waker().clone());
            (due, !state.armed.is_empty())
        };
        due.into_values().for_each(Waker::wake);
        if more {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

pub(super) struct Timer {
    clock: Arc<Clock>,
    id: u64,
    at: Option<Duration>,
}

impl Timer {
    pub(super) fn new() -> Timer {
        let clock = Clock::here();
        let id = {
            let mut state = clock.lock();
            state.next_id += 1;
            state.next_id
        };
        Timer {
            clock,
            id,
            at: None,
        }
    }

    pub(super) fn set(&mut self, at: Instant) {
        self.clear();
        self.at = Some(at.since_epoch());
    }

    pub(super) fn clear(&mut self) {
        if let Some(at) = self.at.take() {
            let old = self.clock.lock().armed.remove(&(at, self.id));
            drop(old);
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        if at <= self.clock.lock().now {
            return Poll::Ready(());
        }
        // The end of all time never comes.
        if at < Duration::MAX {
            let waker = cx.waker().clone();
            let old = self.clock.lock().armed.insert((at, self.id), waker);
            drop(old);
            self.clock.go();
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.clear();
    }
}
