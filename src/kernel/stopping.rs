//! Coming to an end in time: the graceful stop, and the grace of releases.
//!
//! Invariants
//! 1. A graceful stop asks (`ASKED`, visible below as a request to cancel is) and sets a time; the
//!    opener watches that time and turns the question into a request.
//! 2. The grace of a boundary begins once: with the first request that is visible in it, or when its
//!    tear-down has come to the releases. Its end is the end of every release below, through
//!    shields too. Each release watches the earliest end around it; whoever begins a grace wakes
//!    the releases below afterwards, so none sleeps past an end that it has not seen.

use std::{sync::Arc, time::Duration};

use super::{
    node::{ASKED, Deadline, Kind, Node, OWN, USED},
    requests::propagate,
};
use crate::{
    cancel::{CancelKind, CancelReason},
    time::Instant,
};

impl Node {
    /// Asks everything below to come to an end, and cancels what is left when `grace` is over. Of
    /// several stops the earliest binds.
    pub(crate) fn stop(self: &Arc<Self>, grace: Duration) {
        let at = self.runtime().now() + grace;
        {
            let mut inside = self.inside.lock();
            inside.stop_at = Some(inside.stop_at.map_or(at, |earlier| earlier.min(at)));
            self.raise(ASKED);
        }
        self.mark.asked(self);
        propagate(self.clone());
    }

    /// Begins the grace, if this boundary has one.
    pub(super) fn begin_grace(self: &Arc<Self>) {
        let Some(grace) = self.grace else {
            return;
        };
        let end = self.runtime().now() + grace;
        {
            let mut inside = self.inside.lock();
            if inside.grace_end.is_some() {
                return;
            }
            inside.grace_end = Some(end);
        }
        // Who began the one around, if that ends before, wakes them.
        let around = self.graced_around();
        let ends = |node: &Arc<Node>| node.inside.lock().grace_end;
        if around.and_then(ends).is_some_and(|earlier| earlier <= end) {
            return;
        }
        let mut work = vec![self.clone()];
        while let Some(node) = work.pop() {
            if node.kind == Kind::Release {
                node.wake_opener();
            }
            let inside = node.inside.lock();
            work.extend(inside.subs.iter().map(|(_, sub)| sub.clone()));
        }
    }

    /// When this boundary has to be cancelled, or to warn, as far as that is known now.
    pub(super) fn due(&self) -> Option<Instant> {
        let warning = match self.warns {
            true => self
                .inside
                .lock()
                .warning
                .as_ref()
                .and_then(|warning| warning.next),
            false => None,
        };
        earliest(self.cancel_due(), warning.map(|(_, at)| at))
    }

    #[inline]
    fn cancel_due(&self) -> Option<Instant> {
        if self.has(OWN) {
            return None;
        }
        if self.kind == Kind::Release {
            return self.grace_around();
        }
        let inside = self.inside.lock();
        let deadline = match inside.deadline {
            Some(Deadline::At(at)) => Some(at),
            Some(Deadline::After(_)) | None => None,
        };
        earliest(deadline, inside.stop_at)
    }

    /// Tells of the boundaries around whose grace has ended.
    fn tell_of_the_grace(&self, now: Instant) {
        let mut next = self.graced_around();
        while let Some(node) = next {
            let end = node.inside.lock().grace_end;
            if end.is_some_and(|end| end <= now) {
                node.grace_ends();
            }
            next = node.graced_around();
        }
    }

    /// The earliest end of a grace that has begun around here.
    fn grace_around(&self) -> Option<Instant> {
        let (mut next, mut end) = (self.graced_around(), None);
        while let Some(node) = next {
            end = earliest(end, node.inside.lock().grace_end);
            next = node.graced_around();
        }
        end
    }

    /// A time that `due` gave has come. True if there may be another.
    pub(super) fn expire(self: &Arc<Self>, now: Instant) -> bool {
        if self.warns && self.warn_if_due(now) {
            return true;
        }
        self.cancel_in_time(now);
        false
    }

    fn cancel_in_time(self: &Arc<Self>, now: Instant) {
        if self.kind == Kind::Release {
            self.tell_of_the_grace(now);
            let mut reason = CancelReason::new(CancelKind::Shutdown);
            reason.message = Some("the grace of a boundary around has ended".into());
            self.request(reason);
            return;
        }
        let passed = |time: &Instant| *time <= now;
        let deadline = self.deadline().filter(passed);
        let stop = self.inside.lock().stop_at.filter(passed);
        match (deadline, stop) {
            (deadline, Some(stop)) if deadline.is_none_or(|deadline| stop < deadline) => {
                if !self.has(OWN) {
                    self.tell(format_args!(
                        "cancels what is left, as the grace of its shutdown has ended"
                    ));
                }
                self.request_kind(CancelKind::Shutdown);
            }
            // Also if the deadline has been moved just now: it had come.
            _ => {
                self.expire_around(now);
                let first = self.record_request(CancelReason::new(CancelKind::Deadline));
                // The opener, who calls this, looks at its own flag next: it needs no waking.
                if first && (self.kind != Kind::Cancel || self.has(USED)) {
                    propagate(self.clone());
                }
            }
        }
    }
}

pub(super) fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
