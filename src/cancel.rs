//! Cancellation: scopes that can be cancelled by hand or by deadline, and what a task can ask.

use std::{
    fmt,
    future::{Future, poll_fn},
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::FutureExt;
use pin_project_lite::pin_project;

use crate::{
    error::Cancelled,
    kernel::{
        context,
        drive::{Drive, Outcome},
        node::{Deadline, Kind, Node, Plan},
        watch::Watch,
    },
    panics,
    time::Instant,
};

/// What kind of request cancelled something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum CancelKind {
    /// Somebody called `cancel`.
    Explicit,
    /// A deadline passed.
    Deadline,
    /// A child of the group failed or panicked.
    SiblingFailed,
    /// The body of the group failed or panicked.
    BodyFailed,
    /// The future that opened the boundary was dropped, forgotten, or polled outside of the
    /// boundary it belongs to.
    Dropped,
    /// The grace of a graceful stop ended.
    Shutdown,
}

/// Why something was cancelled. The first reason sticks.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CancelReason {
    /// What kind of request it was.
    pub kind: CancelKind,
    /// What the one who asked said.
    pub message: Option<String>,
    /// The task that caused it: its name, or where it was spawned. `None` outside of any task.
    pub by: Option<String>,
}

impl CancelReason {
    pub(crate) fn new(kind: CancelKind) -> Self {
        CancelReason {
            kind,
            message: None,
            by: None,
        }
    }

    /// By the code that runs now.
    pub(crate) fn explicit(message: Option<String>) -> Self {
        CancelReason {
            kind: CancelKind::Explicit,
            message,
            by: context::task_name(),
        }
    }

    /// By the failure of a task.
    pub(crate) fn failure(kind: CancelKind, by: String) -> Self {
        CancelReason {
            kind,
            message: None,
            by: Some(by),
        }
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            CancelKind::Explicit => "on request",
            CancelKind::Deadline => "the deadline has passed",
            CancelKind::SiblingFailed => "a child failed",
            CancelKind::BodyFailed => "the body failed",
            CancelKind::Dropped => "what opened it was dropped or polled outside of its place",
            CancelKind::Shutdown => "the grace of the shutdown has ended",
        })?;
        if let Some(by) = &self.by {
            write!(f, " (by `{by}`)")?;
        }
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

/// A section that can be cancelled, by a handle or by a deadline, without touching what is around.
///
/// The scope is made first and can be cloned and sent away; [`enter`](CancelScope::enter) runs one
/// future in it. Cancelling reaches everything below at once: groups that the future has open, their
/// children, their children's groups. The future is dropped at its next checkpoint, after
/// everything below it has ended, and `enter` returns [`Cancelled`].
///
/// If an outer boundary is cancelled too, the outermost one absorbs: `enter` does not return, and
/// the code that awaits it is dropped.
///
/// Unlike a `CancellationToken`, nobody has to watch it, and it waits for what it cancels.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// use headcount::CancelScope;
///
/// headcount::run(async |g| {
///     let scope = CancelScope::new();
///     let remote = scope.clone();
///     g.spawn(async move { remote.cancel_with("not needed any more") });
///     let outcome = scope.enter(std::future::pending::<()>()).await;
///     assert_eq!(outcome.unwrap_err().reason().unwrap().message.as_deref(), Some("not needed any more"));
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct CancelScope {
    node: Arc<Node>,
}

impl Default for CancelScope {
    #[track_caller]
    fn default() -> Self {
        CancelScope::new()
    }
}

impl CancelScope {
    #[track_caller]
    fn with(deadline: Option<Deadline>) -> Self {
        let plan = Plan {
            deadline,
            ..Plan::default()
        };
        CancelScope {
            node: Node::new(Kind::Cancel, Location::caller(), plan),
        }
    }

    /// A scope without a deadline.
    #[track_caller]
    pub fn new() -> Self {
        CancelScope::with(None)
    }

    /// A scope that is cancelled at `at`.
    #[track_caller]
    pub fn with_deadline(at: Instant) -> Self {
        CancelScope::with(Some(Deadline::At(at)))
    }

    /// A scope that is cancelled when `after` has passed since it was entered.
    #[track_caller]
    pub fn with_timeout(after: Duration) -> Self {
        CancelScope::with(Some(Deadline::After(after)))
    }

