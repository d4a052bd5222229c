//! `group`: parallel children, in an opener that may be dropped.

use std::{fmt, future::Future, marker::PhantomData, panic::Location, sync::Arc};

use crate::{
    cancel::CancelReason,
    carry::{Luggage, What},
    conclude::{self, Opening},
    error::{Failure, GroupError, IntoOutcome, TrySpawnError},
    handle::JoinHandle,
    kernel::{
        blocking::{Blocking, BlockingToken, Pool},
        book::Book,
        drive::Drive,
        info::Info,
        ledger::{Ask, Refused},
        line::Line,
        node::Kind,
        spawn::{self, Home},
    },
    options::Options,
    spawning::{self, GroupStats},
    trace,
};

/// A handle to a group of parallel children, opened by [`group`] or [`run`](crate::run()).
///
/// Clone it to spawn from children. It may be kept after the group has ended: spawning then drops
/// the future at once.
///
/// Unlike tokio's `JoinSet` it keeps no results, and unlike `FuturesUnordered` its children run
/// in parallel and need no polling.
///
/// In a struct, or in the signature of a function, the handle of a [`group`] is a `TaskGroup<'static, E>`; that of a
/// [`run`](crate::run()) is a `TaskGroup<'env, E>`, where `'env` is how long what the children borrow lives.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::io::Error>> {
/// use headcount::{TaskGroup, run};
///
/// struct Server<'env> {
///     sessions: TaskGroup<'env, std::io::Error>,
///     greeting: &'env str,
/// }
///
/// impl<'env> Server<'env> {
///     fn greet(&self, client: usize) {
///         let greeting = self.greeting;
///         self.sessions.spawn(async move { println!("{greeting}, {client}") });
///     }
/// }
///
/// let greeting = String::from("welcome");
/// run(async |sessions| {
///     let server = Server { sessions, greeting: &greeting };
///     server.greet(1);
///     Ok(())
/// })
/// # }
/// ```
pub struct TaskGroup<'env, E> {
    pub(crate) book: Arc<Book<E>>,
    /// `'env` must not change: children may borrow for exactly that long.
    _env: PhantomData<fn(&'env ()) -> &'env ()>,
}

impl<'env, E> TaskGroup<'env, E> {
    fn home(&self) -> Home<'_> {
        Home::Runtime
    }

    pub(crate) fn new(book: Arc<Book<E>>) -> Self {
        TaskGroup {
            book,
            _env: PhantomData,
        }
    }

    /// Records a failure, and cancels nobody.
    pub(crate) fn leave(&self, failure: Failure<E>) {
        let noted = self.book.note(failure);
        debug_assert!(noted.is_ok(), "only a child of the group may call this");
    }

    fn share(&self) -> Self {
        TaskGroup::new(self.book.clone())
    }
}

spawning::spawning!(TaskGroup, "headcount::group");

impl<'env, E: fmt::Debug + Send + 'env> TaskGroup<'env, E> {
    /// Spawns a closure on a thread for blocking work.
    ///
    /// Nothing can stop a thread from outside, so a cancelled group waits for the closure; the
    /// [token](BlockingToken) tells it to stop. A closure that has not begun when it is cancelled is
    /// dropped, unrun.
    ///
    /// To await something in the closure, use [`run`](crate::run()) there, or the runtime's `block_on`. What
    /// is cancelled with the closure returns its error there, as a group does; where there is none, as
    /// for a [`timeout`](crate::timeout()) or a [`bracket`](crate::bracket), the closure is unwound, without a
    /// message, and ends as a task that is cancelled does. (With `panic = "abort"` the process ends.)
    ///
    /// ```
    /// # fn main() -> Result<(), headcount::GroupError<std::io::Error>> {
    /// headcount::run(async |g| {
    ///     let read = g.spawn_blocking(|_token| std::fs::read("/dev/null"));
    ///     assert!(read.await?.is_empty());
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_blocking<O, F>(&self, closure: F) -> JoinHandle<O::Value>
    where
        O: IntoOutcome<E> + Send + 'env,
        O::Value: Send + 'env,
        F: FnOnce(BlockingToken) -> O + Send + 'env,
    {
        let info = spawning::info(None, Location::caller());
        self.spawn_closure(info, Pool::Blocking, closure)
    }

    pub(crate) fn spawn_closure<O, F>(
        &self,
        info: Info,
        pool: Pool,
        closure: F,
    ) -> JoinHandle<O::Value>
    where
        O: IntoOutcome<E> + Send + 'env,
        O::Value: Send + 'env,
        F: FnOnce(BlockingToken) -> O + Send + 'env,
    {
        let luggage = Luggage::new(What::Blocking, self.book.node(), &info);
        let closure = Blocking::new(pool, luggage.around_closure(closure));
        self.spawn_packed(info, Ask::Queue, luggage.around::<E, _>(closure))
    }
}

