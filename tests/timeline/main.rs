//! The feature `timeline`: the record against the rules of its format, and the page in a browser.
#![cfg(not(any(loom, shuttle)))]

mod browser;
mod foreign;
mod format;
mod page;
mod record;
mod reentered;
