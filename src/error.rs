//! Every error type, and what children and bodies may return.

use std::{any::Any, error::Error, fmt, io, panic::Location};

use crate::{cancel::CancelReason, kernel::roster::Info, panics};

/// A boxed error that may cross threads.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What a child may return: `Result<T, E>`, `()`, or never (`!`).
///
/// ```
/// use headcount::{GroupError, run};
///
/// fn main() -> Result<(), GroupError<std::io::Error>> {
///     run(async |g| {
///         let size = g.spawn(async { Ok(std::fs::read("/dev/null")?.len()) });
///         g.spawn(async { /* returns () */ });
///         assert_eq!(size.await.map_err(std::io::Error::from)?, 0);
///         Ok(())
///     })
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a child of this group cannot return `{Self}`",
    label = "this child returns `{Self}`",
    note = "a child returns `()`, never, or `Result<T, E>` with the error type `E` of its group",
    note = "wrap a plain value in `Ok(..)`, and convert another error with `?` or `map_err`"
)]
pub trait IntoOutcome<E> {
    /// What the handle of the child gives.
    type Value;

    /// The value, or the failure of the child.
    fn into_outcome(self) -> Result<Self::Value, E>;
}

impl<T, E> IntoOutcome<E> for Result<T, E> {
    type Value = T;

    fn into_outcome(self) -> Result<T, E> {
        self
    }
}

impl<E> IntoOutcome<E> for () {
    type Value = ();

    fn into_outcome(self) -> Result<(), E> {
        Ok(())
    }
}

/// What the future of a release may return: `()`, never (`!`), or `Result<(), X>` with an `X` that turns into a
/// boxed error. See [`defer`](crate::defer).
#[diagnostic::on_unimplemented(
    message = "a release cannot return `{Self}`",
    note = "a release returns `()`, or `Result<(), X>` where `X` is an error that is `Send + Sync`"
)]
pub trait IntoRelease {
    /// The end of the release.
    ///
    /// # Errors
    ///
    /// What the release returned.
    fn into_release(self) -> Result<(), BoxError>;
}

