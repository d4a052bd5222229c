//! The ledger of a group: who may enter, who may be polled under a limit, and the race-free close.
//!
//! Invariants
//! 1. Children enter only under the lock of the node, and only while the ledger is open; the close
//!    happens under the same lock and only when none is left (`count`). So no child slips in after it.
//! 2. Under a limit, `running` counts the children that were admitted and have not ended. Places
//!    are handed on in the order of arrival, to queued children and waiting spawners alike.
//! 3. Once somebody waits and none but daemons live, these have been asked to end, or are about to be,
//!    by a walk over the cells that were there. A daemon that comes now is asked as it enters, under
//!    the lock under which the walk was prepared. If an ordinary child lives then, its end will tell.
//! 4. A look at the peak goes to the line of who left, which is the children's. So the next waits until
//!    more than ever may be living: by more than a small part, if that are many.

use std::{collections::VecDeque, sync::Arc, task::Waker};

use super::{
    atomic::Lock,
    claims::{CellRef, Hold, Walk},
    count::Count,
    queue::Queue,
    roster::{self, Roster},
    threads,
};
use crate::panics;

/// Of as many children as this, one more may live than the peak tells.
const UNSEEN: usize = 64;

/// The part of the ledger that stands under the lock of the node.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) roster: Roster,
    closed: bool,
    limit: Option<Box<Limit>>,
    spawned: u64,
    peak: usize,
    /// How many more may enter before the next look at who left.
    slack: usize,
    /// How many had been spawned when daemons were last asked to end.
    dismissed: u64,
}

struct Limit {
    /// As it was asked for.
    asked: usize,
    /// With the places for children of the crate's own.
    max: usize,
    running: usize,
    queue: Queue<Claim>,
}

/// Who stands in line for a place.
enum Claim {
    /// A spawned child that may not be polled yet.
    Child(Hold),
    /// A spawner that has not handed over its future.
    Spawner(Arc<Ticket>),
}

/// The place in line of a spawner.
#[derive(Default)]
pub(crate) struct Ticket(Lock<TicketState>);

#[derive(Default)]
enum TicketState {
    #[default]
    New,
    Waiting(Waker),
    /// The place is the spawner's.
    Granted,
    /// The spawner left, or used its place.
    Settled,
}

impl Ticket {
    /// True once the place is granted, or the line was left; else `waker` is told when it is.
    pub(crate) fn is_called_or_park(&self, waker: &Waker) -> bool {
        // Cloned and dropped outside the lock: both may be anybody's code.
        let parked = TicketState::Waiting(waker.clone());
        let mut state = self.0.lock();
        let called = matches!(*state, TicketState::Granted | TicketState::Settled);
        let unused = match called {
            true => parked,
            false => std::mem::replace(&mut *state, parked),
        };
        drop(state);
        drop(unused);
        called
    }

    /// Uses the place or leaves the line; true if a place had been granted.
    pub(crate) fn settle(&self) -> bool {
        let before = std::mem::replace(&mut *self.0.lock(), TicketState::Settled);
        let granted = matches!(before, TicketState::Granted);
        // Its panic must not keep the place from going on.
        panics::guard("the destructor of a waker", || drop(before));
        granted
    }

    pub(crate) fn is_settled(&self) -> bool {
        matches!(*self.0.lock(), TicketState::Settled)
    }

    /// Hands over a place; `None` if the spawner has left. The waker is called outside locks.
    pub(crate) fn grant(&self) -> Option<Option<Waker>> {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, TicketState::Granted) {
            TicketState::Settled => {
                *state = TicketState::Settled;
                None
            }
            TicketState::Waiting(waker) => Some(Some(waker)),
            TicketState::New | TicketState::Granted => Some(None),
        }
    }
}

