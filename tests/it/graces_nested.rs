//! `Options::grace` of one boundary in another, and what is around and below.

use headcount::{checkpoint, defer, group, shield, time::sleep, timeout};

use crate::{
    graces::{cuts, grace},
    support::{Ledger, Oops, SEEDS, done, poll_for, secs, sim},
};

/// From wherever the request comes.
#[test]
fn a_grace_begins_with_a_cancellation_from_above() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let child = ledger.clone();
            g.spawn(async move {
                let inner = grace(2).group(async |_| {
                    let _guard = child.deferred("bounded", secs(60));
                    sleep(secs(60)).await;
                    done()
                });
                // A cut release is a real error, which beats the outer cancellation.
                assert_eq!(cuts(inner.await), 1);
                child.note("inner ended");
                let _guard = child.deferred("not bounded", secs(10));
                checkpoint().await;
                child.note("never");
            });
            sleep(secs(1)).await;
            g.cancel();
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (1000, "bounded releasing"),
            (3000, "inner ended"),
            (3000, "not bounded releasing"),
            (13_000, "not bounded released"),
        ]);
    });
}

/// Of several graces around a release the one that ends first binds.
#[test]
fn of_nested_graces_the_one_that_ends_first_binds() {
    for (outer, inner) in [(2, 5), (5, 2)] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = grace(outer).group(async |g| {
                let child = ledger.clone();
                g.spawn(async move {
                    let inner = grace(inner).group(async |_| {
                        let _guard = child.deferred("guard", secs(60));
                        sleep(secs(60)).await;
                        done()
                    });
                    assert_eq!(cuts(inner.await), 1);
                    child.note("inner ended");
                });
                sleep(secs(1)).await;
                g.cancel();
                done()
            });
            outcome.await.unwrap();
            ledger.expect(&[(1000, "guard releasing"), (3000, "inner ended")]);
        });
    }
}

/// The outer grace begins while a release further in already runs, and goes through shields, also
/// to tasks that the request does not reach.
#[test]
fn a_grace_that_begins_outside_ends_a_release_that_already_runs_behind_a_shield() {
    for own_task in [false, true] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = grace(3).group(async |g| {
                let child = ledger.clone();
                g.spawn(async move {
                    let inner = group(async |g| {
                        let guard = child.deferred("guard", secs(60));
                        if own_task {
                            g.spawn(async move { drop(guard) });
                        }
                        done()
                    });
                    assert_eq!(cuts(shield(inner).await), 1);
                    child.note("inner ended");
                });
                sleep(secs(5)).await;
                g.cancel();
                done()
            });
            outcome.await.unwrap();
            ledger.expect(&[(0, "guard releasing"), (8000, "inner ended")]);
        });
    }
}

/// The same for a release whose `close` another task awaits, which nothing else wakes.
#[test]
fn a_grace_that_begins_outside_cuts_a_close_that_a_child_behind_a_shield_awaits() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = grace(3).group(async |g| {
            let child = ledger.clone();
            g.spawn(async move {
                let inner = group(async |g| {
                    let mut closing = Box::pin(child.deferred("guard", secs(60)).close());
                    assert!(poll_for(&mut closing, secs(1)).await.is_pending());
                    let told = child.clone();
                    g.spawn(async move {
                        assert!(closing.await.is_err());
                        told.note("cut");
                    });
                    done()
                });
                shield(inner).await.map_err(|_| Oops("inner"))
            });
            sleep(secs(5)).await;
            g.cancel();
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(0, "guard releasing"), (8000, "cut")]);
    });
}

/// What a release runs ends with it: children are cancelled, and what it defers is polled once.
#[test]
fn what_lives_below_a_cut_release_ends_with_it() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = grace(2).group(async |_| {
            let _guard = defer(ledger.clone(), |ledger| async move {
                let _inner = ledger.deferred("inner", secs(60));
                let below = group(async |g| {
                    g.spawn(ledger.forever("child"));
                    done()
                });
                below.await.unwrap();
                ledger.note("never");
            });
            done()
        });
        let error = outcome.await.unwrap_err();
        assert_eq!(error.cleanup_failures().len(), 2);
        ledger.expect(&[(2000, "child cut"), (2000, "inner releasing")]);
        assert_eq!(ledger.now(), 2000);
    });
}

/// A timeout outside does not shorten it: that only begins it.
#[test]
fn a_timeout_around_begins_the_grace_and_waits_for_it() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(
            secs(1),
            grace(5).group(async |_| {
                let _quick = ledger.deferred("quick", secs(4));
                sleep(secs(60)).await;
                done()
            }),
        );
        assert!(outcome.await.is_err());
        ledger.expect(&[(1000, "quick releasing"), (5000, "quick released")]);
    });
}

/// Adopted or not: it is the boundary that has the grace.
#[test]
fn the_grace_of_a_dropped_group_still_binds_the_releases_below_it() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let inner = grace(2).group(async |g| {
                let l = ledger.clone();
                g.spawn(async move {
                    let _g = l.deferred("guard", secs(60));
                    sleep(secs(60)).await;
                });
                done()
            });
            let mut inner = Box::pin(inner);
            assert!(poll_for(&mut inner, secs(1)).await.is_pending());
            drop(inner);
            done()
        })
        .await;
        assert_eq!(cuts(outcome), 1);
        assert_eq!(ledger.now(), 3000);
    });
}

/// Rule 22: a shield inside a release is waited for; the cut comes at the checkpoint after it.
#[test]
fn a_shield_inside_a_release_outlasts_the_grace() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = grace(1).group(async |_| {
            let _guard = defer(ledger.clone(), async |ledger: Ledger| {
                shield(sleep(secs(3))).await;
                ledger.note("step done");
                checkpoint().await;
                ledger.note("never");
            });
            done()
        });
        let error = outcome.await.unwrap_err();
        assert_eq!(error.cleanup_failures().len(), 1);
        ledger.expect(&[(3000, "step done")]);
    });
}
