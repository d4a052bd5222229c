//! Spans and events for the crate tracing (feature `tracing`); what they say is told in [`crate::traces`].
//!
//! Without the feature the functions do nothing, or give back what they were given.

#[cfg(not(all(feature = "tracing", not(any(loom, shuttle)))))]
mod bare;
#[cfg(all(feature = "tracing", not(any(loom, shuttle))))]
mod boundary;
#[cfg(all(feature = "tracing", not(any(loom, shuttle))))]
mod open;

#[cfg(not(all(feature = "tracing", not(any(loom, shuttle)))))]
pub(crate) use bare::{Mark, Opened, boundary};
#[cfg(all(feature = "tracing", not(any(loom, shuttle))))]
pub(crate) use boundary::{Mark, Opened, boundary};
#[cfg(all(feature = "tracing", not(any(loom, shuttle))))]
pub(crate) use open::{End, Open};
