//! What tasks use to wait for each other and to share: events, queues, locks and limits.
//!
//! [`Event`], [`Queue`] and [`CapacityLimiter`] are handles: clone one to share it. The others come
//! from the crate async-lock as they are, and are shared by reference or in an `Arc`. All of them
//! know nothing of the runtime: they work in tasks of async-std, in the simulator of `testing`, and
//! between the two threads of a test.
//!
//! | | who goes first | dropped while it waits |
//! |---|---|---|
//! | [`Event::wait`] | all who wait, at once | nothing is lost |
//! | [`Queue::get`] | mostly who waits longest; one that has just come may overtake | nothing is lost |
//! | [`Queue::put`] | mostly who waits longest; one that has just come may overtake | the item is dropped, and not in the queue |
//! | [`CapacityLimiter::acquire`] | strictly who came first | loses its place in the line |
//! | [`Mutex::lock`] | mostly who waits longest, and certainly who has waited for half a millisecond | loses its place in the line |
//! | [`RwLock`] | of writers and upgradable readers as in a [`Mutex`]; the one writer whose turn it is before readers who come later; between other writers and readers no order | loses its place in the line |
//! | [`Semaphore::acquire`] | mostly who waits longest; one that has just come may overtake | loses its place in the line |
//! | [`Barrier::wait`] | all, when the last has come | **has counted**: the others go on without it |
//!
//! That half millisecond is real time, under the simulator too. So there the order in which tasks
//! get a [`Mutex`] that several want, or an [`RwLock`] to write or upgradably, may differ from run to run with one
//! seed. (The locks of `async_std::sync` are these.) The others take no notice of time. For a section that
//! replays, take a [`CapacityLimiter`] with a capacity of 1.
//!
//! So an [`RwLock`] keeps readers out from when a writer's turn has come until it has let go. While one writes, those who wait
//! behind it, readers and writers, have no order among them. One thing to know of async-lock 3.5: readers who wait while
//! somebody writes are not woken by [`RwLockWriteGuard::downgrade_to_upgradable`], though they might go on, nor when
//! the upgradable guard is dropped: they wait until the next writer, or the one upgraded again, has come and gone, and
//! for ever if there is none. [`RwLockWriteGuard::downgrade`] wakes them.
//!
//! None of them is a checkpoint when it need not wait: see rule 5 of
//! [how to write a cancel-safe function](crate::cancellation#how-to-write-a-cancel-safe-function).
//!
//! A future of these that is forgotten (`mem::forget`) while it waits stands in line for ever, and whatever
//! comes to it there is lost to the others: no boundary takes it out, as it does with
//! [`spawn_when_free`](crate::TaskGroup::spawn_when_free). The item of a forgotten [`Queue::put`] is never done.
//!
//! A guard that a cancelled task holds is dropped with it, inside out like all that it owns.
//!
//! ```
//! # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
//! use headcount::{run, sync::Mutex, time::sleep};
//! use std::time::Duration;
//!
//! let account = Mutex::new(100);
//! run(async |g| {
//!     for amount in [50, -30, 20, -40] {
//!         let account = &account;
//!         g.spawn(async move {
//!             let mut balance = account.lock().await;
//!             let old = *balance;
//!             sleep(Duration::from_millis(1)).await; // nobody else gets in here
//!             *balance = old + amount;
//!         });
//!     }
//!     Ok(())
//! })?;
//! assert_eq!(account.into_inner(), 100);
//! # Ok(())
//! # }
//! ```

mod event;
mod limiter;
mod line;
mod queue;

pub use async_lock::{
    Barrier, BarrierWaitResult, Mutex, MutexGuard, MutexGuardArc, RwLock, RwLockReadGuard,
    RwLockReadGuardArc, RwLockUpgradableReadGuard, RwLockUpgradableReadGuardArc, RwLockWriteGuard,
    RwLockWriteGuardArc, Semaphore, SemaphoreGuard, SemaphoreGuardArc,
};
pub use event::Event;
pub use limiter::{CapacityLimiter, Holder, Permit};
pub use queue::{PutError, Queue, Taken};
