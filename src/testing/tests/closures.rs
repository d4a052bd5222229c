//! Blocking closures and nested runs.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::{Counted, SECOND, ask, checkpoint, failure, spawn, spawn_blocking};
use crate::kernel::context;
use crate::testing::schedule::FRUITLESS_CHECKPOINTS;
use crate::testing::sim::Sim;
use crate::time::{Instant, sleep};
use crate::{TaskGroup, defer, group, run, shield};

#[test]
fn closures_run_one_at_a_time_and_not_beside_the_executor() {
    fn turn(busy: &AtomicBool) {
        assert!(!busy.swap(true, Ordering::SeqCst), "two run at once");
        std::thread::yield_now();
        busy.store(false, Ordering::SeqCst);
    }
    for seed in 0..5 {
        let closures = Arc::new(AtomicUsize::new(0));
        let ended = closures.clone();
        Sim::new(seed).run(async move {
            let busy = Arc::new(AtomicBool::new(false));
            for _ in 0..4 {
                let (busy, ended) = (busy.clone(), ended.clone());
                spawn_blocking(move || {
                    for _ in 0..50 {
                        turn(&busy);
                        ask();
                    }
                    ended.fetch_add(1, Ordering::SeqCst);
                });
            }
            for _ in 0..50 {
                turn(&busy);
                checkpoint().await;
            }
        });
        assert_eq!(closures.load(Ordering::SeqCst), 4);
    }
}

#[test]
fn no_thread_of_a_closure_is_left_when_run_returns() {
    thread_local! {
        static LAST: std::cell::RefCell<Option<Counted>> = const { std::cell::RefCell::new(None) };
    }
    let ended = Arc::new(AtomicUsize::new(0));
    let threads = ended.clone();
    Sim::new(0).run(async move {
        for _ in 0..3 {
            let guard = Counted(threads.clone());
            spawn_blocking(move || LAST.set(Some(guard)));
        }
    });
    assert_eq!(ended.load(Ordering::SeqCst), 3);
}

#[test]
fn a_closure_that_spins_until_a_virtual_deadline_ends() {
    for spinners in [1, 3] {
        let took = Sim::new(9).run(async move {
            let cancelled = Arc::new(AtomicBool::new(false));
            for _ in 0..spinners {
                let token = cancelled.clone();
                spawn_blocking(move || {
                    while !token.load(Ordering::SeqCst) {
                        ask();
                    }
                });
            }
            let start = Instant::now();
            sleep(SECOND * 5).await;
            cancelled.store(true, Ordering::SeqCst);
            start.elapsed()
        });
        assert_eq!(took, SECOND * 5);
    }
}

#[test]
fn time_does_not_move_before_the_bound_of_fruitless_questions() {
    Sim::new(9).run(async {
        spawn_blocking(|| {
            for _ in 1..FRUITLESS_CHECKPOINTS {
                ask();
                assert_eq!(Instant::now(), Instant::from_epoch(Duration::ZERO));
            }
        });
        sleep(SECOND).await;
    });
}

#[test]
fn closures_that_spin_for_ever_are_stopped_and_reported() {
    for closures in [1, 3] {
        let dropped = Arc::new(AtomicUsize::new(0));
        let guards: Vec<_> = (0..closures).map(|_| Counted(dropped.clone())).collect();
        let text = failure(|| {
            Sim::new(2).max_steps(100_000).run(async move {
                for guard in guards {
                    spawn_blocking(move || {
                        let _guard = guard;
                        loop {
                            ask();
                        }
                    });
                }
            })
        });
        assert!(text.contains("no end after 100000 steps"), "{text}");
        assert!(text.contains("`closure`, spawned at "), "{text}");
        assert_eq!(dropped.load(Ordering::SeqCst), closures);
    }
}

