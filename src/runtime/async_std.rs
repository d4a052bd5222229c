//! The runtime seam on async-std. No other file names async-std or async-io.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use async_std::task;

use crate::time::Instant;

/// Spawns through async-std itself, not through its executor, so that `task::current` and
/// task-locals work inside. A dropped handle detaches the task.
#[inline]
pub(super) fn spawn<F: Future<Output = ()> + Send + 'static>(fut: F) {
    drop(task::spawn(fut));
}

pub(super) fn spawn_blocking(job: impl FnOnce() + Send + 'static) {
    drop(task::spawn_blocking(job));
}

pub(super) fn block_on<F: Future>(fut: F) -> F::Output {
    task::block_on(fut)
}

pub(super) fn inside_task() -> bool {
    task::try_current().is_some()
}

#[inline]
pub(super) fn now() -> Instant {
    instant(std::time::Instant::now())
}

/// A look at the clock before the first time that was asked for counts as that.
pub(super) fn instant(at: std::time::Instant) -> Instant {
    Instant::from_epoch(at.saturating_duration_since(epoch()))
}

/// The zero of all instants: when the process first asked for the time.
#[inline]
fn epoch() -> std::time::Instant {
    static EPOCH: OnceLock<std::time::Instant> = OnceLock::new();
    *EPOCH.get_or_init(std::time::Instant::now)
}

/// async-std has no timer that can be moved; async-io, on which its own ones are built, has.
pub(super) struct Timer {
    inner: async_io::Timer,
    // The inner timer tells only once that it fired.
    fired: bool,
}

impl Timer {
    pub(super) fn new() -> Timer {
        Timer {
            inner: async_io::Timer::never(),
            fired: false,
        }
    }

    pub(super) fn set(&mut self, at: Instant) {
        self.fired = false;
        // What the system's clock cannot express never comes.
        match epoch().checked_add(at.since_epoch()) {
            Some(at) => self.inner.set_at(at),
            None => self.inner.clear(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.fired = false;
        self.inner.clear();
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.fired && Pin::new(&mut self.inner).poll(cx).is_ready() {
            self.fired = true;
        }
        if self.fired {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}
