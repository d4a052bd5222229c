//! `CancelScope::shield(bool)`: switched before entry, while running, and by others (rule 22).

use std::future::pending;

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use headcount::{
    CancelKind, CancelScope, checkpoint, gather_settled, group, is_cancelled, shield, time::sleep,
    timeout,
};

use crate::support::{
    FEW, Layer, Ledger, Oops, SEEDS, catch, done, message, nested, nestings, ok, secs, sim,
    yield_now,
};

/// Rule 22: switched on before entry.
#[test]
fn a_scope_shielded_before_entry_runs_to_its_end() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let shielded = CancelScope::new();
        shielded.shield(true);
        let outcome = timeout(secs(1), async {
            let value = shielded.enter(async {
                sleep(secs(3)).await;
                5
            });
            assert_eq!(value.await.unwrap(), 5);
            ledger.note("delivered");
            checkpoint().await;
            ledger.note("never");
        });
        outcome.await.unwrap_err();
        ledger.expect(&[(3000, "delivered")]);
        assert!(!shielded.cancel_called() && !shielded.cancelled_caught());
    });
}

/// Case 19: on request from inside and from outside, and by its own deadline.
#[test]
fn a_shielded_scope_that_cancels_itself_is_interrupted() {
    for how in [CancelKind::Explicit, CancelKind::Deadline] {
        for inside in [false, true] {
            sim(SEEDS, move || async move {
                let ledger = Ledger::open();
                let shielded = CancelScope::new();
                shielded.shield(true);
                let ask = move |shielded: &CancelScope| match how {
                    CancelKind::Explicit => shielded.cancel(),
                    _ => shielded.set_deadline(Some(headcount::Instant::now())),
                };
                let outcome = group(async |g| {
                    let other = shielded.clone();
                    g.spawn(async move {
                        sleep(secs(2)).await;
                        if !inside {
                            ask(&other);
                        }
                    });
                    let cut = shielded.enter(async {
                        let _owned = ledger.mark("sleep");
                        sleep(secs(2)).await;
                        if inside {
                            ask(&shielded);
                        }
                        pending::<()>().await;
                    });
                    let cancelled = cut.await.unwrap_err();
                    assert_eq!(cancelled.reason().unwrap().kind, how);
                    ledger.note("after");
                    done()
                });
                outcome.await.unwrap();
                ledger.expect(&[(2000, "sleep cut"), (2000, "after")]);
                assert!(shielded.cancelled_caught());
            });
        }
    }
}

/// Rule 22: its own request ends a shielded scope while one from outside is pending; what is
/// outside takes effect at the next checkpoint.
#[test]
fn a_shielded_scope_absorbs_its_own_request_though_another_is_pending() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outer = CancelScope::with_timeout(secs(1));
        let shielded = CancelScope::with_timeout(secs(2));
        shielded.shield(true);
        let outcome = outer.enter(async {
            shielded.enter(pending::<()>()).await.unwrap_err();
            ledger.note("after");
            checkpoint().await;
            ledger.note("never");
        });
        outcome.await.unwrap_err();
        assert!(shielded.cancelled_caught() && outer.cancelled_caught());
        ledger.expect(&[(2000, "after")]);
    });
}

/// Rule 22: switched on while running, before the request and after it.
#[test]
fn a_shield_switched_on_inside_protects_from_there_on() {
    for late in [false, true] {
        sim(SEEDS / 2, move || async move {
            let ledger = Ledger::open();
            let (outer, inner) = (CancelScope::new(), CancelScope::new());
            let outcome = outer.enter(async {
                let entered = inner.enter(async {
                    sleep(secs(1)).await;
                    if late {
                        outer.cancel();
                        assert!(is_cancelled());
                    }
                    inner.shield(true);
                    assert!(!is_cancelled());
                    outer.cancel();
                    assert!(!is_cancelled());
                    sleep(secs(1)).await;
                    ledger.note("goes on");
                    inner.shield(false);
                    assert!(is_cancelled());
                    yield_now().await;
                    ledger.note("never");
                });
                let _ = entered.await;
                ledger.note("between");
            });
            outcome.await.unwrap_err();
            ledger.expect(&[(2000, "goes on")]);
            assert!(!inner.cancelled_caught());
        });
    }
}

