//! Children that wait for ever, and how they are cancelled. Each function returns when the request
//! was made; before it, all children have been polled once.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use async_std::task;
use futures_util::future::join_all;
use tokio::task::JoinSet;

use super::tokio;

/// Says that it has been polled, and waits for ever.
pub async fn park(parked: Arc<AtomicU64>) {
    parked.fetch_add(1, Ordering::Release);
    pending().await
}

/// Blocks the opener's thread until `count` children are parked.
fn wait_until_parked(parked: &AtomicU64, count: u64) {
    while parked.load(Ordering::Acquire) < count {
        thread::sleep(Duration::from_millis(1));
    }
    // The last one has still to return from its poll.
    thread::sleep(Duration::from_millis(1));
}

pub fn group_cancel(count: u64) -> Instant {
    let parked = Arc::new(AtomicU64::new(0));
    let start = group_of_parked(count, &parked, |g| {
        let start = Instant::now();
        g.cancel();
        start
    });
    assert_eq!(Arc::strong_count(&parked), 1, "a child is left");
    start
}

/// Calls `then` when all children are parked; it has to see to it that they end.
pub fn group_of_parked<T>(
    count: u64,
    parked: &Arc<AtomicU64>,
    then: impl FnOnce(&headcount::TaskGroup<'static, Infallible>) -> T,
) -> T {
    let outcome = task::block_on(headcount::group(async |g| {
        for _ in 0..count {
            g.spawn(park(parked.clone()));
        }
        wait_until_parked(parked, count);
        Ok::<_, Infallible>(then(&g))
    }));
    outcome.unwrap()
}

/// `shutdown` aborts all tasks and joins them.
pub fn joinset_shutdown(count: u64) -> Instant {
    let parked = Arc::new(AtomicU64::new(0));
    let start = tokio().block_on(async {
        let mut set = JoinSet::new();
        for _ in 0..count {
            set.spawn(park(parked.clone()));
        }
        wait_until_parked(&parked, count);
        let start = Instant::now();
        set.shutdown().await;
        start
    });
    assert_eq!(Arc::strong_count(&parked), 1, "a task is left");
    start
}

/// Of bare handles each has to be cancelled; here all at once, since one by one takes a way through
/// the executor each.
pub fn bare_cancel(count: u64) -> Instant {
    let parked = Arc::new(AtomicU64::new(0));
    let start = bare_parked(count, &parked, async |handles| {
        let start = Instant::now();
        join_all(handles.into_iter().map(|handle| handle.cancel())).await;
        start
    });
    assert_eq!(Arc::strong_count(&parked), 1, "a task is left");
    start
}

/// As `group_of_parked`, without a group.
pub fn bare_parked<T>(
    count: u64,
    parked: &Arc<AtomicU64>,
    then: impl AsyncFnOnce(Vec<task::JoinHandle<()>>) -> T,
) -> T {
    task::block_on(async {
        let mut handles = Vec::with_capacity(count as usize);
        for _ in 0..count {
            handles.push(task::spawn(park(parked.clone())));
        }
        wait_until_parked(parked, count);
        then(handles).await
    })
}
