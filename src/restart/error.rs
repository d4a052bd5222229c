//! The end of a child that is not restarted.

use std::{error::Error, fmt, time::Duration};

use crate::{panics, plain::Plain};

/// A child ended, and is not restarted: it was one restart too many, it was
/// [temporary](crate::Restart::temporary), or the group was being shut down.
///
/// ```
/// # fn main() { async_std::task::block_on(async {
/// use headcount::Restart;
/// use std::time::Duration;
///
/// let error = Restart::permanent()
///     .intensity(2, Duration::from_secs(60))
///     .child("feed", || async { Err::<(), _>("no route") })
///     .run()
///     .await
///     .unwrap_err()
///     .into_first()
///     .unwrap();
/// assert!(error.gave_up());
/// assert_eq!((error.name(), error.error()), ("feed", Some(&"no route")));
/// # }) }
/// ```
#[derive(Debug)]
pub struct RestartError<E> {
    name: Box<str>,
    end: End<E>,
    limit: Option<(u32, Duration)>,
}

#[derive(Debug)]
pub(super) enum End<E> {
    Failed(E),
    Panicked(String),
    Returned,
}

impl<E> RestartError<E> {
    pub(super) fn new(name: &str, end: End<E>) -> Self {
        RestartError {
            name: name.into(),
            end,
            limit: None,
        }
    }

    pub(super) fn one_too_many(mut self, max: u32, within: Duration) -> Self {
        self.limit = Some((max, within));
        self
    }

    pub(super) fn is_return(&self) -> bool {
        matches!(self.end, End::Returned)
    }

    /// For the log: with the error as its `Debug` text, though that panics.
    pub(super) fn describe(&self) -> String
    where
        E: fmt::Debug,
    {
        let name = Plain(&self.name);
        match &self.end {
            End::Failed(error) => format!("child `{name}` failed: {}", panics::debug_text(error)),
            End::Panicked(text) => format!("child `{name}` panicked: {text}"),
            End::Returned => format!("child `{name}` returned"),
        }
    }

    /// The name of the child that ended last.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Was it restarted too often? False for a temporary child, and during a shutdown.
    pub fn gave_up(&self) -> bool {
        self.limit.is_some()
    }

    /// Its last error; `None` if it panicked, or returned though it is permanent.
    pub fn error(&self) -> Option<&E> {
        match &self.end {
            End::Failed(error) => Some(error),
            End::Panicked(_) | End::Returned => None,
        }
    }

    /// Its last error, owned.
    pub fn into_error(self) -> Option<E> {
        match self.end {
            End::Failed(error) => Some(error),
            End::Panicked(_) | End::Returned => None,
        }
    }

    /// The text of its panic, if it ended with one.
    pub fn panic_text(&self) -> Option<&str> {
        match &self.end {
            End::Panicked(text) => Some(text),
            End::Failed(_) | End::Returned => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for RestartError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "child `{}` ", Plain(&self.name))?;
        match &self.end {
            End::Failed(error) => write!(f, "failed: {error}")?,
            End::Panicked(text) => write!(f, "panicked: {text}")?,
            End::Returned => f.write_str("returned")?,
        }
        match self.limit {
            Some((max, within)) => write!(
                f,
                " (and is not restarted: the limit is {max} in {within:?})"
            ),
            None => Ok(()),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> Error for RestartError<E> {}
