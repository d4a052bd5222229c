//! The schedule and the clock.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::{SECOND, Trace, ask, checkpoint, spawn, spawn_blocking};
use crate::kernel::context;
use crate::testing::sim::Sim;
use crate::time::{Instant, sleep};

/// Tasks and closures that take many turns each.
fn interleaving(seed: u64) -> Vec<String> {
    let trace = Trace::default();
    let main = trace.clone();
    Sim::new(seed).run(async move {
        for task in 0..4 {
            let trace = main.clone();
            spawn(async move {
                for turn in 0..5 {
                    trace.push(format!("task {task} turn {turn}"));
                    checkpoint().await;
                }
            });
            let trace = main.clone();
            spawn_blocking(move || {
                for turn in 0..5 {
                    trace.push(format!("closure {task} turn {turn}"));
                    ask();
                }
            });
        }
        sleep(SECOND).await;
    });
    trace.take()
}

#[test]
fn one_seed_gives_one_interleaving() {
    for seed in 0..20 {
        let first = interleaving(seed);
        assert_eq!(first.len(), 40);
        assert_eq!(first, interleaving(seed));
    }
}

#[test]
fn different_seeds_give_different_interleavings() {
    let mut traces: Vec<_> = (0..20).map(interleaving).collect();
    traces.sort();
    traces.dedup();
    assert_eq!(traces.len(), 20);
}

#[test]
fn the_schedule_of_a_seed_is_the_same_on_every_machine() {
    let order = Trace::default();
    let main = order.clone();
    Sim::new(42).run(async move {
        for task in 0..8 {
            let order = main.clone();
            spawn(async move { order.push(task.to_string()) });
        }
        sleep(SECOND).await;
    });
    assert_eq!(order.take().concat(), "51670234");
}

#[test]
fn a_spawned_task_does_not_run_inside_spawn() {
    for seed in 0..20 {
        Sim::new(seed).run(async {
            let ran = Arc::new(AtomicUsize::new(0));
            for _ in 0..3 {
                let ran = ran.clone();
                spawn(async move {
                    ran.fetch_add(1, Ordering::SeqCst);
                });
            }
            assert_eq!(ran.load(Ordering::SeqCst), 0);
            sleep(SECOND).await;
            assert_eq!(ran.load(Ordering::SeqCst), 3);
        });
    }
}

#[test]
fn three_sleeps_overlap_in_virtual_time() {
    let ends = Trace::default();
    let main = ends.clone();
    let took = Sim::new(1).run(async move {
        let start = Instant::now();
        for seconds in [3, 1, 2] {
            let ends = main.clone();
            spawn(async move {
                sleep(SECOND * seconds).await;
                ends.push(format!("{:?}", start.elapsed()));
            });
        }
        sleep(SECOND * 4).await;
        start.elapsed()
    });
    assert_eq!(took, SECOND * 4);
    assert_eq!(ends.take(), ["1s", "2s", "3s"]);
}

#[test]
fn timers_with_one_deadline_ring_together_and_in_any_order() {
    let orders: std::collections::BTreeSet<String> = (0..50)
        .map(|seed| {
            let order = Trace::default();
            let main = order.clone();
            Sim::new(seed).run(async move {
                for task in 0..3 {
                    let order = main.clone();
                    spawn(async move {
                        sleep(SECOND).await;
                        assert_eq!(Instant::now(), Instant::from_epoch(SECOND));
                        order.push(task.to_string());
                    });
                }
                sleep(SECOND * 2).await;
            });
            order.take().concat()
        })
        .collect();
    assert_eq!(orders.len(), 6, "{orders:?}");
}

#[test]
fn time_stands_still_while_anything_can_run() {
    Sim::new(5).run(async {
        let start = Instant::now();
        spawn(sleep(Duration::from_nanos(1)));
        for _ in 0..1000 {
            checkpoint().await;
            assert_eq!(start.elapsed(), Duration::ZERO);
        }
    });
}

#[test]
fn a_timer_can_be_moved_cleared_and_asked_again() {
    Sim::new(0).run(async {
        let mut timer = context::runtime().timer();
        let mut late = context::runtime().timer();
        late.set(Instant::now() + SECOND * 10);
        let start = Instant::now();
        timer.set(start + SECOND * 5);
        poll_fn(|cx| {
            assert!(timer.poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        timer.set(start + SECOND * 2);
        poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(start.elapsed(), SECOND * 2);
        poll_fn(|cx| timer.poll(cx)).await;
        timer.clear();
        poll_fn(|cx| {
            assert!(timer.poll(cx).is_pending());
            late.poll(cx)
        })
        .await;
        assert_eq!(start.elapsed(), SECOND * 10);
    });
}

#[test]
fn a_thread_of_its_own_may_wake_a_task() {
    Sim::new(0).run(async {
        let waker = Arc::new(Mutex::new(None::<Waker>));
        let woken = Arc::new(AtomicBool::new(false));
        let (theirs, flag) = (waker.clone(), woken.clone());
        let mut first = true;
        let mut task = pin!(poll_fn(move |cx| {
            if woken.load(Ordering::SeqCst) {
                return Poll::Ready(());
            }
            *waker.lock().unwrap() = Some(cx.waker().clone());
            if std::mem::take(&mut first) {
                let (theirs, flag) = (theirs.clone(), flag.clone());
                // Joined, so that it has woken before the simulator looks for who can run.
                std::thread::spawn(move || {
                    flag.store(true, Ordering::SeqCst);
                    theirs.lock().unwrap().take().unwrap().wake();
                })
                .join()
                .unwrap();
            }
            Poll::Pending
        }));
        task.as_mut().await;
    });
}
