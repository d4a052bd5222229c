//! Blocking children under the simulator. They run in strict hand-off, so one that wants to see a
//! cancellation arrive waits for it in a `run` of its own.

use std::{
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use headcount::{BlockingToken, group, run, shield, testing::Sim, time::sleep, timeout};

use crate::support::{
    Census, Flag, Ledger, Named, Oops, SEEDS, catch, done, message, ok, poll_once, secs, sim,
    yield_now,
};

/// Blocks until the group of the closure is cancelled, and says that it saw it.
fn block_until_cancelled(token: &BlockingToken) {
    let outcome = run(async |_| pending::<Result<(), Oops>>().await);
    assert!(outcome.unwrap_err().is_cancelled());
    assert!(token.is_cancelled());
}

/// Rule 31.
#[test]
fn a_blocking_child_gives_its_value_to_its_handle() {
    sim(SEEDS, || async {
        let (ledger, census) = (Ledger::open(), Census::default());
        let outcome = group(async |g| {
            let tracked = census.tracked();
            let value = g.spawn_blocking(move |token| {
                tracked.assert_alive();
                assert!(!token.is_cancelled());
                ok(5)
            });
            g.spawn_blocking(|_| ());
            ok(value.await.unwrap())
        })
        .await;
        assert_eq!(outcome.unwrap(), 5);
        assert_eq!(census.living(), 0);
        assert_eq!(ledger.now(), 0);
    });
}

#[test]
fn a_token_shows_whether_its_closure_is_asked_to_stop() {
    sim(1, || async {
        let outcome = group(async |g| {
            g.spawn_blocking(move |token| {
                assert_eq!(format!("{token:?}"), "BlockingToken { cancelled: false }");
                block_until_cancelled(&token);
                assert_eq!(format!("{token:?}"), "BlockingToken { cancelled: true }");
            });
            sleep(secs(1)).await;
            g.cancel();
            yield_now().await;
            done()
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
    });
}

/// Rules 9 and 14 hold for blocking children too.
#[test]
fn a_blocking_child_fails_and_panics_like_any_other() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let failed = group(async |g| {
            g.spawn_blocking(|_| Err::<(), _>(Oops("blocking")));
            ledger.forever("body").await;
            done()
        })
        .await;
        assert_eq!(failed.names(), ["blocking"]);
        let panicked = catch(group(async |g| {
            g.spawn_blocking(|_| -> Result<(), Oops> { panic!("blocking") });
            pending::<Result<(), Oops>>().await
        }))
        .await;
        assert_eq!(message(&*panicked.map(drop).unwrap_err()), "blocking");
        ledger.expect(&[(0, "body cut")]);
    });
}

/// Rule 31.
#[test]
fn a_blocking_child_that_has_not_begun_is_dropped_unrun() {
    sim(SEEDS, || async {
        let (census, begun) = (Census::default(), Flag::default());
        let outcome = group(async |g| {
            let (tracked, begun) = (census.tracked(), begun.clone());
            g.cancel();
            let child = g.spawn_blocking(move |_| {
                begun.set();
                drop(tracked);
            });
            ok(child)
        })
        .await;
        assert!(outcome.unwrap().await.unwrap_err().is_cancelled());
        assert!(!begun.is_set());
        assert_eq!(census.living(), 0);
    });
}

/// Rule 31: one that has begun is waited for, and `run` inside it joins the tree.
#[test]
fn a_group_waits_for_its_cancelled_blocking_child() {
    sim(SEEDS, || async {
        let (ledger, ended) = (Ledger::open(), Flag::default());
        let ended_inside = ended.clone();
        let outcome = timeout(
            secs(1),
            group(async |g| {
                g.spawn_blocking(move |token| {
                    block_until_cancelled(&token);
                    ended_inside.set();
                });
                done()
            }),
        )
        .await;
        assert!(outcome.is_err());
        assert!(ended.is_set());
        assert_eq!(ledger.now(), 1000);
    });
}

