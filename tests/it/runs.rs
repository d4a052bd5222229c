//! `run`: parallel, borrowing, and blocking its thread.

use std::{
    future::{pending, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Barrier, Mutex, mpsc::channel},
    task::{Poll, Waker},
};

use headcount::{GroupError, JoinHandle, Options, group, run, shield, time::sleep, timeout};

use crate::support::{
    Census, Flag, Ledger, Named, Oops, PanicOnDrop, SEEDS, block_on, catch, done,
    drops_later_panicking, message, ok, on_these_workers, on_workers, secs, sim, spin_until,
    yield_now,
};

/// Case 38.
#[test]
fn run_borrows_a_local_from_parallel_children() {
    on_workers("runs::run_borrows_a_local_from_parallel_children", || {
        let (numbers, census) = ((1..=100).collect::<Vec<u64>>(), Census::default());
        let (canary, mut sum) = (census.tracked(), 0);
        let squares = Mutex::new(Vec::new());
        let outcome = run(async |r| {
            let handles: Vec<_> = numbers
                .iter()
                .map(|n| {
                    let (canary, squares) = (&canary, &squares);
                    r.spawn(async move {
                        canary.assert_alive();
                        yield_now().await;
                        squares.lock().unwrap().push(n * n);
                        canary.assert_alive();
                        ok(n)
                    })
                })
                .collect();
            for handle in handles {
                sum += handle.await.unwrap();
            }
            ok("value")
        });
        assert_eq!(outcome.unwrap(), "value");
        assert_eq!(sum, 5050);
        assert_eq!(squares.into_inner().unwrap().iter().sum::<u64>(), 338_350);
    });
}

/// Case 38: whether the body ends early, fails, or panics, no child outlives the call.
#[test]
fn run_returns_only_after_its_children_whatever_the_body_does() {
    on_workers(
        "runs::run_returns_only_after_its_children_whatever_the_body_does",
        || {
            for ending in ["value", "failure", "panic"].repeat(100) {
                let census = Census::default();
                let canary = census.tracked();
                let ran = catch_unwind(AssertUnwindSafe(|| {
                    run(async |r| {
                        for _ in 0..10 {
                            let (canary, tracked) = (&canary, census.tracked());
                            r.spawn(async move {
                                for _ in 0..20 {
                                    canary.assert_alive();
                                    tracked.assert_alive();
                                    yield_now().await;
                                }
                            });
                        }
                        yield_now().await;
                        match ending {
                            "value" => Ok(7),
                            "failure" => Err(Oops("body")),
                            _ => panic!("body"),
                        }
                    })
                }));
                assert_eq!((census.born(), census.living()), (11, 1));
                match (ending, ran) {
                    ("value", Ok(outcome)) => assert_eq!(outcome.unwrap(), 7),
                    ("failure", Ok(outcome)) => assert_eq!(outcome.names(), ["body"]),
                    ("panic", Err(payload)) => assert_eq!(message(&*payload), "body"),
                    (ending, _) => panic!("another ending than {ending}"),
                }
            }
        },
    );
}

/// Case 39, rule 32.
#[test]
fn run_inside_a_task_panics_with_advice_on_any_number_of_workers() {
    on_workers(
        "runs::run_inside_a_task_panics_with_advice_on_any_number_of_workers",
        || {
            let advice = block_on(async_std::task::spawn(async {
                group(async |g| {
                    let child = g.spawn(async {
                        let ran = catch(async { run(async |_| done()) }).await;
                        ok(message(&*ran.unwrap_err()).to_owned())
                    });
                    ok(child.await.unwrap())
                })
                .await
            }));
            let advice = advice.unwrap();
            assert!(
                advice.contains("run") && advice.contains("group"),
                "{advice}"
            );

            let bare = block_on(async_std::task::spawn(async {
                let ran = catch(async { run(async |_| done()) }).await;
                message(&*ran.unwrap_err()).to_owned()
            }));
            assert!(bare.contains("run"), "from a task without a boundary");

            let advice = run(async |_| {
                let ran = catch(async { run(async |_| done()) }).await;
                ok(message(&*ran.unwrap_err()).to_owned())
            });
            assert!(
                advice.unwrap().contains("run"),
                "from the body of another run"
            );
        },
    );
}

