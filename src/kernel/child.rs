//! The wrapper future of a spawned child.
//!
//! Invariants
//! 1. The child's future is polled and dropped inside its frame and under `catch`, by its own
//!    executor; never in the call that spawned or cancelled it.
//! 2. A child that is cancelled before its first poll is never polled.
//! 3. On the way out: record the failure, request cancellation, drop the future, drain what is
//!    below, publish or drop the output, give up the place, and count out last. After the count
//!    nothing of type `F`, `T` or `E` is left in the wrapper (`run` relies on this), and the book is
//!    not looked at. Until it has retired, the child keeps its cell and the node of its group.

use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{
    adoption::orphan,
    book::Book,
    cell::{End, Finished, is_plain},
    claims::CellRef,
    closing::poll_drained,
    spot::Spot,
    threads,
};
use crate::{
    cancel::CancelKind,
    error::{Failure, IntoOutcome},
};

/// `u8`, since a tag that is hidden in the values of `End` takes time to find.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Phase {
    /// Has to wait for its place under the limit.
    Queued,
    /// Not polled yet.
    Fresh,
    Running,
    /// The future is gone; what is below it drains. With `End::Value`, the output stands in the cell.
    Draining(End),
    Done,
}

pin_project! {
    /// What the runtime runs for a spawned child.
    pub(crate) struct Child<F, T, E> {
        cell: CellRef,
        phase: Phase,
        #[pin]
        future: Option<F>,
        _output: PhantomData<fn() -> T>,
        _error: PhantomData<fn(E)>,
    }

    impl<F, T, E> PinnedDrop for Child<F, T, E> {
        fn drop(this: Pin<&mut Self>) {
            if !matches!(this.phase, Phase::Done) {
                this.abandon();
            }
        }
    }
}

impl<F, T, E> Child<F, T, E> {
    /// `queued`: the child has to wait for its place under the limit.
    ///
    /// # Safety
    ///
    /// The cell was given out for this child. A `Book<E>` is the book of its group, and stays until
    /// the child has counted out.
    pub(super) unsafe fn new(cell: CellRef, queued: bool, future: F) -> Self {
        Child {
            cell,
            phase: if queued { Phase::Queued } else { Phase::Fresh },
            future: Some(future),
            _output: PhantomData,
            _error: PhantomData,
        }
    }

    /// Only until it has ended.
    pub(super) fn cell(&self) -> &CellRef {
        &self.cell
    }

    /// The executor, or the scope that polls this child, drops it before its end.
    #[cold]
    fn abandon(self: Pin<&mut Self>) {
        let mut this = self.project();
        let phase = std::mem::replace(this.phase, Phase::Done);
        let spot = Spot::of(this.cell);
        if let Some(node) = spot.cell.node() {
            node.cut_off();
        }
        spot.guard(|| this.future.set(None));
        if let Phase::Draining(End::Value) = phase {
            // SAFETY: it was put there with this phase, and the child has not ended.
            spot.guard(|| drop(unsafe { spot.cell.take_output::<T>() }));
        }
        if let Some(node) = spot.cell.node() {
            orphan(node);
        }
        leave::<T>(spot.cell, End::Cancelled, false);
    }
}

impl<F, T, E> Future for Child<F, T, E>
where
    F: Future,
    F::Output: IntoOutcome<E, Value = T>,
{
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        #[cfg(all(feature = "watchdog", not(any(loom, shuttle))))]
        if super::polls::is_watched() {
            return self.poll_watched(cx);
        }
        self.poll_unwatched(cx)
    }
}

