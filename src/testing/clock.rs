//! The virtual clock and its timers.
//!
//! Invariants:
//! 1. Time never goes back, and moves only in [`Clock::advance`].
//! 2. A registered timer lies in the future: what is due is never registered, and `advance` takes
//!    out everything that has become due.
//! 3. "Never" (`Duration::MAX`) is not registered, so a sleep for ever is no reason to go on.
//! 4. Wakers are cloned, woken and dropped without the lock: they may be anybody's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::state::Core;
use crate::time::Instant;

/// The deadline, and the order of registration among equal ones.
type Key = (Duration, u64);

#[derive(Default)]
pub(super) struct Clock {
    now: Duration,
    registered: u64,
    timers: BTreeMap<Key, Waker>,
    closed: bool,
}

impl Clock {
    pub(super) fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn has_timers(&self) -> bool {
        !self.timers.is_empty()
    }

    /// Jumps to the earliest timer and hands out everything that is due then.
    pub(super) fn advance(&mut self) -> Option<Vec<Waker>> {
        let (&(earliest, _), _) = self.timers.first_key_value()?;
        self.now = earliest;
        let later = match earliest.checked_add(Duration::from_nanos(1)) {
            Some(next) => self.timers.split_off(&(next, 0)),
            None => BTreeMap::new(),
        };
        let due = std::mem::replace(&mut self.timers, later);
        Some(due.into_values().collect())
    }

    /// No timer rings any more; hands out the wakers for the caller to drop.
    pub(super) fn close(&mut self) -> Vec<Waker> {
        self.closed = true;
        std::mem::take(&mut self.timers).into_values().collect()
    }
}

/// A timer of a simulation.
pub(crate) struct Timer {
    core: Arc<Core>,
    at: Option<Duration>,
    key: Option<Key>,
}

impl Timer {
    pub(crate) fn new(core: Arc<Core>) -> Timer {
        Timer {
            core,
            at: None,
            key: None,
        }
    }

    pub(crate) fn set(&mut self, at: Instant) {
        self.clear();
        self.at = Some(at.since_epoch()).filter(|at| *at < Duration::MAX);
    }

    pub(crate) fn clear(&mut self) {
        self.at = None;
        if let Some(key) = self.key.take() {
            let waker = self.core.lock().clock.timers.remove(&key);
            drop(waker);
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        let waker = cx.waker().clone();
        let mut state = self.core.lock();
        let clock = &mut state.clock;
        if clock.now >= at {
            let stale = self.key.take().and_then(|key| clock.timers.remove(&key));
            drop(state);
            drop((stale, waker));
            return Poll::Ready(());
        }
        if clock.closed {
            drop(state);
            drop(waker);
            return Poll::Pending;
        }
        let key = *self.key.get_or_insert_with(|| {
            clock.registered += 1;
            (at, clock.registered)
        });
        let former = clock.timers.insert(key, waker);
        drop(state);
        drop(former);
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.clear();
    }
}
