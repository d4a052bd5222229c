//! How many bytes live and how many allocations a child costs. Every measurement has its process to
//! itself.
#![cfg(not(loom))]

use std::{
    env,
    future::pending,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use allocator::{ALLOCATIONS, live};
use futures_util::StreamExt;
use headcount::{Options, TaskGroup, group, map_concurrent, run, testing::Sim, timeout};

#[path = "memory/allocator.rs"]
mod allocator;
#[path = "memory/kept_tasks.rs"]
mod kept_tasks;
#[path = "memory/lines.rs"]
mod lines;
#[path = "memory/locks.rs"]
mod locks;
#[path = "memory/nothing_left.rs"]
mod nothing_left;
#[path = "memory/sizes.rs"]
mod sizes;
#[path = "memory/watch.rs"]
mod watch;

#[path = "it/support/workers.rs"]
mod workers;

const ROUNDS: usize = 6;

const CHILDREN: usize = 100_000;

/// How many allocations `work` makes, per child, when everything around is warm. The least of
/// several rounds, since a thread of the runtime that goes to sleep meanwhile allocates too.
fn allocations_per_child(work: impl Fn()) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        work();
        ALLOCATIONS.load(Ordering::Relaxed) - before
    });
    rounds.min().unwrap() as f64 / CHILDREN as f64
}

/// As that of `workers`, once all workers have begun: each allocates its queue then.
#[track_caller]
fn on_workers(test: &str, body: impl FnOnce()) {
    workers::on_workers(test, || {
        let workers = env::var("ASYNC_STD_THREAD_COUNT").unwrap();
        let workers: usize = workers.parse().unwrap();
        let begun = Arc::new(Barrier::new(workers + 1));
        for _ in 0..workers {
            let begun = begun.clone();
            drop(async_std::task::spawn(async move { _ = begun.wait() }));
        }
        begun.wait();
        body();
    });
}

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn all_ended(g: &TaskGroup<'static, ()>) {
    while g.stats().living > 0 {
        yield_now().await;
    }
}

/// One allocation a child without a live handle, and a tenth for the executor's queues.
#[test]
fn a_child_of_a_group_costs_one_allocation() {
    on_workers("a_child_of_a_group_costs_one_allocation", || {
        let each = allocations_per_child(|| {
            let outcome = async_std::task::block_on(group(async |g| {
                for _ in 0..CHILDREN {
                    g.spawn(async {});
                }
                Ok::<_, ()>(())
            }));
            outcome.unwrap();
        });
        assert!(each <= 1.1, "{each}");
    });
}

/// A small output stands in the cell of its child.
#[test]
fn a_small_output_costs_no_allocation() {
    on_workers("a_small_output_costs_no_allocation", || {
        let each = allocations_per_child(|| {
            let outcome = async_std::task::block_on(group(async |g| {
                let spawned = (0..CHILDREN).map(|n| g.spawn(async move { Ok(n) }));
                let handles: Vec<_> = spawned.collect();
                for (n, handle) in handles.into_iter().enumerate() {
                    assert_eq!(handle.await.ok(), Some(n));
                }
                Ok::<_, ()>(())
            }));
            outcome.unwrap();
        });
        assert!(each <= 1.1, "{each}");
    });
}

/// A borrowing child may cost a second one, for its future is erased behind a pointer.
#[test]
fn a_child_of_run_costs_at_most_two_allocations() {
    on_workers("a_child_of_run_costs_at_most_two_allocations", || {
        let ran = AtomicUsize::new(0);
        let each = allocations_per_child(|| {
            let outcome = run(async |r| {
                for _ in 0..CHILDREN {
                    r.spawn(async {
                        ran.fetch_add(1, Ordering::Relaxed);
                    });
                }
                Ok::<_, ()>(())
            });
            outcome.unwrap();
        });
        assert_eq!(ran.into_inner(), ROUNDS * CHILDREN);
        assert!(each <= 2.1, "{each}");
    });
}

/// A timeout that ends in its first poll makes no boundary.
#[test]
fn a_timeout_over_a_ready_future_or_of_zero_allocates_nothing() {
    on_workers(
        "a_timeout_over_a_ready_future_or_of_zero_allocates_nothing",
        || {
            let timeouts = async || {
                for n in 0..CHILDREN {
                    let ready = timeout(Duration::from_secs(9), async { n }).await;
                    assert_eq!(ready.ok(), Some(n));
                    let over = timeout(Duration::ZERO, pending::<()>()).await;
                    assert!(over.is_err());
                    let over = timeout(Duration::ZERO, pending::<()>());
                    let around = timeout(Duration::from_secs(9), over).await;
                    assert!(around.is_ok_and(|over| over.is_err()));
                }
            };
            let bare = || async_std::task::block_on(timeouts());
            assert!(allocations_per_child(bare) < 0.01);
            let outcome = async_std::task::block_on(group(async |g| {
                let child = g.spawn(async move {
                    let before = ALLOCATIONS.load(Ordering::Relaxed);
                    timeouts().await;
                    Ok(ALLOCATIONS.load(Ordering::Relaxed) - before)
                });
                child.await
            }));
            assert!(outcome.unwrap() < CHILDREN / 100);
        },
    );
}

