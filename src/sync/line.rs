//! Lines of tasks that wait until something changes, under the lock of what they wait for.
//!
//! Invariants
//! 1. Whoever changes what is waited for calls, under the same lock, those for whom there is something:
//!    the first of the line, until as many are called as there are turns (`change`).
//! 2. `called` counts those who were called and have not looked since. Who was called looks under the lock,
//!    since one that has just come may have been quicker; then it stands in line again, before the others.
//! 3. Who leaves after it was called makes a change by that, so its turn goes to the next.
//! 4. Nothing of the user's runs under the lock: wakers are cloned, called and dropped outside.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker},
};

use crate::{
    kernel::{atomic::Lock, ledger::Ticket, queue::Queue},
    panics,
};

/// An empty line keeps memory for so many.
const KEPT: usize = 64;

/// Tasks that wait for a turn, in the order in which they came.
#[derive(Default)]
pub(super) struct Line {
    tickets: Queue<Arc<Ticket>>,
    /// Who stands here, or was called and has not looked since.
    waiting: usize,
    called: usize,
}

/// What has lines.
pub(super) trait Lines {
    /// Calls everybody for whom there is something, and adds whom to tell.
    fn call(&mut self, told: &mut Vec<Waker>);
}

impl Line {
    /// Calls the first until there are `turns` who were called, or nobody is left.
    pub(super) fn call(&mut self, turns: usize, told: &mut Vec<Waker>) {
        while self.called < turns {
            let Some(ticket) = self.tickets.pop() else {
                break;
            };
            if let Some(waker) = ticket.grant() {
                self.called += 1;
                told.extend(waker);
            }
        }
        self.tickets.shrink(KEPT);
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    fn stand(&mut self, first: bool) -> Arc<Ticket> {
        self.waiting += 1;
        let ticket = Arc::<Ticket>::default();
        match first {
            true => self.tickets.push_front(ticket.clone()),
            false => self.tickets.push(ticket.clone()),
        }
        ticket
    }

    /// One of them waits no more. Gives what is to be dropped outside the lock.
    fn leave(&mut self, called: bool) -> VecDeque<Arc<Ticket>> {
        self.waiting -= 1;
        match called {
            true => {
                self.called -= 1;
                VecDeque::new()
            }
            false => self.tickets.bury(|ticket| ticket.is_settled()),
        }
    }
}

/// Changes something, and tells those whom that concerns (invariant 1).
pub(super) fn change<S: Lines, R>(state: &Lock<S>, change: impl FnOnce(&mut S) -> R) -> R {
    let mut told = Vec::new();
    let result = {
        let mut state = state.lock();
        let result = change(&mut state);
        state.call(&mut told);
        result
    };
    told.into_iter().for_each(panics::wake);
    result
}

/// Waits in `line` until `look` finds something. It looks when this is first polled, and whenever the
/// task was called, which it is told.
pub(super) async fn wait<S: Lines, R>(
    state: &Lock<S>,
    line: fn(&mut S) -> &mut Line,
    look: impl FnMut(&mut S, bool) -> Option<R>,
) -> R {
    let mut place = Place {
        state,
        line,
        ticket: None,
    };
    // Dropped before the place: while it holds something, the task counts as one that waits.
    let mut look = look;
    poll_fn(|cx| {
        loop {
            if place.is_to_wait(cx.waker()) {
                return Poll::Pending;
            }
            if let Some(found) = place.look(&mut look) {
                return Poll::Ready(found);
            }
        }
    })
    .await
}

/// A place in line; left when it is dropped.
struct Place<'a, S: Lines> {
    state: &'a Lock<S>,
    line: fn(&mut S) -> &mut Line,
    ticket: Option<Arc<Ticket>>,
}

impl<S: Lines> Place<'_, S> {
    /// True if it stands in line, and was not called.
    fn is_to_wait(&self, waker: &Waker) -> bool {
        let ticket = self.ticket.as_ref();
        ticket.is_some_and(|ticket| !ticket.is_called_or_park(waker))
    }

    /// Looks, and stands in line if nothing is found.
    fn look<R>(&mut self, look: &mut impl FnMut(&mut S, bool) -> Option<R>) -> Option<R> {
        // The ticket of one that was called has no waker any more, and stands nowhere.
        let called = self.ticket.take().is_some();
        change(self.state, |state| {
            if called {
                let _none = (self.line)(state).leave(true);
            }
            let found = look(state, called);
            if found.is_none() {
                self.ticket = Some((self.line)(state).stand(called));
            }
            found
        })
    }
}

impl<S: Lines> Drop for Place<'_, S> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            // Not under the lock: it drops a waker. (The tickets of those who left have none.)
            let called = ticket.settle();
            let line = self.line;
            drop(change(self.state, |state| line(state).leave(called)));
        }
    }
}
