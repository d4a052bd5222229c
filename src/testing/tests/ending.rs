//! How simulations end: deadlocks, livelocks, panics, leftovers.

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, panic_any};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::{Counted, SECOND, checkpoint, failure, spawn, spawn_blocking};
use crate::kernel::context;
use crate::runtime::{Label, Runtime};
use crate::testing::sim::Sim;
use crate::time::{Instant, sleep};

#[test]
fn a_deadlock_destroys_all_futures_and_then_names_who_waits() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let guard = |dropped: &Arc<AtomicUsize>| Counted(dropped.clone());
    let line = line!() + 11;
    let text = failure(|| {
        let (main, one, two) = (guard(&dropped), guard(&dropped), guard(&dropped));
        Sim::new(77).run(async move {
            let _main = main;
            sleep(SECOND * 3).await;
            let label = Label {
                name: Some("reader"),
                location: Location::caller(),
            };
            for guard in [one, two] {
                spawn(async move {
                    let _guard = guard;
                    pending::<()>().await;
                });
            }
            context::runtime().spawn(|| label, pending);
            // Not in the list: it never ends, but it is not what is waited for either.
            sleep(Duration::MAX).await;
        });
    });
    assert_eq!(dropped.load(Ordering::SeqCst), 3);
    assert!(text.contains("deadlock at 3s"), "{text}");
    assert!(text.contains("seed 77"), "{text}");
    assert!(text.contains("the main future, started at "), "{text}");
    assert!(text.contains("`reader`, spawned at "), "{text}");
    let here = format!("2 × task, spawned at {}:{line}:", file!());
    assert!(text.contains(&here), "{here} is not in {text}");
}

#[test]
fn destructors_may_spawn_wake_and_panic_while_a_deadlock_is_cleared() {
    struct Troublesome(Arc<AtomicUsize>, Waker);
    impl Drop for Troublesome {
        fn drop(&mut self) {
            self.1.wake_by_ref();
            let guard = Counted(self.0.clone());
            spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            let guard = Counted(self.0.clone());
            spawn_blocking(move || drop(guard));
            panic!("a destructor panics");
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let guards = dropped.clone();
    let text = failure(|| {
        Sim::new(3).run(async move {
            for _ in 0..3 {
                let guards = guards.clone();
                spawn(async move {
                    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
                    let _troublesome = Troublesome(guards, waker);
                    pending::<()>().await;
                });
            }
            pending::<()>().await;
        });
    });
    assert!(text.contains("deadlock"), "{text}");
    assert_eq!(dropped.load(Ordering::SeqCst), 6);
}

#[test]
fn destructors_that_spawn_for_ever_do_not_hang_the_end() {
    struct Hydra;
    impl Drop for Hydra {
        fn drop(&mut self) {
            let hydra = Hydra;
            spawn(async move {
                let _hydra = hydra;
                pending::<()>().await;
            });
        }
    }
    let value = Sim::new(3).max_steps(100).run(async {
        spawn(async {
            let _hydra = Hydra;
            pending::<()>().await;
        });
        1
    });
    assert_eq!(value, 1);
}

#[test]
fn a_livelock_is_reported_like_a_deadlock() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let guard = Counted(dropped.clone());
    let text = failure(|| {
        Sim::new(8).max_steps(1_000).run(async move {
            spawn(async move {
                let _guard = guard;
                loop {
                    checkpoint().await;
                }
            });
            sleep(SECOND).await;
        });
    });
    assert!(text.contains("no end after 1000 steps"), "{text}");
    assert!(text.contains("seed 8"), "{text}");
    assert!(text.contains("can run"), "{text}");
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn a_heartbeat_does_not_keep_a_stuck_simulation_alive_for_ever() {
    let text = failure(|| {
        Sim::new(8).max_steps(1_000).run(async {
            spawn(async {
                loop {
                    sleep(SECOND).await;
                }
            });
            pending::<()>().await;
        })
    });
    assert!(text.contains("no end after 10000 steps in all"), "{text}");
    assert!(text.contains("the main future, started at "), "{text}");
}

#[test]
fn steps_are_counted_anew_when_time_moves() {
    Sim::new(8).max_steps(100).run(async {
        for _ in 0..500 {
            sleep(SECOND).await;
        }
    });
}

#[test]
fn a_panic_of_the_main_future_resumes_unchanged_after_all_are_destroyed() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let guard = Counted(dropped.clone());
    let payload = catch_unwind(AssertUnwindSafe(|| {
        Sim::new(1).run(async move {
            spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            sleep(SECOND).await;
            panic_any(17_u64);
        });
    }));
    assert_eq!(payload.unwrap_err().downcast_ref(), Some(&17_u64));
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    assert_eq!(Sim::new(1).run(async { 5 }), 5);
}

#[test]
fn a_panic_of_a_task_or_a_closure_fails_the_simulation() {
    let text = failure(|| {
        Sim::new(1).run(async {
            spawn(async { panic!("a task panics") });
            pending::<()>().await;
        })
    });
    assert_eq!(text, "a task panics");
    let text = failure(|| {
        Sim::new(1).run(async {
            spawn_blocking(|| panic!("a closure panics"));
            pending::<()>().await;
        })
    });
    assert_eq!(text, "a closure panics");
}

#[test]
fn tasks_left_over_are_destroyed_in_context_before_run_returns() {
    struct Late(Arc<AtomicUsize>);
    impl Drop for Late {
        fn drop(&mut self) {
            assert!(matches!(context::runtime(), Runtime::Sim(_)));
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let guards = [Late(dropped.clone()), Late(dropped.clone())];
    let value = Sim::new(4).run(async move {
        for guard in guards {
            spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
        }
        "value"
    });
    assert_eq!(value, "value");
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
    assert!(!matches!(context::runtime(), Runtime::Sim(_)));
}

#[test]
fn all_tasks_are_destroyed_also_if_they_are_more_than_the_steps_allowed() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let guards: Vec<_> = (0..3_000).map(|_| Counted(dropped.clone())).collect();
    let text = failure(|| {
        Sim::new(4).max_steps(1_000).run(async {
            for guard in guards {
                spawn(async move {
                    let _guard = guard;
                    pending::<()>().await;
                });
            }
            loop {
                checkpoint().await;
            }
        })
    });
    assert!(text.contains("no end after 1000 steps"), "{text}");
    assert_eq!(dropped.load(Ordering::SeqCst), 3_000);
}

#[test]
fn a_panic_in_the_destructor_of_a_left_over_task_is_not_lost() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("a left-over destructor panics");
        }
    }
    let text = failure(|| {
        Sim::new(4).run(async {
            spawn(async {
                let _bad = Bad;
                pending::<()>().await;
            });
            checkpoint().await;
            checkpoint().await;
        })
    });
    assert_eq!(text, "a left-over destructor panics");
}

