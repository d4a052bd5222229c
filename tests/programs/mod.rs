//! Random programs of the whole crate, and an oracle that knows what must come out of them.
//!
//! - `grammar`: programs as data; `text` shows them, `generate` makes them, `shrink` makes them
//!   simpler.
//! - `interpret` runs one on the public interface; `homes` is what its code holds; `ledger` is what
//!   happened.
//! - `oracle` compares the ledger with the rules. It knows the program, and nothing of the kernel.
//! - `reference` computes when everything ends, for programs where that is determined.
//!
//! `engine` runs one and asks the oracle. `tests/properties.rs` and `fuzz/` use it;
//! `tests/shuttle/random.rs` does the same under shuttle.

#[cfg(not(shuttle))]
pub mod engine;
pub mod generate;
pub mod grammar;
mod homes;
pub mod interpret;
pub mod ledger;
pub mod oracle;
pub mod reference;
pub mod shrink;
mod text;