impl IntoRelease for () {
    fn into_release(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<X: Into<BoxError>> IntoRelease for Result<(), X> {
    fn into_release(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

/// Reaches the type `!`, which has no stable name of its own, as `<fn() -> ! as Returns>::Output`.
#[doc(hidden)]
pub trait Returns {
    type Output;
}

impl<R> Returns for fn() -> R {
    type Output = R;
}

impl IntoRelease for <fn() -> ! as Returns>::Output {
    fn into_release(self) -> Result<(), BoxError> {
        match self {}
    }
}

impl<E> IntoOutcome<E> for <fn() -> ! as Returns>::Output {
    type Value = std::convert::Infallible;

    fn into_outcome(self) -> Result<Self::Value, E> {
        match self {}
    }
}

/// One failure of a group: the error of a child or of the body, and whose it is.
#[derive(Debug)]
pub struct Failure<E> {
    who: Info,
    error: E,
}

impl<E> Failure<E> {
    pub(crate) fn new(who: Info, error: E) -> Self {
        Failure { who, error }
    }

    /// The task by its name, or by where it was spawned.
    pub(crate) fn describe(&self) -> String {
        describe(self.name(), self.location())
    }

    /// The name of the task, or of the group if the body failed.
    pub fn name(&self) -> Option<&str> {
        self.who.name.as_deref()
    }

    /// Where the task was spawned, or the group opened if the body failed.
    pub fn location(&self) -> &'static Location<'static> {
        self.who.location
    }

    /// The error.
    pub fn error(&self) -> &E {
        &self.error
    }
}

fn describe(name: Option<&str>, location: &Location<'_>) -> String {
    match name {
        Some(name) => name.to_owned(),
        None => location.to_string(),
    }
}

/// Writes who failed: the name if there is one, and always the place.
fn write_who(
    f: &mut fmt::Formatter<'_>,
    name: Option<&str>,
    location: &Location<'_>,
) -> fmt::Result {
    match name {
        Some(name) => write!(f, "task `{name}` ({location})"),
        None => write!(f, "task at {location}"),
    }
}

/// Why a group, a scope or a run has no value.
///
/// Every real error is in here, in the order in which they were recorded; the first is the primary
/// one. Cancelled siblings add nothing. If there was no error at all, the group was cancelled by
/// its own [`cancel`](crate::TaskGroup::cancel) or deadline before its body had a value, and
/// [`is_cancelled`](GroupError::is_cancelled) is true.
///
/// ```
/// use headcount::run;
///
/// let error = run(async |g| {
///     g.spawn_named("fetch", async { Err::<(), _>("no route") });
///     std::future::pending::<Result<(), _>>().await
/// })
/// .unwrap_err();
/// assert_eq!(error.first(), Some(&"no route"));
/// assert_eq!(error.failures()[0].name(), Some("fetch"));
/// assert!(error.to_string().starts_with("task `fetch` "));
/// ```
#[derive(Debug)]
pub struct GroupError<E> {
    failures: Vec<Failure<E>>,
    cleanup: Vec<CleanupFailure>,
    reason: Option<CancelReason>,
}

impl<E> GroupError<E> {
    pub(crate) fn new(
        failures: Vec<Failure<E>>,
        cleanup: Vec<CleanupFailure>,
        reason: Option<CancelReason>,
    ) -> Self {
        GroupError {
            failures,
            cleanup,
            reason,
        }
    }

    /// All that is in here.
    pub(crate) fn into_parts(self) -> (Vec<Failure<E>>, Vec<CleanupFailure>) {
        (self.failures, self.cleanup)
    }

    /// Puts those failures first; the others keep their order.
    pub(crate) fn with_first(mut self, ranks_first: impl Fn(&E) -> bool) -> Self {
        self.failures
            .sort_by_key(|failure| !ranks_first(&failure.error));
        self
    }

    /// The errors of children and body, the first recorded one first.
    pub fn failures(&self) -> &[Failure<E>] {
        &self.failures
    }

    /// The primary error.
    pub fn first(&self) -> Option<&E> {
        self.failures.first().map(Failure::error)
    }

    /// The primary error, owned; the others are dropped.
    pub fn into_first(self) -> Option<E> {
        let first = self.failures.into_iter().next();
        first.map(|failure| failure.error)
    }

    /// Was the group cancelled, without any error? True exactly when
    /// [`failures`](GroupError::failures) and [`cleanup_failures`](GroupError::cleanup_failures)
    /// are both empty.
    pub fn is_cancelled(&self) -> bool {
        self.failures.is_empty() && self.cleanup.is_empty()
    }

    /// Releases that failed, panicked or were cut, and errors that could not be returned where they
    /// arose: those of a boundary inside that was dropped or forgotten before it could return, and
    /// panics of [supervised](crate::supervise()) children whose handle is gone.
    pub fn cleanup_failures(&self) -> &[CleanupFailure] {
        &self.cleanup
    }

    /// Why the group was cancelled, if it was: by request, by its deadline, or by a failure.
    pub fn reason(&self) -> Option<&CancelReason> {
        self.reason.as_ref()
    }
}

impl<E: fmt::Display> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_cancelled() {
            f.write_str("the group was cancelled")?;
            return match &self.reason {
                Some(reason) => write!(f, ": {reason}"),
                None => Ok(()),
            };
        }
        let mut separator = "";
        for failure in &self.failures {
            f.write_str(separator)?;
            write_who(f, failure.name(), failure.location())?;
            write!(f, " failed: {}", failure.error)?;
            separator = "; ";
        }
        for failure in &self.cleanup {
            write!(f, "{separator}{failure}")?;
            separator = "; ";
        }
        Ok(())
    }
}

impl<E: fmt::Debug + fmt::Display> Error for GroupError<E> {}

/// A release that failed, panicked or was cut by a [grace](crate::Options::grace), or an error that
/// could not return where it arose; and whose it is.
#[derive(Debug)]
pub struct CleanupFailure {
    who: Info,
    what: What,
    error: BoxError,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Unreturned,
    Unreleased,
    Panicked,
}

impl CleanupFailure {
    /// Turns the failure of a group that cannot return it any more into what any ancestor can.
    pub(crate) fn from_failure<E: fmt::Debug>(failure: Failure<E>) -> Self {
        CleanupFailure {
            error: format!("{:?}", failure.error).into(),
            what: What::Unreturned,
            who: failure.who,
        }
    }

    /// Of what was deferred at `location` in the task `name`.
    pub(crate) fn of_release(
        name: Option<Box<str>>,
        location: &'static Location<'static>,
        error: BoxError,
    ) -> Self {
        CleanupFailure {
            who: Info { name, location },
            what: What::Unreleased,
            error,
        }
    }

    /// The panic of a supervised child that nobody read.
    pub(crate) fn from_panic(who: Info, text: &str) -> Self {
        CleanupFailure {
            who,
            what: What::Panicked,
            error: text.into(),
        }
    }

    pub(crate) fn is_panic(&self) -> bool {
        self.what == What::Panicked
    }

    /// The name of the task, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.who.name.as_deref()
    }

    /// Where the task was spawned, the boundary opened, or the release deferred.
    pub fn location(&self) -> &'static Location<'static> {
        self.who.location
    }

    /// The error: that which the release returned, or a text that says that it panicked or was cut.
    /// That of a group of another error type is here as its `Debug` text, the panic of a supervised
    /// child as its message.
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.error
    }
}