#[test]
fn a_finished_task_is_freed_at_once_although_its_waker_lives_on() {
    let wakers = Arc::new(Mutex::new(Vec::new()));
    let kept = wakers.clone();
    let left: Weak<()> = Sim::new(0).run(async move {
        let owned = Arc::new(());
        let (seen, keep) = (Arc::downgrade(&owned), kept.clone());
        spawn(async move {
            let _owned = owned;
            poll_fn(|cx| {
                keep.lock().unwrap().push(cx.waker().clone());
                Poll::Ready(())
            })
            .await;
        });
        sleep(SECOND).await;
        assert!(seen.upgrade().is_none());
        let owned = Arc::new(());
        let seen = Arc::downgrade(&owned);
        spawn(async move {
            let _owned = owned;
            poll_fn(|cx| {
                kept.lock().unwrap().push(cx.waker().clone());
                Poll::<()>::Pending
            })
            .await;
        });
        sleep(SECOND).await;
        assert!(seen.upgrade().is_some());
        seen
    });
    assert!(left.upgrade().is_none());
    let wakers = std::mem::take(&mut *wakers.lock().unwrap());
    assert_eq!(wakers.len(), 2);
    for waker in wakers {
        waker.wake();
    }
}

#[test]
fn a_runtime_kept_past_the_end_is_harmless() {
    let runtime = Sim::new(0).run(async {
        sleep(SECOND).await;
        Kept(context::runtime())
    });
    let dropped = Arc::new(AtomicUsize::new(0));
    let (task, job) = (Counted(dropped.clone()), Counted(dropped.clone()));
    let label = Label {
        name: None,
        location: Location::caller(),
    };
    runtime.0.spawn(|| label, || async move { drop(task) });
    runtime.0.spawn_blocking(label, move || drop(job));
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
    assert_eq!(runtime.0.now(), Instant::from_epoch(SECOND));
    let mut timer = runtime.0.timer();
    timer.set(runtime.0.now() + SECOND);
    let mut cx = std::task::Context::from_waker(Waker::noop());
    assert!(timer.poll(&mut cx).is_pending());
    runtime.0.blocking_checkpoint();

    struct Kept(Runtime);
}
