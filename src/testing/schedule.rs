//! Who runs next, and when time moves.
//!
//! Invariants:
//! 1. The choice depends on the seed and on the order of earlier events, and on nothing else.
//! 2. Time moves when nothing can run, or when nothing can run but closures that have been asking
//!    their tokens in vain for long; and not before who waits for that moment has had a turn.
//! 3. Every turn counts towards the bounds, so that no simulation goes on for ever.

use std::sync::{Arc, Condvar};
use std::task::Waker;

use super::orphans::Region;
use super::state::{BoxFuture, Closure, Entity, Job, Parked, Phase, State, Work};

/// So many questions of blocking closures to their tokens in a row, with nothing else able to run,
/// before the clock moves although a closure runs.
pub(super) const FRUITLESS_CHECKPOINTS: u64 = 10_000;

/// A hand-over to a closure counts as so many polls: it takes about as long, and the bounds are
/// there to end a test in reasonable time.
const HAND_OVER_STEPS: u64 = 50;

/// So many times the steps that are allowed at one instant are allowed in all.
pub(super) const ALL_STEPS: u64 = 10;

/// Of closures that only ask their tokens, with no timer to move on to, each keeps the baton for so
/// many questions: a hand-over costs thousands of times more than a question.
const SPIN_BURST: u64 = 64;

/// What the executor does next.
pub(super) enum Turn {
    Poll(u64, BoxFuture, Waker, Option<Arc<Region>>),
    Start(u64, Job),
    Resume(u64),
    /// Time moved, or those who waited for everybody else to be blocked may go on.
    Wake(Vec<Waker>),
    /// The main future and all closures have ended.
    Finished,
    Stuck(Stuck),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stuck {
    Deadlock,
    /// Time does not move.
    Livelock,
    /// Time moves, but nothing comes to an end.
    Endless,
}

impl State {
    /// Decides who runs next.
    pub(super) fn next_turn(&mut self, max_steps: u64) -> Turn {
        loop {
            if self.main_ended && self.closures == 0 {
                return Turn::Finished;
            }
            if self.steps >= max_steps {
                return Turn::Stuck(Stuck::Livelock);
            }
            if self.all_steps >= max_steps.saturating_mul(ALL_STEPS) {
                return Turn::Stuck(Stuck::Endless);
            }
            if self.ready.is_empty() || self.only_spinning() {
                if self.watchers.any() {
                    return Turn::Wake(self.watchers.release());
                }
                if let Some(wakers) = self.clock.advance() {
                    self.fruitless = 0;
                    if !self.main_ended {
                        self.steps = 0;
                    }
                    return Turn::Wake(wakers);
                }
            }
            let Some(id) = self.pick() else {
                return Turn::Stuck(Stuck::Deadlock);
            };
            self.count_steps(1);
            let Some(entity) = self.entities.get_mut(&id) else {
                continue;
            };
            match &mut entity.work {
                Work::Task(future) => {
                    if let Some(future) = future.take() {
                        self.fruitless = 0;
                        return Turn::Poll(id, future, entity.waker.clone(), entity.region.clone());
                    }
                }
                Work::Closure(_) => {
                    self.count_steps(HAND_OVER_STEPS - 1);
                    return Turn::Resume(id);
                }
                work @ Work::Job(_) => {
                    let begun = Work::Closure(Closure {
                        parked: Parked::No,
                        woken: false,
                        stop: false,
                        late: 0,
                        turn: Arc::new(Condvar::new()),
                    });
                    if let Work::Job(job) = std::mem::replace(work, begun) {
                        self.fruitless = 0;
                        return Turn::Start(id, job);
                    }
                }
            }
        }
    }

    pub(super) fn count_steps(&mut self, count: u64) {
        self.steps += count;
        self.all_steps += count;
    }

    /// Takes one out of `ready`, by the seed.
    fn pick(&mut self) -> Option<u64> {
        if self.ready.is_empty() {
            return None;
        }
        let index = self.random.below(self.ready.len());
        let id = self.ready.swap_remove(index);
        if let Some(entity) = self.entities.get_mut(&id) {
            entity.queued = false;
        }
        Some(id)
    }

    /// The next closure to go on while the simulation winds up: one that can run, or else one that
    /// has to be stopped: the newest, since what it borrows may be on an older one's stack.
    pub(super) fn next_closure(&mut self) -> Option<u64> {
        while let Some(id) = self.pick() {
            if let Some(Work::Closure(_)) = self.entities.get(&id).map(|entity| &entity.work) {
                return Some(id);
            }
        }
        self.entities
            .iter_mut()
            .rev()
            .find_map(|(&id, entity)| match &mut entity.work {
                Work::Closure(closure) => {
                    closure.stop = true;
                    Some(id)
                }
                _ => None,
            })
    }

    /// Makes a task or closure runnable.
    pub(super) fn enqueue(&mut self, id: u64) {
        if let Some(entity) = self.entities.get_mut(&id) {
            if !entity.queued {
                entity.queued = true;
                self.ready.push(id);
            }
        }
    }

    /// Whether a closure that asks its token may simply go on: handing the baton over would come
    /// to the same.
    pub(super) fn may_go_on(&self, max_steps: u64) -> bool {
        let bounded =
            self.steps < max_steps && self.all_steps < max_steps.saturating_mul(ALL_STEPS);
        if self.phase != Phase::Running || !bounded {
            return false;
        }
        if self.fruitless < FRUITLESS_CHECKPOINTS {
            return self.ready.is_empty();
        }
        if self.clock.has_timers() || self.watchers.any() {
            return false;
        }
        self.ready.is_empty() || (self.fruitless % SPIN_BURST != 0 && self.only_spinning())
    }

    /// Whether nothing can run but closures that have been asking their tokens in vain for long.
    fn only_spinning(&self) -> bool {
        self.fruitless >= FRUITLESS_CHECKPOINTS
            && self.ready.iter().all(|id| {
                matches!(
                    self.entities.get(id).map(|entity| &entity.work),
                    Some(Work::Closure(closure)) if closure.parked == Parked::Checkpoint
                )
            })
    }

    pub(super) fn closure(&mut self, id: u64) -> Option<&mut Closure> {
        match self.entities.get_mut(&id) {
            Some(Entity {
                work: Work::Closure(closure),
                ..
            }) => Some(closure),
            _ => None,
        }
    }
}