    /// Runs `future` in this scope, once.
    ///
    /// The first poll of `future` always happens, even if the scope is cancelled already: code
    /// before its first checkpoint runs. A value that is ready wins over a deadline that has passed.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if this scope, and none around it, cut the future short.
    ///
    /// # Panics
    ///
    /// If the scope was entered before: make one for each section. If the future is polled outside
    /// of the boundary in which it was first polled. With the panic of `future`, after everything
    /// below has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping it cancels what is below; the boundary around waits for that.
    pub fn enter<F: Future>(
        &self,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Cancelled>> {
        let section = Section::new(self.clone(), future);
        section.map(|outcome| outcome.map_err(Cancelled::new))
    }

    /// Cancels everything in this scope. May be called from any thread, before entry, from inside,
    /// and again; it never waits and drops nothing itself.
    pub fn cancel(&self) {
        self.node.request(CancelReason::explicit(None));
    }

    /// [`cancel`](CancelScope::cancel) with a reason for those who look.
    pub fn cancel_with(&self, reason: impl Into<String>) {
        let reason = CancelReason::explicit(Some(reason.into()));
        self.node.request(reason);
    }

    /// Moves the deadline, also while the scope is running; `None` removes it. What was cancelled
    /// stays cancelled.
    pub fn set_deadline(&self, at: Option<Instant>) {
        self.node.set_deadline(at);
    }

    /// Keeps cancellation from outside away from what is in this scope, or lets it through again.
    /// The scope's own cancel and deadline still work.
    ///
    /// While a shield is at work, the code around it in the same task stays alive too; a
    /// cancellation that is pending takes effect at the first checkpoint after it.
    ///
    /// Put it up before a cancellation comes. What one has reached by then stays cancelled, and the code
    /// that awaits it, which would have been dropped with it, goes on: [`enter`](CancelScope::enter) and
    /// the groups inside return an error without a reason; what has no error for that, as `timeout` or
    /// `bracket`, stays pending or panics, and so may a handle that was awaited by then, and a group that
    /// is awaited by its waker alone, as in a `FuturesUnordered`.
    pub fn shield(&self, on: bool) {
        self.node.set_shield(on);
    }

    /// Has this scope been asked to cancel, by hand or by its deadline?
    pub fn cancel_called(&self) -> bool {
        cancelled_by_itself(&self.node).is_some()
    }

    /// Did that cut the future short? False if the future had no checkpoint any more and its value
    /// was kept, and if an outer boundary absorbed the cancellation.
    pub fn cancelled_caught(&self) -> bool {
        self.node.was_caught()
    }

    /// Why it was cancelled; the first reason sticks. `None` if it was not, nor its future dropped by
    /// anything but a cancellation from outside.
    pub fn reason(&self) -> Option<CancelReason> {
        self.node.reason()
    }
}

pin_project! {
    /// A future in its scope. Futures around futures are written out, here and elsewhere, or made of
    /// combinators: an `async` block keeps a future that it is given twice, so its size would double
    /// with each of them.
    pub(crate) struct Section<F>
    where
        F: Future,
    {
        scope: CancelScope,
        entered: bool,
        #[pin]
        drive: Drive<F>,
    }
}

impl<F: Future> Section<F> {
    pub(crate) fn new(scope: CancelScope, future: F) -> Self {
        Section {
            drive: Drive::new(scope.node.clone(), future),
            scope,
            entered: false,
        }
    }

    /// For a scope of which nobody else has a handle, so that its future is not cut short.
    pub(crate) fn into_value(self) -> impl Future<Output = F::Output> {
        // What is cut short all the same was taken for forgotten by a boundary around.
        self.map(|outcome| outcome.unwrap_or_else(|_| misplaced()))
    }
}

impl<F: Future> Future for Section<F> {
    type Output = Result<F::Output, Option<CancelReason>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if !*this.entered {
            assert!(
                this.scope.node.settle_here(),
                "a CancelScope was entered a second time: make a new scope for each section"
            );
            *this.entered = true;
        }
        let outcome = ready!(this.drive.poll(cx));
        Poll::Ready(conclude(Some(&this.scope.node), outcome))
    }
}

/// The reason of the scope, if it was cancelled by its own handle or deadline.
fn cancelled_by_itself(node: &Node) -> Option<CancelReason> {
    let by_itself = [CancelKind::Explicit, CancelKind::Deadline];
    node.reason()
        .filter(|reason| by_itself.contains(&reason.kind))
}

