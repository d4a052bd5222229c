//! The typed part of a group: its failures in the order of recording.

use std::{
    fmt,
    panic::Location,
    sync::{Arc, Weak},
};

use super::{
    atomic::Lock,
    inherited::Salvage,
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
    record: Lock<Record<E>>,
}

struct Record<E> {
    failures: Vec<Failure<E>>,
    /// Panics of supervised children that nobody read, as texts.
    unread: Vec<CleanupFailure>,
    /// The opener has taken everything and returns it. Set with that, never cleared.
    closed: bool,
}

impl<E> Default for Record<E> {
    fn default() -> Self {
        Record {
            failures: Vec::new(),
            unread: Vec::new(),
            closed: false,
        }
    }
}

impl<E> Book<E> {
    pub(crate) fn open(kind: Kind, location: &'static Location<'static>, plan: Plan) -> Arc<Self> {
        Arc::new(Book {
            node: Node::new(kind, location, plan),
            record: Lock::default(),
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
                record: Lock::default(),
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
        self.record.lock().failures.push(failure);
        self.node.mark_failed();
        self.node.request(CancelReason::failure(kind, by));
    }

    /// Records the failure of a supervised child that nobody read, and cancels nobody. Gives it back
    /// if the book is closed.
    pub(crate) fn note(&self, failure: Failure<E>) -> Result<(), Failure<E>> {
        self.enter(failure, |record| &mut record.failures)
    }

    /// The same for a panic.
    pub(crate) fn note_panic(&self, panic: CleanupFailure) -> Result<(), CleanupFailure> {
        self.enter(panic, |record| &mut record.unread)
    }

    fn enter<I>(&self, item: I, list: impl FnOnce(&mut Record<E>) -> &mut Vec<I>) -> Result<(), I> {
        let mut record = self.record.lock();
        if record.closed {
            return Err(item);
        }
        list(&mut record).push(item);
        self.node.mark_failed();
        Ok(())
    }

    /// Closes the book, if nothing is in it.
    pub(crate) fn close_if_empty(&self) -> bool {
        let mut record = self.record.lock();
        record.closed = record.failures.is_empty() && record.unread.is_empty();
        record.closed
    }

    /// Closes the book and hands out what is in it: from now on a failure that nobody read is given
    /// back to the one who brings it.
    pub(crate) fn close(&self) -> (Vec<Failure<E>>, Vec<CleanupFailure>) {
        self.take(true)
    }

    fn take(&self, close: bool) -> (Vec<Failure<E>>, Vec<CleanupFailure>) {
        let mut record = self.record.lock();
        record.closed |= close;
        let record = &mut *record;
        (
            std::mem::take(&mut record.failures),
            std::mem::take(&mut record.unread),
        )
    }
}

impl<E: fmt::Debug + Send> Book<E> {
    /// Turns the failures into what an ancestor of another error type can return. Closes the book if
    /// the boundary has ended, since nobody comes to take anything after that.
    pub(crate) fn salvage_failures(&self) -> Vec<CleanupFailure> {
        let (failures, mut unread) = self.take(self.node.has_ended());
        unread.extend(failures.into_iter().map(CleanupFailure::from_failure));
        unread
    }
}

impl<E: fmt::Debug + Send> Salvage for Book<E> {
    fn salvage(&self) -> Vec<CleanupFailure> {
        self.salvage_failures()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::kernel::info::Info;

    fn who() -> Info {
        Info::new(None, Location::caller())
    }

    fn note(book: &Book<&'static str>, panics: bool) -> bool {
        match panics {
            true => book
                .note_panic(CleanupFailure::from_panic(who(), "panic"))
                .is_ok(),
            false => book.note(Failure::new(who(), "failure")).is_ok(),
        }
    }

    /// What comes between the end of the boundary and its conclusion is not lost.
    #[test]
    fn a_book_is_closed_when_it_is_empty_or_handed_out_and_takes_nothing_afterwards() {
        for panics in [false, true] {
            let open = || Book::open(Kind::Group, Location::caller(), Plan::default());
            let book = open();
            assert!(note(&book, panics));
            assert!(!book.close_if_empty());
            assert!(note(&book, panics));
            let (failures, unread) = book.close();
            let found = (failures.len(), unread.len());
            assert_eq!(found, if panics { (0, 2) } else { (2, 0) });
            assert!(!note(&book, panics));
            let empty = open();
            assert!(empty.close_if_empty());
            assert!(!note(&empty, panics));
        }
    }
}
