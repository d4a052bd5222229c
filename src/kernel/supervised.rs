//! Supervised children: whose their failures are, and how none is lost or told twice.
//!
//! A supervised child is an ordinary child that never fails: [`Supervised`] around its future
//! catches errors and panics and puts them, as the *verdict*, into a [`Slot`] that it shares with
//! the handle.
//!
//! Invariants
//! 1. The verdict is put in once, by the child, before it counts out. It is taken once: by a poll of
//!    the handle, or, once the handle is gone, by whoever comes second, child or handle. Putting,
//!    taking and leaving are steps under the lock of the slot, so exactly one side finds the other.
//!    A value that nobody reads waits there for the end of the child, since what lives below it may be part
//!    of that: the output of the child is [`Last`], which is dropped then.
//! 2. A failure that nobody read goes into the book of the group, if that is still open, else to the
//!    hook for suppressed failures. The opener closes the book in the step in which it takes what is
//!    in there. So what was brought before is returned by the opener, and what comes later is not
//!    lost.
//! 3. No value of the user is dropped under either lock. Those that nobody read are dropped under
//!    `catch`, and a panic in there is a panic of the child.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{atomic::Lock, book::Book, info::Info, node::Node};
use crate::{
    cancel::{CancelKind, CancelReason},
    error::{CleanupFailure, Failure, IntoOutcome, TaskError},
    panics,
};

/// How a child ended; never `Cancelled`, since a cancelled child puts in nothing.
type Verdict<T, E> = Result<T, TaskError<E>>;

/// Where failures go that nobody read. A trait, so that handles need no bounds on `E`.
pub(crate) trait Unread<E>: Send + Sync {
    fn node(&self) -> &Arc<Node>;
    fn unread(&self, who: &Info, failure: TaskError<E>);
}

impl<E: fmt::Debug + Send> Unread<E> for Book<E> {
    fn node(&self) -> &Arc<Node> {
        Book::node(self)
    }

    fn unread(&self, who: &Info, failure: TaskError<E>) {
        match failure {
            TaskError::Failed(error) => {
                if let Err(late) = self.note(Failure::new(who.clone(), error)) {
                    Book::node(self).suppress(CleanupFailure::from_failure(late).into());
                }
            }
            TaskError::Panicked(payload) => {
                let panic = CleanupFailure::from_panic(who.clone(), panics::text(&payload));
                panics::discard(payload);
                if let Err(late) = self.note_panic(panic) {
                    Book::node(self).suppress(late.into());
                }
            }
            TaskError::Cancelled(_) => {}
        }
    }
}

/// What the child and its handle share.
pub(crate) struct Slot<T, E> {
    state: Lock<State<T, E>>,
    who: Info,
    book: Arc<dyn Unread<E>>,
}

struct State<T, E> {
    verdict: Option<Verdict<T, E>>,
    /// The handle was dropped. Never cleared.
    gone: bool,
    /// Why the handle cancelled the child, if nobody had cancelled it before.
    reason: Option<CancelReason>,
}

impl<T, E> State<T, E> {
    /// A failure that no handle will carry.
    fn take_unread_failure(&mut self) -> Option<Verdict<T, E>> {
        let gone = self.gone;
        self.verdict.take_if(|verdict| gone && verdict.is_err())
    }
}

/// The output of a supervised child. It goes when the child has ended, or with the handle after that.
pub(crate) struct Last<T, E>(Arc<Slot<T, E>>);

impl<T, E> Drop for Last<T, E> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<T, E> Slot<T, E> {
    pub(crate) fn new(who: Info, book: Arc<dyn Unread<E>>) -> Arc<Self> {
        Arc::new(Slot {
            state: Lock::new(State {
                verdict: None,
                gone: false,
                reason: None,
            }),
            who,
            book,
        })
    }

    /// The code of the child has ended.
    fn put(&self, verdict: Verdict<T, E>) {
        let unread = {
            let mut state = self.state.lock();
            let before = state.verdict.replace(verdict);
            before.or_else(|| state.take_unread_failure())
        };
        self.dispose(unread);
    }

    /// The child has ended, with all that is below it.
    fn end(&self) {
        let unread = {
            let mut state = self.state.lock();
            let gone = state.gone;
            state.verdict.take_if(|_| gone)
        };
        self.dispose(unread);
    }

    /// The verdict, for the handle.
    pub(crate) fn take(&self) -> Option<Verdict<T, E>> {
        self.state.lock().verdict.take()
    }

