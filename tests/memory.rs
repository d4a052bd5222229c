//! How many bytes live and how many allocations a child costs. Every measurement has its process to
//! itself.
#![cfg(not(loom))]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::StreamExt;
use headcount::{
    JoinHandle, Options, TaskGroup, group, map_concurrent, run, testing::Sim, timeout,
};
use watch::Watch;
use workers::{on_these_workers, on_workers};

#[path = "memory/nothing_left.rs"]
mod nothing_left;
#[path = "memory/watch.rs"]
mod watch;
#[path = "it/support/workers.rs"]
mod workers;

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicIsize = AtomicIsize::new(0);

fn allocated(bytes: usize) {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    LIVE.fetch_add(bytes as isize, Ordering::Relaxed);
}

fn freed(bytes: usize) {
    LIVE.fetch_sub(bytes as isize, Ordering::Relaxed);
    watch::freed(bytes);
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocated(layout.size());
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        freed(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        freed(layout.size());
        allocated(size);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUNDS: usize = 6;
const CHILDREN: usize = 100_000;

fn live() -> isize {
    LIVE.load(Ordering::Relaxed)
}

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

/// Rule 7: a child that stays does not keep the memory of those that were spawned beside it.
#[test]
fn the_memory_of_ended_children_does_not_wait_for_the_others() {
    on_workers(
        "the_memory_of_ended_children_does_not_wait_for_the_others",
        || {
            const STAY: usize = 200;
            let outcome = async_std::task::block_on(group(async |g| {
                // Another one, so that all chunks have their full size.
                (0..100).for_each(|_| drop(g.spawn(async {})));
                let before = live();
                for staying in 1..=STAY {
                    g.spawn(pending::<()>());
                    (1..64).for_each(|_| {
                        // So small that its task would be kept with its cell.
                        let captured = [staying; 8];
                        g.spawn(async move { _ = std::hint::black_box(captured) });
                    });
                    while g.stats().living > staying {
                        yield_now().await;
                    }
                }
                let each = (live() - before) / STAY as isize;
                // The cells of 64 children, and not one more task of a few hundred bytes.
                assert!(each < 12 * 1024, "{each} bytes for each child that stays");
                g.cancel();
                Ok::<_, ()>(())
            }));
            outcome.unwrap();
        },
    );
}

/// Children so small that their tasks are kept, of which all have ended; gives one of the handles.
async fn ended_together(g: &TaskGroup<'static, ()>, children: usize) -> JoinHandle<()> {
    let mut handles: Vec<_> = (0..children).map(|_| g.spawn(async {})).collect();
    let kept = handles.swap_remove(children / 2);
    drop(handles);
    all_ended(g).await;
    kept
}

async fn all_ended(g: &TaskGroup<'static, ()>) {
    while g.stats().living > 0 {
        yield_now().await;
    }
}

/// Waits until the one worker has returned from the polls of all children that have ended.
async fn worker_is_free() {
    async_std::task::spawn(async {}).await;
}

/// Room for a chunk of 64 cells and one task, but not for 20 tasks.
const WITHOUT_TASKS: isize = 10 * 1024;

/// Rule 7: a live handle keeps the cells of the chunk that its own stands in, and no task.
/// The others go when the group opens another chunk.
#[test]
fn a_handle_keeps_no_task_of_another_child_while_its_group_goes_on() {
    let name = "a_handle_keeps_no_task_of_another_child_while_its_group_goes_on";
    on_these_workers(&[1], name, || {
        async_std::task::block_on(async {
            // The first warms up.
            for round in 0..3 {
                let outcome = group(async |g| {
                    // After these, all chunks have their full size.
                    (0..21).for_each(|_| drop(g.spawn(async {})));
                    all_ended(&g).await;
                    worker_is_free().await;
                    let before = live();
                    let kept = ended_together(&g, 64).await;
                    worker_is_free().await;
                    g.spawn(async {});
                    let bytes = live() - before;
                    // There are two chunks now, and smaller ones have gone meanwhile.
                    let most = WITHOUT_TASKS + 6 * 1024;
                    assert!(round == 0 || bytes < most, "{bytes} bytes kept");
                    drop(kept);
                    Ok::<_, ()>(())
                });
                outcome.await.unwrap();
            }
        });
    });
}

/// The same at the end of the group, for a chunk that was used up, and for two that were not.
#[test]
fn a_handle_keeps_no_task_of_another_child_past_its_group() {
    let name = "a_handle_keeps_no_task_of_another_child_past_its_group";
    on_these_workers(&[1], name, || {
        async_std::task::block_on(async {
            for (round, children) in [64, 64, 40, 20].into_iter().enumerate() {
                let before = live();
                let outcome = group(async |g| {
                    (0..21).for_each(|_| drop(g.spawn(async {})));
                    Ok::<_, ()>(ended_together(&g, children).await)
                });
                let kept = outcome.await.unwrap();
                worker_is_free().await;
                let bytes = live() - before;
                assert!(
                    round == 0 || bytes < WITHOUT_TASKS,
                    "{bytes} bytes kept of {children} children"
                );
                drop(kept);
            }
        });
    });
}

/// Here that of a chunk which was not used up.
#[test]
fn a_group_that_closes_frees_no_chunk_under_its_lock() {
    let name = "a_group_that_closes_frees_no_chunk_under_its_lock";
    on_these_workers(&[1], name, || {
        let outcome = Sim::new(0).run(group(async |g| {
            (0..21 + 20).for_each(|_| drop(g.spawn(async {})));
            all_ended(&g).await;
            Ok::<_, ()>(Watch::over(&g))
        }));
        assert!(outcome.unwrap().end() > 0, "no chunk was freed");
    });
}

/// Here those of children that ended in line for a place, in front of others.
#[test]
fn a_place_that_is_handed_on_frees_no_chunk_under_the_lock() {
    let name = "a_place_that_is_handed_on_frees_no_chunk_under_the_lock";
    on_these_workers(&[1], name, || {
        let outcome = Sim::new(0).run(Options::new().limit(1).group(async |g| {
            let gate = Arc::new(AtomicBool::new(false));
            let opened = gate.clone();
            g.spawn(async move {
                while !opened.load(Ordering::SeqCst) {
                    yield_now().await;
                }
            });
            // Four fill a chunk, which stays. The 16 and the 64 that end in line fill one each.
            (0..4).for_each(|_| drop(g.spawn(async {})));
            let in_line: Vec<_> = (0..16 + 64).map(|_| g.spawn(async {})).collect();
            g.spawn(async {});
            in_line.iter().for_each(|child| child.cancel());
            drop(in_line);
            while g.stats().living > 6 {
                yield_now().await;
            }
            // With the next chunk, the group itself lets go of the two.
            (0..64).for_each(|_| drop(g.spawn(async {})));
            let watch = Watch::over(&g);
            gate.store(true, Ordering::SeqCst);
            while g.stats().living > 0 {
                yield_now().await;
            }
            Ok::<_, ()>(watch)
        }));
        assert!(outcome.unwrap().end() > 0, "no chunk was freed");
    });
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

/// Rule 7: kilobytes that a child captured, and that it returned, go while its group lives on.
#[test]
fn a_finished_child_is_freed_unless_a_live_handle_owes_its_output() {
    on_workers(
        "a_finished_child_is_freed_unless_a_live_handle_owes_its_output",
        || {
            const LARGE: usize = 1 << 20;
            let slack = LARGE as isize / 4;
            let outcome = async_std::task::block_on(group(async |g| {
                let ended = Arc::new(AtomicBool::new(false));
                g.spawn(async {}).await.unwrap();
                let before = live();
                for _ in 0..10 {
                    let (captured, ended) = (vec![1_u8; LARGE], ended.clone());
                    ended.store(false, Ordering::SeqCst);
                    g.spawn(async move {
                        yield_now().await;
                        ended.store(captured[0] == 1, Ordering::SeqCst);
                        Ok(captured)
                    });
                    while g.stats().living > 0 {
                        yield_now().await;
                    }
                    assert!(live() - before < slack, "{} bytes kept", live() - before);
                }
                let owed = g.spawn(async { Ok(vec![2_u8; LARGE]) });
                while !owed.is_finished() {
                    yield_now().await;
                }
                assert!(
                    live() - before > LARGE as isize - slack,
                    "its handle owes the output"
                );
                drop(owed);
                assert!(live() - before < slack, "{} bytes kept", live() - before);
                Ok::<_, ()>(())
            }));
            outcome.unwrap();
        },
    );
}

/// Rule 7: what is kept of a child that has ended, so that it is freed where it was made, is small.
#[test]
fn the_memory_of_a_large_task_goes_when_its_child_ends() {
    on_workers(
        "the_memory_of_a_large_task_goes_when_its_child_ends",
        || {
            const LARGE: usize = 300;
            let outcome = async_std::task::block_on(group(async |g| {
                let all_ended = async || {
                    while g.stats().living > 0 {
                        yield_now().await;
                    }
                };
                (0..100).for_each(|_| drop(g.spawn(async {})));
                all_ended().await;
                let before = live();
                for n in 0..LARGE {
                    let captured = [n; 128];
                    g.spawn(async move {
                        yield_now().await;
                        _ = std::hint::black_box(captured);
                    });
                }
                all_ended().await;
                let each = (live() - before) / LARGE as isize;
                assert!(each < 512, "{each} bytes of each child that has ended");
                Ok::<_, ()>(())
            }));
            outcome.unwrap();
        },
    );
}
