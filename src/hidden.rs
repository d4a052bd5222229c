//! What the hidden group of a call that returns no `GroupError` could not return.

use std::{fmt, future::pending};

use log::Level;

use crate::{
    error::{CleanupFailure, GroupError},
    kernel::context,
    panics::{self, Suppressed},
};

/// Errors of a hidden group climb to the boundary around, like those of one that is gone.
pub(crate) fn pass_on<E: fmt::Debug>(error: GroupError<E>) {
    let (failures, mut cleanup) = error.into_parts();
    cleanup.extend(failures.into_iter().map(CleanupFailure::from_failure));
    let around = context::node();
    for failure in cleanup {
        match &around {
            Some(node) => node.record_cleanup(failure),
            None => panics::log(Level::Error, format_args!("{}", Suppressed::from(failure))),
        }
    }
}

/// The hidden group of `what` was cancelled from above, or polled out of place.
pub(crate) async fn without_value<E: fmt::Debug, T>(what: &str, error: GroupError<E>) -> T {
    pass_on(error);
    if context::blocks_while_cancelled() {
        panics::interrupt();
    }
    if context::is_cancelled() {
        // Dropped here by the one who cancelled.
        return pending().await;
    }
    panic!(
        "`{what}` was polled outside of the boundary in which it was first polled: await it where it \
         was started, or start it anew"
    )
}
