//! What a group returns: its failures.

use std::{
    error::Error,
    fmt, io,
    panic::{Location, resume_unwind},
};

use futures_util::future::Either;

use super::{CleanupFailure, describe, write_who};
use crate::{
    cancel::{CancelKind, CancelReason},
    hidden,
    kernel::{info::Info, inherited::suppress},
    panics,
};

/// One failure of a group: the error of a child or of the body, and whose it is.
#[derive(Debug)]
pub struct Failure<E> {
    pub(super) who: Info,
    pub(super) error: E,
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
        self.who.name()
    }

    /// Where the task was spawned, or the group opened if the body failed.
    pub fn location(&self) -> &'static Location<'static> {
        self.who.location()
    }

    /// The error.
    pub fn error(&self) -> &E {
        &self.error
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
///
/// Its text is for developers: it names the tasks and shows where in the source they were spawned. To tell users what went
/// wrong, take the error itself, with [`first`](GroupError::first) or [`into_first`](GroupError::into_first).
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
    ///
    /// # Panics
    ///
    /// With the first panic of a destructor of the others, when all are gone.
    pub fn into_first(self) -> Option<E> {
        let mut failures = self.failures.into_iter();
        let first = failures.next();
        let others = failures.map(Either::Left);
        let others = others.chain(self.cleanup.into_iter().map(Either::Right));
        if let Err(payload) = panics::catch(|| hidden::drop_each(others)) {
            // Not while this one unwinds: if that panicked too, the process would abort.
            if let Err(again) = panics::catch(|| drop(first)) {
                suppress(again);
            }
            resume_unwind(payload);
        }
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

/// Has the kind of the [first](GroupError::first) error, and the whole `GroupError` inside. One that
/// [is cancelled](GroupError::is_cancelled) is `TimedOut` by a deadline, otherwise `Other`: not `Interrupted`,
/// which says that one may simply try again.
///
/// A group of another error type says `.map_err(std::io::Error::other)`.
///
/// ```
/// use headcount::{GroupError, run};
/// use std::io;
///
/// fn size(path: &'static str) -> io::Result<usize> {
///     let size = run(async |g| {
///         let child = g.spawn(async move { Ok(std::fs::read(path)?.len()) });
///         Ok(child.await?)
///     })?;
///     Ok(size)
/// }
///
/// let error = size("/nowhere").unwrap_err();
/// assert_eq!(error.kind(), io::ErrorKind::NotFound);
/// let all = error.downcast::<GroupError<io::Error>>().unwrap();
/// assert_eq!(all.failures().len(), 1);
/// ```
// Not for every `E`: with one candidate, `?` in a function that returns `io::Result` tells the
// compiler the error type of the group.
impl From<GroupError<io::Error>> for io::Error {
    fn from(error: GroupError<io::Error>) -> Self {
        let kind = match (error.first(), error.reason()) {
            (Some(first), _) => first.kind(),
            (None, Some(reason)) if error.is_cancelled() && reason.kind == CancelKind::Deadline => {
                io::ErrorKind::TimedOut
            }
            (None, _) => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
