//! Every error type, and what children, bodies and releases may return.

mod cancelled;
mod cleanup;
mod group;
mod task;

use std::{error::Error, fmt, panic::Location};

pub use cancelled::{Cancelled, TimedOut};
pub use cleanup::CleanupFailure;
pub use group::{Failure, GroupError};
pub(crate) use task::{JoinEnd, NotStarted};
pub use task::{JoinError, StartError, TaskError, TrySpawnError};

use crate::plain::Plain;

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
///         assert_eq!(size.await?, 0);
///         Ok(())
///     })
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a child of this group cannot return `{Self}`",
    label = "this child returns `{Self}`",
    note = "a child returns `()`, never, or `Result<T, E>` with the error type `E` of its group",
    note = "wrap a plain value in `Ok(..)`, and convert another error with `?` or `map_err`",
    note = "a child that never returns is an `async fn` of `!`, not of `Infallible`"
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

// There is none for `Infallible`: the standard library means to make it another name for `!`.
#[diagnostic::do_not_recommend]
impl<E> IntoOutcome<E> for <fn() -> ! as Returns>::Output {
    type Value = std::convert::Infallible;

    fn into_outcome(self) -> Result<Self::Value, E> {
        match self {}
    }
}

fn describe(name: Option<&str>, location: &Location<'_>) -> String {
    match name {
        Some(name) => name.to_owned(),
        None => location.to_string(),
    }
}

/// Writes who failed: the name if there is one, and always the place.
pub(crate) fn write_who(
    f: &mut fmt::Formatter<'_>,
    name: Option<&str>,
    location: &Location<'_>,
) -> fmt::Result {
    match name {
        Some(name) => write!(f, "task `{}` ({location})", Plain(name)),
        None => write!(f, "task at {location}"),
    }
}
