//! The graceful stop: ask, wait, then cancel.

use std::{future::pending, time::Duration};

use futures_concurrency::future::Race;
use headcount::{
    CancelKind, Instant, Options, cancelled, checkpoint, group, is_cancelled, is_shutting_down,
    scope, shield, time::sleep, timeout,
};

use crate::support::{Ledger, Oops, Relay, SEEDS, done, ok, poll_once, secs, sim};

/// Rule 24: `cancelled()` resolves in every task below, and nothing is cut.
#[test]
fn a_shutdown_asks_every_task_below_and_waits_for_them() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            for (name, time) in [("a", 1), ("b", 2)] {
                let ledger = ledger.clone();
                g.spawn(async move {
                    let inner = scope(async |s| {
                        s.spawn(async {
                            cancelled().await;
                            assert!(is_shutting_down() && !is_cancelled());
                            ledger.sleeper(name, secs(time)).await;
                        });
                        done()
                    });
                    inner.await.unwrap();
                });
            }
            sleep(secs(5)).await;
            assert!(!g.is_shutting_down());
            g.shutdown(secs(3));
            assert!(g.is_shutting_down() && !g.is_cancelled());
            ok(1)
        })
        .await;
        assert_eq!(outcome.unwrap(), 1);
        ledger.expect(&[(6000, "a done"), (7000, "b done")]);
    });
}

/// Rule 24: what is left when the grace ends is cancelled.
#[test]
fn what_is_left_when_the_grace_ends_is_cancelled() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.spawn(ledger.forever("stubborn"));
            sleep(secs(5)).await;
            g.shutdown(secs(3));
            pending::<Result<(), Oops>>().await
        })
        .await;
        let error = outcome.unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(error.reason().unwrap().kind, CancelKind::Shutdown);
        ledger.expect(&[(8000, "stubborn cut")]);
    });
}

/// Rule 24: the shortest grace binds, whichever came first and wherever it is.
#[test]
fn of_nested_graces_the_shortest_binds() {
    for (outer, inner, end) in [(3, 9, 3000), (9, 3, 3000)] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |g| {
                g.shutdown(secs(outer));
                let stopped = group(async |g| {
                    g.spawn(ledger.forever("child"));
                    g.shutdown(secs(inner));
                    g.shutdown(secs(inner + 1));
                    done()
                });
                stopped.await.unwrap();
                done()
            })
            .await;
            assert_eq!(outcome.is_err(), outer < inner);
            ledger.expect(&[(end, "child cut")]);
        });
    }
}

/// Both are over when the group is polled at last: the earlier is the reason, and of two at one
/// instant the deadline.
#[test]
fn of_a_deadline_and_a_grace_that_are_both_over_the_earlier_is_the_reason() {
    for (deadline, grace, kind) in [
        (1, 3, CancelKind::Deadline),
        (3, 1, CancelKind::Shutdown),
        (2, 2, CancelKind::Deadline),
    ] {
        sim(SEEDS, move || async move {
            let options = Options::new().deadline(Instant::now() + secs(deadline));
            let mut late = Box::pin(options.group(async |g| {
                g.shutdown(secs(grace));
                pending::<Result<(), Oops>>().await
            }));
            assert!(poll_once(&mut late).await.is_pending());
            sleep(secs(5)).await;
            let error = late.await.unwrap_err();
            assert_eq!(error.reason().unwrap().kind, kind);
        });
    }
}

/// Rule 24: `cancelled` resolves for the hard request too, as far as the task is still polled.
#[test]
fn cancelled_resolves_at_once_in_a_cancelled_task() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.cancel();
            cancelled().await;
            ledger.note("went on");
            checkpoint().await;
            ledger.note("never");
            done()
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        ledger.expect(&[(0, "went on")]);
    });
}

/// Rules 22 and 24: a shield keeps the question away, until it is left.
#[test]
fn a_shield_keeps_the_question_away() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.shutdown(secs(9));
            let asked = shield(async {
                assert!(!is_shutting_down());
                timeout(secs(1), cancelled()).await.is_ok()
            });
            assert!(!asked.await);
            cancelled().await;
            assert_eq!(ledger.now(), 1000);
            done()
        })
        .await;
        outcome.unwrap();
    });
}

/// `cancelled` keeps nobody alive, wherever it is dropped or forgotten.
#[test]
fn a_forgotten_wait_for_a_request_holds_nobody_up() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let mut forgotten = Box::pin(cancelled());
            assert!(poll_once(&mut forgotten).await.is_pending());
            std::mem::forget(forgotten);
            let mut dropped = Box::pin(cancelled());
            assert!(poll_once(&mut dropped).await.is_pending());
            drop(dropped);
            g.spawn(async {
                let work = async {
                    sleep(secs(1)).await;
                    "work"
                };
                let asked = async {
                    cancelled().await;
                    "asked"
                };
                assert_eq!((work, asked).race().await, "work");
            });
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(ledger.now(), 1000);
    });
}

/// It leaves nothing behind in the boundary that it watched.
#[test]
fn a_dropped_wait_for_a_request_keeps_no_waker() {
    sim(SEEDS, || async {
        let outcome = group(async |_| {
            let relay = Relay::here().await;
            let mut wait = Box::pin(cancelled());
            assert!(relay.poll(&mut wait).is_pending());
            assert_eq!(relay.kept(), 1);
            drop(wait);
            assert_eq!(relay.kept(), 0);
            done()
        });
        outcome.await.unwrap();
    });
}

/// The minute-by-minute of a service: a listener, ten connections with deferred closes that take two
/// seconds, a stop at five with a grace of three.
#[test]
fn a_service_is_closed_in_order_within_its_grace() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let (listener, connections) = (ledger.clone(), g.clone());
            g.spawn_daemon(async move {
                let _socket = listener.deferred("listener", Duration::ZERO);
                for _ in 0..10 {
                    let ledger = listener.clone();
                    connections.spawn(async move {
                        let _connection = ledger.deferred("connection", secs(2));
                        cancelled().await;
                    });
                }
                pending::<()>().await;
            });
            sleep(secs(5)).await;
            g.shutdown(secs(3));
            done()
        })
        .await;
        outcome.unwrap();
        let mut expected = vec![(5000, "connection releasing"); 10];
        expected.extend([(7000, "connection released"); 10]);
        expected.extend([(7000, "listener releasing"), (7000, "listener released")]);
        ledger.expect(&expected);
    });
}
