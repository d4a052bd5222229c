//! Openings that are leaked half-way: their parent accounts for what they leave.

use std::{future::pending, mem, pin::Pin};

use headcount::{GroupError, Started, group, scope, time::sleep, timeout};

use crate::support::{
    Census, Gate, Ledger, Oops, PollCount, SEEDS, done, poll_once, secs, sim, yield_now,
};

type Opening<'a, E> = Pin<Box<dyn Future<Output = Result<(), GroupError<E>>> + Send + 'a>>;

/// Case 34, without finalizers.
#[test]
fn the_children_of_a_forgotten_group_are_cancelled_when_its_parent_ends() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut inner: Opening<Oops> = Box::pin(group(async |g| {
                g.spawn(ledger.sleeper("quick", secs(1)));
                g.spawn(ledger.sleeper("slow", secs(10)));
                done()
            }));
            assert!(poll_once(&mut inner).await.is_pending());
            mem::forget(inner);
            sleep(secs(2)).await;
            ledger.note("parent's body ends");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (1000, "quick done"),
            (2000, "parent's body ends"),
            (2000, "slow cut"),
        ]);
        assert_eq!(ledger.now(), 2000);
    });
}

/// Case 34: below a timeout and another group, three levels deep.
#[test]
fn a_forgotten_group_is_accounted_for_three_levels_deep() {
    sim(SEEDS, || async {
        let (ledger, census) = (Ledger::open(), Census::default());
        let outcome = group(async |outer| {
            let census = census.clone();
            outer.spawn(async move {
                let inner = timeout(secs(1), async {
                    let middle = group(async |_| {
                        let mut lost: Opening<Oops> = Box::pin(group(async |g| {
                            let tracked = census.tracked();
                            g.spawn(async move {
                                sleep(secs(10)).await;
                                drop(tracked);
                            });
                            done()
                        }));
                        assert!(poll_once(&mut lost).await.is_pending());
                        mem::forget(lost);
                        sleep(secs(7)).await;
                        done()
                    });
                    middle.await
                });
                assert!(inner.await.is_err());
                assert_eq!((census.born(), census.living()), (1, 0));
            });
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(census.living(), 0);
        assert_eq!(ledger.now(), 1000);
    });
}

/// Case 34: a forgotten group whose parent is cancelled instead of ending.
#[test]
fn the_children_of_a_forgotten_group_are_cancelled_with_its_parent() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |parent| {
            let mut inner: Opening<Oops> = Box::pin(group(async |g| {
                g.spawn(ledger.sleeper("child", secs(10)));
                done()
            }));
            assert!(poll_once(&mut inner).await.is_pending());
            mem::forget(inner);
            sleep(secs(1)).await;
            parent.cancel();
            pending::<Result<(), Oops>>().await
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        ledger.expect(&[(1000, "child cut")]);
    });
}

/// Case 34: inline children of a forgotten scope never run again, and nobody waits for them.
#[test]
fn the_children_of_a_forgotten_scope_never_run_again() {
    sim(SEEDS, || async {
        let (ledger, polls, gate) = (Ledger::open(), PollCount::default(), Gate::default());
        let borrowed = Census::default();
        let outcome = group(async |_| {
            let data = borrowed.tracked();
            let mut inner: Opening<Oops> = Box::pin(scope(async |s| {
                let data = &data;
                for _ in 0..3 {
                    let wait = gate.wait();
                    s.spawn(polls.of(async move {
                        wait.await;
                        data.assert_alive();
                        pending::<()>().await;
                    }));
                }
                done()
            }));
            while polls.get() < 3 {
                assert!(poll_once(&mut inner).await.is_pending());
                yield_now().await;
            }
            mem::forget(inner);
            drop(data);
            let before = polls.get();
            gate.open();
            sleep(secs(1)).await;
            assert_eq!(polls.get(), before);
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(borrowed.living(), 0);
        assert_eq!(ledger.now(), 1000);
    });
}

/// Case 34, rule 8: below a forgotten scope the spawned children do count.
#[test]
fn the_children_of_a_group_inside_a_forgotten_scope_are_accounted_for() {
    sim(SEEDS, || async {
        let (ledger, census) = (Ledger::open(), Census::default());
        let outcome = group(async |_| {
            let mut inner: Opening<Oops> = Box::pin(scope(async |s| {
                let census = census.clone();
                s.spawn(async move {
                    let below = group(async |g| {
                        let tracked = census.tracked();
                        g.spawn(async move {
                            sleep(secs(10)).await;
                            drop(tracked);
                        });
                        done()
                    });
                    below.await.map_err(|_| Oops("below"))
                });
                done()
            }));
            while census.born() == 0 {
                assert!(poll_once(&mut inner).await.is_pending());
                yield_now().await;
            }
            mem::forget(inner);
            sleep(secs(2)).await;
            assert_eq!(census.living(), 1);
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(census.living(), 0);
        assert_eq!(ledger.now(), 2000);
    });
}

/// A child of a forgotten scope never ends: who awaits its handle, or its start, elsewhere is told.
#[test]
fn who_waits_for_a_child_of_a_forgotten_scope_is_told_that_it_is_cancelled() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |outer| {
            let mut lost: Opening<Oops> = Box::pin(scope(async |s| {
                let child = s.spawn(pending::<()>());
                let (first, second) = (ledger.clone(), ledger.clone());
                outer.spawn(async move {
                    assert!(child.await.unwrap_err().is_cancelled());
                    first.note("joined");
                });
                outer.spawn(async move {
                    let start = s.start(async |_started: Started<()>| pending::<()>().await);
                    assert!(start.await.unwrap_err().is_cancelled());
                    second.note("not started");
                });
                pending().await
            }));
            assert!(poll_once(&mut lost).await.is_pending());
            sleep(secs(1)).await;
            mem::forget(lost);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect_in_any_order(&[(1000, "joined"), (1000, "not started")]);
    });
}

/// Rule 8: a boundary that is cancelled takes a group that nobody polls for forgotten.
#[test]
fn the_body_of_a_group_that_was_taken_for_forgotten_never_runs_again() {
    sim(SEEDS, || async {
        let (ledger, polls, gate) = (Ledger::open(), PollCount::default(), Gate::default());
        let outcome = group(async |outer| {
            let waiting = gate.wait();
            outer.spawn(async move {
                sleep(secs(3)).await;
                gate.open();
            });
            let outcome = timeout(secs(1), async {
                let mut aside: Opening<Oops> = Box::pin(group(async |_| {
                    let drains = group(async |g| {
                        let ledger = ledger.clone();
                        g.spawn(async move {
                            let _guard = ledger.deferred("guard", secs(5));
                            pending::<()>().await;
                        });
                        pending::<Result<(), Oops>>().await
                    });
                    _ = polls.of(drains).await;
                    done()
                }));
                assert!(poll_once(&mut aside).await.is_pending());
                waiting.await;
                let before = polls.get();
                _ = poll_once(&mut aside).await;
                ledger.note(format!("{} more polls", polls.get() - before));
                pending::<()>().await;
            })
            .await;
            assert!(outcome.is_err());
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (1000, "guard releasing"),
            (3000, "0 more polls"),
            (6000, "guard released"),
        ]);
    });
}
