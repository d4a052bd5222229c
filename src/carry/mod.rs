//! What a child takes along from where it was spawned: a span of its own (feature `tracing`), and the
//! values of task-locals (feature `task-locals`). A release takes the values too.
//!
//! Everything that is spawned comes by here once, on its way to the kernel. Without both features the
//! functions give back what they were given.

#[cfg(not(all(
    any(feature = "tracing", feature = "task-locals"),
    not(any(loom, shuttle))
)))]
mod bare;
#[cfg(all(
    any(feature = "tracing", feature = "task-locals"),
    not(any(loom, shuttle))
))]
mod carried;

#[cfg(not(all(
    any(feature = "tracing", feature = "task-locals"),
    not(any(loom, shuttle))
)))]
pub(crate) use bare::{Luggage, Memory, Packed, unwrap};
#[cfg(all(
    any(feature = "tracing", feature = "task-locals"),
    not(any(loom, shuttle))
))]
pub(crate) use carried::{Luggage, Memory, Packed, unwrap};

/// What a child is called in its span.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Task,
    Daemon,
    Blocking,
    Supervised,
}