impl<F, T, E> Child<F, T, E>
where
    F: Future,
    F::Output: IntoOutcome<E, Value = T>,
{
    #[cfg(all(feature = "watchdog", not(any(loom, shuttle))))]
    #[cold]
    #[inline(never)]
    fn poll_watched(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let _polling = match self.phase {
            Phase::Done => None,
            // Until it is done, the child keeps its cell.
            _ => Some(super::polls::Polling::of_child(self.cell.info())),
        };
        self.poll_unwatched(cx)
    }

    fn poll_unwatched(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            let (spot, may_drop) = match this.phase {
                Phase::Fresh | Phase::Running => {
                    let spot = Spot::of(this.cell);
                    (spot, spot.may_drop())
                }
                _ => match rest::<T>(this.cell, this.phase, cx) {
                    Next::Poll => (Spot::of(this.cell), false),
                    Next::Drop => (Spot::of(this.cell), true),
                    Next::Return(poll) => return poll,
                },
            };
            if may_drop {
                let end = clear(this.future.as_mut(), spot, End::Cancelled);
                *this.phase = Phase::Draining(end);
                continue;
            }
            *this.phase = Phase::Running;
            let (draining, rests) = spot.begin_draining();
            let mut value = None;
            let mut poll = || {
                let future = this.future.as_mut().as_pin_mut();
                let future = future.expect("a child that runs has a future");
                let outcome = future.poll(cx).map(IntoOutcome::into_outcome);
                outcome.map_ok(|output| {
                    value = Some(output);
                    // In the same frame, and the same catch, as the poll.
                    this.future.set(None);
                })
            };
            let polled = match rests {
                true => Ok(Poll::Pending),
                false => spot.enter(true, &mut poll),
            };
            let end = match polled {
                Ok(Poll::Pending) if spot.pause(draining, cx) => continue,
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Ok(()))) => End::Value,
                Ok(Poll::Ready(Err(error))) => {
                    let failure = Failure::new(spot.cell.info().clone(), error);
                    // SAFETY: `new` was promised that it is one. The child has not counted out, and
                    // the book stays that long.
                    let book = unsafe { spot.group.book.cast::<Book<E>>().as_ref() };
                    book.fail(failure, CancelKind::SiblingFailed);
                    clear(this.future.as_mut(), spot, End::Failed)
                }
                Err(payload) => {
                    spot.record_panic(payload);
                    // Also a value, if it was the future's destructor that panicked.
                    spot.guard(|| drop(value.take()));
                    clear(this.future.as_mut(), spot, End::Panicked)
                }
            };
            let below = spot.cell.node().is_some();
            let mut stored = false;
            match value {
                // Nobody reads it, and nothing below has to end before it goes.
                Some(value) if !below && is_for_nobody::<T>(spot.cell) => spot.discard(value),
                Some(value) => {
                    // SAFETY: this is the child, which comes here once.
                    unsafe { spot.cell.put_output(value) };
                    stored = true;
                }
                None => {}
            }
            if !below {
                *this.phase = Phase::Done;
                leave::<T>(spot.cell, end, stored);
                return Poll::Ready(());
            }
            *this.phase = Phase::Draining(end);
        }
    }
}

/// What comes next for a child that is polled.
enum Next {
    Poll,
    /// Its future must be dropped now.
    Drop,
    Return(Poll<()>),
}

/// What comes next for a child that waits for its place, or whose future is gone.
#[cold]
fn rest<T>(cell: &CellRef, phase: &mut Phase, cx: &mut Context<'_>) -> Next {
    match *phase {
        Phase::Queued => queue(Spot::of(cell), cx),
        Phase::Draining(end) => {
            if let Some(node) = cell.node() {
                if poll_drained(&node, cx, || {}).is_pending() {
                    return Next::Return(Poll::Pending);
                }
                node.depart_uncounted();
            }
            *phase = Phase::Done;
            leave::<T>(cell, end, end == End::Value);
            Next::Return(Poll::Ready(()))
        }
        Phase::Done => Next::Return(Poll::Ready(())),
        Phase::Fresh | Phase::Running => Next::Poll,
    }
}

/// Waits for its place under the limit.
fn queue(spot: Spot<'_>, cx: &mut Context<'_>) -> Next {
    let look = || match spot.may_drop() {
        true => Some(Next::Drop),
        false => spot.cell.is_admitted().then_some(Next::Poll),
    };
    // Look again: the place or a request may have come before the waker was there.
    let next = look().or_else(|| {
        spot.cell.park_task(cx.waker());
        look()
    });
    next.unwrap_or(Next::Return(Poll::Pending))
}

/// Drops the future. Gives `end`, unless the destructor panics.
#[cold]
fn clear<F>(mut future: Pin<&mut Option<F>>, spot: Spot<'_>, end: End) -> End {
    match spot.guard(|| future.set(None)) {
        true => end,
        false => End::Panicked,
    }
}

/// Is there nobody left who could read the output, and a destructor to run?
#[inline(always)]
fn is_for_nobody<T>(cell: &CellRef) -> bool {
    !is_plain::<T>() && cell.is_unread()
}

/// The way out of a child whose future is gone and below which nothing lives (invariant 3).
/// `stored`: the output stands in the cell.
///
/// Takes no `Spot`: a reference that is an argument promises that what it leads to stays as it is
/// until the call returns, and the group in the chunk may be taken out, and the chunk be freed, as
/// soon as the child has retired.
#[inline(always)]
fn leave<T>(cell: &CellRef, end: End, stored: bool) {
    let finished = count_out::<T>(Spot::of(cell), end, stored);
    if let Some(joiner) = finished.joiner {
        crate::panics::wake(joiner);
    }
    cell.retire(finished.owed);
}

/// Publishes or drops the output, and counts the child out.
#[inline(always)]
fn count_out<T>(spot: Spot<'_>, end: End, stored: bool) -> Finished {
    threads::count(end.into());
    let finished = spot.cell.finish(end, stored);
    if !finished.owed && stored && !is_plain::<T>() {
        // SAFETY: the handle left before the output was published, so nobody else takes it (cell,
        // invariant 2).
        spot.discard(unsafe { spot.cell.take_output::<T>() });
    }
    spot.group().child_left(spot.cell, finished.daemon);
    finished
}