/// Rule 22: somebody else takes the shield away, and the request that was waiting takes effect there
/// and then, through every nesting.
#[test]
fn a_shield_that_is_taken_away_lets_the_pending_request_through_at_once() {
    for outer in nestings(1) {
        for inner in nestings(2) {
            sim(FEW, || {
                let (outer, inner) = (outer.clone(), inner.clone());
                async move {
                    let (ledger, root) = (Ledger::open(), CancelScope::with_timeout(secs(1)));
                    let shielded = CancelScope::new();
                    shielded.shield(true);
                    let (remote, leaf) = (shielded.clone(), ledger.forever("leaf"));
                    let tree = nested(&outer, async move {
                        let _ = shielded.enter(nested(&inner, leaf)).await;
                        unreachable!("between");
                    });
                    let outcome = group(async |g| {
                        g.spawn(async move {
                            sleep(secs(3)).await;
                            remote.shield(false);
                        });
                        let cut: Result<(), _> = root.enter(tree).await;
                        ok(cut.is_err())
                    });
                    assert!(outcome.await.unwrap());
                    ledger.expect(&[(3000, "leaf cut")]);
                    assert_eq!(ledger.now(), 3000);
                }
            });
        }
    }
}

/// Rule 22: switched again and again with nothing pending, it changes nothing but what comes later.
#[test]
fn the_last_position_of_the_switch_counts() {
    for on in [false, true] {
        sim(SEEDS / 2, move || async move {
            let ledger = Ledger::open();
            let inner = CancelScope::new();
            for position in [true, true, false, false, true, on, on] {
                inner.shield(position);
            }
            let sleeper = ledger.sleeper("sleep", secs(5));
            let entered = inner.enter(async {
                for position in [!on, !on, on, on] {
                    inner.shield(position);
                    checkpoint().await;
                }
                sleeper.await;
            });
            let outcome = timeout(secs(2), entered).await;
            assert_eq!(outcome.is_ok(), on);
            match on {
                true => ledger.expect(&[(5000, "sleep done")]),
                false => ledger.expect(&[(2000, "sleep cut")]),
            }
        });
    }
}

/// Rules 18 and 22: children of a group inside see the switch as well as the code itself does.
#[test]
fn children_below_a_shielded_scope_are_shielded_with_it() {
    for layer in Layer::ALL {
        sim(FEW, move || async move {
            let ledger = Ledger::open();
            let (shielded, exposed) = (CancelScope::new(), CancelScope::new());
            shielded.shield(true);
            let seen = ledger.clone();
            let survivor = nested(&[layer], async move {
                sleep(secs(3)).await;
                assert!(!is_cancelled());
                seen.note("survived");
            });
            let outcome = timeout(
                secs(1),
                group(async |g| {
                    let victim = ledger.forever("victim");
                    g.spawn(async move { drop(exposed.enter(victim).await) });
                    let below = group(async move |g| {
                        g.spawn(survivor);
                        done()
                    });
                    shielded.enter(below).await.unwrap().unwrap();
                    ledger.note("delivered");
                    pending::<Result<(), Oops>>().await
                }),
            );
            assert!(outcome.await.is_err());
            ledger.expect(&[
                (1000, "victim cut"),
                (3000, "survived"),
                (3000, "delivered"),
            ]);
        });
    }
}

/// Rule 22: a shield inside a shield; the inner one's switch is its own.
#[test]
fn nested_shields_are_switched_apart() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let (outer, inner) = (CancelScope::new(), CancelScope::new());
        outer.shield(true);
        inner.shield(true);
        let outcome = timeout(secs(1), async {
            let entered = outer.enter(async {
                let entered = inner.enter(async {
                    sleep(secs(2)).await;
                    outer.shield(false);
                    sleep(secs(2)).await;
                    ledger.note("still shielded by the inner one");
                });
                entered.await.unwrap();
                ledger.note("delivered");
                checkpoint().await;
                ledger.note("never");
            });
            let _ = entered.await;
            ledger.note("never");
        });
        outcome.await.unwrap_err();
        ledger.expect(&[
            (4000, "still shielded by the inner one"),
            (4000, "delivered"),
        ]);
    });
}

