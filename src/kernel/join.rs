//! The handle's side of a child: reads its end and owns its output.

use std::{
    marker::PhantomData,
    sync::Mutex,
    task::{Context, Poll, ready},
    thread,
};

use super::{cell::End, cell::is_plain, claims::CellRef, context, info::Info, inherited::suppress};
use crate::panics;

/// The claim of a handle on the output of its child. Owns the output once the child has ended, so
/// for the drop checker it owns a `T`; it refers to nothing else that may have borrowed.
pub(crate) struct Claim<T> {
    cell: CellRef,
    _output: PhantomData<Mutex<T>>,
}

impl<T> Claim<T> {
    /// The one claim on a cell whose child has outputs of type `T`.
    pub(crate) fn new(cell: CellRef) -> Self {
        Claim {
            cell,
            _output: PhantomData,
        }
    }

    /// The claim on a child that was never let in.
    pub(crate) fn refused(info: Info) -> Self {
        Claim::new(CellRef::refused(info))
    }

    pub(crate) fn cell(&self) -> &CellRef {
        &self.cell
    }

    pub(crate) fn cancel(&self) {
        self.cell.cancel();
    }

    /// The output, or how the child ended without one.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, End>> {
        match ready!(self.poll_end(cx)) {
            End::Value => match self.take_output() {
                Some(output) => Poll::Ready(Ok(output)),
                None => panic!("a handle was polled again after it had returned the output"),
            },
            end => Poll::Ready(Err(end)),
        }
    }

    /// Waits for the end, and takes nothing.
    pub(crate) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<End> {
        match ready!(self.poll_any_end(cx)) {
            End::Value => Poll::Ready(End::Value),
            // The awaiter is cancelled too, often by this very failure: it is about to be dropped
            // at this await, and must not take the end of the child for an error of its own.
            _ if context::is_about_to_be_dropped() => Poll::Pending,
            end => Poll::Ready(end),
        }
    }

    /// The same, also for an awaiter that is cancelled.
    pub(crate) fn poll_any_end(&self, cx: &mut Context<'_>) -> Poll<End> {
        let end = self
            .cell
            .end()
            .or_else(|| self.cell.park_joiner(cx.waker()));
        end.map_or(Poll::Pending, Poll::Ready)
    }

    /// Only once the child is seen to have ended.
    fn take_output(&self) -> Option<T> {
        let stored = self.cell.claim_output();
        // SAFETY: the child stored a `T` and set `DONE`, which the caller has seen; from then on the
        // output is the handle's (cell, invariant 2), and it was not taken before.
        stored.then(|| unsafe { self.cell.take_output::<T>() })
    }
}

impl<T> Drop for Claim<T> {
    fn drop(&mut self) {
        self.cell.leave(|| {
            if is_plain::<T>() {
                return;
            }
            let output = self.take_output();
            if !thread::panicking() {
                drop(output);
            } else if let Err(payload) = panics::catch(|| drop(output)) {
                // A second panic would end the process.
                suppress(payload);
            }
        });
    }
}