impl fmt::Display for CleanupFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_who(f, self.name(), self.location())?;
        f.write_str(match self.what {
            What::Unreturned => " failed and could not return its error: ",
            What::Unreleased => " did not release what it had deferred: ",
            What::Panicked => " panicked: ",
        })?;
        self.error.fmt(f)
    }
}

/// Why the handle of a child has no value.
///
/// The error of the child itself is not in here: it belongs to the group, which returns it.
#[derive(Debug)]
pub struct JoinError {
    who: Info,
    end: JoinEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinEnd {
    Cancelled,
    Failed,
    Panicked,
}

impl JoinError {
    pub(crate) fn new(who: Info, end: JoinEnd) -> Self {
        JoinError { who, end }
    }

    /// Was the child cancelled?
    pub fn is_cancelled(&self) -> bool {
        self.end == JoinEnd::Cancelled
    }

    /// Did the child return an error? Its group returns that error.
    pub fn is_failed(&self) -> bool {
        self.end == JoinEnd::Failed
    }

    /// Did the child panic? Its group resumes that panic.
    pub fn is_panicked(&self) -> bool {
        self.end == JoinEnd::Panicked
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_who(f, self.who.name.as_deref(), self.who.location)?;
        f.write_str(match self.end {
            JoinEnd::Cancelled => " was cancelled",
            JoinEnd::Failed => " failed; its group returns the error",
            JoinEnd::Panicked => " panicked; its group resumes the panic",
        })
    }
}

impl Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        let kind = match error.end {
            JoinEnd::Cancelled => io::ErrorKind::Interrupted,
            JoinEnd::Failed | JoinEnd::Panicked => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// Why the handle of a [supervised](crate::supervise()) child has no value. Unlike a [`JoinError`] it
/// owns the child's error or panic.
///
/// ```
/// # fn main() { async_std::task::block_on(async {
/// use headcount::{TaskError, supervise};
///
/// supervise(async |s| {
///     let failed = s.spawn(async { Err::<(), _>("no route") });
///     assert!(matches!(failed.await, Err(TaskError::Failed("no route"))));
///     Ok::<_, &str>(())
/// })
/// # .await.unwrap() }) }
/// ```
pub enum TaskError<E> {
    /// It returned this error.
    Failed(E),
    /// Its poll or its destructor panicked with this payload.
    Panicked(Box<dyn Any + Send>),
    /// It was cancelled, for this reason.
    Cancelled(CancelReason),
}

impl<E> TaskError<E> {
    /// The child's own error, if it returned one.
    pub fn into_error(self) -> Option<E> {
        match self {
            TaskError::Failed(error) => Some(error),
            TaskError::Panicked(_) | TaskError::Cancelled(_) => None,
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for TaskError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
            TaskError::Panicked(payload) => f
                .debug_tuple("Panicked")
                .field(&panics::text(payload))
                .finish(),
            TaskError::Cancelled(reason) => f.debug_tuple("Cancelled").field(reason).finish(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for TaskError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Failed(error) => write!(f, "the task failed: {error}"),
            TaskError::Panicked(payload) => {
                write!(f, "the task panicked: {}", panics::text(payload))
            }
            TaskError::Cancelled(reason) => write!(f, "the task was cancelled: {reason}"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> Error for TaskError<E> {}

/// Why a child did not [`start`](crate::TaskGroup::start).
#[derive(Debug)]
pub struct StartError<E>(pub(crate) NotStarted<E>);

#[derive(Debug)]
pub(crate) enum NotStarted<E> {
    Failed(E),
    Cancelled,
    Never,
}

impl<E> StartError<E> {
    /// Was the child cancelled before it had started: by its group, or because its group was closed?
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0, NotStarted::Cancelled)
    }

    /// Did the child end without an error and without having started?
    pub fn is_never_started(&self) -> bool {
        matches!(self.0, NotStarted::Never)
    }

    /// The child's own error.
    pub fn into_error(self) -> Option<E> {
        match self.0 {
            NotStarted::Failed(error) => Some(error),
            NotStarted::Cancelled | NotStarted::Never => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for StartError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            NotStarted::Failed(error) => write!(f, "the child failed before it started: {error}"),
            NotStarted::Cancelled => f.write_str("the child was cancelled before it started"),
            NotStarted::Never => f.write_str(
                "the child ended before it started: it has to call `started.send(..)` when it is ready",
            ),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> Error for StartError<E> {}

/// The refusal of [`try_spawn`](crate::TaskGroup::try_spawn), with the future, which was not
/// polled.
pub struct TrySpawnError<F> {
    full: bool,
    future: F,
}

impl<F> TrySpawnError<F> {
    pub(crate) fn new(full: bool, future: F) -> Self {
        TrySpawnError { full, future }
    }

    /// No place was free under the limit.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// The group has ended or is being cancelled, so it will never take a child again.
    pub fn is_closed(&self) -> bool {
        !self.full
    }

    /// The future, as it was given.
    pub fn into_future(self) -> F {
        self.future
    }
}

impl<F> fmt::Debug for TrySpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrySpawnError")
            .field("full", &self.full)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Display for TrySpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.full {
            true => "no place is free under the group's limit; wait with `spawn_when_free`, or queue with `spawn`",
            false => "the group is closed or being cancelled and takes no more children",
        })
    }
}

impl<F> Error for TrySpawnError<F> where F: Any {}

/// The future in a [`CancelScope`](crate::CancelScope) was cancelled by that scope.
#[derive(Clone, Debug)]
pub struct Cancelled {
    reason: Option<CancelReason>,
}

impl Cancelled {
    pub(crate) fn new(reason: Option<CancelReason>) -> Self {
        Cancelled { reason }
    }

    /// Why.
    pub fn reason(&self) -> Option<&CancelReason> {
        self.reason.as_ref()
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "cancelled: {reason}"),
            None => f.write_str("cancelled"),
        }
    }
}

impl Error for Cancelled {}

/// The deadline of a [`timeout`](crate::timeout()) came first.
#[derive(Clone, Debug)]
pub struct TimedOut(pub(crate) ());

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline has passed")
    }
}

impl Error for TimedOut {}

impl From<TimedOut> for io::Error {
    fn from(error: TimedOut) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, error)
    }
}
