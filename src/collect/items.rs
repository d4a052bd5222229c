//! What `map_concurrent` takes its items from.

use futures_core::Stream;
use futures_util::stream;

/// An iterator or a stream, for [`map_concurrent`](crate::map_concurrent). The compiler finds `Kind`
/// by itself.
pub trait IntoItems<Kind> {
    /// What comes out of it.
    type Item;
    /// It, as a stream.
    type Stream: Stream<Item = Self::Item>;
    /// Makes it a stream.
    fn into_items(self) -> Self::Stream;
}

/// The kind of what can be iterated over.
#[derive(Debug)]
pub enum Iterated {}

/// The kind of what is a stream.
#[derive(Debug)]
pub enum Streamed {}

impl<I: IntoIterator> IntoItems<Iterated> for I {
    type Item = I::Item;
    type Stream = stream::Iter<I::IntoIter>;

    fn into_items(self) -> Self::Stream {
        stream::iter(self)
    }
}

impl<S: Stream> IntoItems<Streamed> for S {
    type Item = S::Item;
    type Stream = S;

    fn into_items(self) -> S {
        self
    }
}