/// Who was handed a place, if anybody; to be told outside the lock.
#[must_use]
#[derive(Default)]
pub(crate) struct Granted {
    child: Option<Hold>,
    spawner: Option<Waker>,
    /// Claims that died in line. The last that refers to a chunk frees it, so not under the lock.
    _dead: VecDeque<Claim>,
}

impl Granted {
    pub(crate) fn tell(self) {
        if let Some(cell) = self.child {
            cell.wake_task();
        }
        if let Some(waker) = self.spawner {
            panics::wake(waker);
        }
    }
}

/// How a spawn asks for a place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Queue if there is no place.
    Queue,
    /// Refuse if there is no place.
    Try,
    /// A place was granted before.
    Granted,
    /// As a daemon; queue if there is no place.
    Daemon,
}

/// Why a spawn was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

impl Ledger {
    /// `besides`: so many places more, for children of the crate's own.
    pub(crate) fn with_limit(asked: Option<usize>, besides: usize) -> Self {
        Ledger {
            limit: asked.map(|asked| {
                Box::new(Limit {
                    asked,
                    max: asked.saturating_add(besides),
                    running: 0,
                    queue: Queue::default(),
                })
            }),
            ..Ledger::default()
        }
    }

    /// Asks whether a child may enter; `Ok(true)` if it may be polled at once.
    pub(crate) fn ask(&mut self, ask: Ask) -> Result<bool, Refused> {
        match &mut self.limit {
            _ if self.closed => Err(Refused::Closed),
            None => Ok(true),
            Some(limit) => limit.ask(ask),
        }
    }

    /// Counts a child in.
    #[inline]
    pub(crate) fn enter(&mut self, count: &Count, daemon: bool) {
        self.watch_peak(count);
        count.enter(daemon);
        self.spawned += 1;
        threads::count(threads::Event::Spawned);
    }

    /// From now on the last child tells. If only daemons live: the chunks in which they are to be asked to
    /// end, by a walk outside the lock; once, unless somebody has come since.
    pub(super) fn wait(&mut self, count: &Count) -> Option<Vec<Walk>> {
        let walk = count.wait() && self.dismissed < self.spawned;
        walk.then(|| {
            self.dismissed = self.spawned;
            self.roster.chunks()
        })
    }

    /// Under a limit: a child that was not admitted stands in line.
    #[cold]
    pub(super) fn stand_in_line(&mut self, cell: &CellRef, admitted: bool) {
        if let Some(limit) = &mut self.limit {
            limit.enter(cell, admitted);
        }
    }

    /// Somebody is about to enter. Before the count goes up: whoever is refused here must not be
    /// waited for.
    #[inline]
    pub(super) fn watch_peak(&mut self, count: &Count) {
        match self.slack.checked_sub(1) {
            Some(slack) => self.slack = slack,
            None => self.look_at_peak(count),
        }
    }

    /// Invariant 4.
    #[inline(never)]
    fn look_at_peak(&mut self, count: &Count) {
        let living = count.living() + 1;
        assert!(living < 1 << 30, "too many children in one group");
        self.peak = self.peak.max(living);
        self.slack = self.peak - living + living / UNSEEN;
    }

