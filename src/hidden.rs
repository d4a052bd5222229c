//! What the hidden group of a call that returns no `GroupError` could not return, and what such a call has to
//! drop.

use std::{fmt, future::pending, panic::resume_unwind, thread, vec};

use log::Level;

use crate::{
    error::{CleanupFailure, GroupError},
    kernel::{context, inherited::suppress},
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
    // A request from above leaves no reason here.
    let out_of_place = error.reason().is_some();
    pass_on(error);
    if context::blocks_while_cancelled() {
        panics::interrupt();
    }
    if context::is_cancelled() {
        // Dropped here by the one who cancelled.
        return pending().await;
    }
    let advice = match out_of_place {
        true => {
            "was polled outside of the boundary in which it was first polled: await it where it was \
             started, or start it anew"
        }
        false => {
            "was cancelled from outside, and what awaits it was not: put up a shield before a cancellation \
             can come, not after it; or if there is none, this was polled outside of the boundary in which \
             it was first polled: await it where it was started"
        }
    };
    panic!("`{what}` {advice}")
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

/// Things of the user, to be taken one after the other. Those that are left are dropped one after the other.
pub(crate) struct Each<T>(vec::IntoIter<T>);

impl<T> Each<T> {
    pub(crate) fn new(things: Vec<T>) -> Self {
        Each(things.into_iter())
    }
}

impl<T> Iterator for Each<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<T> Drop for Each<T> {
    fn drop(&mut self) {
        drop_each(&mut self.0);
    }
}

/// Things of the user that are collected, one after the other. They are dropped so, too.
pub(crate) struct Collected<T>(Vec<T>);

impl<T> Collected<T> {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Collected(Vec::with_capacity(capacity))
    }

    pub(crate) fn push(&mut self, thing: T) {
        self.0.push(thing);
    }

    pub(crate) fn into_inner(mut self) -> Vec<T> {
        std::mem::take(&mut self.0)
    }
}

impl<T> Drop for Collected<T> {
    fn drop(&mut self) {
        drop_each(self.0.drain(..));
    }
}
