//! `scope`: children that borrow, polled inside the opener's task.

use std::{fmt, future::Future, marker::PhantomData, panic::Location, sync::Arc};

use crate::{
    cancel::CancelReason,
    carry::{Luggage, What},
    conclude::{self, Opening},
    error::{GroupError, IntoOutcome, TrySpawnError},
    handle::JoinHandle,
    kernel::{
        book::Book,
        info::Info,
        inline::Inline,
        ledger::{Ask, Refused},
        line::Line,
        node::Kind,
        spawn::{self, Home},
        tasks::Inbox,
    },
    options::Options,
    spawning::{self, GroupStats},
    trace,
};

/// A handle to a scope of inline children, opened by [`scope`].
///
/// Clone it to spawn from children. It may be kept after the scope has ended: spawning then drops
/// the future at once.
pub struct Scope<'env, E> {
    book: Arc<Book<E>>,
    inbox: Arc<Inbox>,
    /// `'env` must not change: children may borrow for exactly that long.
    _env: PhantomData<fn(&'env ()) -> &'env ()>,
}

impl<'env, E> Scope<'env, E> {
    fn home(&self) -> Home<'_> {
        Home::Inline(&self.inbox)
    }

    fn share(&self) -> Self {
        Scope {
            book: self.book.clone(),
            inbox: self.inbox.clone(),
            _env: PhantomData,
        }
    }
}

spawning::spawning!(Scope, "headcount::scope");

/// Opens a scope: like [`group`](crate::group()), but its children may borrow from outside the body.
///
/// The children run concurrently, not in parallel: the task that awaits the scope polls them. So
/// they make progress only while the scope is polled.
///
/// # If the future is dropped or forgotten
///
/// Inline children are part of the future: they are dropped with it, or never run again. Whoever awaits
/// a handle of theirs elsewhere is told so: at once if it was dropped, and if it was forgotten at the
/// latest when the code that forgot it has ended (so that code would wait for ever). What they had
/// spawned in groups of their own is cancelled, and waited for by the boundary around, as with
/// [`group`](crate::group()); so are their releases.
///
/// ```
/// # fn main() { async_std::task::block_on(async {
/// let words = vec!["one".to_string(), "two".to_string()];
/// let length = headcount::scope(async |s| {
///     let first = s.spawn(async { Ok(words[0].len()) });
///     let second = s.spawn(async { Ok(words[1].len()) });
///     Ok::<_, headcount::JoinError>(first.await? + second.await?)
/// })
/// .await;
/// assert_eq!(length.unwrap(), 6);
/// # }) }
/// ```
///
/// # Errors
///
/// As [`group`](crate::group()).
///
/// # Panics
///
/// As [`group`](crate::group()).
///
/// # Cancel safety
///
/// As [`group`](crate::group()).
#[track_caller]
pub fn scope<'env, R, E, F, Fut>(body: F) -> impl Future<Output = Result<R, GroupError<E>>>
where
    F: FnOnce(Scope<'env, E>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    E: fmt::Debug + Send + 'env,
{
    Options::new().scope(body)
}

impl Options {
    /// Opens a [`scope`] with these settings.
    ///
    /// # Errors
    ///
    /// As [`scope`].
    ///
    /// # Panics
    ///
    /// As [`scope`].
    ///
    /// # Cancel safety
    ///
    /// As [`scope`].
    #[track_caller]
    pub fn scope<'env, R, E, F, Fut>(
        self,
        body: F,
    ) -> impl Future<Output = Result<R, GroupError<E>>>
    where
        F: FnOnce(Scope<'env, E>) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        E: fmt::Debug + Send + 'env,
    {
        #[cfg(all(feature = "signal", not(loom)))]
        let body = crate::signal::before(body, self.signals, Scope::heed);
        let book = Book::open(Kind::Scope, Location::caller(), self.plan());
        let inbox = Inbox::new(book.node().clone());
        let handle = Scope {
            book: book.clone(),
            inbox: inbox.clone(),
            _env: PhantomData,
        };
        let body = conclude::body(book.clone(), handle, body);
        let drive = Inline::new(book.clone(), inbox, body);
        trace::boundary("scope", book.node().clone(), Opening::new(book, drive))
    }
}