/// Rule 12: the blocking child fails while the timeout around its group cancels it.
#[test]
fn a_timeout_returns_the_error_that_came_out_of_its_cancellation() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(
            secs(1),
            group(async |g| {
                g.spawn_blocking(|token| {
                    block_until_cancelled(&token);
                    Err::<(), _>(Oops("blocking"))
                });
                pending::<Result<(), Oops>>().await
            }),
        )
        .await;
        assert_eq!(outcome.unwrap().names(), ["blocking"]);
        assert_eq!(ledger.now(), 1000);
    });
}

/// Case 8, rule 10.
#[test]
fn the_failures_of_the_body_and_of_a_child_are_both_kept_the_first_first() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.spawn_blocking(|token| {
                block_until_cancelled(&token);
                Err::<(), _>(Oops("child"))
            });
            ledger.failing("body", secs(1)).await
        })
        .await;
        assert_eq!(outcome.names(), ["body", "child"]);
        assert_eq!(outcome.unwrap_err().first(), Some(&Oops("body")));
        assert_eq!(ledger.now(), 1000);
    });
}

/// Rule 21: what the outer code owns outlives a blocking child below it.
#[test]
fn what_the_body_owns_outlives_a_blocking_child() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(1), async {
            let _folder = ledger.mark("folder");
            let mark = ledger.mark("blocking child");
            let inner = group(async move |g| {
                g.spawn_blocking(move |token| {
                    block_until_cancelled(&token);
                    mark.finish("ended");
                });
                done()
            });
            inner.await
        })
        .await;
        assert!(outcome.is_err());
        ledger.expect(&[(1000, "blocking child ended"), (1000, "folder cut")]);
    });
}

/// Case 33: a dropped group with a blocking child in progress; its parent waits.
#[test]
fn the_parent_of_a_dropped_group_waits_for_its_blocking_child() {
    sim(SEEDS, || async {
        let (ledger, ended) = (Ledger::open(), Flag::default());
        let outcome = group(async |_| {
            let ended = ended.clone();
            let mut inner = Box::pin(group(async move |g| {
                g.spawn_blocking(move |token| {
                    block_until_cancelled(&token);
                    ended.set();
                });
                done()
            }));
            assert!(crate::support::poll_once(&mut inner).await.is_pending());
            sleep(secs(1)).await;
            drop(inner);
            done()
        })
        .await;
        outcome.unwrap();
        assert!(ended.is_set());
        assert_eq!(ledger.now(), 1000);
    });
}

/// Case 38, rule 31: a `run` with children in virtual time.
#[test]
fn a_run_inside_a_blocking_child_shares_the_clock() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let (inside, around) = (ledger.clone(), ledger.sleeper("around", secs(2)));
            g.spawn(around);
            g.spawn_blocking(move |_| {
                let words = [String::from("one"), String::from("two")];
                let sum = run(async |r| {
                    let handles = words.each_ref().map(|word| {
                        r.spawn(async move {
                            sleep(secs(3)).await;
                            ok(word.len())
                        })
                    });
                    let mut sum = 0;
                    for handle in handles {
                        sum += handle.await.unwrap();
                    }
                    ok(sum)
                });
                inside.note(format!("run gave {}", sum.unwrap()));
            });
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(2000, "around done"), (3000, "run gave 6")]);
    });
}