/// Case 36, rule 7: in waves whose handles are awaited.
#[test]
fn a_million_short_children_in_waves_leave_the_memory_at_the_level_of_the_living() {
    on_workers(
        "a_million_short_children_in_waves_leave_the_memory_at_the_level_of_the_living",
        || {
            let outcome = async_std::task::block_on(group(async |g| {
                let mut wave = Vec::with_capacity(1000);
                let (mut warm, mut most) = (0, 0);
                for turn in 0..1000 {
                    wave.extend((0..1000).map(|n| g.spawn(async move { Ok(n) })));
                    for (n, child) in wave.drain(..).enumerate() {
                        assert_eq!(child.await.unwrap(), n);
                    }
                    match turn {
                        0..10 => warm = live(),
                        _ => most = most.max(live() - warm),
                    }
                }
                assert!(most < 256 * 1024, "{most} bytes more than after ten waves");
                Ok::<_, ()>(g.stats().spawned)
            }));
            assert_eq!(outcome.unwrap(), 1_000_000);
        },
    );
}

/// Case 36, with a limit instead of handles, and children that do not end in their first poll.
#[test]
fn a_million_short_children_under_a_limit_leave_the_memory_at_the_level_of_the_living() {
    on_workers(
        "a_million_short_children_under_a_limit_leave_the_memory_at_the_level_of_the_living",
        || {
            let ran = AtomicUsize::new(0);
            let outcome = Options::new().limit(64).run(async |r| {
                let (mut warm, mut most) = (0, 0);
                for turn in 0..1_000_000 {
                    let child = async {
                        yield_now().await;
                        ran.fetch_add(1, Ordering::Relaxed);
                    };
                    r.spawn_when_free(child).await;
                    match turn {
                        0..10_000 => warm = live(),
                        _ => most = most.max(live() - warm),
                    }
                }
                assert!(most < 256 * 1024, "{most} bytes more than after the first");
                Ok::<_, ()>(())
            });
            outcome.unwrap();
            assert_eq!(ran.into_inner(), 1_000_000);
        },
    );
}

/// Case 36 under the simulator.
#[test]
fn short_children_under_the_simulator_leave_the_memory_at_the_level_of_the_living() {
    on_workers(
        "short_children_under_the_simulator_leave_the_memory_at_the_level_of_the_living",
        || {
            for seed in 0..3 {
                let outcome = Sim::new(seed).run(group(async |g| {
                    let mut wave = Vec::with_capacity(100);
                    let (mut warm, mut most) = (0, 0);
                    for turn in 0..1000 {
                        wave.extend((0..100).map(|n| g.spawn(async move { Ok(n) })));
                        for (n, child) in wave.drain(..).enumerate() {
                            assert_eq!(child.await.unwrap(), n);
                        }
                        match turn {
                            0..10 => warm = live(),
                            _ => most = most.max(live() - warm),
                        }
                    }
                    assert!(most < 256 * 1024, "{most} bytes more than after ten waves");
                    Ok::<_, ()>(())
                }));
                outcome.unwrap();
            }
        },
    );
}

/// A million items through `map_concurrent`, in both orders, with children that do not end at once.
#[test]
fn a_million_mapped_items_leave_the_memory_at_the_level_of_the_limit() {
    on_workers(
        "a_million_mapped_items_leave_the_memory_at_the_level_of_the_limit",
        || {
            for in_order in [false, true] {
                let outcome = run(async |_| {
                    let mut outputs = map_concurrent(0..500_000_usize, 64, async |n| {
                        if n % 2 == 0 {
                            yield_now().await;
                        }
                        [n; 4]
                    });
                    if in_order {
                        outputs = outputs.in_order();
                    }
                    let (mut warm, mut most, mut sum) = (0, 0, 0);
                    for turn in 0..500_000 {
                        sum += outputs.next().await.unwrap()[3];
                        match turn {
                            0..10_000 => warm = live(),
                            _ => most = most.max(live() - warm),
                        }
                    }
                    assert!(outputs.next().await.is_none());
                    assert!(most < 256 * 1024, "{most} bytes more than after the first");
                    Ok::<_, ()>(sum)
                });
                assert_eq!(outcome.unwrap(), 500_000 * 499_999 / 2);
            }
        },
    );
}
