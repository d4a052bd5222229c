//! The ledger of a group: how many children live, who may be polled under a limit, and the
//! race-free close.
//!
//! Invariants
//! 1. The count goes up only under the lock of the node, and only while the ledger is open; the
//!    close happens under the same lock and only at zero. So no child slips in after the close.
//! 2. The count goes down without the lock, after the child's future, its unread output and what
//!    it owed are gone. `WAITING` in the word that goes down tells the child that brings it to zero
//!    that somebody waits for that: a waiter that raised the flag before the last child left is
//!    told by that child, and one that raised it later sees zero.
//! 3. Until somebody waits, the count stands in two words on two cache lines: who entered, written by
//!    spawners, and, negative, who left, written by children. Neither looks at the other's line. Who
//!    raises `WAITING` adds the one to the other in the same step; from then on spawners count there
//!    too.
//! 4. Under a limit, `running` counts the children that were admitted and have not ended. Places
//!    are handed on in the order of arrival, to queued children and waiting spawners alike.
//! 5. Once somebody waits and none but daemons live, these have been asked to end, or are about to be,
//!    by a walk over the cells that were there. A daemon that comes now is asked as it enters, under
//!    the lock under which the walk was prepared. If an ordinary child lives then, its end will tell.

use std::{collections::VecDeque, mem::MaybeUninit, sync::Arc, task::Waker};

use super::{
    atomic::{AtomicU64, Lock, Ordering},
    claims::{CellRef, Hold},
    roster::{self, Roster},
    threads,
};

/// Somebody waits for the children to end, and who entered has been added. Never cleared.
const WAITING: u64 = 1;
/// One child that is no daemon, in the lower half of a word. Sums wrap, so that a negative number plus
/// who entered is again a small one.
const CHILD: u64 = 1 << 1;
/// One daemon, in the upper half.
const DAEMON: u64 = 1 << 32;
/// In `entered`: who entered has been added to the other word.
const ADDED: u64 = u64::MAX;
/// Of as many children as this, one more may live than the peak tells.
const UNSEEN: usize = 64;

/// The number of living children.
#[derive(Default)]
pub(crate) struct Count {
    /// Minus those who left; once `WAITING` is raised, those who live.
    left: OwnLine,
    /// Those who entered, or `ADDED`. Written under the lock of the node only.
    entered: AtomicU64,
}

/// A word on a cache line of its own (of 64 bytes): the children's threads write it while the
/// spawner's works with what stands beside it. Padded and not aligned, since allocators are slow
/// with large alignments and each timeout has a node.
#[repr(C)]
struct OwnLine {
    _before: MaybeUninit<[u64; 7]>,
    word: AtomicU64,
    _after: MaybeUninit<[u64; 7]>,
}

impl Default for OwnLine {
    fn default() -> Self {
        OwnLine {
            _before: MaybeUninit::uninit(),
            word: AtomicU64::new(0),
            _after: MaybeUninit::uninit(),
        }
    }
}

/// The halves of a count.
#[derive(Clone, Copy)]
struct Split {
    others: u32,
    daemons: u32,
}

fn split(word: u64) -> Split {
    Split {
        others: word as u32 >> 1,
        daemons: (word >> 32) as u32,
    }
}

fn one(daemon: bool) -> u64 {
    if daemon { DAEMON } else { CHILD }
}

impl Count {
    /// Only under the lock of the node (invariant 1).
    #[inline]
    pub(super) fn enter(&self, daemon: bool) {
        // Relaxed: the lock orders it against who waits and closes, and the hand-over of the child
        // against its leaving.
        match self.entered.load(Ordering::Relaxed) {
            ADDED => {
                self.left.word.fetch_add(one(daemon), Ordering::Relaxed);
            }
            entered => {
                let entered = entered.wrapping_add(one(daemon));
                self.entered.store(entered, Ordering::Relaxed);
            }
        }
    }

    /// Takes a child out; true if somebody waits and none but daemons are left.
    ///
    /// Release: what the child did comes before the end of its boundary. Acquire: the last child
    /// carries what the others did.
    #[must_use]
    #[inline]
    pub(crate) fn leave(&self, daemon: bool) -> bool {
        // Two calls, so that the one of most children is made with a constant.
        match daemon {
            true => self.take_out(DAEMON),
            false => self.take_out(CHILD),
        }
    }

    #[inline(always)]
    fn take_out(&self, one: u64) -> bool {
        let left = self
            .left
            .word
            .fetch_sub(one, Ordering::AcqRel)
            .wrapping_sub(one);
        left & (DAEMON - 1) == WAITING
    }

    /// Exact under the lock of the node: without it, who waits may add up between the two looks.
    #[inline]
    pub(crate) fn living(&self) -> usize {
        let entered = match self.entered.load(Ordering::Relaxed) {
            ADDED => 0,
            entered => entered,
        };
        let left = self.left.word.load(Ordering::Acquire);
        let now = split(left.wrapping_add(entered));
        // Not exact, the halves may be anything.
        now.others as usize + now.daemons as usize
    }

    /// Does somebody wait, while none but daemons live? Only under the lock of the node.
    pub(super) fn is_left_to_daemons(&self) -> bool {
        // What it shows stays so under the lock, since nobody else enters. Acquire: as in `leave`.
        let left = || self.left.word.load(Ordering::Acquire);
        self.entered.load(Ordering::Relaxed) == ADDED && left() & (DAEMON - 1) == WAITING
    }

