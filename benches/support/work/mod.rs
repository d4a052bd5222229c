//! What the benches measure: each function starts as many children or futures as it is told, and
//! returns when all have ended.
//!
//! In one file both sides start the same futures, in a loop. They differ in what else they give; what
//! the peers give is told where they are called.

use std::{env, hint::black_box, sync::OnceLock, thread};

use async_std::task;
use tokio::runtime::{Builder, Runtime};

pub mod group;
pub mod inline;
pub mod map;
pub mod nested;
pub mod parked;
pub mod spawned;
pub mod timeout;
pub mod watched;

/// A child that ends in its first poll.
pub async fn trivial(n: u64) {
    black_box(n);
}

/// A child that is polled twice.
pub async fn yields_once(n: u64) {
    task::yield_now().await;
    black_box(n);
}

pub fn sum_below(count: u64) -> u64 {
    count * (count - 1) / 2
}

/// How many worker threads async-std starts: its variable, or else one for each core. tokio gets as
/// many.
pub fn worker_threads() -> usize {
    let set = env::var("ASYNC_STD_THREAD_COUNT").ok();
    set.and_then(|count| count.parse().ok())
        .unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

/// tokio with as many workers as async-std; its opener is polled on the main thread too.
pub fn tokio() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(worker_threads()).build().unwrap()
    })
}
