//! Telling who is waited for: when a boundary has been closing for long, and when a grace has ended.
//!
//! Invariants
//! 1. A boundary that warns (`Plan::warn`) does so the first time when it has been closing for that long, and
//!    again whenever it has been for twice as long as the last time.
//! 2. Of the releases that one grace cuts the first tells, for all.
//! 3. Nothing is told under a lock: the tree takes locks, and the log is anybody's code.

use std::{sync::Arc, time::Duration};

use log::Level;

use super::node::{Inside, Node};
use crate::{panics, plain::Plain, time::Instant, tree::TaskTree};

/// When a boundary that is closing warns.
pub(super) struct Warning {
    pub(super) after: Duration,
    /// Once it is closing: since when, and when it is to warn next.
    pub(super) next: Option<(Instant, Instant)>,
}

impl Warning {
    #[cold]
    pub(super) fn after(after: Duration) -> Option<Box<Self>> {
        Some(Box::new(Warning { after, next: None }))
    }
}

impl Inside {
    /// The body has ended: this is when the wait for the rest begins.
    #[inline]
    pub(super) fn note_closing(&mut self, now: impl FnOnce() -> Instant) {
        if self.times.is_none() && self.warning.is_none() {
            return;
        }
        let now = now();
        if let Some(times) = &mut self.times {
            times.close(now);
        }
        if let Some(warning) = &mut self.warning {
            warning.next.get_or_insert((now, now + warning.after));
        }
    }
}

impl Node {
    /// Warns, if it is time for that.
    pub(super) fn warn_if_due(self: &Arc<Self>, now: Instant) -> bool {
        let closing = {
            let mut inside = self.inside.lock();
            let next = inside
                .warning
                .as_mut()
                .and_then(|warning| warning.next.as_mut());
            let Some((since, at)) = next.filter(|(_, at)| *at <= now) else {
                return false;
            };
            let closing = now.duration_since(*since);
            *at = now + closing.max(Duration::from_nanos(1));
            closing
        };
        self.tell(format_args!(
            "has been closing for {closing:.1?} and still waits"
        ));
        true
    }

    /// The grace of releases here has ended, and one of them is about to be cut.
    pub(super) fn grace_ends(self: &Arc<Self>) {
        let told = std::mem::replace(&mut self.inside.lock().told, true);
        if !told {
            self.tell(format_args!(
                "cuts releases that are left, as their grace has ended"
            ));
        }
    }

    pub(super) fn tell(self: &Arc<Self>, what: std::fmt::Arguments<'_>) {
        if !panics::logs(Level::Warn) {
            return;
        }
        let name = self
            .name
            .as_ref()
            .map_or_else(String::new, |name| format!(" `{}`", Plain(name)));
        let (location, tree) = (self.location, TaskTree::below(self));
        panics::log(
            Level::Warn,
            format_args!("the boundary{name} opened at {location} {what}:\n{tree}"),
        );
    }
}