/// Rules 29 and 31: a simulation that fails destroys its children first, and a closure that still
/// runs must then still have what it borrows from the closure that called `run`.
#[test]
fn what_a_closure_borrows_outlives_it_when_the_simulation_fails() {
    struct Local(Arc<AtomicBool>);
    impl Drop for Local {
        fn drop(&mut self) {
            self.0.store(false, SeqCst);
        }
    }
    let late = Arc::new(AtomicUsize::new(0));
    for seed in 0..SEEDS {
        let seen = late.clone();
        let failed = catch_unwind(AssertUnwindSafe(|| {
            Sim::new(seed).run(async move {
                let outcome = group(async |g| {
                    g.spawn_blocking(move |_| {
                        let alive = Arc::new(AtomicBool::new(true));
                        let local = Local(alive.clone());
                        let _ = run(async |r| {
                            let (borrowed, alive, seen) = (&local, alive.clone(), seen.clone());
                            r.spawn_blocking(move |token| {
                                for _ in 0..100 {
                                    token.is_cancelled();
                                    std::hint::black_box(std::ptr::from_ref(borrowed));
                                    if !alive.load(SeqCst) {
                                        seen.fetch_add(1, SeqCst);
                                    }
                                }
                            });
                            Ok::<_, Oops>(())
                        });
                    });
                    for _ in 0..seed % 20 {
                        yield_now().await;
                    }
                    done()
                });
                let mut outcome = Box::pin(outcome);
                for _ in 0..20 {
                    let _ = poll_once(&mut outcome).await;
                    yield_now().await;
                }
                panic!("the simulation fails");
            })
        }));
        assert!(failed.is_err());
    }
    assert_eq!(
        late.load(SeqCst),
        0,
        "a closure ran after what it borrows was gone"
    );
}

/// Rules 1 and 31: `run` in a closure drains by itself, and returns when it has.
#[test]
fn a_cancelled_run_in_a_closure_waits_for_its_releases() {
    for in_child in [false, true] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let closure = ledger.clone();
            let outcome = timeout(
                secs(1),
                group(async |g| {
                    g.spawn_blocking(move |_| {
                        let hold = closure.clone();
                        let holder = async move {
                            let _guard = hold.deferred("guard", secs(2));
                            pending::<Result<(), Oops>>().await
                        };
                        let stopped = match in_child {
                            false => run(async |_| holder.await),
                            true => run(async |g| {
                                g.spawn(holder);
                                pending().await
                            }),
                        };
                        assert!(stopped.unwrap_err().is_cancelled());
                        closure.note("run returned");
                    });
                    done()
                }),
            );
            assert!(outcome.await.is_err());
            ledger.expect(&[
                (1000, "guard releasing"),
                (3000, "guard released"),
                (3000, "run returned"),
            ]);
        });
    }
}

/// Rules 22 and 31.
#[test]
fn a_shield_holds_in_a_run_in_a_closure() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let closure = ledger.clone();
        let outcome = timeout(
            secs(1),
            group(async |g| {
                g.spawn_blocking(move |_| {
                    let stopped = run(async |_| {
                        shield(sleep(secs(3))).await;
                        closure.note("shielded");
                        pending::<Result<(), Oops>>().await
                    });
                    assert!(stopped.unwrap_err().is_cancelled());
                    closure.note("run returned");
                });
                done()
            }),
        );
        assert!(outcome.await.is_err());
        ledger.expect(&[(3000, "shielded"), (3000, "run returned")]);
    });
}

/// Rules 10 and 12: the opener and every child are gone when the group, which still waits for a
/// release, hands on what a child said.
#[test]
fn a_late_error_in_a_dropped_group_outlives_its_last_child() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut dropped = Box::pin(group(async |g| {
                g.spawn_blocking(|token| {
                    block_until_cancelled(&token);
                    Err::<(), _>(Oops("late"))
                });
                let releasing = group(async |g| {
                    let guard = ledger.deferred("inner", secs(2));
                    g.spawn(async move {
                        let _guard = guard;
                        pending::<()>().await;
                    });
                    done()
                });
                releasing.await.map_err(|_| Oops("never"))
            }));
            assert!(poll_once(&mut dropped).await.is_pending());
            sleep(secs(1)).await;
            drop(dropped);
            done()
        })
        .await;
        let error = outcome.unwrap_err();
        assert_eq!(error.cleanup_failures().len(), 1);
        assert!(error.to_string().contains("late"), "{error}");
        assert_eq!(ledger.now(), 3000);
    });
}
