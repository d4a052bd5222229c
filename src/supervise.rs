//! `supervise`: children whose failures touch nobody else.

use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use crate::{
    cancel::CancelReason,
    carry::{Luggage, What},
    conclude::{self, Opening},
    error::{GroupError, IntoOutcome, TaskError},
    handle::TaskId,
    kernel::{
        book::Book,
        cell::End,
        drive::Drive,
        info::Info,
        join::Claim,
        ledger::Ask,
        node::Kind,
        spawn::{self, Home},
        supervised::{Last, Slot, Supervised, Unread},
    },
    options::Options,
    spawning::{self, GroupStats},
    trace,
};

/// A handle to a group of supervised children, opened by [`supervise`].
///
/// Clone it to spawn from children. It may be kept after the group has ended: spawning then drops
/// the future at once.
///
/// It has less than a [`TaskGroup`](crate::TaskGroup):
///
/// | of a `TaskGroup` | here |
/// |---|---|
/// | `spawn`, `spawn_named` | the same, with a [`SupervisedHandle`] that has the child's error |
/// | `cancel`, `cancel_with`, `shutdown`, `is_cancelled`, `is_shutting_down`, `stats` | the same |
/// | `try_spawn` | [`CapacityLimiter::try_acquire`](crate::sync::CapacityLimiter::try_acquire) before `spawn`, and the permit goes into the child |
/// | `spawn_when_free` | [`acquire`](crate::sync::CapacityLimiter::acquire) before `spawn`, likewise |
/// | `spawn_blocking` | [`unblock`](crate::unblock()) in the child, or a [`group`](crate::group()) in it for a token |
/// | `spawn_daemon`, `spawn_stream`, `start` | those of a [`group`](crate::group()) whose body awaits the supervised one |
///
/// ```
/// # fn main() { async_std::task::block_on(async {
/// use headcount::{supervise, sync::CapacityLimiter};
///
/// let places = CapacityLimiter::new(100);
/// supervise(async |s| {
///     match places.try_acquire() {
///         Some(place) => drop(s.spawn(async move {
///             let _place = place; // until the session ends
///         })),
///         None => { /* tell the client that there is no place */ }
///     }
///     Ok::<_, std::io::Error>(())
/// })
/// # .await.unwrap() }) }
/// ```
pub struct Supervisor<E> {
    book: Arc<Book<E>>,
}

impl<E: fmt::Debug + Send + 'static> Supervisor<E> {
    /// Spawns a supervised child. It is scheduled, never polled inside this call.
    ///
    /// A child returns `Result<T, E>`, `()` or never. Its failure or panic cancels nobody and belongs
    /// to the handle; if the handle is gone, the boundary returns it in the end.
    ///
    /// Under a [limit](crate::Options::limit) it waits in line until a place is free. If the group has
    /// ended or is being cancelled, the future is dropped here, unpolled, and the handle says
    /// cancelled.
    ///
    /// ```
    /// # fn main() { async_std::task::block_on(async {
    /// headcount::supervise(async |s| {
    ///     let bad = s.spawn(async { Err::<(), _>("no route") });
    ///     let good = s.spawn(async { Ok(42) });
    ///     assert!(bad.await.is_err());
    ///     assert_eq!(good.await.unwrap(), 42);
    ///     Ok::<_, &str>(())
    /// })
    /// # .await.unwrap() }) }
    /// ```
    #[track_caller]
    pub fn spawn<O, F>(&self, future: F) -> SupervisedHandle<O::Value, E>
    where
        O: IntoOutcome<E>,
        O::Value: Send + 'static,
        F: Future<Output = O> + Send + 'static,
    {
        self.spawn_as(spawning::info(None, Location::caller()), future)
    }

    /// [`spawn`](Self::spawn) with a name, which errors and reasons then show.
    ///
    /// ```
    /// # fn main() { async_std::task::block_on(async {
    /// let error = headcount::supervise(async |s| {
    ///     drop(s.spawn_named("fetch", async { Err::<(), _>("no route") }));
    ///     Ok(())
    /// })
    /// .await
    /// .unwrap_err();
    /// assert_eq!(error.failures()[0].name(), Some("fetch"));
    /// # }) }
    /// ```
    #[track_caller]
    pub fn spawn_named<O, F>(
        &self,
        name: impl Into<String>,
        future: F,
    ) -> SupervisedHandle<O::Value, E>
    where
        O: IntoOutcome<E>,
        O::Value: Send + 'static,
        F: Future<Output = O> + Send + 'static,
    {
        let info = spawning::info(Some(name.into()), Location::caller());
        self.spawn_as(info, future)
    }

    pub(crate) fn spawn_as<O, F>(&self, info: Info, future: F) -> SupervisedHandle<O::Value, E>
    where
        O: IntoOutcome<E>,
        O::Value: Send + 'static,
        F: Future<Output = O> + Send + 'static,
    {
        let slot = Slot::new(info.clone(), self.book.clone());
        let luggage = Luggage::new(What::Supervised, self.book.node(), &info);
        let child = Supervised::new(luggage.around::<E, _>(future), slot.clone());
        let claim = spawn::spawn_or_drop(&self.book, &Home::Runtime, Ask::Queue, info, child);
        if claim.cell().end().is_some() {
            slot.note_refusal();
        }
        SupervisedHandle { claim, slot }
    }

    /// Records the failure of a child whose handle has given it, as if nobody had read it.
    pub(crate) fn leave_unread(&self, who: &Info, error: E) {
        self.book.unread(who, TaskError::Failed(error));
    }
}

