//! Parallel children of `group` and `run`: the opener is polled on the main thread, the children by
//! the workers. A group can be cancelled, fails as one, and leaves nobody behind when it is dropped.

use std::{convert::Infallible, future::Future, hint::black_box};

use async_std::task;

use super::{sum_below, trivial};

/// The group waits for its children, so nobody has to keep the handles.
pub fn spawn_join<F>(count: u64, child: fn(u64) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let outcome = task::block_on(headcount::group(async |g| {
        for n in 0..count {
            g.spawn(child(n));
        }
        Ok::<_, Infallible>(())
    }));
    outcome.unwrap();
}

pub fn spawn_join_trivial(count: u64) {
    spawn_join(count, trivial);
}

/// Here the outputs are wanted, so the handles are kept.
pub fn spawn_join_handles(count: u64) {
    let outcome = task::block_on(headcount::group(async |g| {
        let mut handles = Vec::with_capacity(count as usize);
        for n in 0..count {
            handles.push(g.spawn(async move { Ok(black_box(n)) }));
        }
        let mut sum = 0;
        for handle in handles {
            sum += handle.await?;
        }
        Ok::<_, headcount::JoinError>(sum)
    }));
    assert_eq!(outcome.unwrap(), sum_below(count));
}

pub fn run_spawn_join(count: u64) {
    let outcome = headcount::run(async |g| {
        for n in 0..count {
            g.spawn(trivial(n));
        }
        Ok::<_, Infallible>(())
    });
    outcome.unwrap();
}

/// A group of one child after another: what it costs to open one, and how soon it sees its end.
pub fn one_after_another(count: u64) {
    task::block_on(async {
        for n in 0..count {
            let outcome = headcount::group(async |g| {
                g.spawn(trivial(n));
                Ok::<_, Infallible>(())
            });
            outcome.await.unwrap();
        }
    });
}
