//! Deadlines that pass: who reports them, and when there is a value all the same (rules 27 and 28).

use std::{future::pending, pin::pin, task::Poll};

use headcount::{
    CancelKind, CancelScope, Instant, checkpoint, group, move_on_after, shield,
    time::{sleep, sleep_until},
    timeout, timeout_at,
};

use crate::support::{
    FEW, Gate, Ledger, Oops, SEEDS, nested, nestings, ok, poll_once, secs, shielded_sleep, sim,
};

/// Case 23, with scopes, in every nesting between them.
#[test]
fn an_inner_deadline_leaves_the_outer_scope_alone() {
    for nesting in nestings(2) {
        sim(FEW, || {
            let nesting = nesting.clone();
            async move {
                let ledger = Ledger::open();
                let (outer, inner) = (CancelScope::with_timeout(secs(5)), secs(1));
                let (leaf, seen) = (ledger.forever("leaf"), ledger.clone());
                let tree = nested(&nesting, async move {
                    timeout(inner, leaf).await.unwrap_err();
                    seen.note("goes on");
                    sleep(secs(3)).await;
                    5
                });
                assert_eq!(outer.enter(tree).await.unwrap(), 5);
                ledger.expect(&[(1000, "leaf cut"), (1000, "goes on")]);
                assert_eq!(ledger.now(), 4000);
            }
        });
    }
}

/// Rule 28, in every nesting between the two scopes of one deadline.
#[test]
fn of_two_scopes_with_one_deadline_the_outer_reports_in_every_nesting() {
    for nesting in nestings(2) {
        sim(FEW, || {
            let nesting = nesting.clone();
            async move {
                let (ledger, at) = (Ledger::open(), Instant::now() + secs(1));
                let outer = CancelScope::with_deadline(at);
                let leaf = ledger.forever("leaf");
                let tree = nested(&nesting, async move {
                    let _ = timeout_at(at, leaf).await;
                    unreachable!("between");
                });
                let outcome: Result<(), _> = outer.enter(tree).await;
                outcome.unwrap_err();
                assert!(outer.cancelled_caught());
                ledger.expect(&[(1000, "leaf cut")]);
            }
        });
    }
}

/// Rules 22 and 28: a shield between the two parts them.
#[test]
fn of_two_scopes_with_one_deadline_and_a_shield_between_the_inner_reports_first() {
    sim(SEEDS, || async {
        let (ledger, at) = (Ledger::open(), Instant::now() + secs(1));
        let outcome = timeout_at(at, async {
            shield(async {
                timeout_at(at, ledger.forever("leaf")).await.unwrap_err();
                ledger.note("the inner one reported");
                sleep(secs(1)).await;
            })
            .await;
            ledger.forever("rest").await;
        });
        outcome.await.unwrap_err();
        ledger.expect(&[
            (1000, "leaf cut"),
            (1000, "the inner one reported"),
            (2000, "rest cut"),
        ]);
    });
}

/// Rule 28: who was cancelled on request has not timed out, though its deadline passes meanwhile.
#[test]
fn an_explicit_cancel_is_never_a_timeout() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let limited = CancelScope::with_timeout(secs(2));
        let outcome = limited.enter(group(async |g| {
            g.spawn(shielded_sleep(secs(3)));
            sleep(secs(1)).await;
            limited.cancel();
            pending::<Result<(), Oops>>().await
        }));
        let cancelled = outcome.await.unwrap_err();
        assert_eq!(cancelled.reason().unwrap().kind, CancelKind::Explicit);
        assert_eq!(ledger.now(), 3000);

        // An explicit request around a timeout is not reported by the timeout.
        let outer = CancelScope::new();
        let outcome = outer.enter(async {
            let _ = timeout(secs(1), async {
                outer.cancel();
                shielded_sleep(secs(2)).await.unwrap();
                pending::<()>().await;
            })
            .await;
            ledger.note("never");
        });
        let cancelled = outcome.await.unwrap_err();
        assert_eq!(cancelled.reason().unwrap().kind, CancelKind::Explicit);
        ledger.expect(&[]);
        assert_eq!(ledger.now(), 5000);
    });
}

/// Rule 28: zero and past.
#[test]
fn a_scope_whose_time_is_over_runs_to_its_first_checkpoint() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let past = Instant::now();
        sleep(secs(1)).await;
        for over in [
            CancelScope::with_timeout(secs(0)),
            CancelScope::with_deadline(past),
        ] {
            assert!(!over.cancel_called());
            let outcome = over.enter(async {
                ledger.note("first poll");
                checkpoint().await;
                ledger.note("never");
            });
            outcome.await.unwrap_err();
        }
        for over in [
            CancelScope::with_timeout(secs(0)),
            CancelScope::with_deadline(past),
        ] {
            let value = over.enter(group(async |_| ok(5))).await;
            assert_eq!(value.unwrap().unwrap(), 5);
            assert!(!over.cancelled_caught());
        }
        ledger.expect(&[(1000, "first poll"), (1000, "first poll")]);
    });
}

/// Rules 27 and 28: `move_on_after` says nothing but that there is no value.
#[test]
fn move_on_after_gives_the_value_or_none() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        assert_eq!(move_on_after(secs(1), async { 5 }).await, Some(5));
        assert_eq!(move_on_after(secs(0), async { 5 }).await, Some(5));
        assert_eq!(move_on_after(secs(0), checkpoint()).await, None);
        let work = group(async |g| {
            g.spawn(shielded_sleep(secs(2)));
            pending::<Result<(), Oops>>().await
        });
        assert!(move_on_after(secs(1), work).await.is_none());
        assert_eq!(ledger.now(), 2000);
        let outcome = timeout(secs(1), async {
            move_on_after(secs(9), ledger.forever("inner")).await;
            ledger.note("never");
        });
        outcome.await.unwrap_err();
        ledger.expect(&[(3000, "inner cut")]);
    });
}

/// Rules 19 and 27: a deadline is looked at after polling, so a value that is ready wins; the value
/// comes from below, at the very instant of the deadline.
#[test]
fn at_the_instant_of_the_deadline_there_is_a_value_or_a_timeout() {
    sim(SEEDS, || async {
        let (ledger, at) = (Ledger::open(), Instant::now() + secs(1));
        let limited = CancelScope::with_deadline(at);
        let outcome = limited.enter(group(async |g| {
            let child = g.spawn(async move {
                sleep_until(at).await;
                ok(5)
            });
            Ok::<i32, Oops>(child.await.unwrap())
        }));
        match outcome.await {
            Ok(value) => assert_eq!(value.unwrap(), 5),
            Err(_) => assert!(limited.cancelled_caught()),
        }
        assert_eq!(ledger.now(), 1000);

        // Nobody polled it until long after, and then the value is there.
        let (gate, late) = (Gate::default(), CancelScope::with_timeout(secs(1)));
        let mut entered = pin!(late.enter(gate.wait()));
        assert!(poll_once(&mut entered).await.is_pending());
        sleep(secs(5)).await;
        gate.open();
        let Poll::Ready(outcome) = poll_once(&mut entered).await else {
            panic!("it is ready");
        };
        outcome.unwrap();
        assert!(!late.cancelled_caught());
    });
}
