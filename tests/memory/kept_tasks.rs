//! What is kept of children that have ended while others or their handles live on.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use headcount::{JoinHandle, TaskGroup, group};

use crate::{all_ended, live, on_workers, workers::on_these_workers, yield_now};

/// Rule 7: a child that stays does not keep the memory of those that were spawned beside it.
#[test]
fn the_memory_of_ended_children_does_not_wait_for_the_others() {
    on_workers(
        "kept_tasks::the_memory_of_ended_children_does_not_wait_for_the_others",
        || {
            const STAY: usize = 200;
            let outcome = async_std::task::block_on(group(async |g| {
                // Another one, so that all chunks have their full size.
                (0..100).for_each(|_| drop(g.spawn(async {})));
                let before = live();
                for staying in 1..=STAY {
                    g.spawn(pending::<()>());
                    (1..64).for_each(|_| {
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

/// Children of which all have ended; gives one of the handles.
async fn ended_together(g: &TaskGroup<'static, ()>, children: usize) -> JoinHandle<()> {
    let child = async || yield_now().await;
    let mut handles: Vec<_> = (0..children).map(|_| g.spawn(child())).collect();
    let kept = handles.swap_remove(children / 2);
    drop(handles);
    all_ended(g).await;
    kept
}

/// Waits until the one worker has returned from the polls of all children that have ended.
async fn worker_is_free() {
    async_std::task::spawn(async {}).await;
}

/// Room for a chunk of 64 cells and one task, but not for 20 tasks.
const WITHOUT_TASKS: isize = 10 * 1024;

/// Rule 7: a live handle keeps the cells of the chunk that its own stands in, and no task.
#[test]
fn a_handle_keeps_no_task_of_another_child_while_its_group_goes_on() {
    let name = "kept_tasks::a_handle_keeps_no_task_of_another_child_while_its_group_goes_on";
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
                    let bytes = live() - before;
                    assert!(round == 0 || bytes < WITHOUT_TASKS, "{bytes} bytes kept");
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
    let name = "kept_tasks::a_handle_keeps_no_task_of_another_child_past_its_group";
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

/// Rule 7: kilobytes that a child captured, and that it returned, go while its group lives on.
#[test]
fn a_finished_child_is_freed_unless_a_live_handle_owes_its_output() {
    on_workers(
        "kept_tasks::a_finished_child_is_freed_unless_a_live_handle_owes_its_output",
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

/// Rule 7: what is kept of a child that has ended, for those beside it, is small.
#[test]
fn the_memory_of_a_large_task_goes_when_its_child_ends() {
    on_workers(
        "kept_tasks::the_memory_of_a_large_task_goes_when_its_child_ends",
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
