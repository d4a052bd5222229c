//! Why an item was not put.

use std::fmt;

/// The refusal of a [`put`](super::Queue::put) or [`try_put`](super::Queue::try_put), with the item.
pub struct PutError<T> {
    pub(super) item: T,
    pub(super) full: bool,
}

impl<T> PutError<T> {
    /// Was the queue full?
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Was the queue closed?
    pub fn is_closed(&self) -> bool {
        !self.full
    }

    /// The item that was to be put.
    pub fn into_item(self) -> T {
        self.item
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutError")
            .field("full", &self.full)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.full {
            true => "the queue is full: await `put`, or try again later",
            false => "the queue is closed: it takes no more items",
        })
    }
}

impl<T> std::error::Error for PutError<T> {}