    /// Is there a failure that the handle has not read yet?
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.state.lock().verdict, Some(Err(_)))
    }

    pub(crate) fn has_verdict(&self) -> bool {
        self.state.lock().verdict.is_some()
    }

    /// The handle is dropped.
    pub(crate) fn leave(&self) {
        let unread = {
            let mut state = self.state.lock();
            state.gone = true;
            state.take_unread_failure()
        };
        self.dispose(unread);
    }

    /// What no handle will carry: a failure goes to the boundary.
    fn dispose(&self, verdict: Option<Verdict<T, E>>) {
        match verdict {
            None => {}
            Some(Err(failure)) => self.book.unread(&self.who, failure),
            Some(Ok(value)) => {
                if let Err(payload) = panics::catch(|| drop(value)) {
                    self.book.unread(&self.who, TaskError::Panicked(payload));
                }
            }
        }
    }

    /// The handle is about to cancel the child.
    pub(crate) fn note_cancel(&self) {
        if self.book.node().visible_reason().is_none() {
            let reason = CancelReason::explicit(None);
            self.state.lock().reason.get_or_insert(reason);
        }
    }

    /// The child may have been refused, for what is the reason at this moment.
    pub(crate) fn note_refusal(&self) {
        let reason = self.reason();
        self.state.lock().reason.get_or_insert(reason);
    }

    /// Why the child was cancelled.
    pub(crate) fn reason(&self) -> CancelReason {
        let own = self.state.lock().reason.clone();
        own.or_else(|| self.book.node().visible_reason())
            .unwrap_or_else(|| {
                let mut reason = CancelReason::new(CancelKind::Dropped);
                if self.book.node().has_ended() {
                    reason.message = Some("its supervisor had ended before it was spawned".into());
                }
                reason
            })
    }
}

/// The executor may drop a child that has returned, and drains; its handle then has the verdict.
impl<T, E> Drop for Slot<T, E> {
    fn drop(&mut self) {
        let left = self.state.lock().verdict.take();
        self.dispose(left);
    }
}

pin_project! {
    /// A child that has no failures: they are in its slot.
    pub(crate) struct Supervised<F, T, E> {
        #[pin]
        inner: Option<F>,
        slot: Arc<Slot<T, E>>,
    }

    impl<F, T, E> PinnedDrop for Supervised<F, T, E> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Err(payload) = panics::catch(|| this.inner.set(None)) {
                this.slot.put(Err(TaskError::Panicked(payload)));
            }
        }
    }
}

impl<F, T, E> Supervised<F, T, E> {
    pub(crate) fn new(inner: F, slot: Arc<Slot<T, E>>) -> Self {
        Supervised {
            inner: Some(inner),
            slot,
        }
    }
}

impl<F, T, E> Future for Supervised<F, T, E>
where
    F: Future,
    F::Output: IntoOutcome<E, Value = T>,
{
    type Output = Result<Last<T, E>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = this.inner.as_mut().as_pin_mut();
        let inner = inner.expect("a child is not polled again after its end");
        let polled = panics::catch(|| inner.poll(cx).map(IntoOutcome::into_outcome));
        let verdict = match polled {
            Ok(polled) => ready!(polled).map_err(TaskError::Failed),
            Err(payload) => Err(TaskError::Panicked(payload)),
        };
        let dropped = panics::catch(|| this.inner.set(None));
        let slot = this.slot;
        slot.put(match (verdict, dropped) {
            (verdict, Ok(())) => verdict,
            (first @ Err(TaskError::Panicked(_)), Err(second)) => {
                slot.dispose(Some(Err(TaskError::Panicked(second))));
                first
            }
            // A panic beats an error and a value.
            (other, Err(panic)) => {
                slot.dispose(Some(other));
                Err(TaskError::Panicked(panic))
            }
        });
        Poll::Ready(Ok(Last(slot.clone())))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::kernel::node::{Kind, Plan};

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a destructor");
        }
    }

    fn slot(book: &Arc<Book<()>>) -> Arc<Slot<Bomb, ()>> {
        Slot::new(Info::new(None, Location::caller()), book.clone())
    }

    /// Whoever is the last to have it: the child, its handle, or the executor that drops both.
    #[test]
    fn a_value_that_cannot_be_dropped_is_a_panic_that_nobody_read() {
        let book = Book::open(Kind::Group, Location::caller(), Plan::default());
        for way in 0..4 {
            let slot = slot(&book);
            match way {
                0 => slot.put(Ok(Bomb)),
                1 => {
                    slot.leave();
                    slot.put(Ok(Bomb));
                    drop(Last(slot.clone()));
                }
                2 => {
                    slot.put(Ok(Bomb));
                    slot.leave();
                    drop(Last(slot.clone()));
                }
                _ => {
                    slot.put(Ok(Bomb));
                    drop(Last(slot.clone()));
                    slot.leave();
                }
            }
        }
        let (failures, unread) = book.close();
        assert_eq!((failures.len(), unread.len()), (0, 4));
    }

    /// What lives below the child may be part of it.
    #[test]
    fn a_value_that_nobody_reads_waits_for_the_end_of_the_child() {
        let book = Book::open(Kind::Group, Location::caller(), Plan::default());
        let slot = slot(&book);
        slot.leave();
        slot.put(Ok(Bomb));
        assert!(slot.has_verdict());
        drop(Last(slot.clone()));
        assert!(!slot.has_verdict());
        assert_eq!(book.close().1.len(), 1);
    }
}
