//! A function over many items, 64 at a time, in parallel.

use std::hint::black_box;

use async_std::task;
use futures_util::{StreamExt, stream};

use super::sum_below;

const LIMIT: usize = 64;

pub fn map_concurrent(count: u64) {
    let sum = task::block_on(async {
        let mut outputs = headcount::map_concurrent(0..count, LIMIT, async |n| black_box(n));
        let mut sum = 0;
        while let Some(output) = outputs.next().await {
            sum += output;
        }
        sum
    });
    assert_eq!(sum, sum_below(count));
}

/// Without the crate, `buffer_unordered` over spawned tasks.
pub fn buffer_unordered(count: u64) {
    let sum = task::block_on(async {
        let spawned = stream::iter(0..count).map(|n| task::spawn(async move { black_box(n) }));
        let mut outputs = spawned.buffer_unordered(LIMIT);
        let mut sum = 0;
        while let Some(output) = outputs.next().await {
            sum += output;
        }
        sum
    });
    assert_eq!(sum, sum_below(count));
}
