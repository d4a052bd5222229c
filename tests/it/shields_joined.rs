//! Shields in branches that are polled inline, beside others (rule 22).

use std::future::pending;

use futures_concurrency::future::{Join, Race};
use headcount::{CancelScope, checkpoint, group, scope, shield, time::sleep, timeout};

use crate::support::{
    Ledger, Named, Oops, SEEDS, done, millis, ok, poll_for, secs, shielded_sleep, sim,
};

/// Rule 22: branches of an inline join live as long as the shield beside them, and no longer.
#[test]
fn branches_joined_with_a_shield_stay_alive_with_it() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(1), async {
            let branches = (
                shield(ledger.sleeper("shielded", secs(3))),
                ledger.sleeper("shorter", secs(2)),
                ledger.sleeper("longer", secs(4)),
            );
            branches.join().await;
            ledger.note("never");
        });
        outcome.await.unwrap_err();
        ledger.expect(&[
            (2000, "shorter done"),
            (3000, "shielded done"),
            (3000, "longer cut"),
        ]);
    });
}

/// Rule 22: of two shields joined inline, the last to end counts; their values are delivered first.
#[test]
fn two_joined_shields_deliver_both_values() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(1), async {
            let one = shield(async {
                sleep(secs(2)).await;
                1
            });
            let two = shield(async {
                sleep(secs(4)).await;
                2
            });
            assert_eq!((one, two).join().await, (1, 2));
            ledger.note("delivered");
            checkpoint().await;
            ledger.note("never");
        });
        outcome.await.unwrap_err();
        ledger.expect(&[(4000, "delivered")]);
    });
}

/// A shield that a race has dropped holds nothing any more.
#[test]
fn a_shield_dropped_by_a_race_shields_nothing_any_more() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(2), async {
            let won = (async { shield(pending::<u32>()).await }, async {
                sleep(secs(1)).await;
                5
            });
            assert_eq!(won.race().await, 5);
            ledger.forever("rest").await;
        });
        outcome.await.unwrap_err();
        ledger.expect(&[(2000, "rest cut")]);
    });
}

/// A shield in a child that has ended, failed or panicked leaves no trace in its group.
#[test]
fn a_shield_in_an_ended_child_delays_nobody() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.spawn(shielded_sleep(millis(500))).await.unwrap();
            let inner = scope(async |s| {
                s.spawn(shielded_sleep(millis(200)));
                ok(s.spawn(async { ok(shield(async { 7 }).await) })
                    .await
                    .unwrap())
            });
            assert_eq!(inner.await.unwrap(), 7);
            let cut = timeout(secs(1), ledger.forever("rest")).await;
            ok(cut.is_err())
        });
        assert!(outcome.await.unwrap());
        ledger.expect(&[(1700, "rest cut")]);
    });
}

/// Rules 18 and 22: a group that stands beside a shield in the same task is cancelled without delay.
#[test]
fn the_children_of_a_group_joined_with_a_shield_are_cancelled_without_delay() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(1), async {
            let beside = group(async |g| {
                g.spawn(ledger.forever("child"));
                done()
            });
            let branches = (shield(ledger.sleeper("shielded", secs(3))), async {
                let _ = beside.await;
                ledger.note("never");
            });
            branches.join().await;
        });
        outcome.await.unwrap_err();
        ledger.expect(&[(1000, "child cut"), (3000, "shielded done")]);
        assert_eq!(ledger.now(), 3000);
    });
}

/// Rule 22: a scope beside a shield can be cancelled by itself, and returns in time.
#[test]
fn a_scope_joined_with_a_shield_is_cancelled_by_itself() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let beside = CancelScope::with_timeout(secs(1));
        let branches = (shield(ledger.sleeper("shielded", secs(3))), async {
            let cut = beside.enter(ledger.forever("beside")).await;
            ledger.note("returned");
            cut.is_err()
        });
        let ((), cut) = branches.join().await;
        assert!(cut);
        ledger.expect(&[
            (1000, "beside cut"),
            (1000, "returned"),
            (3000, "shielded done"),
        ]);
    });
}

