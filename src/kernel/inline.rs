//! Inline children: polled by the opener of their scope, so that they may borrow. What they are made
//! of is in `tasks`.
//!
//! Invariants
//! 1. No lock is held while a child is polled or dropped.
//! 2. When the opener is dropped, children are dropped before the body: what the body owns outlives them.
//! 3. The inbox is closed when nobody will look any more. A child that comes later, from another
//!    thread or from the destructor of a sibling, is dropped by who brings it: it may own a handle of
//!    the scope, and with it the inbox, and would never be freed.
//! 4. The polls of the children are part of the poll of their scope: who orphans the scope meanwhile
//!    leaves the settling to the end of the whole poll, and waits for that.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{
    book::Book,
    child::Child,
    drive::{Drive, Outcome, Polling},
    tasks::{Inbox, Polled, Tasks},
    wakes::Wakes,
};
use crate::error::IntoOutcome;

/// How often one poll of the opener goes round before it lets others run.
const ROUNDS: usize = 32;

pin_project! {
    /// A child, and what notes its wakes.
    pub(super) struct Noted<F, T, E> {
        #[pin]
        child: Child<F, T, E>,
        wakes: Wakes,
    }
}

impl<F, T, E> Noted<F, T, E> {
    pub(super) fn new(child: Child<F, T, E>) -> Self {
        let wakes = Wakes::default();
        Noted { child, wakes }
    }
}

impl<F, T, E> Future for Noted<F, T, E>
where
    F: Future,
    F::Output: IntoOutcome<E, Value = T>,
{
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let polled = match this.wakes.begin_poll(this.child.cell(), cx.waker()) {
            None => this.child.poll(cx),
            Some(waker) => this.child.poll(&mut Context::from_waker(waker)),
        };
        if polled.is_ready() {
            // It is not dropped any more; see `tasks`.
            *this.wakes = Wakes::default();
        }
        polled
    }
}

pin_project! {
    /// The body of a scope together with its children.
    pub(crate) struct Inline<'env, F, E>
    where
        F: Future,
    {
        tasks: Tasks<'env>,
        // Kept for the children, which look at it.
        book: Arc<Book<E>>,
        #[pin]
        drive: Drive<F>,
    }

    impl<F, E> PinnedDrop for Inline<'_, F, E>
    where
        F: Future,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.tasks.has_pending() {
                this.book.node().cut_off();
            }
            this.tasks.clear();
        }
    }
}

impl<F: Future, E> Inline<'_, F, E> {
    /// Once for an inbox.
    pub(crate) fn new(book: Arc<Book<E>>, inbox: Arc<Inbox>, body: F) -> Self {
        Inline {
            tasks: Tasks::new(inbox),
            drive: Drive::new(book.node().clone(), body),
            book,
        }
    }
}

impl<F: Future, E> Future for Inline<'_, F, E> {
    type Output = Outcome<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let node = this.book.node();
        let (_polling, _) = Polling::begin(node);
        for _ in 0..ROUNDS {
            if let Poll::Ready(outcome) = this.drive.as_mut().poll(cx) {
                // Left over only if an ancestor has forbidden further polls.
                this.tasks.clear();
                return Poll::Ready(outcome);
            }
            if node.is_orphan() {
                return Poll::Pending;
            }
            match this.tasks.poll() {
                Polled::Progress => {}
                Polled::Woken => break,
                Polled::Parked => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(all(test, feature = "async-std", not(any(loom, shuttle))))]
mod tests {
    use std::{
        convert::Infallible,
        future::poll_fn,
        sync::{
            Mutex,
            atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        },
        task::{Poll, Waker},
    };

    /// Children that never stop to wake each other, and do not wake themselves.
    #[test]
    fn two_children_that_wake_each_other_let_the_code_around_run() {
        const TURNS: usize = 10_000;
        let (turns, over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let wakers = [const { Mutex::new(None::<Waker>) }; 2];
        let wake = |player: usize| {
            if let Some(waker) = &*wakers[player].lock().unwrap() {
                waker.wake_by_ref();
            }
        };
        let play = |me: usize| {
            let (turns, over, wakers) = (&turns, &over, &wakers);
            poll_fn(move |cx| {
                *wakers[me].lock().unwrap() = Some(cx.waker().clone());
                wake(1 - me);
                let has_time = turns.fetch_add(1, SeqCst) < TURNS && !over.load(SeqCst);
                if has_time {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            })
        };
        async_std::task::block_on(async {
            let played = crate::scope(async |s| {
                s.spawn(play(0));
                s.spawn(play(1));
                Ok::<_, Infallible>(())
            });
            let around = async {
                // Both at once, which is as many as there are.
                wake(0);
                wake(1);
                async_std::task::yield_now().await;
                over.store(true, SeqCst);
            };
            let (outcome, ()) = futures_util::future::join(played, around).await;
            outcome.unwrap();
        });
        assert!(turns.load(SeqCst) < 100, "{turns:?}");
    }
}
