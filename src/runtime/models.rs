//! The runtime of the kernel's models. It runs nothing by itself: a model takes what was spawned
//! and polls it on a thread of its own choice, and moves the clock.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use loom::sync::{Condvar, Mutex};

use crate::time::Instant;

type Spawned = Pin<Box<dyn Future<Output = ()> + Send>>;
type Job = Box<dyn FnOnce() + Send>;

loom::lazy_static! {
    static ref TASKS: Mutex<VecDeque<Spawned>> = Mutex::default();
    static ref JOBS: Mutex<VecDeque<Job>> = Mutex::default();
    static ref CLOCK: Mutex<Clock> = Mutex::default();
}

#[derive(Default)]
struct Clock {
    now: Duration,
    /// Who waits, and since when it is in the past.
    timers: Vec<(Duration, Waker)>,
}

pub(super) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    TASKS.lock().unwrap().push_back(Box::pin(future));
}

pub(super) fn spawn_blocking(job: impl FnOnce() + Send + 'static) {
    JOBS.lock().unwrap().push_back(Box::new(job));
}

/// What was spawned first and not yet taken.
pub(crate) fn try_next_task() -> Option<Task<()>> {
    let future = TASKS.lock().unwrap().pop_front()?;
    Some(Task::pinned(future))
}

/// The same, where something must have been spawned.
pub(crate) fn next_task() -> Task<()> {
    try_next_task().expect("something was spawned")
}

pub(crate) fn next_job() -> Job {
    let job = JOBS.lock().unwrap().pop_front();
    job.expect("a closure was submitted")
}

pub(super) fn now() -> Instant {
    Instant::from_epoch(CLOCK.lock().unwrap().now)
}

/// Moves the clock and wakes whose time has come.
pub(crate) fn advance_to(at: Instant) {
    let now = at.since_epoch();
    let due: Vec<(Duration, Waker)> = {
        let mut clock = CLOCK.lock().unwrap();
        clock.now = clock.now.max(now);
        let timers = std::mem::take(&mut clock.timers).into_iter();
        let (due, later) = timers.partition(|(at, _)| *at <= now);
        clock.timers = later;
        due
    };
    due.into_iter().for_each(|(_, waker)| waker.wake());
}

#[derive(Default)]
pub(super) struct Timer(Option<Duration>);

impl Timer {
    pub(super) fn set(&mut self, at: Instant) {
        self.0 = Some(at.since_epoch());
    }

    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.0 else {
            return Poll::Pending;
        };
        let mut clock = CLOCK.lock().unwrap();
        if at <= clock.now {
            return Poll::Ready(());
        }
        clock.timers.push((at, cx.waker().clone()));
        Poll::Pending
    }
}

pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let signal = Arc::<Signal>::default();
    let mut future = std::pin::pin!(future);
    signal.drive(|cx| future.as_mut().poll(cx))
}

/// A future, and who is told to poll it.
pub(crate) struct Task<T> {
    future: Pin<Box<dyn Future<Output = T>>>,
    signal: Arc<Signal>,
}

/// (loom's own `Notify` also wakes without reason, and each useless poll doubles a model.)
#[derive(Default)]
struct Signal {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

impl Signal {
    fn wait(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !*woken {
            woken = self.changed.wait(woken).unwrap();
        }
    }

    /// A wake-up that is lost is a deadlock of the model.
    fn drive<T>(self: &Arc<Self>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        let waker = Waker::from(self.clone());
        loop {
            // As executors do: a wake-up from before a poll is spent by it.
            *self.woken.lock().unwrap() = false;
            match poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => self.wait(),
            }
        }
    }
}

impl<T> Task<T> {
    pub(crate) fn new(future: impl Future<Output = T> + 'static) -> Self {
        Task::pinned(Box::pin(future))
    }

    fn pinned(future: Pin<Box<dyn Future<Output = T>>>) -> Self {
        let signal = Arc::<Signal>::default();
        Task { future, signal }
    }

    /// One poll, whether it was woken or not.
    pub(crate) fn poll(&mut self) -> Poll<T> {
        let waker = Waker::from(self.signal.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// Polls it to its end, each time that it is woken.
    pub(crate) fn finish(self) -> T {
        let Task { mut future, signal } = self;
        signal.drive(|cx| future.as_mut().poll(cx))
    }
}
