//! The typed part of a group: its failures in the order of recording.

use std::{
    fmt,
    panic::Location,
    sync::{Arc, Weak},
};

use super::{
    adoption::Salvage,
    atomic::Lock,
    node::{Kind, Node, Plan},
};
use crate::{
    cancel::{CancelKind, CancelReason},
    error::{CleanupFailure, Failure},
};

/// What the opener, the handles and the children of one group share.
///
/// After the opener has taken the failures, nothing of type `E` is in here any more: a handle that
/// is kept past the end reaches no value of a type that may have borrowed.
pub(crate) struct Book<E> {
    node: Arc<Node>,
    failures: Lock<Vec<Failure<E>>>,
}

impl<E> Book<E> {
    pub(crate) fn open(kind: Kind, location: &'static Location<'static>, plan: Plan) -> Arc<Self> {
        Arc::new(Book {
            node: Node::new(kind, location, plan),
            failures: Lock::default(),
        })
    }

    /// For errors that borrow nothing: the ancestors can find them if the opener is gone.
    pub(crate) fn open_salvageable(
        kind: Kind,
        location: &'static Location<'static>,
        plan: Plan,
    ) -> Arc<Self>
    where
        E: fmt::Debug + Send + 'static,
    {
        Arc::new_cyclic(|book: &Weak<Book<E>>| {
            let salvage: Weak<dyn Salvage> = book.clone();
            let plan = Plan {
                salvage: Some(salvage),
                ..plan
            };
            Book {
                node: Node::new(kind, location, plan),
                failures: Lock::default(),
            }
        })
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Records a failure, then cancels the rest: in this order, so that whoever sees the request
    /// finds the failure.
    pub(crate) fn fail(&self, failure: Failure<E>, kind: CancelKind) {
        let by = failure.describe();
        self.failures.lock().push(failure);
        self.node.mark_failed();
        self.node.request(CancelReason::failure(kind, by));
    }

    pub(crate) fn take_failures(&self) -> Vec<Failure<E>> {
        std::mem::take(&mut *self.failures.lock())
    }
}

impl<E: fmt::Debug + Send> Book<E> {
    /// Turns the failures into what an ancestor of another error type can return.
    pub(crate) fn salvage_failures(&self) -> Vec<CleanupFailure> {
        let failures = self.take_failures();
        failures
            .into_iter()
            .map(CleanupFailure::from_failure)
            .collect()
    }
}

impl<E: fmt::Debug + Send> Salvage for Book<E> {
    fn salvage(&self) -> Vec<CleanupFailure> {
        self.salvage_failures()
    }
}
