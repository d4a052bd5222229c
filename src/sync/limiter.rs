//! `CapacityLimiter`: how many may at once, who they are, and who comes next.
//!
//! Invariants
//! 1. `in_use` counts the permits and the places that were granted to a waiter who has not run since.
//! 2. A place is granted only while `in_use` is below the capacity, to the first in line who is still
//!    there. Who comes while somebody stands in line stands behind.
//! 3. Whoever takes from `in_use` or adds to the capacity grants what has become free, under the same
//!    lock; it is told outside of it.

use std::{
    fmt,
    future::{Future, poll_fn},
    panic::Location,
    sync::Arc,
    task::{Poll, Waker},
};

use slab::Slab;

use crate::{
    kernel::{atomic::Lock, context, ledger::Ticket, queue::Queue},
    panics,
};

/// A limit on how many may do something at once, that can be changed while they do, and that tells
/// who they are. Clones share it.
///
/// First come, first served: nobody overtakes. Other than a
/// [`Semaphore`](crate::sync::Semaphore) it knows its holders; other than
/// [`Options::limit`](crate::Options::limit) it limits a section and not a group, so tasks of many
/// groups can share it.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// use headcount::{run, sync::CapacityLimiter};
///
/// let downloads = CapacityLimiter::new(2);
/// run(async |g| {
///     for n in 0..10 {
///         let downloads = downloads.clone();
///         g.spawn_named(format!("page {n}"), async move {
///             let _permit = downloads.acquire().await;
///             let two_at_most = downloads.holders();
///             assert!(two_at_most.iter().any(|who| who.task() == Some(&*format!("page {n}"))));
///         });
///     }
///     Ok(())
/// })
/// # }
/// ```
///
/// # Around blocking closures
///
/// async-std starts up to 500 threads for them, and so many open files may be too many. Give the
/// permit to the closure: it is then given back when the closure has ended, whatever became of the
/// task that waits for it. (A guard in the task would do under this crate's cancellation, which drops
/// nothing around a closure that runs. A foreign `select!` does.)
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::io::Error>> {
/// use headcount::{run, sync::CapacityLimiter, unblock};
///
/// let disk = CapacityLimiter::new(4);
/// run(async |g| {
///     for _ in 0..100 {
///         let disk = disk.clone();
///         g.spawn(async move {
///             let permit = disk.acquire().await;
///             unblock(move || {
///                 let _permit = permit;
///                 std::fs::read("/dev/null")
///             })
///             .await
///         });
///     }
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct CapacityLimiter(Arc<Lock<State>>);

struct State {
    capacity: usize,
    in_use: usize,
    line: Queue<Arc<Ticket>>,
    holders: Slab<Holder>,
}

/// One who holds a [`Permit`], as [`CapacityLimiter::holders`] lists them.
#[derive(Clone, Debug)]
pub struct Holder {
    task: Option<String>,
    location: &'static Location<'static>,
}

impl Holder {
    /// The name of the task that acquired the permit, or of the nearest boundary around that has one.
    pub fn task(&self) -> Option<&str> {
        self.task.as_deref()
    }

    /// Where it was acquired.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.task {
            Some(task) => write!(f, "`{task}` ({})", self.location),
            None => write!(f, "{}", self.location),
        }
    }
}

/// A place under a [`CapacityLimiter`], given back when it is dropped. It may be sent away.
#[must_use = "a permit that is not kept is given back at once"]
pub struct Permit {
    limiter: CapacityLimiter,
    key: usize,
}

impl CapacityLimiter {
    /// A limiter under which `capacity` may at once.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0: nobody could ever.
    #[track_caller]
    pub fn new(capacity: usize) -> Self {
        assert_capacity(capacity);
        CapacityLimiter(Arc::new(Lock::new(State {
            capacity,
            in_use: 0,
            line: Queue::default(),
            holders: Slab::new(),
        })))
    }

