//! The handle of a child.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    error::{JoinEnd, JoinError},
    kernel::{cell::End, join::Claim},
};

/// The identity of a task, unique within the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TaskId(pub(crate) u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A handle to a child: its output, and a way to cancel it.
///
/// Dropping it changes nothing, and nothing leaks: the group still waits for the child. This is
/// where it differs from async-std's handle, whose drop detaches the task.
///
/// It may be awaited by anybody, also after the group has ended.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<headcount::JoinError>> {
/// headcount::run(async |g| {
///     let sum = g.spawn(async { Ok(1 + 1) });
///     assert_eq!(sum.await?, 2);
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// A [`JoinError`] if the child was cancelled, failed or panicked. If the child's failure cancels
/// the awaiter too (it fails the group, and the awaiter is in that group), the handle stays pending
/// and the awaiter is dropped at this await, so one failure never turns into two. (A thread that is
/// blocked, and the task of somebody else, to which a [`Boundary`](crate::Boundary) was carried, are not
/// dropped, and get the error.)
///
/// # Panics
///
/// If it is polled again after it has returned the output.
///
/// # Cancel safety
///
/// Safe: the output stays with the handle until it is returned.
pub struct JoinHandle<T> {
    claim: Claim<T>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(claim: Claim<T>) -> Self {
        JoinHandle { claim }
    }

    pub(crate) fn claim(&self) -> &Claim<T> {
        &self.claim
    }

    /// Asks the child to end. It is dropped at its next checkpoint, by its own executor, not in this
    /// call. Awaiting the handle afterwards waits for that. Its siblings go on.
    pub fn cancel(&self) {
        self.claim.cancel();
    }

    /// Has the child ended?
    pub fn is_finished(&self) -> bool {
        self.claim.cell().end().is_some()
    }

    /// The identity of the child.
    pub fn id(&self) -> TaskId {
        TaskId(self.claim.cell().id())
    }

    /// The name that `spawn_named` gave it.
    pub fn name(&self) -> Option<&str> {
        self.claim.cell().info().name()
    }
}

impl<T> Unpin for JoinHandle<T> {}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.claim.poll(cx).map(|output| {
            output.map_err(|end| {
                let end = match end {
                    End::Failed => JoinEnd::Failed,
                    End::Panicked => JoinEnd::Panicked,
                    End::Cancelled | End::Value => JoinEnd::Cancelled,
                };
                JoinError::new(self.claim.cell().info().clone(), end)
            })
        })
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish()
    }
}
