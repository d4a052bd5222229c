//! Cancelling an opening by its own handle, and from around it.

use std::future::pending;

use headcount::{checkpoint, move_on_after, time::sleep, timeout};

use super::open;
use crate::support::{Ledger, Oops, PollCount, SEEDS, done, ok, secs, sim};

/// Case 13, rule 18: from the body, twice.
#[test]
fn the_body_cancels_its_opening() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            g.spawn(ledger.forever("child"));
            sleep(secs(1)).await;
            assert!(!g.is_cancelled());
            g.cancel();
            g.cancel();
            assert!(g.is_cancelled() && headcount::is_cancelled());
            assert!(!ledger.contains("child cut"), "cancel drops nothing itself");
            ledger.note("body goes on to its next checkpoint");
            checkpoint().await;
            ledger.note("never");
            done()
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!(ledger.count("child cut"), 1);
        assert!(!ledger.contains("never"));
        assert_eq!(ledger.now(), 1000);
    });
}

/// Case 13: from a child.
#[test]
fn a_child_cancels_its_opening() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            g.spawn(ledger.forever("sibling"));
            let (canceller, mark) = (g.clone(), ledger.mark("canceller"));
            g.spawn(async move {
                sleep(secs(1)).await;
                canceller.cancel_with("enough");
                canceller.cancel_with("still enough");
                checkpoint().await;
                mark.finish("resumed");
            });
            ledger.forever("body").await;
            done()
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        ledger.expect_in_any_order(&[
            (1000, "body cut"),
            (1000, "canceller cut"),
            (1000, "sibling cut"),
        ]);
    });
}

/// Case 13: from elsewhere in the program.
#[test]
fn a_stranger_cancels_an_opening() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |outer| {
            let body = ledger.forever("body");
            let (send, receive) = std::sync::mpsc::channel();
            let inner = outer.spawn(async move {
                let inner = open(async move |g| {
                    send.send(g.clone()).unwrap();
                    body.await;
                    done()
                })
                .await;
                ok(inner.unwrap_err().is_cancelled())
            });
            sleep(secs(1)).await;
            let stranger = receive.recv().unwrap();
            stranger.cancel();
            let is_cancelled = inner.await.unwrap();
            stranger.cancel();
            assert!(stranger.is_cancelled());
            ok(is_cancelled)
        })
        .await;
        assert!(outcome.unwrap());
        ledger.expect(&[(1000, "body cut")]);
    });
}

/// Rule 20: to await a child that has ended is no checkpoint.
#[test]
fn the_value_of_an_ended_child_reaches_an_awaiter_that_is_cancelled() {
    sim(SEEDS, || async {
        let outcome = open(async |g| {
            let child = g.spawn(async { ok("value") });
            sleep(secs(1)).await;
            g.cancel();
            ok(child.await.unwrap())
        })
        .await;
        assert_eq!(outcome.unwrap(), "value");
    });
}

/// Case 16, rules 11 and 20: the group's own request, and no checkpoint after it.
#[test]
fn a_value_returned_without_a_checkpoint_after_the_request_is_kept() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            let child = ledger.forever("child");
            g.spawn(child);
            sleep(secs(1)).await;
            g.cancel();
            ok("value")
        })
        .await;
        assert_eq!(outcome.unwrap(), "value");
        ledger.expect(&[(1000, "child cut")]);
    });
}

/// Rule 11: the opening's own request comes after the body has returned its value.
#[test]
fn a_value_returned_before_the_openings_own_request_is_kept() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            let canceller = g.clone();
            g.spawn(async move {
                sleep(secs(1)).await;
                canceller.cancel();
            });
            g.spawn(ledger.forever("child"));
            ok("value")
        })
        .await;
        assert_eq!(outcome.unwrap(), "value");
        ledger.expect(&[(1000, "child cut")]);
    });
}

/// Rule 11: the request from above comes in the very poll in which the last child ends.
#[test]
fn a_request_after_the_last_child_has_ended_changes_nothing() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |outer| {
            let inner = open(async |g| {
                sleep(secs(1)).await;
                drop(g);
                outer.cancel();
                ok(7)
            })
            .await;
            ledger.note("delivered");
            ok(inner.unwrap())
        })
        .await;
        assert_eq!(outcome.unwrap(), 7);
        ledger.expect(&[(1000, "delivered")]);
    });
}

/// Case 30, rule 4, without its finalizer.
#[test]
fn a_child_spawned_into_a_cancelled_opening_is_never_polled() {
    sim(SEEDS, || async {
        let (ledger, polls) = (Ledger::open(), PollCount::default());
        let kept = std::sync::Mutex::new(None);
        let outcome = open(async |g| {
            sleep(secs(1)).await;
            g.cancel();
            let child = g.spawn(polls.of(ledger.sleeper("child", secs(1))));
            *kept.lock().unwrap() = Some(child);
            ledger.forever("body").await;
            done()
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        let child = kept.lock().unwrap().take().unwrap();
        assert!(child.is_finished());
        assert!(child.await.unwrap_err().is_cancelled());
        assert_eq!(polls.get(), 0);
        ledger.expect_in_any_order(&[(1000, "body cut"), (1000, "child cut")]);
    });
}

/// Case 17, rule 19: requests that come before the first poll spare it.
#[test]
fn the_first_poll_of_a_body_happens_though_it_is_cancelled_already() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |outer| {
            outer.cancel();
            let inner = open(async |_| {
                ledger.note("inner body");
                checkpoint().await;
                ledger.note("never");
                done()
            })
            .await;
            ledger.note("never");
            inner.map_err(|_| Oops("inner"))
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        ledger.expect(&[(0, "inner body")]);
    });
}

/// Rule 6: the timeout around the spawn call is none of the child's business.
#[test]
fn a_child_outlives_the_timeout_around_the_call_that_spawned_it() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            let child = ledger.sleeper("child", secs(5));
            let passed = timeout(secs(1), async {
                assert!(headcount::current_deadline().is_some());
                g.spawn(async {
                    assert!(headcount::current_deadline().is_none());
                    child.await;
                });
                pending::<()>().await;
            })
            .await;
            passed.unwrap_err();
            assert_eq!(ledger.now(), 1000);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(5000, "child done")]);
    });
}

/// Rules 6 and 26: the timeout around the opening is.
#[test]
fn children_inherit_the_deadline_around_the_opening() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let start = headcount::Instant::now();
        let moved_on = move_on_after(
            secs(3),
            open(async |g| {
                let sleeper = ledger.sleeper("child", secs(5));
                g.spawn(async move {
                    assert_eq!(headcount::current_deadline(), Some(start + secs(3)));
                    sleeper.await;
                });
                done()
            }),
        )
        .await;
        assert!(moved_on.is_none());
        ledger.expect(&[(3000, "child cut")]);
        assert!(headcount::current_deadline().is_none());
    });
}