impl<E> Supervisor<E> {
    /// Cancels the body and every child. May be called from any thread and again; it never waits and
    /// drops nothing itself. The opener returns once everybody has ended.
    pub fn cancel(&self) {
        self.book.node().request(CancelReason::explicit(None));
    }

    /// [`cancel`](Self::cancel) with a reason for those who look.
    pub fn cancel_with(&self, reason: impl Into<String>) {
        let reason = CancelReason::explicit(Some(reason.into()));
        self.book.node().request(reason);
    }

    /// Asks everything below to come to an end in its own time, and cancels what is left when `grace`
    /// has passed. See [`TaskGroup::shutdown`](crate::TaskGroup::shutdown).
    ///
    /// ```
    /// # fn main() { async_std::task::block_on(async {
    /// headcount::supervise(async |s| {
    ///     s.spawn(headcount::cancelled());
    ///     s.shutdown(std::time::Duration::from_secs(30));
    ///     Ok::<_, std::io::Error>(())
    /// })
    /// # .await.unwrap() }) }
    /// ```
    pub fn shutdown(&self, grace: Duration) {
        self.book.node().stop(grace);
    }

    /// Has the group, or one around it, been asked to [`shutdown`](Self::shutdown)?
    pub fn is_shutting_down(&self) -> bool {
        self.book.node().is_shutting_down()
    }

    /// Has the group been asked to end, by `cancel`, a failed body, its deadline, or from outside?
    pub fn is_cancelled(&self) -> bool {
        self.book.node().is_cancelled()
    }

    /// How many children there were and are.
    pub fn stats(&self) -> GroupStats {
        GroupStats::of(self.book.node())
    }
}

impl<E> Clone for Supervisor<E> {
    fn clone(&self) -> Self {
        Supervisor {
            book: self.book.clone(),
        }
    }
}

impl<E> fmt::Debug for Supervisor<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.book.node();
        f.debug_struct("Supervisor")
            .field("name", &node.name)
            .field("location", &node.location)
            .field("stats", &GroupStats::of(node))
            .finish()
    }
}

/// A handle to a supervised child: its outcome, and a way to cancel it.
///
/// Other than a [`JoinHandle`](crate::JoinHandle) it owns the child's error or panic. Dropping it
/// cancels nothing and loses nothing: a failure that nobody read is returned by the boundary, and one
/// whose handle is dropped after the end of the boundary goes to
/// [`Options::on_suppressed`](crate::Options::on_suppressed), by default the log.
///
/// It may be awaited by anybody, also after the group has ended.
///
/// ```
/// # fn main() { async_std::task::block_on(async {
/// use headcount::{TaskError, supervise};
///
/// let kept = supervise(async |s| Ok::<_, &str>(s.spawn(async { Err::<(), _>("no route") })));
/// match kept.await.unwrap().await {
///     Err(TaskError::Failed(error)) => assert_eq!(error, "no route"),
///     other => panic!("{other:?}"),
/// }
/// # }) }
/// ```
///
/// # Errors
///
/// [`TaskError`] if the child failed, panicked or was cancelled. If the awaiter is being cancelled too,
/// a handle of a cancelled child stays pending, and the awaiter is dropped at this await.
///
/// # Panics
///
/// If it is polled again after it has returned the outcome.
///
/// # Cancel safety
///
/// Safe: the outcome stays with the handle until it is returned.
pub struct SupervisedHandle<T, E> {
    claim: Claim<Last<T, E>>,
    slot: Arc<Slot<T, E>>,
}

impl<T, E> SupervisedHandle<T, E> {
    /// Asks the child to end. It is dropped at its next checkpoint, by its own executor, not in this
    /// call. Awaiting the handle afterwards waits for that. Its siblings go on.
    pub fn cancel(&self) {
        self.slot.note_cancel();
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

    /// Waits for the end of the child, and takes nothing. True if it failed or panicked.
    pub(crate) fn poll_failed(&self, cx: &mut Context<'_>) -> Poll<bool> {
        self.claim.poll_end(cx).map(|_| self.slot.has_failed())
    }

    /// Has it given the outcome?
    pub(crate) fn is_spent(&self) -> bool {
        let returned = self.claim.cell().end() == Some(End::Value);
        returned && !self.slot.has_verdict()
    }

    /// The outcome, if the child has ended.
    pub(crate) fn try_take(&self) -> Option<Result<T, TaskError<E>>> {
        let end = self.claim.cell().end()?;
        Some(self.outcome(end))
    }

    /// The child has put in what it has (`kernel::supervised`, invariant 1).
    fn outcome(&self, end: End) -> Result<T, TaskError<E>> {
        match (self.slot.take(), end) {
            (Some(outcome), _) => outcome,
            (None, End::Value) => spent(),
            (None, _) => Err(TaskError::Cancelled(self.slot.reason())),
        }
    }
}

pub(crate) fn spent() -> ! {
    panic!("a handle was used again after it had given the outcome")
}

impl<T, E> Unpin for SupervisedHandle<T, E> {}

impl<T, E> Future for SupervisedHandle<T, E> {
    type Output = Result<T, TaskError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let end = ready!(self.claim.poll_end(cx));
        Poll::Ready(self.outcome(end))
    }
}