/// Case 40; a broken promise hangs, and the watchdog of the process ends it.
#[test]
fn two_children_of_one_group_meet_at_a_barrier() {
    on_these_workers(
        &[2, 8],
        "runs::two_children_of_one_group_meet_at_a_barrier",
        || {
            let barrier = std::sync::Arc::new(Barrier::new(2));
            let leaders = block_on(group(async |g| {
                let [a, b] = [(); 2].map(|()| {
                    let barrier = barrier.clone();
                    g.spawn(async move { ok(barrier.wait().is_leader()) })
                });
                ok([a.await.unwrap(), b.await.unwrap()])
            }));
            assert!(matches!(leaders.unwrap(), [true, false] | [false, true]));
        },
    );
}

/// Case 40.
#[test]
fn two_children_of_one_run_meet_at_a_barrier() {
    on_these_workers(
        &[2, 8],
        "runs::two_children_of_one_run_meet_at_a_barrier",
        || {
            let barrier = Barrier::new(2);
            let leaders = run(async |r| {
                let [a, b] = [(); 2].map(|()| {
                    let barrier = &barrier;
                    r.spawn(async move { ok(barrier.wait().is_leader()) })
                });
                ok([a.await.unwrap(), b.await.unwrap()])
            });
            assert!(matches!(leaders.unwrap(), [true, false] | [false, true]));
        },
    );
}

/// Case 43: the handles outlive the call and the data that the children borrowed.
#[test]
fn handles_and_wakers_kept_past_the_end_of_run_reach_nothing_borrowed() {
    on_workers(
        "runs::handles_and_wakers_kept_past_the_end_of_run_reach_nothing_borrowed",
        || {
            let (census, wakers) = (Census::default(), Mutex::new(Vec::<Waker>::new()));
            let mut kept: Vec<JoinHandle<()>> = Vec::new();
            let mut groups = Vec::new();
            for turn in 0..100 {
                let data = census.tracked();
                let outcome: Result<(), GroupError<Oops>> = run(async |r| {
                    for _ in 0..3 {
                        let (data, wakers) = (Watched(&data), &wakers);
                        kept.push(r.spawn(async move {
                            let data = data;
                            let mut polls = 0;
                            poll_fn(|cx| {
                                data.0.assert_alive();
                                wakers.lock().unwrap().push(cx.waker().clone());
                                polls += 1;
                                if polls == 2 && turn % 2 == 0 {
                                    return Poll::Ready(());
                                }
                                cx.waker().wake_by_ref();
                                Poll::Pending
                            })
                            .await;
                        }));
                    }
                    yield_now().await;
                    if turn % 2 == 1 {
                        r.cancel();
                    }
                    done()
                });
                outcome.unwrap();
                drop(data);
                let woken = std::mem::take(&mut *wakers.lock().unwrap());
                woken.into_iter().for_each(Waker::wake);
                groups.push(run(async |r| ok(r.clone())).unwrap());
            }
            assert_eq!(census.living(), 0);
            assert_eq!(kept.len(), 300);
            for (n, handle) in kept.into_iter().enumerate() {
                assert!(handle.is_finished());
                handle.cancel();
                if n % 3 != 0 {
                    let joined = block_on(handle);
                    assert_eq!(joined.is_err(), (n / 3) % 2 == 1);
                }
            }
            for group in groups {
                group.cancel();
                let refused = group.spawn(pending::<()>());
                assert!(block_on(refused).unwrap_err().is_cancelled());
            }
        },
    );
}

/// Looks at what it borrows once more when it is dropped.
struct Watched<'a>(&'a crate::support::Tracked);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.assert_alive();
    }
}

