//! Many futures at once: sugar over `group` and `supervise`.
//!
//! What returns a `GroupError` returns the one of its group. What does not passes on what its group
//! could not return to the boundary around, and has an answer when there is no value
//! ([`hidden`](crate::hidden)).

mod as_completed;
mod gather;
mod items;
mod map_concurrent;
mod race;
mod wait;

use std::{fmt, future::Future, pin::Pin};

pub use as_completed::{AsCompleted, as_completed};
pub use gather::{gather, gather_settled};
pub use items::IntoItems;
pub use map_concurrent::{MapConcurrent, map_concurrent};
pub use race::{race, race_ok};
pub use wait::{ReturnWhen, wait};

use crate::{
    error::GroupError,
    hidden::{pass_on, without_value},
};

/// The hidden group of a stream, which polls it.
type Ending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Opens the hidden group of the stream `what`. The stream may end when this does: it is `complete`
/// then.
fn ending<E: fmt::Debug + Send + 'static>(
    what: &'static str,
    opening: impl Future<Output = Result<(), GroupError<E>>> + Send + 'static,
    complete: impl Fn() -> bool + Send + 'static,
) -> Ending {
    Box::pin(async move {
        match opening.await {
            Err(error) if !complete() => without_value(what, error).await,
            // A release that failed.
            Err(error) => pass_on(error),
            Ok(()) => {}
        }
    })
}