#[test]
fn a_left_over_closure_may_end_because_the_tasks_are_destroyed() {
    struct Cancel(Arc<AtomicBool>);
    impl Drop for Cancel {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let value = Sim::new(2).max_steps(100_000).run(async {
        let token = Arc::new(AtomicBool::new(false));
        let guard = Cancel(token.clone());
        spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        spawn_blocking(move || {
            while !token.load(Ordering::SeqCst) {
                ask();
            }
        });
        sleep(SECOND).await;
        1
    });
    assert_eq!(value, 1);
}

#[test]
fn a_nested_run_polls_on_the_thread_of_its_closure() {
    for seed in 0..10 {
        let took = Sim::new(seed).run(async {
            let start = Instant::now();
            let done = Arc::new(Mutex::new(None));
            let result = done.clone();
            spawn_blocking(move || {
                let thread = std::thread::current().id();
                let runtime = context::runtime();
                let output = runtime.block_on(async move {
                    let child = Arc::new(AtomicBool::new(false));
                    let set = child.clone();
                    spawn(async move {
                        sleep(SECOND).await;
                        assert_ne!(std::thread::current().id(), thread);
                        set.store(true, Ordering::SeqCst);
                    });
                    sleep(SECOND * 2).await;
                    assert_eq!(std::thread::current().id(), thread);
                    child.load(Ordering::SeqCst)
                });
                *result.lock().unwrap() = Some(output);
            });
            sleep(SECOND * 3).await;
            assert_eq!(*done.lock().unwrap(), Some(true));
            start.elapsed()
        });
        assert_eq!(took, SECOND * 3);
    }
}

#[test]
fn a_nested_run_that_waits_for_ever_is_dropped_reported_and_unwound() {
    struct Spawns(Arc<AtomicUsize>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            let guard = Counted(self.0.clone());
            spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
        }
    }
    /// The last to go: everything inside must be gone by then.
    struct Outer(Arc<AtomicUsize>, Arc<AtomicBool>);
    impl Drop for Outer {
        fn drop(&mut self) {
            let all_gone = self.0.load(Ordering::SeqCst) == 2;
            self.1.store(all_gone, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let ordered = Arc::new(AtomicBool::new(false));
    let (guards, outer) = (dropped.clone(), Outer(dropped.clone(), ordered.clone()));
    let text = failure(|| {
        Sim::new(6).run(async move {
            spawn_blocking(move || {
                let _outer = outer;
                context::runtime().block_on(async move {
                    let _spawns = Spawns(guards.clone());
                    let _guard = Counted(guards);
                    pending::<()>().await;
                });
            });
            pending::<()>().await;
        })
    });
    assert!(text.contains("waiting in a nested `run`"), "{text}");
    assert!(text.contains("`closure`, spawned at "), "{text}");
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
    assert!(ordered.load(Ordering::SeqCst));
}

#[test]
fn a_nested_run_that_is_woken_by_the_end_returns_its_output() {
    struct Wakes(Arc<Mutex<Option<Waker>>>, Arc<AtomicBool>);
    impl Drop for Wakes {
        fn drop(&mut self) {
            self.1.store(true, Ordering::SeqCst);
            if let Some(waker) = self.0.lock().unwrap().take() {
                waker.wake();
            }
        }
    }
    let waker = Arc::new(Mutex::new(None));
    let gone = Arc::new(AtomicBool::new(false));
    let wakes = Wakes(waker.clone(), gone.clone());
    let returned = Arc::new(AtomicBool::new(false));
    let seen = returned.clone();
    let text = failure(|| {
        Sim::new(6).run(async move {
            spawn(async move {
                let _wakes = wakes;
                pending::<()>().await;
            });
            spawn_blocking(move || {
                context::runtime().block_on(poll_fn(|cx| {
                    *waker.lock().unwrap() = Some(cx.waker().clone());
                    match gone.load(Ordering::SeqCst) {
                        true => Poll::Ready(()),
                        false => Poll::Pending,
                    }
                }));
                seen.store(true, Ordering::SeqCst);
            });
            pending::<()>().await;
        })
    });
    assert!(text.contains("deadlock"), "{text}");
    assert!(returned.load(Ordering::SeqCst));
}

/// With what a simulation fails in which a blocking closure calls `run` with this body.
fn nested_failure<Fut>(
    body: impl FnOnce(TaskGroup<'static, Infallible>) -> Fut + Send + 'static,
) -> String
where
    Fut: Future<Output = Result<(), Infallible>>,
{
    failure(|| {
        Sim::new(0).max_steps(2_000).run(group(async |g| {
            g.spawn_blocking(|_| run(body).unwrap());
            Ok::<_, Infallible>(())
        }))
    })
}

async fn goes_on_for_ever() {
    loop {
        crate::checkpoint().await;
    }
}

#[test]
fn a_nested_run_that_goes_on_for_ever_is_stopped_and_reported() {
    let text = nested_failure(async |_| {
        shield(goes_on_for_ever()).await;
        Ok(())
    });
    assert!(text.contains("no end after 2000 steps"), "{text}");
    assert!(text.contains("waiting in a nested `run`"), "{text}");
}

#[test]
fn a_nested_run_whose_release_goes_on_for_ever_is_stopped_and_reported() {
    let text = nested_failure(async |_| {
        let _endless = defer((), |()| goes_on_for_ever());
        Ok(())
    });
    assert!(text.contains("no end after 2000 steps"), "{text}");
    assert!(text.contains("waiting in a nested `run`"), "{text}");
}

/// The inner closure may borrow from the frames of the outer one, which has used up its turns first.
#[test]
fn a_nested_run_that_goes_on_for_ever_is_unwound_after_the_closures_inside() {
    let ended = Arc::new(Mutex::new(Vec::new()));
    struct Ended(Arc<Mutex<Vec<&'static str>>>, &'static str);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(self.1);
        }
    }
    let (outer, inner) = (Ended(ended.clone(), "outer"), Ended(ended.clone(), "inner"));
    let text = nested_failure(async move |g| {
        let _outer = outer;
        g.spawn_blocking(|_| {
            let _inner = inner;
            run(async |_| {
                shield(pending::<()>()).await;
                Ok::<_, Infallible>(())
            })
            .unwrap();
        });
        shield(goes_on_for_ever()).await;
        Ok(())
    });
    assert!(text.contains("no end after 2000 steps"), "{text}");
    assert_eq!(*ended.lock().unwrap(), ["inner", "outer"]);
}

/// Whoever cleans up in a destructor, by a `run` of its own, has turns for it also if the closure had none left.
#[test]
fn the_destructor_of_a_closure_that_is_unwound_may_call_run() {
    struct CleansUp(Arc<AtomicBool>);
    impl Drop for CleansUp {
        fn drop(&mut self) {
            let outcome = run(async |_| {
                shield(crate::checkpoint()).await;
                Ok::<_, Infallible>(())
            });
            self.0.store(outcome.is_ok(), Ordering::SeqCst);
        }
    }
    let cleaned = Arc::new(AtomicBool::new(false));
    let guard = CleansUp(cleaned.clone());
    let text = failure(|| {
        Sim::new(0).max_steps(2_000).run(group(async |g| {
            g.spawn_blocking(|_| {
                let _guard = guard;
                run(async |_| {
                    shield(goes_on_for_ever()).await;
                    Ok::<_, Infallible>(())
                })
                .unwrap();
            });
            Ok::<_, Infallible>(())
        }))
    });
    assert!(text.contains("no end after 2000 steps"), "{text}");
    assert!(cleaned.load(Ordering::SeqCst));
}
