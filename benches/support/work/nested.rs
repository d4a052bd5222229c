//! A chain: each child has one child of its own, and waits for it.

use std::{convert::Infallible, pin::Pin};

use async_std::task;

/// A group whose only child opens a group, and so on.
pub fn groups(depth: u64) {
    task::block_on(group_in_group(depth));
}

/// A task that awaits its only task, and so on.
pub fn bare(depth: u64) {
    task::block_on(task_in_task(depth));
}

fn group_in_group(depth: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if depth > 0 {
            let outcome = headcount::group(async |g| {
                g.spawn(group_in_group(depth - 1));
                Ok::<_, Infallible>(())
            });
            outcome.await.unwrap();
        }
    })
}

fn task_in_task(depth: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if depth > 0 {
            task::spawn(task_in_task(depth - 1)).await;
        }
    })
}
