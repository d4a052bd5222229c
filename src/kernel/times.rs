//! When children and boundaries began, and how long their polls took: kept only if somebody asked for
//! it, since the clock is not free.
//!
//! Invariants
//! 1. Whether a chunk has a table of times is decided when it is made, and does not change.
//! 2. A row is written by the child that it is of, but for `entered`, which is written before the
//!    child is given out. All is `Relaxed`: who reads shows it, and nothing follows from it.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::spot::Spot;
use crate::{runtime::Runtime, time::Instant};

static RECORDED: AtomicBool = AtomicBool::new(false);

/// Switches it on or off, for what begins from now on.
pub(crate) fn record(on: bool) {
    RECORDED.store(on, Relaxed);
}

#[cfg(all(feature = "async-std", not(any(loom, shuttle))))]
pub(crate) fn are_recorded() -> bool {
    RECORDED.load(Relaxed)
}

/// Nanoseconds on the clock of a runtime, and one more: 0 stands for no time.
fn nanos(at: Instant) -> u64 {
    let nanos = at.since_epoch().as_nanos();
    u64::try_from(nanos).map_or(u64::MAX, |nanos| nanos.saturating_add(1))
}

fn since(then: u64, now: u64) -> Duration {
    Duration::from_nanos(now.saturating_sub(then))
}

/// The row of one child.
#[derive(Default)]
pub(super) struct Times {
    entered: AtomicU64,
    polls: AtomicU32,
    busy: AtomicU64,
    /// When the poll began that goes on, or 0.
    polled: AtomicU64,
}

/// What a row says.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) age: Duration,
    pub(super) polls: u32,
    /// In polls that have ended, and in the one that goes on.
    pub(super) busy: Duration,
    pub(super) poll: Option<Duration>,
}

impl Times {
    pub(super) fn enter(&self, now: Instant) {
        self.entered.store(nanos(now), Relaxed);
    }

    pub(super) fn see(&self, now: Instant) -> Seen {
        let now = nanos(now);
        let busy = Duration::from_nanos(self.busy.load(Relaxed));
        let poll = Some(self.polled.load(Relaxed)).filter(|&began| began != 0);
        let poll = poll.map(|began| since(began, now));
        Seen {
            age: since(self.entered.load(Relaxed), now),
            polls: self.polls.load(Relaxed),
            busy: busy + poll.unwrap_or_default(),
            poll,
        }
    }
}

/// The times of a boundary.
pub(super) struct NodeTimes {
    entered: Instant,
    closing: Option<Instant>,
}

impl NodeTimes {
    pub(super) fn new(now: Instant) -> Self {
        NodeTimes {
            entered: now,
            closing: None,
        }
    }

    pub(super) fn close(&mut self, now: Instant) {
        self.closing.get_or_insert(now);
    }

    /// Its age, and for how long it has been closing.
    pub(super) fn see(&self, now: Instant) -> (Duration, Option<Duration>) {
        let since = |then: Instant| now.duration_since(then);
        (since(self.entered), self.closing.map(since))
    }
}

/// The code of a child begins to run that is timed: a poll, or a destructor.
#[cold]
pub(super) fn begin(spot: Spot<'_>, is_poll: bool) {
    if let Some(times) = spot.cell.times() {
        let polls = times.polls.load(Relaxed);
        times
            .polls
            .store(polls.saturating_add(is_poll.into()), Relaxed);
        let now = nanos(spot.group().with_runtime(Runtime::now));
        times.polled.store(now, Relaxed);
    }
}

#[cold]
pub(super) fn end(spot: Spot<'_>) {
    if let Some(times) = spot.cell.times() {
        let now = nanos(spot.group().with_runtime(Runtime::now));
        let took = now.saturating_sub(times.polled.load(Relaxed));
        let busy = times.busy.load(Relaxed) + took;
        times.busy.store(busy, Relaxed);
        times.polled.store(0, Relaxed);
    }
}