/// Rule 22: a shield of an inline child keeps its scope's body, and the code around, alive; its
/// siblings are cancelled without delay.
#[test]
fn a_shield_in_an_inline_child_keeps_what_is_around_it_alive() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(1), async {
            let _owned = ledger.mark("owned");
            let inner = scope(async |s| {
                s.spawn(async {
                    shield(ledger.sleeper("shielded", secs(3))).await;
                    ledger.forever("child").await;
                });
                s.spawn(ledger.forever("sibling"));
                ledger.forever("body").await;
                done()
            });
            let _ = inner.await;
            ledger.note("never");
        });
        outcome.await.unwrap_err();
        assert_eq!(ledger.last().as_deref(), Some("owned cut"));
        ledger.expect_in_any_order(&[
            (1000, "sibling cut"),
            (3000, "shielded done"),
            (3000, "child cut"),
            (3000, "body cut"),
            (3000, "owned cut"),
        ]);
    });
}

/// Rule 22: a body that is alive for the shield of its inline child goes on, also while what it has
/// forgotten drains.
#[test]
fn a_body_beside_a_shield_goes_on_while_what_it_forgot_drains() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = scope(async |s| {
            s.spawn(shield(ledger.sleeper("shielded", secs(5))));
            let canceller = s.clone();
            s.spawn(async move {
                sleep(secs(1)).await;
                canceller.cancel();
            });
            let mut inner = Box::pin(group(async |g| {
                g.spawn(shield(ledger.sleeper("forgotten", secs(9))));
                done()
            }));
            assert!(poll_for(&mut inner, secs(0)).await.is_pending());
            std::mem::forget(inner);
            sleep(secs(3)).await;
            ledger.note("went on");
            pending::<Result<(), Oops>>().await
        });
        assert!(outcome.await.unwrap_err().is_cancelled());
        ledger.expect(&[
            (3000, "went on"),
            (5000, "shielded done"),
            (9000, "forgotten done"),
        ]);
    });
}

/// Rules 9, 13 and 22: an awaiter that is cancelled, and alive for a shield beside it only, does not
/// hear of the end of its sibling: neither of the failure that cancelled it, nor of a cancellation.
#[test]
fn a_handle_awaited_beside_a_shield_adds_no_second_failure() {
    for fails in [false, true] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |g| {
                let awaited = match fails {
                    true => g.spawn(ledger.failing("a", secs(1))),
                    false => g.spawn(async {
                        pending::<()>().await;
                        done()
                    }),
                };
                g.spawn(ledger.failing("b", secs(2)));
                let awaits = async {
                    awaited.await.map_err(|_| Oops("second"))?;
                    done()
                };
                let branches = (awaits, shield(ledger.sleeper("shielded", secs(3))));
                branches.join().await.0
            });
            let first = if fails { "a" } else { "b" };
            assert_eq!(outcome.await.names(), [first]);
            assert!(ledger.contains("shielded done"));
            assert_eq!(ledger.now(), 3000);
        });
    }
}

/// A shield in an inline child keeps the body of the scope alive. Forgotten it does so no longer, even
/// while what was spawned in it lives on; whichever of the children are polled when that is found out.
#[test]
fn a_shield_forgotten_in_an_inline_child_lets_go_of_the_body_at_once() {
    for idle in 0..4 {
        sim(SEEDS / 4, move || async move {
            let ledger = Ledger::open();
            let outcome = scope(async |s| {
                let below = shield(ledger.sleeper("below", secs(9)));
                s.spawn(async move {
                    let inside = CancelScope::new();
                    inside.shield(true);
                    let remote = inside.clone();
                    let mut kept = Box::pin(async move {
                        let inside = inside.enter(group(async move |g| {
                            g.spawn(below);
                            pending::<Result<(), Oops>>().await
                        }));
                        inside.await.is_err()
                    });
                    assert!(poll_for(&mut kept, secs(1)).await.is_pending());
                    remote.cancel();
                    assert!(poll_for(&mut kept, secs(0)).await.is_pending());
                    std::mem::forget(kept);
                    pending::<()>().await;
                });
                for _ in 0..idle {
                    s.spawn(async {
                        let draining = group(async |g| {
                            g.spawn(shielded_sleep(secs(9)));
                            pending::<Result<(), Oops>>().await
                        });
                        draining.await.map_err(|_| Oops("idle"))
                    });
                }
                let _mark = ledger.mark("body");
                sleep(secs(2)).await;
                s.cancel();
                pending::<Result<(), Oops>>().await
            });
            assert!(outcome.await.unwrap_err().is_cancelled());
            ledger.expect(&[(2000, "body cut"), (9000, "below done")]);
        });
    }
}
