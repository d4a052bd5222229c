//! Virtual time, and the order of what happens at one instant.

use crate::programs::grammar::Id;

/// An instant, and within it what one piece of code does first and next. A checkpoint begins a new
/// turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time {
    pub(super) nanos: u64,
    turn: u32,
    step: u32,
}

impl Time {
    pub(super) const START: Time = Time::at(0);
    pub(super) const NEVER: Time = Time::at(u64::MAX);

    pub(super) const fn at(nanos: u64) -> Time {
        Time {
            nanos,
            turn: 0,
            step: 0,
        }
    }

    pub(super) fn plus(self, nanos: u64) -> Time {
        match nanos {
            0 => self,
            _ => Time::at(self.nanos + nanos),
        }
    }

    pub(super) fn next_step(self) -> Time {
        Time {
            step: self.step + 1,
            ..self
        }
    }

    /// After a checkpoint at this instant.
    pub(super) fn next_turn(self) -> Time {
        Time {
            turn: self.turn + 1,
            step: 0,
            ..self
        }
    }

    /// No checkpoint is between them.
    pub(super) fn is_same_turn(self, other: Time) -> bool {
        (self.nanos, self.turn) == (other.nanos, other.turn)
    }
}

/// When code is asked to end, and by code of which child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) at: Time,
    pub(super) by: Id,
}

impl Cut {
    pub(super) const NEVER: Cut = Cut {
        at: Time::NEVER,
        by: Cut::CLOCK,
    };
    /// No code asks, but time.
    pub(super) const CLOCK: Id = Id::MAX;

    /// Does it come at the very instant at which the last release ends, and not before? Then it is open
    /// which of the two is seen first.
    pub(super) fn ties(self, alone: Time, ended: Time) -> bool {
        ended.nanos > alone.nanos && self.at.nanos == ended.nanos
    }

    pub(super) fn or(self, other: Cut) -> Cut {
        match other.at < self.at {
            true => other,
            false => self,
        }
    }
}
