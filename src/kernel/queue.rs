//! A line of claims, any of which may die before its turn.
//!
//! Invariant: dead claims are not taken out one by one, since that would be a walk for each. They are
//! taken out together, once as many have died as are half of the line. So most of a line lives, or it is
//! as short as one claim, and a death costs no more than a constant.

use std::collections::VecDeque;

pub(crate) struct Queue<T> {
    claims: VecDeque<T>,
    /// How many have died since the dead were taken out. Some of them may have left by their turn.
    died: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue {
            claims: VecDeque::new(),
            died: 0,
        }
    }
}

impl<T> Queue<T> {
    pub(crate) fn push(&mut self, claim: T) {
        self.claims.push_back(claim);
    }

    /// Before all others.
    #[cfg(not(loom))]
    pub(crate) fn push_front(&mut self, claim: T) {
        self.claims.push_front(claim);
    }

    /// Whose turn it is, dead or not.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.claims.pop_front()
    }

    /// An empty line gives back the memory of its longest time, if that is more than for `kept` claims.
    #[cfg(not(loom))]
    pub(crate) fn shrink(&mut self, kept: usize) {
        if self.claims.is_empty() && self.claims.capacity() > kept {
            self.claims = VecDeque::new();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.claims.iter()
    }

    /// One of them has died. Gives the dead, to be dropped outside the lock around, if it is time to take
    /// them out.
    #[must_use]
    pub(crate) fn bury(&mut self, is_dead: impl FnMut(&T) -> bool) -> VecDeque<T> {
        self.died += 1;
        if 2 * self.died < self.claims.len() {
            return VecDeque::new();
        }
        self.died = 0;
        let (dead, living) = self.take().partition(is_dead);
        self.claims = living;
        dead
    }

    /// All of them.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.claims).into_iter()
    }
}