impl<T, E> Drop for SupervisedHandle<T, E> {
    fn drop(&mut self) {
        self.slot.leave();
    }
}

impl<T, E> fmt::Debug for SupervisedHandle<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisedHandle")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish()
    }
}

/// Opens a supervised group: like [`group`](crate::group()), but a child's failure or panic cancels
/// neither its siblings nor the body.
///
/// It belongs to the child's [handle](SupervisedHandle). Nothing is lost if the handle is dropped,
/// before or after the failure: then this call returns it, an error among
/// [`failures`](GroupError::failures), a panic among
/// [`cleanup_failures`](GroupError::cleanup_failures). They are kept until then, so a group that runs
/// for long reads its handles. The failure of the *body*, and cancellation from outside, cancel
/// everybody as in a group.
///
/// If the future is dropped or forgotten, see [`group`](crate::group()).
///
/// ```
/// # fn main() { async_std::task::block_on(async {
/// let served = headcount::supervise(async |s| {
///     let clients: Vec<_> = (0..3)
///         .map(|n| s.spawn(async move { if n == 1 { Err("hung up") } else { Ok(n) } }))
///         .collect();
///     let mut served = 0;
///     for client in clients {
///         served += usize::from(client.await.is_ok());
///     }
///     Ok::<_, &str>(served)
/// })
/// .await;
/// assert_eq!(served.unwrap(), 2);
/// # }) }
/// ```
///
/// A server gives each handle to a second child, which tells of the failure at once:
///
/// ```
/// # async fn serve(client: u32) -> std::io::Result<()> { assert_ne!(client, 1); Ok(()) }
/// # fn main() { async_std::task::block_on(async {
/// let served = headcount::supervise(async |s| {
///     for client in 0..3 {
///         let session = s.spawn(serve(client));
///         s.spawn(async move {
///             if let Err(error) = session.await {
///                 eprintln!("client {client}: {error}"); // failed, or panicked
///             }
///         });
///     }
///     Ok(())
/// })
/// .await;
/// assert!(served.is_ok());
/// # }) }
/// ```
///
/// # Errors
///
/// [`GroupError`] with the failure of the body and those of children whose handles are gone; or one
/// that [is cancelled](GroupError::is_cancelled), as in [`group`](crate::group()).
///
/// # Panics
///
/// With the panic of the body, after all children have ended; it cancels everybody. So does that of a destructor
/// below a boundary which a child has dropped or forgotten before its end: such a boundary is not the child's any
/// more.
///
/// # Cancel safety
///
/// As [`group`](crate::group()).
#[track_caller]
pub fn supervise<R, E, F, Fut>(body: F) -> impl Future<Output = Result<R, GroupError<E>>>
where
    F: FnOnce(Supervisor<E>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    E: fmt::Debug + Send + 'static,
{
    Options::new().supervise(body)
}

impl Options {
    /// Opens a [supervised group](supervise) with these settings.
    ///
    /// ```
    /// # fn main() { async_std::task::block_on(async {
    /// use headcount::Options;
    ///
    /// let outcome = Options::new().name("clients").limit(8).supervise(async |s| {
    ///     s.spawn(async { Ok(42) }).await.map_err(|_| "no answer")
    /// });
    /// assert_eq!(outcome.await.unwrap(), 42);
    /// # }) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`supervise`].
    ///
    /// # Panics
    ///
    /// As [`supervise`].
    ///
    /// # Cancel safety
    ///
    /// As [`supervise`].
    #[track_caller]
    pub fn supervise<R, E, F, Fut>(self, body: F) -> impl Future<Output = Result<R, GroupError<E>>>
    where
        F: FnOnce(Supervisor<E>) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        E: fmt::Debug + Send + 'static,
    {
        #[cfg(all(feature = "signal", not(loom)))]
        let body = crate::signal::before(body, self.signals, |supervisor: &Supervisor<E>, heed| {
            crate::group::TaskGroup::new(supervisor.book.clone()).heed(heed);
        });
        let book = Book::open_salvageable(Kind::Group, Location::caller(), self.plan());
        let supervisor = Supervisor { book: book.clone() };
        let body = conclude::body(book.clone(), supervisor, body);
        let drive = Drive::new(book.node().clone(), body);
        let node = book.node().clone();
        trace::boundary("supervise", node, Opening::new(book, drive))
    }
}