/// Rules 10 and 14 for `run`, and that the thread can run again afterwards.
#[test]
fn a_thread_can_run_again_after_every_kind_of_end() {
    on_workers(
        "runs::a_thread_can_run_again_after_every_kind_of_end",
        || {
            for _ in 0..20 {
                let failed = run(async |r| {
                    r.spawn(async { Err::<(), _>(Oops("child")) });
                    pending::<Result<(), Oops>>().await
                });
                assert_eq!(failed.names(), ["child"]);
                let cancelled = Options::new().name("cancelled").run(async |r| {
                    r.cancel();
                    pending::<Result<(), Oops>>().await
                });
                assert!(cancelled.unwrap_err().is_cancelled());
                let panicked = catch_unwind(|| {
                    run(async |r| {
                        let guard = PanicOnDrop("destructor");
                        r.spawn(async move {
                            let _guard = guard;
                            pending::<()>().await;
                        });
                        yield_now().await;
                        Err::<(), _>(Oops("body"))
                    })
                });
                assert_eq!(message(&*panicked.map(drop).unwrap_err()), "destructor");
                assert_eq!(run(async |_| ok(3)).unwrap(), 3);
            }
        },
    );
}

/// Rule 31: `run` inside a blocking child, cancelled from above.
#[test]
fn a_run_inside_a_blocking_child_is_cancelled_with_it() {
    on_workers(
        "runs::a_run_inside_a_blocking_child_is_cancelled_with_it",
        || {
            let ended = Flag::default();
            let (begun, has_begun) = channel();
            let outcome = block_on(group(async |g| {
                let ended = ended.clone();
                g.spawn_blocking(move |token| {
                    begun.send(()).unwrap();
                    let inner = run(async |_| pending::<Result<(), Oops>>().await);
                    assert!(inner.unwrap_err().is_cancelled());
                    spin_until(|| token.is_cancelled());
                    ended.set();
                });
                has_begun.recv().unwrap();
                g.cancel();
                pending::<Result<(), Oops>>().await
            }));
            assert!(outcome.unwrap_err().is_cancelled());
            assert!(ended.is_set());
        },
    );
}

/// Rule 22: in a run inside a blocking closure, too.
#[test]
fn a_shield_in_a_run_inside_a_closure_holds() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let shielded = timeout(
            secs(1),
            group(async |g| {
                g.spawn_blocking(|_| {
                    let inner = run(async |_| {
                        shield(sleep(secs(3))).await;
                        done()
                    });
                    assert!(inner.is_ok(), "{inner:?}");
                });
                done()
            }),
        );
        let _ = shielded.await;
        assert_eq!(ledger.now(), 3000);
    });
}

/// Rule 14: the panic of a child of such a run resumes in the closure, also if all is cancelled.
#[test]
fn the_panic_of_a_run_inside_a_closure_resumes_there() {
    sim(SEEDS, || async {
        let outcome = timeout(
            secs(1),
            group(async |g| {
                g.spawn_blocking(|_| {
                    let inner = std::panic::catch_unwind(|| {
                        run(async |g| {
                            g.spawn(drops_later_panicking("in the run"));
                            pending::<Result<(), Oops>>().await
                        })
                    });
                    assert_eq!(message(&*inner.unwrap_err()), "in the run");
                });
                done()
            }),
        );
        assert!(catch(outcome).await.is_ok());
    });
}

/// Rule 10: a destructor that cleans up while its thread unwinds hears of every error too.
#[test]
fn a_run_in_a_destructor_returns_its_errors_while_the_thread_panics() {
    struct CleansUp<'a>(&'a mut Option<Oops>);

    impl Drop for CleansUp<'_> {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            let outcome = run(async |r| {
                r.spawn(async { Err::<(), _>(Oops("rollback")) });
                done()
            });
            *self.0 = outcome.unwrap_err().into_first();
        }
    }

    let mut heard = None;
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _cleans_up = CleansUp(&mut heard);
        panic!("first");
    }));
    assert_eq!(message(&*unwound.unwrap_err()), "first");
    assert_eq!(heard, Some(Oops("rollback")));
}
