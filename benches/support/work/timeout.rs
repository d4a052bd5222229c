//! Timeouts, one after another in one task: over a future that is ready, over one that is over its
//! time at its first checkpoint, and over one that is pending once and then in time.
//!
//! async-std's drops the future and returns. Ours is a cancel scope: it reaches everything that the
//! future has started, and returns when all of that has ended.

use std::{
    future::{Future, pending, ready},
    hint::black_box,
    time::Duration,
};

use async_std::task;

/// Long enough never to pass in a measurement.
const AMPLE: Duration = Duration::from_secs(3600);

async fn yields_once(n: u64) -> u64 {
    task::yield_now().await;
    n
}

pub fn ours_ready(count: u64) {
    ours(AMPLE, count, ready);
}

pub fn ours_expired(count: u64) {
    ours(Duration::ZERO, count, |_| pending());
}

pub fn ours_yield(count: u64) {
    ours(AMPLE, count, yields_once);
}

pub fn theirs_ready(count: u64) {
    theirs(AMPLE, count, ready);
}

pub fn theirs_expired(count: u64) {
    theirs(Duration::ZERO, count, |_| pending());
}

pub fn theirs_yield(count: u64) {
    theirs(AMPLE, count, yields_once);
}

fn ours<F: Future<Output = u64>>(time: Duration, count: u64, future: fn(u64) -> F) {
    task::block_on(async {
        for n in 0..count {
            let in_time = headcount::timeout(time, future(black_box(n))).await;
            assert_eq!(in_time.is_ok(), !time.is_zero());
        }
    });
}

fn theirs<F: Future<Output = u64>>(time: Duration, count: u64, future: fn(u64) -> F) {
    task::block_on(async {
        for n in 0..count {
            let in_time = async_std::future::timeout(time, future(black_box(n))).await;
            assert_eq!(in_time.is_ok(), !time.is_zero());
        }
    });
}
