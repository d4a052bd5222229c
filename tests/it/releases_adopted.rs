//! Cases 33, 34 and 44 with releases: of openings that are dropped, forgotten or cut, and what the
//! code around still owns.

use std::{future::pending, mem, pin::Pin};

use futures_concurrency::future::Race;
use headcount::{GroupError, bracket, group, scope, shield, time::sleep, timeout};

use crate::support::{Ledger, Oops, SEEDS, done, ok, poll_for, secs, sim};

type Opening = Pin<Box<dyn Future<Output = Result<(), GroupError<Oops>>> + Send>>;

/// Case 44: what the body owns outlives the releases below it.
#[test]
fn the_destructor_of_a_cancelled_body_runs_after_the_last_release_below_it() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(1), async {
            let _folder = ledger.mark("folder");
            let _ = two_children_with_releases(&ledger).await;
            ledger.note("never");
        });
        assert!(outcome.await.is_err());
        ledger.expect(&[
            (1000, "child releasing"),
            (1000, "child releasing"),
            (3000, "child released"),
            (3000, "child released"),
            (3000, "folder cut"),
        ]);
    });
}

/// Case 44: the same with the body one group further out.
#[test]
fn the_destructor_of_a_body_one_group_further_out_runs_after_the_last_release() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(1), async {
            let _outer = ledger.mark("outer folder");
            let between = group(async |_| {
                let _inner = ledger.mark("inner folder");
                let _guard = ledger.deferred("middle", secs(1));
                two_children_with_releases(&ledger).await
            });
            let _ = between.await;
            ledger.note("never");
        });
        assert!(outcome.await.is_err());
        ledger.expect(&[
            (1000, "child releasing"),
            (1000, "child releasing"),
            (3000, "child released"),
            (3000, "child released"),
            (3000, "inner folder cut"),
            (3000, "middle releasing"),
            (4000, "middle released"),
            (4000, "outer folder cut"),
        ]);
    });
}

async fn two_children_with_releases(ledger: &Ledger) -> Result<(), GroupError<Oops>> {
    group(async |g| {
        for _ in 0..2 {
            let ledger = ledger.clone();
            g.spawn(async move {
                let _guard = ledger.deferred("child", secs(2));
                sleep(secs(10)).await;
            });
        }
        done()
    })
    .await
}

/// Case 33, by a race of another library.
#[test]
fn the_releases_of_a_group_that_loses_a_foreign_race_run_before_the_parent_returns() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let loser = async { two_children_with_releases(&ledger).await.map(|()| "loser") };
            let winner = async {
                sleep(secs(1)).await;
                Ok("winner")
            };
            let first = (loser, winner).race().await;
            ledger.note("body goes on");
            ok(first.unwrap())
        })
        .await;
        assert_eq!(outcome.unwrap(), "winner");
        ledger.expect(&[
            (1000, "body goes on"),
            (1000, "child releasing"),
            (1000, "child releasing"),
            (3000, "child released"),
            (3000, "child released"),
        ]);
    });
}

/// Case 34: the releases of a forgotten group's children, three levels deep.
#[test]
fn the_releases_below_a_forgotten_group_are_run_by_the_boundary_around() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |outer| {
            let ledger = ledger.clone();
            outer.spawn(async move {
                let middle = timeout(secs(1), async {
                    let mut lost = Box::pin(async {
                        // Both levels are forgotten; the body's own guard with them.
                        let _owned = ledger.deferred("owned by what is forgotten", secs(2));
                        drop(group(async |_| two_children_with_releases(&ledger).await).await);
                    });
                    assert!(poll_for(&mut lost, secs(0)).await.is_pending());
                    mem::forget(lost);
                    sleep(secs(7)).await;
                });
                assert!(middle.await.is_err());
                ledger.note("middle ended");
            });
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (1000, "child releasing"),
            (1000, "child releasing"),
            (3000, "child released"),
            (3000, "child released"),
            (3000, "middle ended"),
        ]);
    });
}

