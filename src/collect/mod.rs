//! Many futures at once: sugar over `group` and `supervise`.
//!
//! What returns a `GroupError` returns the one of its group. What does not passes on what its group
//! could not return to the boundary around ([`pass_on`]), and has an answer when there is no value
//! ([`without_value`]).

mod as_completed;
mod gather;
mod items;
mod map_concurrent;
mod race;
mod wait;

use std::{
    fmt,
    future::{Future, pending},
    pin::Pin,
};

pub use as_completed::{AsCompleted, as_completed};
pub use gather::{gather, gather_settled};
pub use items::IntoItems;
pub use map_concurrent::{MapConcurrent, map_concurrent};
pub use race::{race, race_ok};
pub use wait::{ReturnWhen, wait};

use crate::{
    error::{CleanupFailure, GroupError},
    kernel::context,
    panics::Suppressed,
};

/// Errors of a hidden group climb like those of one that is gone.
fn pass_on<E: fmt::Debug>(error: GroupError<E>) {
    let (failures, mut cleanup) = error.into_parts();
    cleanup.extend(failures.into_iter().map(CleanupFailure::from_failure));
    let around = context::node();
    for failure in cleanup {
        match &around {
            Some(node) => node.record_cleanup(failure),
            None => log::error!("headcount: {}", Suppressed::from(failure)),
        }
    }
}

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

/// The hidden group of `what` was cancelled from above, or polled out of place.
async fn without_value<E: fmt::Debug, T>(what: &str, error: GroupError<E>) -> T {
    pass_on(error);
    if context::is_cancelled() {
        // Dropped here by the one who cancelled.
        return pending().await;
    }
    panic!(
        "a `{what}` was polled outside of the boundary in which it was first polled: await it where \
         it was started, or start it anew"
    )
}
