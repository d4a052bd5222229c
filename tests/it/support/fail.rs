//! The error type of the tests, and how to look into failures and panics.

use std::{any::Any, error::Error, fmt};

use headcount::GroupError;

/// A real error with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oops(pub &'static str);

impl fmt::Display for Oops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oops: {}", self.0)
    }
}

impl Error for Oops {}

/// A value whose error type is `Oops`.
pub fn ok<T>(value: T) -> Result<T, Oops> {
    Ok(value)
}

/// The usual end of a body.
pub fn done() -> Result<(), Oops> {
    Ok(())
}

/// The names of all failures, first to last.
pub fn failed(error: &GroupError<Oops>) -> Vec<&'static str> {
    error.failures().iter().map(|f| f.error().0).collect()
}

/// The names of an outcome's failures; none for a success.
pub trait Named {
    fn names(&self) -> Vec<&'static str>;
}

impl<R> Named for Result<R, GroupError<Oops>> {
    fn names(&self) -> Vec<&'static str> {
        match self {
            Ok(_) => Vec::new(),
            Err(error) => failed(error),
        }
    }
}

/// The text of a panic's payload.
pub fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        panic!("the payload is no text")
    }
}
