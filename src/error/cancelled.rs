//! What a cancel scope or a timeout returns when it cut its future short.

use std::{error::Error, fmt, io};

use crate::cancel::CancelReason;

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
