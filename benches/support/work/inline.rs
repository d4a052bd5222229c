//! Children that borrow, and are polled inside the opener's own task. A `scope` and moro take new
//! children while others run, from anywhere; the two collections belong to who polls them.

use std::{convert::Infallible, pin::pin};

use async_std::task;
use futures_concurrency::future::FutureGroup;
use futures_util::{StreamExt, stream::FuturesUnordered};

use super::trivial;

pub fn scope(count: u64) {
    let outcome = task::block_on(headcount::scope(async |s| {
        for n in 0..count {
            s.spawn(trivial(n));
        }
        Ok::<_, Infallible>(())
    }));
    outcome.unwrap();
}

/// A collection of futures: no handles, no failure, no cancellation but dropping it.
pub fn futures_unordered(count: u64) {
    task::block_on(async {
        let mut all = FuturesUnordered::new();
        for n in 0..count {
            all.push(trivial(n));
        }
        while let Some(()) = all.next().await {}
    });
}

/// The same, with keys to remove a future by.
pub fn future_group(count: u64) {
    task::block_on(async {
        let mut all = FutureGroup::new();
        for n in 0..count {
            all.insert(trivial(n));
        }
        let mut all = pin!(all);
        while let Some(()) = all.next().await {}
    });
}

/// The nearest relative: a scope with handles that can be ended early as a whole.
pub fn moro(count: u64) {
    task::block_on(moro::async_scope!(|scope| {
        for n in 0..count {
            // Whoever drops the handle leaves the child to the scope, as with ours.
            drop(scope.spawn(trivial(n)));
        }
    }));
}