/// A switch thrown after the end of its scope holds nobody.
#[test]
fn a_shield_switched_on_after_the_end_shields_nothing() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let ended = CancelScope::new();
        let outcome = timeout(secs(2), async {
            ended.enter(sleep(secs(1))).await.unwrap();
            ended.shield(true);
            ledger.forever("rest").await;
        });
        outcome.await.unwrap_err();
        ended.shield(false);
        ledger.expect(&[(2000, "rest cut")]);
    });
}

/// Rules 21 and 22: a request from outside has taken what is in a scope, and before that has drained
/// somebody puts up the shield. Nobody outside drops the code around now, so it goes on, to its next
/// checkpoint; the request was not the scope's.
#[test]
fn a_shield_put_up_while_a_scope_drains_lets_the_code_around_go_on() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |outer| {
            let cancel_scope = CancelScope::new();
            let (canceller, switch) = (outer.clone(), cancel_scope.clone());
            outer.spawn(shield(async move {
                sleep(secs(1)).await;
                canceller.cancel();
                sleep(secs(1)).await;
                switch.shield(true);
            }));
            let entered = cancel_scope.enter(async {
                let _guard = ledger.deferred("guard", secs(2));
                ledger.forever("inside").await;
            });
            assert!(entered.await.unwrap_err().reason().is_none());
            assert!(!cancel_scope.cancel_called() && !cancel_scope.cancelled_caught());
            ledger.note("goes on");
            checkpoint().await;
            ledger.note("never");
            done()
        });
        assert!(outcome.await.unwrap_err().is_cancelled());
        ledger.expect(&[
            (1000, "inside cut"),
            (1000, "guard releasing"),
            (3000, "guard released"),
            (3000, "goes on"),
        ]);
    });
}

/// Rule 22: what is in a scope has been taken, and the code around lives on only for a shield beside it. Then
/// the scope gets one too: it is woken, though it has ended.
#[test]
fn a_shield_put_up_over_a_scope_that_waits_for_the_end_around_wakes_it() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let (outer, inner) = (CancelScope::new(), CancelScope::new());
        let outcome = group(async |g| {
            let (canceller, switch) = (outer.clone(), inner.clone());
            g.spawn(async move {
                sleep(secs(1)).await;
                canceller.cancel();
                sleep(secs(1)).await;
                switch.shield(true);
            });
            let entered = outer.enter(async {
                let inside = async {
                    let _guard = ledger.deferred("guard", secs(0));
                    pending::<()>().await;
                };
                let cut = inner.enter(inside).map(|cut| assert!(cut.is_err()));
                let both = FuturesUnordered::from_iter([
                    cut.inspect(|()| ledger.note("goes on")).boxed(),
                    shield(sleep(secs(3))).boxed(),
                ]);
                both.collect::<Vec<_>>().await;
                ledger.note("together");
                checkpoint().await;
                ledger.note("never");
            });
            ok(entered.await.is_err())
        });
        assert!(outcome.await.unwrap());
        ledger.expect(&[
            (1000, "guard releasing"),
            (1000, "guard released"),
            (2000, "goes on"),
            (3000, "together"),
        ]);
    });
}

/// Rule 32: the hidden group of what has no error to return was cancelled when the shield came.
#[test]
fn a_shield_put_up_too_late_gives_advice() {
    sim(SEEDS, || async {
        let outcome = catch(group(async |g| {
            let (outer, inner) = (CancelScope::new(), CancelScope::new());
            let (canceller, switch) = (outer.clone(), inner.clone());
            g.spawn(async move {
                sleep(secs(1)).await;
                canceller.cancel();
                sleep(secs(1)).await;
                switch.shield(true);
            });
            // One of the two cannot be dropped at once.
            let slow = gather_settled([0, 3600].map(|time| async move {
                let _guard = headcount::defer((), async |()| sleep(secs(2)).await);
                sleep(secs(time)).await;
                ok(())
            }));
            _ = outer.enter(inner.enter(slow)).await;
            done()
        }));
        let payload = outcome.await.unwrap_err();
        let text = message(&*payload);
        assert!(
            text.starts_with("`gather_settled` was cancelled from outside"),
            "{text}"
        );
        assert!(text.contains("put up a shield before"), "{text}");
    });
}