    /// A place in line for a spawner, granted at once if there is no limit or a place is free.
    pub(crate) fn line_up(&mut self) -> Result<Arc<Ticket>, Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        let ticket = Arc::new(Ticket::default());
        match &mut self.limit {
            Some(limit) if !limit.has_place() => {
                limit.queue.push(Claim::Spawner(ticket.clone()));
            }
            Some(limit) => {
                limit.running += 1;
                let _ = ticket.grant();
            }
            None => {
                let _ = ticket.grant();
            }
        }
        Ok(ticket)
    }

    /// A child has ended: its place, if it had one, goes to the next in line. A child that ended
    /// in the queue stays there for a while as a dead claim, which is skipped.
    pub(crate) fn vacate(&mut self, cell: &CellRef) -> Granted {
        match cell.is_admitted() {
            true => self.hand_on(),
            false => self.left_the_line(),
        }
    }

    /// A child that was not admitted, or a spawner that was granted nothing, waits no more.
    pub(crate) fn left_the_line(&mut self) -> Granted {
        let mut granted = Granted::default();
        if let Some(limit) = &mut self.limit {
            granted._dead = limit.queue.bury(Claim::is_dead);
        }
        granted
    }

    /// Hands a place that was in use to the next in line.
    pub(crate) fn hand_on(&mut self) -> Granted {
        let mut granted = Granted::default();
        let Some(limit) = self.limit.as_mut().filter(|_| !self.closed) else {
            return granted;
        };
        while let Some(claim) = limit.queue.pop() {
            match claim {
                Claim::Child(cell) if cell.end().is_none() => {
                    cell.admit();
                    granted.child = Some(cell);
                    return granted;
                }
                Claim::Child(_) => granted._dead.push_back(claim),
                Claim::Spawner(ticket) => {
                    if let Some(waker) = ticket.grant() {
                        granted.spawner = waker;
                        return granted;
                    }
                }
            }
        }
        limit.running -= 1;
        granted
    }

    /// Closes for good. Gives nothing if there is nothing to do.
    pub(crate) fn close(&mut self) -> Option<Closed> {
        self.closed = true;
        if self.spawned == 0 && self.limit.is_none() {
            return None;
        }
        threads::saw_peak(self.peak);
        let limit = self.limit.as_mut();
        Some(Closed {
            queue: limit.map_or_else(Queue::default, |limit| std::mem::take(&mut limit.queue)),
            _rest: self.roster.close(),
        })
    }

    /// The limit as it was asked for, and how many spawners stand in line for a place.
    pub(super) fn limit(&self) -> Option<(usize, usize)> {
        let limit = self.limit.as_ref()?;
        let spawners = limit.queue.iter().filter(|claim| match claim {
            Claim::Spawner(ticket) => !ticket.is_settled(),
            Claim::Child(_) => false,
        });
        Some((limit.asked, spawners.count()))
    }

    /// Children ever spawned, living now, and the most that lived at once.
    pub(crate) fn totals(&mut self, count: &Count) -> (u64, usize, usize) {
        let living = self.settle_peak(count);
        (self.spawned, living, self.peak)
    }

    /// Those who live now may be more than at the last look. Gives their number.
    pub(super) fn settle_peak(&mut self, count: &Count) -> usize {
        let living = count.living();
        self.peak = self.peak.max(living);
        living
    }
}

/// What a close leaves to do and to drop outside the lock.
#[must_use]
pub(crate) struct Closed {
    queue: Queue<Claim>,
    _rest: Option<roster::Closed>,
}

impl Closed {
    /// Tells the spawners in line to give up.
    pub(crate) fn tell(mut self) {
        let wakers = self.queue.take().filter_map(|claim| match claim {
            Claim::Spawner(ticket) => ticket.grant().flatten(),
            Claim::Child(_) => None,
        });
        wakers.for_each(panics::wake);
    }
}

impl Limit {
    #[cold]
    fn ask(&mut self, ask: Ask) -> Result<bool, Refused> {
        match ask {
            Ask::Granted => Ok(true),
            _ if self.has_place() => {
                self.running += 1;
                Ok(true)
            }
            Ask::Try => Err(Refused::Full),
            Ask::Queue | Ask::Daemon => Ok(false),
        }
    }

    #[cold]
    fn enter(&mut self, cell: &CellRef, admitted: bool) {
        match admitted {
            true => cell.admit(),
            false => self.queue.push(Claim::Child(Hold::new(cell))),
        }
    }

    fn has_place(&self) -> bool {
        self.running < self.max && self.queue.is_empty()
    }
}

impl Claim {
    fn is_dead(&self) -> bool {
        match self {
            Claim::Child(cell) => cell.end().is_some(),
            Claim::Spawner(ticket) => ticket.is_settled(),
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