    /// Waits for a permit. The place in line is taken with the first poll.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves the line, and a place that it had been granted goes to the next.
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Permit> + Send + use<> {
        let (limiter, location) = (self.clone(), Location::caller());
        async move {
            let mut waiting = Waiting {
                ticket: limiter.line_up(),
                limiter: &limiter,
            };
            poll_fn(|cx| match &waiting.ticket {
                Some(ticket) if !ticket.is_called_or_park(cx.waker()) => Poll::Pending,
                _ => Poll::Ready(()),
            })
            .await;
            // The place is the caller's from here on.
            if let Some(ticket) = waiting.ticket.take() {
                ticket.settle();
            }
            limiter.hold(location)
        }
    }

    /// A permit, if one is free and nobody stands in line.
    #[track_caller]
    pub fn try_acquire(&self) -> Option<Permit> {
        // Not in one expression: the lock would be held until its end.
        let admitted = self.0.lock().admit();
        admitted.then(|| self.hold(Location::caller()))
    }

    /// How many may at once.
    pub fn capacity(&self) -> usize {
        self.0.lock().capacity
    }

    /// Changes how many may at once. Those in line who may now go on; permits that are too many stay
    /// until they are given back.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    #[track_caller]
    pub fn set_capacity(&self, capacity: usize) {
        assert_capacity(capacity);
        self.change(|state| state.capacity = capacity);
    }

    /// How many permits are held. More than the capacity for a while, if that was lowered.
    pub fn in_use(&self) -> usize {
        self.0.lock().in_use
    }

    /// Who holds the permits, in no particular order.
    pub fn holders(&self) -> Vec<Holder> {
        let state = self.0.lock();
        state.holders.iter().map(|(_, who)| who.clone()).collect()
    }

    /// A place at once, or else one in line.
    fn line_up(&self) -> Option<Arc<Ticket>> {
        let mut state = self.0.lock();
        if state.admit() {
            return None;
        }
        let ticket = Arc::<Ticket>::default();
        state.line.push(ticket.clone());
        Some(ticket)
    }

    /// The permit for a place that the caller has.
    fn hold(&self, location: &'static Location<'static>) -> Permit {
        let task = context::nearest_name();
        let key = self.0.lock().holders.insert(Holder { task, location });
        Permit {
            limiter: self.clone(),
            key,
        }
    }

    /// Changes something and grants what has become free (invariant 3).
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let (result, granted) = {
            let mut state = self.0.lock();
            let result = change(&mut state);
            (result, state.grant())
        };
        granted.into_iter().for_each(panics::wake);
        result
    }
}

#[track_caller]
fn assert_capacity(capacity: usize) {
    assert!(
        capacity > 0,
        "a limiter with a capacity of 0 would let nobody in, ever: use at least 1"
    );
}

impl State {
    /// Takes a place, if one is free and nobody stands in line.
    fn admit(&mut self) -> bool {
        let free = self.in_use < self.capacity && self.line.is_empty();
        self.in_use += usize::from(free);
        free
    }

    /// Grants free places to the first in line, and gives back whom to tell.
    fn grant(&mut self) -> Vec<Waker> {
        let mut granted = Vec::new();
        while self.in_use < self.capacity {
            let Some(ticket) = self.line.pop() else {
                break;
            };
            if let Some(waker) = ticket.grant() {
                self.in_use += 1;
                granted.extend(waker);
            }
        }
        granted
    }
}

/// A place in line, or one that was granted; given on if it is not used.
struct Waiting<'a> {
    limiter: &'a CapacityLimiter,
    ticket: Option<Arc<Ticket>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            // Not under the lock: it drops a waker. (The tickets of those who left have none.)
            let granted = ticket.settle();
            self.limiter.change(|state| match granted {
                true => state.in_use -= 1,
                false => drop(state.line.bury(|ticket| ticket.is_settled())),
            });
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let holder = self.limiter.change(|state| {
            state.in_use -= 1;
            state.holders.try_remove(self.key)
        });
        drop(holder);
    }
}

impl fmt::Debug for CapacityLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (capacity, in_use) = (self.capacity(), self.in_use());
        f.debug_struct("CapacityLimiter")
            .field("capacity", &capacity)
            .field("in_use", &in_use)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