/// What a cancel scope returns. Without a node, it had no handle, and what dropped its future was
/// its deadline.
pub(crate) fn conclude<T>(
    node: Option<&Arc<Node>>,
    outcome: Outcome<T>,
) -> Result<T, Option<CancelReason>> {
    if let Some(node) = node {
        node.resume_panic();
    }
    match (outcome, node) {
        (Outcome::Value(value), _) => Ok(value),
        (Outcome::Misplaced, _) => misplaced(),
        (Outcome::Dropped, None) => Err(Some(CancelReason::new(CancelKind::Deadline))),
        (Outcome::Dropped, Some(node)) => match cancelled_by_itself(node) {
            Some(reason) => {
                node.mark_caught();
                Err(Some(reason))
            }
            // A boundary around took this for forgotten.
            None if node.is_orphan() => misplaced(),
            // A request from above took the future, and before this came to its end somebody put up
            // the shield: nobody above will drop the code around now, so it has to go on.
            None => Err(None),
        },
    }
}

/// The advice of what cannot return an error.
pub(crate) fn misplaced() -> ! {
    if context::blocks_while_cancelled() {
        panics::interrupt();
    }
    panic!(
        "a future with a deadline or cancel scope was kept, and polled outside of the boundary in \
         which it was first polled or after that had given it up: await it where it was started, \
         or start it anew; or a shield was put up around it after a cancellation from outside had \
         reached it: put it up before"
    )
}

impl fmt::Debug for CancelScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelScope")
            .field("cancel_called", &self.cancel_called())
            .field("cancelled_caught", &self.cancelled_caught())
            .finish_non_exhaustive()
    }
}

/// Keeps cancellation from outside away from `future`: it runs to its end.
///
/// Groups and timeouts inside still have their own cancellation. A pending cancellation takes
/// effect at the first checkpoint after the shield, and its value is delivered before that. The
/// children of a group whose *body* is shielded are cancelled without delay.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// use headcount::{CancelScope, checkpoint, shield};
///
/// headcount::run(async |_| {
///     let scope = CancelScope::new();
///     let mut saved = false;
///     let outcome = scope.enter(async {
///         scope.cancel();
///         shield(async { checkpoint().await; saved = true }).await;
///         checkpoint().await; // the cancellation takes effect here
///         unreachable!()
///     });
///     assert!(outcome.await.is_err());
///     assert!(saved);
///     Ok(())
/// })
/// # }
/// ```
///
/// # Panics
///
/// With the panic of `future`; and if polled outside of the boundary where it was first polled.
///
/// # Cancel safety
///
/// A shield cannot keep a foreign `select!` or `race` from dropping the future.
#[track_caller]
pub fn shield<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let scope = CancelScope::new();
    scope.shield(true);
    Section::new(scope, future).into_value()
}

/// Lets others run, and lets a pending cancellation take effect: returns `Pending` once.
///
/// A loop that computes for long without awaiting anything calls this now and then.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// headcount::run(async |g| {
///     let endless = g.spawn(async { loop { headcount::checkpoint().await } });
///     endless.cancel();
///     assert!(endless.await.unwrap_err().is_cancelled());
///     Ok(())
/// })
/// # }
/// ```
///
/// # Cancel safety
///
/// Nothing can be lost.
pub async fn checkpoint() {
    let mut passed = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut passed, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Waits until the code around is asked to stop: by a [`shutdown`](crate::TaskGroup::shutdown) of a
/// boundary around it, or by a cancellation (which drops it at its next checkpoint).
///
/// This is how a task takes part in a graceful stop: it waits for its work and for this, and when
/// this comes first it finishes in order. A [`shield`] keeps requests from outside away from it too.
/// Outside of any boundary it never resolves.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// use std::time::Duration;
///
/// headcount::run(async |g| {
///     let stopper = g.clone();
///     g.spawn(async move { stopper.shutdown(Duration::from_secs(10)) });
///     headcount::cancelled().await;
///     assert!(headcount::is_shutting_down() && !headcount::is_cancelled());
///     Ok(())
/// })
/// # }
/// ```
///
/// # Cancel safety
///
/// Nothing can be lost.
#[track_caller]
pub fn cancelled() -> impl Future<Output = ()> {
    Watch::new()
}

/// Is the code that runs now asked to come to an end, by a
/// [`shutdown`](crate::TaskGroup::shutdown) of a boundary around? False outside of any boundary.
pub fn is_shutting_down() -> bool {
    context::is_shutting_down()
}

/// Is a request to cancel pending for the code that runs now? It takes effect at its next
/// checkpoint, unless a [`shield`] is in between. False outside of any boundary.
pub fn is_cancelled() -> bool {
    context::is_cancelled()
}

/// When the code that runs now will be cancelled: the earliest deadline of the boundaries around,
/// out to the nearest shield. `None` if there is none.
pub fn current_deadline() -> Option<Instant> {
    context::node()?.effective_deadline()
}
