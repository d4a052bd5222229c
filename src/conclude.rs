//! How a group ends: what its body's result, its failures and panics add up to.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{
    cancel::CancelKind,
    error::{CleanupFailure, Failure, GroupError},
    kernel::{book::Book, drive::Outcome, info::Info},
    panics::{self, Panic},
};

pin_project! {
    /// The future of an opener: its drive, and then the conclusion.
    pub(crate) struct Opening<D, E>
    where
        E: fmt::Debug,
        E: Send,
    {
        // Dropped first: what is dropped there may still record failures.
        #[pin]
        drive: D,
        heir: Heir<E>,
    }
}

impl<D, E: fmt::Debug + Send> Opening<D, E> {
    pub(crate) fn new(book: Arc<Book<E>>, drive: D) -> Self {
        Opening {
            drive,
            heir: Heir(book),
        }
    }
}

impl<R, D, E> Future for Opening<D, E>
where
    D: Future<Output = Outcome<Option<R>>>,
    E: fmt::Debug + Send,
{
    type Output = Result<R, GroupError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.drive
            .poll(cx)
            .map(|outcome| conclude(&this.heir.0, outcome))
    }
}

/// Hands the failures on if the opener is dropped before it can return them. (If it is forgotten,
/// those of a group are found through its node; those of a scope may borrow, so only its own
/// future may touch them.)
struct Heir<E: fmt::Debug + Send>(Arc<Book<E>>);

impl<E: fmt::Debug + Send> Drop for Heir<E> {
    fn drop(&mut self) {
        for failure in self.0.salvage_failures() {
            self.0.node().record_cleanup(failure);
        }
    }
}

/// Calls and runs a body; its error is recorded like that of a child, before its future is
/// dropped, which is left to who polls this.
///
/// The type is hidden, or else the compiler could not say of some that they are `Send`: it would have to
/// find the bounds of `Body` true without the lifetimes in `E`.
pub(crate) fn body<R, E, H, F, Fut>(
    book: Arc<Book<E>>,
    handle: H,
    body: F,
) -> impl Future<Output = Option<R>>
where
    F: FnOnce(H) -> Fut,
    Fut: Future<Output = Result<R, E>>,
{
    let progress = Progress::Closure { handle, body };
    Body { book, progress }
}

pin_project! {
    struct Body<H, F, Fut, E> {
        book: Arc<Book<E>>,
        #[pin]
        progress: Progress<H, F, Fut>,
    }
}

pin_project! {
    /// Either the closure or its future, in the same place.
    #[project = Now]
    #[project_replace = Before]
    enum Progress<H, F, Fut> {
        Closure { handle: H, body: F },
        Future { #[pin] future: Fut },
        Called,
    }
}

impl<R, E, H, F, Fut> Future for Body<H, F, Fut, E>
where
    F: FnOnce(H) -> Fut,
    Fut: Future<Output = Result<R, E>>,
{
    type Output = Option<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let mut this = self.project();
        loop {
            match this.progress.as_mut().project() {
                Now::Future { future } => {
                    return future.poll(cx).map(|result| {
                        let failed = |error| fail(this.book, error);
                        result.map_err(failed).ok()
                    });
                }
                Now::Closure { .. } => {}
                Now::Called => panic!("a body was polled again after it had panicked"),
            }
            let before = this.progress.as_mut().project_replace(Progress::Called);
            if let Before::Closure { handle, body } = before {
                let future = body(handle);
                this.progress.set(Progress::Future { future });
            }
        }
    }
}

fn fail<E>(book: &Book<E>, error: E) {
    let node = book.node();
    let who = Info::new(node.name.clone(), node.location);
    book.fail(Failure::new(who, error), CancelKind::BodyFailed);
}

/// The result of a group below which nobody lives any more: the first panic beats errors, errors
/// beat the value, and the value beats a cancellation.
pub(crate) fn conclude<R, E>(
    book: &Book<E>,
    outcome: Outcome<Option<R>>,
) -> Result<R, GroupError<E>>
where
    E: fmt::Debug + Send,
{
    let node = book.node();
    let (mut panics, mut cleanup) = node.take_held();
    if let Outcome::Value(Some(value)) = outcome {
        if panics.is_empty() && cleanup.is_empty() && book.close_if_empty() {
            return Ok(value);
        }
        // Before the book is closed: it may own handles of children whose failure nobody read.
        if let Err(payload) = panics::catch(|| drop(value)) {
            panics.push(Panic {
                payload,
                name: node.name.clone(),
                location: node.location,
            });
        }
    }
    let (failures, unread) = book.close();
    cleanup.extend(unread);
    let mut panics = panics.into_iter();
    if let Some(first) = panics.next() {
        panics.for_each(|panic| node.suppress(panic.into()));
        for failure in failures {
            node.suppress(CleanupFailure::from_failure(failure).into());
        }
        cleanup
            .into_iter()
            .for_each(|failure| node.suppress(failure.into()));
        first.resume();
    }
    Err(GroupError::new(failures, cleanup, node.reason()))
}
