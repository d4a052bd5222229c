//! `run`: parallel children that borrow, under a call that blocks its thread.

use std::{fmt, future::Future, panic::Location};

use crate::{
    conclude,
    error::GroupError,
    group::TaskGroup,
    kernel::{book::Book, context, drive::Drive, node::Kind},
    options::Options,
    panics,
    runtime::Runtime,
    trace,
};

/// Runs a group on this thread, which it blocks until everybody has ended: the entry point of a
/// program, like Python's `asyncio.run`.
///
/// The body is polled on this thread, its children in parallel on the runtime's threads, and they
/// may borrow what lives around the call.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// let total = AtomicU32::new(0);
/// headcount::run(async |g| {
///     for n in 1..=3 {
///         let total = &total;
///         g.spawn(async move { total.fetch_add(n, Ordering::Relaxed); });
///     }
///     Ok(())
/// })?;
/// assert_eq!(total.into_inner(), 6);
/// # Ok(())
/// # }
/// ```
///
/// It may be called inside a blocking closure of a group, and joins the tree there: cancelled from
/// above, it returns an error that [is cancelled](GroupError::is_cancelled).
///
/// # Errors
///
/// As [`group`](crate::group()).
///
/// # Panics
///
/// As [`group`](crate::group()); and at once if it is called inside a task, whose thread it would
/// block: await a [`group`](crate::group()) there.
#[track_caller]
pub fn run<'env, R, E, F, Fut>(body: F) -> Result<R, GroupError<E>>
where
    F: FnOnce(TaskGroup<'env, E>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    E: fmt::Debug + Send + 'env,
{
    Options::new().run(body)
}

impl Options {
    /// [`run`] with these settings.
    ///
    /// # Errors
    ///
    /// As [`run`].
    ///
    /// # Panics
    ///
    /// As [`run`].
    #[track_caller]
    pub fn run<'env, R, E, F, Fut>(self, body: F) -> Result<R, GroupError<E>>
    where
        F: FnOnce(TaskGroup<'env, E>) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        E: fmt::Debug + Send + 'env,
    {
        assert!(
            !context::inside_task() && !Runtime::inside_task(),
            "headcount::run was called inside a task, and would block the thread that the task's \
             children need: await `headcount::group(..)` or `headcount::scope(..)` here, or call \
             `run` in a closure of `spawn_blocking`"
        );
        #[cfg(all(feature = "signal", not(loom)))]
        let body = crate::signal::before(body, self.signals, TaskGroup::heed);
        let book = Book::open(Kind::Run, Location::caller(), self.plan());
        let node = book.node().clone();
        node.settle_here();
        let runtime = node.runtime();
        let opened = trace::Opened::new("run", &node);
        let body = conclude::body(book.clone(), TaskGroup::new(book.clone()), body);
        let bomb = AbortWhileLiving(&book);
        // Panics are recorded in the node, so this does not unwind, with one exception: a simulation
        // that ends early, and that destroys every child first.
        let outcome = runtime.block_on(opened.around(Drive::new(node, body)));
        bomb.abort_while_living();
        // This calls a subscriber, which may panic before the failures are taken, or after.
        let outcome = opened.conclude(|| conclude::conclude(&book, outcome));
        std::mem::forget(bomb);
        outcome
    }
}

/// From the first spawn to the last join, unwinding out of `run` would leave children with borrows
/// of a stack frame that is gone. Nothing is known to unwind there while a child lives; if
/// something does, this ends the process. And until the failures are taken it would leave those in a book
/// that a kept handle may keep, so they are taken here.
struct AbortWhileLiving<'a, E>(&'a Book<E>);

impl<E> AbortWhileLiving<'_, E> {
    fn abort_while_living(&self) {
        if self.0.node().stats().1 > 0 {
            eprintln!("headcount: `run` was left while children live; aborting");
            std::process::abort();
        }
    }
}

/// Only if it unwinds. (That the thread panics would not tell: `run` may be called by a destructor.)
impl<E> Drop for AbortWhileLiving<'_, E> {
    fn drop(&mut self) {
        self.abort_while_living();
        // Nobody returns these any more, and they may borrow.
        panics::guard("the destructor of an error", || drop(self.0.close()));
    }
}
