//! `wait_all_blocked`, `elapsed` and `seed`.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::{SECOND, ask, checkpoint, failure, spawn, spawn_blocking};
use crate::group;
use crate::testing::schedule::FRUITLESS_CHECKPOINTS;
use crate::testing::{Sim, elapsed, explore, inside, seed, wait_all_blocked};
use crate::time::sleep;

#[test]
fn all_that_can_run_has_run_when_the_wait_is_over() {
    explore(0..50, || async {
        let steps = Arc::new(AtomicUsize::new(0));
        for _ in 0..3 {
            let steps = steps.clone();
            spawn(async move {
                for _ in 0..10 {
                    steps.fetch_add(1, Ordering::SeqCst);
                    checkpoint().await;
                }
                let deeper = steps.clone();
                spawn(async move {
                    deeper.fetch_add(1, Ordering::SeqCst);
                    pending::<()>().await;
                });
                sleep(SECOND).await;
                steps.fetch_add(100, Ordering::SeqCst);
            });
        }
        wait_all_blocked().await;
        assert_eq!(steps.load(Ordering::SeqCst), 33);
    });
}

#[test]
fn the_wait_is_over_before_time_moves() {
    explore(0..20, || async {
        spawn(sleep(SECOND));
        wait_all_blocked().await;
        assert_eq!(elapsed(), Duration::ZERO);
        sleep(SECOND).await;
        wait_all_blocked().await;
        assert_eq!(elapsed(), SECOND);
    });
}

#[test]
fn the_wait_is_over_at_once_where_nobody_else_is() {
    Sim::new(0).run(wait_all_blocked());
    // It is a checkpoint all the same.
    Sim::new(0).run(async {
        let mut wait = pin!(wait_all_blocked());
        let first = poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx))).await;
        assert!(first.is_pending());
        wait.await;
    });
}

#[test]
fn those_who_wait_are_blocked_for_each_other() {
    explore(0..20, || async {
        let released = Arc::new(AtomicUsize::new(0));
        for _ in 0..5 {
            let released = released.clone();
            spawn(async move {
                wait_all_blocked().await;
                released.fetch_add(1, Ordering::SeqCst);
            });
        }
        sleep(SECOND).await;
        assert_eq!(released.load(Ordering::SeqCst), 5);
        assert_eq!(elapsed(), SECOND);
    });
}

#[test]
fn blocking_closures_are_waited_for_unless_they_wait_themselves() {
    explore(0..10, || async {
        let ran = Arc::new(AtomicUsize::new(0));
        let outcome = group(async |g| {
            for _ in 0..3 {
                let ran = ran.clone();
                g.spawn_blocking(move |token| {
                    for _ in 0..100 {
                        assert!(!token.is_cancelled());
                    }
                    ran.fetch_add(1, Ordering::SeqCst);
                    // Blocked from here on, as a task would be.
                    crate::run(async |_| {
                        sleep(SECOND).await;
                        Ok::<_, Infallible>(())
                    })
                    .unwrap();
                });
            }
            wait_all_blocked().await;
            assert_eq!(ran.load(Ordering::SeqCst), 3);
            assert_eq!(elapsed(), Duration::ZERO);
            Ok::<_, Infallible>(())
        });
        outcome.await.unwrap();
    });
}

#[test]
fn a_closure_that_spins_counts_as_blocked_after_the_bound() {
    Sim::new(9).run(async {
        let asked = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicUsize::new(0));
        let (asks, stopped) = (asked.clone(), stop.clone());
        spawn_blocking(move || {
            while stopped.load(Ordering::SeqCst) == 0 {
                asks.fetch_add(1, Ordering::SeqCst);
                ask();
            }
        });
        wait_all_blocked().await;
        let asks = asked.load(Ordering::SeqCst) as u64;
        assert!(asks >= FRUITLESS_CHECKPOINTS, "{asks}");
        assert!(asks < FRUITLESS_CHECKPOINTS + 100, "{asks}");
        stop.store(1, Ordering::SeqCst);
    });
}

#[test]
fn a_wait_that_is_dropped_or_kept_past_the_end_leaves_no_trace() {
    Sim::new(0).run(async {
        {
            let mut dropped = pin!(wait_all_blocked());
            poll_fn(|cx| {
                assert!(dropped.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            assert!(inside::simulation("").lock().watchers.any());
        }
        assert!(!inside::simulation("").lock().watchers.any());
        spawn(pending());
        sleep(SECOND).await;
    });
    let kept = Arc::new(Mutex::new(None));
    let keep = kept.clone();
    Sim::new(0).run(async move {
        let mut wait = Box::pin(wait_all_blocked());
        poll_fn(|cx| {
            assert!(wait.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        *keep.lock().unwrap() = Some(wait);
    });
    let mut wait = kept.lock().unwrap().take().unwrap();
    let mut cx = std::task::Context::from_waker(Waker::noop());
    // The end has let it go, and nothing of the simulation is left to run meanwhile.
    assert!(wait.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn a_loop_of_waits_is_a_livelock() {
    let text = failure(|| {
        Sim::new(1).max_steps(1_000).run(async {
            loop {
                wait_all_blocked().await;
            }
        })
    });
    assert!(text.contains("no end after 1000 steps"), "{text}");
}

#[test]
fn a_task_that_waits_for_ever_is_a_deadlock_also_after_a_wait() {
    let text = failure(|| {
        Sim::new(1).run(async {
            wait_all_blocked().await;
            pending::<()>().await;
        })
    });
    assert!(text.contains("deadlock at 0ns"), "{text}");
}

#[test]
fn the_time_and_the_seed_can_be_asked_for() {
    let answer = Sim::new(77).run(async {
        sleep(SECOND * 3).await;
        spawn_blocking(|| assert_eq!((elapsed(), seed()), (SECOND * 3, 77)));
        (elapsed(), seed())
    });
    assert_eq!(answer, (SECOND * 3, 77));
}

#[test]
fn outside_of_a_simulation_each_gives_advice() {
    let mut cx = std::task::Context::from_waker(Waker::noop());
    for (name, text) in [
        ("elapsed", failure(elapsed)),
        ("seed", failure(seed)),
        (
            "wait_all_blocked",
            failure(|| pin!(wait_all_blocked()).poll(&mut cx)),
        ),
        (
            "assert_no_orphans",
            failure(|| {
                let orphans = crate::testing::assert_no_orphans(async {});
                pin!(orphans).poll(&mut std::task::Context::from_waker(Waker::noop()))
            }),
        ),
    ] {
        let place = format!("`headcount::testing::{name}` was used outside of a simulation");
        assert!(text.contains(&place), "{text}");
    }
}
