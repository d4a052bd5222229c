//! `shield`: what it keeps away, how long, and what it lets through (rule 22).

use std::future::pending;

use headcount::{
    CancelScope, Options, checkpoint, group, is_cancelled, scope, shield, time::sleep, timeout,
};

use crate::support::{
    FEW, Ledger, Named, Oops, SEEDS, done, nested, nestings, poll_once, secs, sim,
};

/// Case 18, rule 22.
#[test]
fn a_shielded_sleep_completes_and_the_next_checkpoint_drops() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outer = CancelScope::with_timeout(secs(1));
        let outcome = outer.enter(async {
            let _owned = ledger.mark("owned");
            let value = shield(async {
                sleep(secs(3)).await;
                assert!(!is_cancelled(), "inside, it is not seen");
                5
            });
            assert_eq!(value.await, 5);
            assert!(is_cancelled(), "outside, it is");
            ledger.note("delivered");
            checkpoint().await;
            ledger.note("never");
        });
        outcome.await.unwrap_err();
        ledger.expect(&[(3000, "delivered"), (3000, "owned cut")]);
        assert!(outer.cancelled_caught());
    });
}

/// Rules 20 and 22: without a checkpoint after it, the work is complete.
#[test]
fn a_value_returned_right_after_a_shield_is_kept() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let value = timeout(secs(1), async {
            shield(sleep(secs(3))).await;
            5
        });
        assert_eq!(value.await.unwrap(), 5);
        assert_eq!(ledger.now(), 3000);
    });
}

/// Rule 22: the first poll of a second shield happens, and from there on it is one.
#[test]
fn a_second_shield_without_a_checkpoint_between_completes_too() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(1), async {
            shield(ledger.sleeper("first", secs(3))).await;
            shield(ledger.sleeper("second", secs(3))).await;
            ledger.forever("rest").await;
        });
        outcome.await.unwrap_err();
        ledger.expect(&[
            (3000, "first done"),
            (6000, "second done"),
            (6000, "rest cut"),
        ]);
    });
}

/// Rule 22, in every nesting around the shield and inside it.
#[test]
fn a_shield_holds_in_every_nesting() {
    for outer in nestings(2) {
        for inner in nestings(1) {
            sim(FEW, || {
                let (outer, inner) = (outer.clone(), inner.clone());
                async move {
                    let (ledger, root) = (Ledger::open(), CancelScope::with_timeout(secs(1)));
                    let (after, sleeper) = (ledger.mark("after"), ledger.sleeper("s", secs(3)));
                    let tree = nested(&outer, async move {
                        shield(nested(&inner, sleeper)).await;
                        after.finish("reached");
                        pending::<()>().await;
                    });
                    root.enter(tree).await.unwrap_err();
                    ledger.expect(&[(3000, "s done"), (3000, "after reached")]);
                    assert_eq!(ledger.now(), 3000);
                }
            });
        }
    }
}

/// Case 19 and rule 22: own scopes and deadlines inside a shield work, in every nesting.
#[test]
fn what_is_inside_a_shield_can_still_be_cancelled() {
    for inner in nestings(2) {
        sim(FEW, || {
            let inner = inner.clone();
            async move {
                let ledger = Ledger::open();
                let (sleeper, seen) = (ledger.forever("sleep"), ledger.clone());
                let outcome = timeout(
                    secs(1),
                    shield(async move {
                        timeout(secs(2), nested(&inner, sleeper)).await.unwrap_err();
                        seen.note("goes on");
                        sleep(secs(1)).await;
                        5
                    }),
                );
                assert_eq!(outcome.await.unwrap(), 5);
                ledger.expect(&[(2000, "sleep cut"), (2000, "goes on")]);
                assert_eq!(ledger.now(), 3000);
            }
        });
    }
}

/// Rule 22: a failure inside a shield cancels its own group.
#[test]
fn a_group_inside_a_shield_fails_as_usual() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = shield(group(async |g| {
            g.spawn(ledger.forever("sibling"));
            g.spawn(ledger.failing("a", secs(1)));
            done()
        }));
        assert_eq!(outcome.await.names(), ["a"]);
        ledger.expect(&[(1000, "a failed"), (1000, "sibling cut")]);
    });
}

