//! The spans and events of the feature `tracing`. `recorder` checks for each trace that spans are entered
//! and left in turn, that nothing happens after an outcome, and that all are closed.
#![cfg(not(any(loom, shuttle)))]

mod events;
mod hostile;
mod outcomes;
mod recorder;
mod relations;
