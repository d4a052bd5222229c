//! Roll calls: who inside a cancelled boundary is still polled, while it waits for them to drain.

use std::{task::Waker, time::Duration};

use super::{
    adoption::{inline_subs, orphan_all},
    atomic::Ordering,
    node::{INNER, Node, POLLED},
};
use crate::time::Instant;

/// How a draining boundary finds out who is still polled inside it.
#[derive(Default)]
pub(super) struct RollCall {
    /// Polls since those who were not polled have been woken; 0 if nobody is awaited.
    round: u8,
    /// When the calls began that are counted here.
    since: Option<Instant>,
    calls: u8,
}

/// What to do about those who were not polled.
enum Step {
    Rest,
    Call,
    Wait,
    Over,
}

impl RollCall {
    /// A combinator may not get round to all at once.
    const ROUNDS: u8 = 8;
    /// So many calls in one spell: a combinator may ask to be polled again after each call.
    const CALLS: u8 = 32;
    const SPELL: Duration = Duration::from_millis(10);

    /// After a poll; `missing` is the time, if somebody was not polled.
    fn step(&mut self, missing: Option<Instant>) -> Step {
        let Some(now) = missing else {
            self.round = 0;
            return Step::Rest;
        };
        if self.round > 0 {
            self.round = (self.round + 1) % Self::ROUNDS;
            return match self.round {
                0 => Step::Over,
                _ => Step::Wait,
            };
        }
        if self.since.is_none_or(|since| now >= since + Self::SPELL) {
            (self.since, self.calls) = (Some(now), 0);
        }
        if self.calls == Self::CALLS {
            return Step::Rest;
        }
        self.calls += 1;
        self.round = 1;
        Step::Call
    }
}

impl Node {
    /// Before a poll of what it has inside: true if the boundary is cancelled and only waits for
    /// boundaries inside to drain, so that this poll may show which of them are still polled.
    pub(crate) fn begin_draining(&self) -> bool {
        let draining = self.is_cancelled() && self.has_inner();
        if draining && self.inside.lock().roll_call.round == 0 {
            inline_subs(self, false)
                .iter()
                .for_each(|sub| sub.clear(POLLED));
        }
        draining
    }

    /// Is everybody inside who has not drained an orphan? Those drain without being polled, and the code
    /// that they were opened in does not go on meanwhile: it is not polled again (rule 19).
    pub(crate) fn only_orphans_drain(&self) -> bool {
        if self.shields.load(Ordering::Acquire) != 0 {
            return false;
        }
        let inside = self.inside.lock();
        let inner = inside.subs.iter().filter(|(_, sub)| sub.has(INNER));
        let orphans = inner.clone().filter(|(_, sub)| sub.is_orphan()).count();
        // A closure that runs is in the number and not in the list.
        inner.count() == orphans && self.inner.load(Ordering::Acquire) == orphans
    }

    /// After such a poll: a boundary inside that is not polled any more is forgotten, or its future
    /// is kept aside. It cannot drain by itself, so this one answers for it, and waits until it has
    /// drained before it drops what is inside (rule 21).
    ///
    /// Not to have been polled proves nothing, since many combinators poll only who was woken. So
    /// those are woken, and are missing if no poll comes of it.
    pub(crate) fn orphan_unpolled(&self, waker: &Waker) {
        let subs = inline_subs(self, false).into_iter();
        let missing: Vec<_> = subs
            .filter(|sub| sub.is_inner() && !sub.has(POLLED))
            .collect();
        let now = match missing.is_empty() {
            true => None,
            false => Some(self.runtime().now()),
        };
        let step = self.inside.lock().roll_call.step(now);
        match step {
            Step::Rest => return,
            Step::Call => missing.iter().for_each(|sub| sub.wake_opener()),
            Step::Wait => {}
            Step::Over => return missing.into_iter().for_each(orphan_all),
        }
        waker.wake_by_ref();
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// What follows from so many polls at one time, after each of which somebody is missing.
    fn steps(calls: &mut RollCall, now: Instant, polls: usize) -> String {
        let letter = |_| match calls.step(Some(now)) {
            Step::Rest => 'r',
            Step::Call => 'c',
            Step::Wait => 'w',
            Step::Over => 'o',
        };
        (0..polls).map(letter).collect()
    }

    #[test]
    fn who_is_missing_is_called_once_and_given_up_after_eight_polls() {
        let (mut calls, now) = (RollCall::default(), Instant::now());
        assert_eq!(steps(&mut calls, now, 17), "cwwwwwwocwwwwwwoc");
    }

    #[test]
    fn a_poll_after_which_nobody_is_missing_ends_the_call() {
        let (mut calls, now) = (RollCall::default(), Instant::now());
        assert_eq!(steps(&mut calls, now, 7), "cwwwwww");
        assert!(matches!(calls.step(None), Step::Rest));
        assert_eq!(steps(&mut calls, now, 8), "cwwwwwwo");
    }

    #[test]
    fn there_are_so_many_calls_in_a_spell_and_as_many_in_the_next() {
        let (mut calls, start) = (RollCall::default(), Instant::now());
        let mut spell = |now| {
            let mut count = 0;
            while steps(&mut calls, now, 1) == "c" {
                count += 1;
                assert!(matches!(calls.step(None), Step::Rest));
            }
            count
        };
        let end = start + RollCall::SPELL;
        assert_eq!(spell(start), RollCall::CALLS);
        assert_eq!(spell(end - Duration::from_nanos(1)), 0);
        assert_eq!(spell(end), RollCall::CALLS);
    }
}
