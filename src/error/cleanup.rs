//! Failures that could not return where they arose.

use std::{error::Error, fmt, panic::Location};

use super::{BoxError, Failure, write_who};
use crate::{kernel::info::Info, panics};

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
            error: panics::into_text(failure.error).into(),
            what: What::Unreturned,
            who: failure.who,
        }
    }

    /// Of an error that may find nobody to return it.
    pub(crate) fn of_unread<E: fmt::Debug>(who: Info, error: &E) -> Self {
        CleanupFailure {
            who,
            what: What::Unreturned,
            error: panics::debug_text(error).into(),
        }
    }

    /// Of what was deferred at `location` in the task `name`.
    pub(crate) fn of_release(
        name: Option<Box<str>>,
        location: &'static Location<'static>,
        error: BoxError,
    ) -> Self {
        CleanupFailure {
            who: Info::new(name, location),
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

    /// The name of the task, or of the group if its body failed. Of a release, that of the task or boundary
    /// in which it was deferred, or of the nearest around that has one.
    pub fn name(&self) -> Option<&str> {
        self.who.name()
    }

    /// Where the task was spawned, the boundary opened, or the release deferred.
    pub fn location(&self) -> &'static Location<'static> {
        self.who.location()
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