/// Case 34: inline children are forgotten with what they own; what was spawned below them is not.
#[test]
fn what_spawned_children_below_a_forgotten_scope_own_is_released() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut lost: Pin<
                Box<dyn Future<Output = Result<(), headcount::GroupError<Oops>>> + Send>,
            > = {
                let ledger = ledger.clone();
                Box::pin(scope(async move |s| {
                    let l = ledger.clone();
                    s.spawn(async move {
                        let _o = l.deferred("owned", secs(2));
                        let inner = group(async |g| {
                            let l = l.clone();
                            g.spawn(async move {
                                let _g = l.deferred("spawned", secs(2));
                                sleep(secs(60)).await;
                            });
                            done()
                        });
                        inner.await.map_err(|_| Oops("inner"))
                    });
                    done()
                }))
            };
            assert!(poll_for(&mut lost, secs(1)).await.is_pending());
            mem::forget(lost);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(1000, "spawned releasing"), (3000, "spawned released")]);
    });
}

/// Case 41: polled to its end inside, though its future is kept.
#[test]
fn a_kept_group_has_released_everything_when_the_timeout_around_it_returns() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut kept: Opening = {
                let ledger = ledger.clone();
                Box::pin(group(async move |g| {
                    let _body = ledger.deferred("body", secs(1));
                    let child = ledger.clone();
                    g.spawn(async move {
                        let _guard = child.deferred("child", secs(2));
                        sleep(secs(60)).await;
                    });
                    sleep(secs(60)).await;
                    done()
                }))
            };
            assert!(timeout(secs(1), &mut kept).await.is_err());
            ledger.note("timed out");
            assert!(kept.await.unwrap_err().is_cancelled());
            ledger.note("kept returned");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (1000, "child releasing"),
            (3000, "child released"),
            (3000, "body releasing"),
            (4000, "body released"),
            (4000, "timed out"),
            (4000, "kept returned"),
        ]);
    });
}

/// Case 44, rule 21: a timeout without anything below it but a guard drains first, too.
#[test]
fn the_code_around_a_timeout_outlives_the_releases_in_it() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(1), async {
            let _around = ledger.mark("around");
            let _ = timeout(secs(60), async {
                let _guard = ledger.deferred("guard", secs(2));
                sleep(secs(60)).await;
            })
            .await;
        });
        assert!(outcome.await.is_err());
        ledger.expect(&[
            (1000, "guard releasing"),
            (3000, "guard released"),
            (3000, "around cut"),
        ]);
    });
}

/// Rule 21: in a child.
#[test]
fn the_code_around_a_bracket_in_a_child_outlives_its_release() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let child = ledger.clone();
            g.spawn(async move {
                let _around = child.mark("around");
                let inner = bracket(
                    async { done() },
                    async |_guard| {
                        sleep(secs(60)).await;
                        done()
                    },
                    async |()| sleep(secs(2)).await,
                );
                let _ = inner.await;
            });
            sleep(secs(1)).await;
            g.cancel();
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(3000, "around cut")]);
    });
}

/// Rule 23: what is taken care of at the end waits for a dropped group's children too, who may use it.
#[test]
fn the_release_of_the_body_waits_for_the_children_of_a_dropped_group() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let _guard = ledger.deferred("guard", secs(1));
            let mut lost: Opening = Box::pin(group({
                let child = shield(ledger.sleeper("child", secs(3)));
                async |g| {
                    g.spawn(child);
                    done()
                }
            }));
            assert!(poll_for(&mut lost, secs(1)).await.is_pending());
            drop(lost);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (3000, "child done"),
            (3000, "guard releasing"),
            (4000, "guard released"),
        ]);
    });
}

/// What a dropped group hands on has waited for its own children, and waits for no others.
#[test]
fn what_a_dropped_group_hands_on_is_released_beside_the_children_of_its_heir() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |heir| {
            heir.spawn(ledger.sleeper("child", secs(9)));
            let (below, guard) = (shield(sleep(secs(3))), ledger.deferred("guard", secs(1)));
            let mut lost: Opening = Box::pin(group(async move |g| {
                let _guard = guard;
                g.spawn(below);
                pending().await
            }));
            assert!(poll_for(&mut lost, secs(1)).await.is_pending());
            drop(lost);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (3000, "guard releasing"),
            (4000, "guard released"),
            (9000, "child done"),
        ]);
    });
}