/// Opens a group of parallel children: runs `body`, waits for every child, and returns what the
/// body returned.
///
/// The first failure, of a child or of the body, cancels the rest; when all have ended it is
/// returned. A panic does the same and then goes on unwinding here. Cancelled from outside, the
/// group drops its body, waits for its children, and does not return.
///
/// Children must be `'static`, since safe code may forget the future that this returns; use
/// [`scope`](crate::scope()) to borrow inside a task, [`run`](crate::run()) to borrow in parallel.
///
/// # If the future is dropped or forgotten
///
/// The children are cancelled, and **the boundary around waits for them**. Only where there is no
/// boundary around (a bare runtime task) nobody can wait: then the children are still cancelled at
/// once, one that is in the middle of a poll ends with that poll, a blocking closure that has begun
/// runs to its end, and a warning goes to the log.
///
/// ```
/// # fn main() { async_std::task::block_on(async {
/// let total = headcount::group(async |g| {
///     let one = g.spawn(async { Ok(1) });
///     let two = g.spawn(async { Ok(2) });
///     Ok::<_, headcount::JoinError>(one.await? + two.await?)
/// })
/// .await;
/// assert_eq!(total.unwrap(), 3);
/// # }) }
/// ```
///
/// If all children return `()`, nothing tells the error type; name it in the body's value, as in
/// `Ok::<_, Infallible>(3)`.
///
/// # Errors
///
/// [`GroupError`] with every error of children and body; or one that
/// [is cancelled](GroupError::is_cancelled) if the group was cancelled by its own handle or deadline
/// before the body had a value, or if its future was polled outside of the boundary it belongs to.
///
/// # Panics
///
/// With the first panic of a child or the body, after all children have ended.
///
/// # Cancel safety
///
/// No task is lost: see above. What the body had computed is dropped.
#[track_caller]
pub fn group<R, E, F, Fut>(body: F) -> impl Future<Output = Result<R, GroupError<E>>>
where
    F: FnOnce(TaskGroup<'static, E>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    E: fmt::Debug + Send + 'static,
{
    Options::new().group(body)
}

impl Options {
    /// Opens a [`group`] with these settings.
    ///
    /// # Errors
    ///
    /// As [`group`].
    ///
    /// # Panics
    ///
    /// As [`group`].
    ///
    /// # Cancel safety
    ///
    /// As [`group`].
    #[track_caller]
    pub fn group<R, E, F, Fut>(self, body: F) -> impl Future<Output = Result<R, GroupError<E>>>
    where
        F: FnOnce(TaskGroup<'static, E>) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        E: fmt::Debug + Send + 'static,
    {
        #[cfg(all(feature = "signal", not(loom)))]
        let body = crate::signal::before(body, self.signals, TaskGroup::heed);
        let book = Book::open_salvageable(Kind::Group, Location::caller(), self.plan());
        let body = conclude::body(book.clone(), TaskGroup::new(book.clone()), body);
        let drive = Drive::new(book.node().clone(), body);
        trace::boundary("group", book.node().clone(), Opening::new(book, drive))
    }
}
