//! Why a child gave no value, or was not let in.

use std::{any::Any, error::Error, fmt, io};

use super::write_who;
use crate::{cancel::CancelReason, kernel::info::Info, panics};

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
        write_who(f, self.who.name(), self.who.location())?;
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
        io::Error::other(error)
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
