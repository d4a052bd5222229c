//! The engine: the only atomics, wakers and unsafe code of the crate. `README.md` beside this file
//! has the invariants, the lock order and the state diagrams.

mod admission;
pub(crate) mod adoption;
pub(crate) mod atomic;
pub(crate) mod blocking;
pub(crate) mod book;
pub(crate) mod cell;
pub(crate) mod child;
mod chunk;
pub(crate) mod claims;
mod closing;
pub(crate) mod context;
mod count;
pub(crate) mod drive;
pub(crate) mod erase;
pub(crate) mod info;
pub(crate) mod inherited;
pub(crate) mod inline;
pub(crate) mod join;
pub(crate) mod ledger;
#[cfg(all(feature = "watchdog", not(any(loom, shuttle))))]
pub(crate) mod levels;
pub(crate) mod line;
mod links;
#[cfg(all(feature = "tracing", not(any(loom, shuttle))))]
pub(crate) mod marked;
pub(crate) mod node;
pub(crate) mod obligations;
#[cfg(all(feature = "watchdog", not(any(loom, shuttle))))]
pub(crate) mod polls;
pub(crate) mod queue;
mod report;
mod requests;
mod roll_call;
pub(crate) mod roots;
pub(crate) mod roster;
pub(crate) mod snapshot;
pub(crate) mod spawn;
mod spot;
pub(crate) mod start;
mod stopping;
pub(crate) mod supervised;
pub(crate) mod tasks;
pub(crate) mod threads;
pub(crate) mod times;
pub(crate) mod wakes;
pub(crate) mod watch;
pub(crate) mod within;

#[cfg(all(test, loom))]
mod tests;
