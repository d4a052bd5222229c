//! Making tasks take turns.
//!
//! Invariants:
//! 1. `next` is the step that has the turn, or gets it when it comes. It moves on by one, when a
//!    `Turn` is dropped.
//! 2. A step is claimed at its first poll, once. It is in `waiting` only while it waits, with the waker of
//!    its last poll, unless that was taken out to be woken.
//! 3. A sequence that is broken stays so: no step gets a turn any more, and whoever waits is woken
//!    to say so.
//! 4. Wakers are cloned, woken and dropped without the lock.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::future::poll_fn;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::kernel::context;
use crate::runtime::Runtime;

type Place = &'static Location<'static>;

/// Makes tasks take turns: step 0, then step 1, and so on, whoever takes them.
///
/// A seed tries schedules; a sequencer picks one. Clone it into the tasks, and put the parts whose
/// order matters into steps:
///
/// ```
/// use headcount::{group, testing::{Sequencer, explore}};
/// use std::{convert::Infallible, sync::{Arc, Mutex}};
///
/// explore(0..20, || async {
///     let order = Arc::new(Mutex::new(String::new()));
///     let sequencer = Sequencer::new();
///     let outcome = group(async |g| {
///         for (letters, steps) in [("ad", [0, 3]), ("bc", [1, 2])] {
///             let (order, sequencer) = (order.clone(), sequencer.clone());
///             g.spawn(async move {
///                 for (letter, step) in letters.chars().zip(steps) {
///                     let _turn = sequencer.step(step).await;
///                     order.lock().unwrap().push(letter);
///                 }
///             });
///         }
///         Ok::<_, Infallible>(())
///     });
///     outcome.await.unwrap();
///     assert_eq!(*order.lock().unwrap(), "abcd");
/// });
/// ```
///
/// # When the order cannot be kept
///
/// - A step that is used twice panics, and names both places.
/// - A task that is dropped *in* its turn ends its turn, and the next step follows.
/// - A task that is dropped while it *waits* for its turn breaks the sequence: the steps that wait,
///   and those that come later, panic and name the step that is missing. They would wait for ever.
/// - A step that nobody takes is noticed in a simulation, when nothing can go on: its report says
///   which step is missing and who waits for it. Elsewhere the test hangs.
///
/// It works under any executor.
#[derive(Clone)]
pub struct Sequencer(Arc<Sequence>);

pub(super) struct Sequence {
    made: Place,
    steps: Mutex<Steps>,
}

#[derive(Default)]
struct Steps {
    next: usize,
    claimed: BTreeMap<usize, Place>,
    waiting: BTreeMap<usize, Option<Waker>>,
    broken: Option<(usize, Place)>,
}

impl Sequencer {
    /// A sequencer whose next step is 0.
    #[track_caller]
    #[allow(
        clippy::new_without_default,
        reason = "a default would not know where it was made"
    )]
    pub fn new() -> Self {
        Sequencer(Arc::new(Sequence {
            made: Location::caller(),
            steps: Mutex::default(),
        }))
    }

    /// Waits for the turn of this step, which lasts until the [`Turn`] is dropped.
    ///
    /// # Panics
    ///
    /// If the step was used before, or can never come because the sequence is broken.
    ///
    /// # Cancel safety
    ///
    /// Dropping it before the first poll changes nothing; while it waits, it breaks the sequence.
    ///
    /// ```should_panic
    /// use headcount::testing::{Sequencer, Sim};
    ///
    /// Sim::new(0).run(async {
    ///     let sequencer = Sequencer::new();
    ///     drop(sequencer.step(0).await);
    ///     drop(sequencer.step(0).await); // panics: step 0 was used twice
    /// });
    /// ```
    #[track_caller]
    pub fn step(&self, number: usize) -> impl Future<Output = Turn> + Send + use<> {
        let place = Location::caller();
        let sequence = self.0.clone();
        async move {
            let mut waiting = Waiting::claim(sequence, number, place);
            poll_fn(|cx| waiting.poll(cx)).await
        }
    }
}

impl fmt::Debug for Sequencer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequencer")
            .field("next", &self.0.lock().next)
            .finish_non_exhaustive()
    }
}

/// The turn of a step of a [`Sequencer`]. It ends, and the next step's begins, when this is dropped.
#[derive(Debug)]
#[must_use = "the turn ends when this is dropped: bind it, or drop it where the turn is over"]
pub struct Turn(Sequencer);

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut steps = self.0.0.lock();
            steps.next += 1;
            let next = steps.next;
            // It leaves when it is polled; a waker of a broken sequence was woken.
            steps.waiting.get_mut(&next).and_then(Option::take)
        };
        next.into_iter().for_each(Waker::wake);
    }
}

/// A step between its first poll and its turn.
struct Waiting {
    sequence: Arc<Sequence>,
    number: usize,
    place: Place,
    /// It got its turn, or has said that it cannot.
    done: bool,
}

impl Waiting {
    fn claim(sequence: Arc<Sequence>, number: usize, place: Place) -> Waiting {
        let before = {
            let mut steps = sequence.lock();
            let before = steps.claimed.get(&number).copied();
            if before.is_none() {
                steps.claimed.insert(number, place);
            }
            before
        };
        if let Some(before) = before {
            panic!(
                "step {number} of the sequencer made at {} was used twice: at {before} and at \
                 {place}",
                sequence.made
            );
        }
        if let Runtime::Sim(core) = context::runtime() {
            core.know(&sequence);
        }
        Waiting {
            sequence,
            number,
            place,
            done: false,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let waker = cx.waker().clone();
        let mut steps = self.sequence.lock();
        if steps.broken.is_none() && steps.next != self.number {
            let former = steps.waiting.insert(self.number, Some(waker));
            drop(steps);
            drop(former);
            return Poll::Pending;
        }
        self.done = true;
        let broken = steps.broken;
        let former = steps.waiting.remove(&self.number);
        drop(steps);
        drop((former, waker));
        if let Some((missing, at)) = broken {
            panic!(
                "the sequencer made at {} is broken: its step {missing} at {at} was dropped while \
                 it waited for its turn, so step {} at {} never comes",
                self.sequence.made, self.number, self.place
            );
        }
        Poll::Ready(Turn(Sequencer(self.sequence.clone())))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let wakers = {
            let mut steps = self.sequence.lock();
            steps.broken.get_or_insert((self.number, self.place));
            std::mem::take(&mut steps.waiting)
        };
        wakers.into_values().flatten().for_each(Waker::wake);
    }
}

impl Sequence {
    fn lock(&self) -> MutexGuard<'_, Steps> {
        // Nothing of others runs under the lock, so a poisoned one is still whole.
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be said of it when nothing goes on, if anybody waits for a turn.
    pub(super) fn report(&self) -> Option<String> {
        let steps = self.lock();
        if steps.waiting.is_empty() {
            return None;
        }
        let (made, next) = (self.made, steps.next);
        let mut text = match steps.claimed.get(&next) {
            Some(place) => format!(
                "Step {next} of the sequencer made at {made}, taken at {place}, has the turn."
            ),
            None => {
                format!("Step {next} of the sequencer made at {made} is missing: nobody takes it.")
            }
        };
        let waiting = steps.waiting.keys();
        for (number, place) in waiting.filter_map(|number| steps.claimed.get_key_value(number)) {
            let _ = write!(text, " Step {number} at {place} waits.");
        }
        Some(text)
    }
}
