//! What the hidden group of a call that returns no `GroupError` could not return, and what such a call has to
//! drop.

use std::{fmt, future::pending, panic::resume_unwind, thread};

use log::Level;

use crate::{
    error::{CleanupFailure, GroupError},
    kernel::context,
    panics::{self, Panic, Payload, Suppressed},
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

/// Drops what is the user's, one after the other. The first panic goes on when all are gone, unless the thread
/// panics already; the others are suppressed.
pub(crate) fn drop_each<T>(values: impl IntoIterator<Item = T>) {
    let mut first = None;
    for value in values {
        match panics::catch(|| drop(value)) {
            Err(payload) if first.is_none() && !thread::panicking() => first = Some(payload),
            Err(payload) => suppress(payload),
            Ok(()) => {}
        }
    }
    if let Some(payload) = first {
        resume_unwind(payload);
    }
}

/// Tells of a panic that cannot go on.
pub(crate) fn suppress(payload: Payload) {
    match context::node() {
        Some(node) => {
            let panic = Panic {
                payload,
                name: node.name.clone(),
                location: node.location,
            };
            node.suppress(panic.into());
        }
        None => panics::guard("a destructor", || resume_unwind(payload)),
    }
}