/// Rules 18 and 22: the children do not wait for the shield in their body.
#[test]
fn a_shielded_body_does_not_delay_the_cancellation_of_its_children() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(
            secs(1),
            group(async |g| {
                g.spawn(ledger.forever("child"));
                shield(ledger.sleeper("shielded", secs(3))).await;
                ledger.forever("body").await;
                done()
            }),
        );
        assert!(outcome.await.is_err());
        ledger.expect(&[
            (1000, "child cut"),
            (3000, "shielded done"),
            (3000, "body cut"),
        ]);
    });
}

/// The same for inline children, when their own scope is cancelled, and when one of them fails.
#[test]
fn a_shielded_body_does_not_delay_the_cancellation_of_inline_children() {
    for fails in [false, true] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = scope(async |s| {
                s.spawn(ledger.forever("child"));
                let canceller = s.clone();
                s.spawn(async move {
                    sleep(secs(1)).await;
                    match fails {
                        true => Err(Oops("a")),
                        false => {
                            canceller.cancel();
                            done()
                        }
                    }
                });
                shield(ledger.sleeper("shielded", secs(3))).await;
                ledger.forever("body").await;
                done()
            });
            let names: &[&str] = if fails { &["a"] } else { &[] };
            assert_eq!(outcome.await.names(), names);
            ledger.expect(&[
                (1000, "child cut"),
                (3000, "shielded done"),
                (3000, "body cut"),
            ]);
        });
    }
}

/// A shielded child keeps its group, and its siblings go.
#[test]
fn a_shielded_child_is_waited_for() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let sleeper = ledger.sleeper("shielded", secs(3));
            let child = g.spawn(async move {
                shield(sleeper).await;
                pending::<()>().await;
            });
            g.spawn(ledger.forever("sibling"));
            sleep(secs(1)).await;
            // By its handle first, and by its group a little later.
            child.cancel();
            sleep(secs(1)).await;
            g.cancel();
            pending::<Result<(), Oops>>().await
        });
        assert!(outcome.await.unwrap_err().is_cancelled());
        ledger.expect(&[(2000, "sibling cut"), (3000, "shielded done")]);
        assert_eq!(ledger.now(), 3000);
    });
}

/// Rule 6: a shield around the spawn call is none of the child's business.
#[test]
fn a_shield_around_the_spawn_call_does_not_shield_the_child() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let deadline = headcount::Instant::now() + secs(1);
        let opening = Options::new().deadline(deadline).group(async |g| {
            shield(async {
                g.spawn(ledger.sleeper("child", secs(3)));
                ledger.sleeper("shielded", secs(2)).await;
            })
            .await;
            pending::<Result<(), Oops>>().await
        });
        assert!(opening.await.unwrap_err().is_cancelled());
        ledger.expect(&[(1000, "child cut"), (2000, "shielded done")]);
        assert_eq!(ledger.now(), 2000);
    });
}

/// Rules 13 and 22: whoever awaits a cancelled child under a shield is alive, and gets the answer.
#[test]
fn a_shielded_awaiter_learns_that_its_sibling_was_cancelled() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(
            secs(1),
            group(async |g| {
                let child = g.spawn(ledger.forever("child"));
                let answer = shield(child).await;
                ledger.note(format!("cancelled: {}", answer.unwrap_err().is_cancelled()));
                checkpoint().await;
                ledger.note("never");
                done()
            }),
        );
        assert!(outcome.await.is_err());
        ledger.expect(&[(1000, "child cut"), (1000, "cancelled: true")]);
    });
}

/// Rule 22: a shield that is forgotten protects nobody any more.
#[test]
fn a_forgotten_shield_does_not_hold_up_the_cancellation() {
    sim(SEEDS, || async {
        let outcome = timeout(secs(1), async {
            let mut kept = Box::pin(shield(pending::<()>()));
            assert!(poll_once(&mut kept).await.is_pending());
            std::mem::forget(kept);
            pending::<()>().await;
        });
        outcome.await.unwrap_err();
    });
}