    /// From now on the last child tells. True if daemons are left, and nobody else. Only under the
    /// lock of the node.
    pub(super) fn wait(&self) -> bool {
        let now = match self.entered.load(Ordering::Relaxed) {
            ADDED => self.left.word.load(Ordering::Acquire),
            entered => {
                self.entered.store(ADDED, Ordering::Relaxed);
                // One step (invariant 3): a child that left before it is in the sum, and one that
                // leaves after it sees the flag with the sum.
                let added = entered | WAITING;
                let before = self.left.word.fetch_add(added, Ordering::AcqRel);
                before.wrapping_add(added)
            }
        };
        let now = split(now);
        now.others == 0 && now.daemons > 0
    }
}

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
}

struct Limit {
    max: usize,
    running: usize,
    queue: VecDeque<Claim>,
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
    /// True once the place is granted; else `waker` is told when it is.
    pub(crate) fn is_granted_or_park(&self, waker: &Waker) -> bool {
        let mut state = self.0.lock();
        if matches!(*state, TicketState::Granted) {
            return true;
        }
        let old = std::mem::replace(&mut *state, TicketState::Waiting(waker.clone()));
        drop(state);
        drop(old);
        false
    }

    /// Uses the place or leaves the line; true if a place had been granted.
    pub(crate) fn settle(&self) -> bool {
        let before = std::mem::replace(&mut *self.0.lock(), TicketState::Settled);
        matches!(before, TicketState::Granted)
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
    _dead: Vec<Claim>,
}

impl Granted {
    pub(crate) fn tell(self) {
        if let Some(cell) = self.child {
            cell.wake_task();
        }
        if let Some(waker) = self.spawner {
            crate::panics::wake(waker);
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
    pub(crate) fn with_limit(max: Option<usize>) -> Self {
        Ledger {
            limit: max.map(|max| {
                Box::new(Limit {
                    max,
                    running: 0,
                    queue: VecDeque::new(),
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

    /// Looks at who left. The line where that stands is the children's, so the next look waits until
    /// more than ever may be living: by more than a small part, if that are many.
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
                limit.queue.push_back(Claim::Spawner(ticket.clone()));
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
    /// in the queue stays there as a dead claim, which is skipped, and taken out at either end.
    pub(crate) fn vacate(&mut self, cell: &CellRef) -> Granted {
        match &mut self.limit {
            None => Granted::default(),
            Some(limit) if !cell.is_admitted() => Granted {
                _dead: limit.trim(),
                ..Granted::default()
            },
            Some(_) => self.hand_on(),
        }
    }

    /// Hands a place that was in use to the next in line.
    pub(crate) fn hand_on(&mut self) -> Granted {
        let mut granted = Granted::default();
        let Some(limit) = self.limit.as_mut().filter(|_| !self.closed) else {
            return granted;
        };
        while let Some(claim) = limit.queue.pop_front() {
            match claim {
                Claim::Child(cell) if cell.end().is_none() => {
                    cell.admit();
                    granted.child = Some(cell);
                    return granted;
                }
                Claim::Child(_) => granted._dead.push(claim),
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
            queue: limit.map_or_else(VecDeque::new, |limit| std::mem::take(&mut limit.queue)),
            _rest: self.roster.close(),
        })
    }

    /// The limit, and how many spawners stand in line for a place.
    pub(super) fn limit(&self) -> Option<(usize, usize)> {
        let limit = self.limit.as_ref()?;
        let spawners = limit.queue.iter().filter(|claim| match claim {
            Claim::Spawner(ticket) => !ticket.is_settled(),
            Claim::Child(_) => false,
        });
        Some((limit.max, spawners.count()))
    }

    /// Children ever spawned, living now, and the most that lived at once.
    pub(crate) fn totals(&self, count: &Count) -> (u64, usize, usize) {
        let living = count.living();
        (self.spawned, living, self.peak.max(living))
    }

    /// Nobody enters for a while: those who live now may be more than at the last look.
    pub(super) fn settle_peak(&mut self, count: &Count) {
        self.peak = self.peak.max(count.living());
    }
}

/// What a close leaves to do and to drop outside the lock.
#[must_use]
pub(crate) struct Closed {
    queue: VecDeque<Claim>,
    _rest: roster::Closed,
}

impl Closed {
    /// Tells the spawners in line to give up.
    pub(crate) fn tell(mut self) {
        let wakers = self.queue.drain(..).filter_map(|claim| match claim {
            Claim::Spawner(ticket) => ticket.grant().flatten(),
            Claim::Child(_) => None,
        });
        wakers.for_each(crate::panics::wake);
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
            false => self.queue.push_back(Claim::Child(Hold::new(cell))),
        }
    }

    fn has_place(&self) -> bool {
        self.running < self.max && self.queue.is_empty()
    }

    /// Takes out dead claims at both ends, so that spawning and cancelling in turn piles nothing up.
    fn trim(&mut self) -> Vec<Claim> {
        let mut dead = Vec::new();
        while self.queue.front().is_some_and(Claim::is_dead) {
            dead.extend(self.queue.pop_front());
        }
        while self.queue.back().is_some_and(Claim::is_dead) {
            dead.extend(self.queue.pop_back());
        }
        dead
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
