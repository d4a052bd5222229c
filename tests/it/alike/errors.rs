//! Failures inside one opening.

use std::{future::pending, io};

use futures_concurrency::future::Join;
use headcount::time::sleep;

use super::open;
use crate::support::{Gate, Ledger, Named, Oops, PollCount, SEEDS, done, ok, secs, sim};

/// Case 5.
#[test]
fn the_failure_of_one_child_ends_a_sibling_that_sleeps_for_ever() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            g.spawn(ledger.forever("sleeper"));
            g.spawn(ledger.failing("a", secs(1)));
            done()
        })
        .await;
        assert_eq!(outcome.names(), ["a"]);
        ledger.expect(&[(1000, "a failed"), (1000, "sleeper cut")]);
        assert_eq!(ledger.now(), 1000);
    });
}

/// Case 6, rule 9.
#[test]
fn a_parked_body_is_woken_by_the_failure_of_a_child() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            g.spawn(ledger.failing("a", secs(2)));
            ledger.forever("body").await;
            done()
        })
        .await;
        assert_eq!(outcome.names(), ["a"]);
        ledger.expect(&[(2000, "a failed"), (2000, "body cut")]);
        assert_eq!(ledger.now(), 2000);
    });
}

/// Case 7.
#[test]
fn a_failed_body_cuts_the_sleep_of_its_child() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            g.spawn(ledger.sleeper("child", secs(5)));
            ledger.failing("body", secs(1)).await
        })
        .await;
        assert_eq!(outcome.names(), ["body"]);
        ledger.expect(&[(1000, "body failed"), (1000, "child cut")]);
        assert_eq!(ledger.now(), 1000);
    });
}

/// Case 7, with a body that fails in its first poll: the child is never polled at all.
#[test]
fn a_body_that_fails_at_once_leaves_its_child_unpolled() {
    sim(SEEDS, || async {
        let (ledger, polls) = (Ledger::open(), PollCount::default());
        let outcome = open(async |g| {
            g.spawn(polls.of(ledger.sleeper("child", secs(5))));
            Err::<(), _>(Oops("body"))
        })
        .await;
        assert_eq!(outcome.names(), ["body"]);
        assert_eq!(polls.get(), 0);
        ledger.expect(&[(0, "child cut")]);
    });
}

/// Case 9, rule 10: what a failure tells, and that one failure has the same shape as many.
#[test]
fn a_failure_tells_the_name_the_place_and_the_error_of_its_child() {
    sim(SEEDS, || async {
        let line = line!() + 2;
        let outcome = open(async |g| {
            g.spawn_named("reader", async { Err::<(), _>(Oops("a")) });
            done()
        })
        .await;
        let error = outcome.unwrap_err();
        assert_eq!(error.failures().len(), 1);
        let failure = &error.failures()[0];
        assert_eq!(failure.name(), Some("reader"));
        assert_eq!(failure.error(), &Oops("a"));
        assert_eq!(failure.location().line(), line);
        assert!(failure.location().file().ends_with("errors.rs"));
        assert_eq!(error.first(), Some(&Oops("a")));
        assert!(!error.is_cancelled());
        assert!(error.cleanup_failures().is_empty());
        assert!(error.to_string().contains("oops: a"), "{error}");
        assert_eq!(error.into_first(), Some(Oops("a")));
    });
}

/// A child without a name, and the error text of a group through `?`.
#[test]
fn a_failure_without_a_name_keeps_its_place() {
    sim(SEEDS, || async {
        let line = line!() + 2;
        let outcome = open(async |g| {
            g.spawn(async { Err::<(), _>(Oops("a")) });
            done()
        })
        .await;
        let error = outcome.unwrap_err();
        assert_eq!(error.failures()[0].name(), None);
        assert_eq!(error.failures()[0].location().line(), line);
        let boxed: Box<dyn std::error::Error + Send + Sync> = error.into();
        assert!(boxed.to_string().contains("oops: a"), "{boxed}");
    });
}

/// Rule 9: failures at different times; only the first is one, for it cancels the rest.
#[test]
fn the_first_failure_leaves_no_time_for_a_second() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            for (name, time) in [("c", 3), ("a", 1), ("b", 2)] {
                g.spawn(ledger.failing(name, secs(time)));
            }
            done()
        })
        .await;
        assert_eq!(outcome.names(), ["a"]);
        ledger.expect_in_any_order(&[(1000, "a failed"), (1000, "b cut"), (1000, "c cut")]);
    });
}

/// Rule 9: at one instant several may fail before the request reaches them, but none twice.
#[test]
fn failures_of_one_instant_are_each_recorded_at_most_once() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            g.spawn(ledger.failing("a", secs(1)));
            g.spawn(ledger.failing("b", secs(1)));
            done()
        })
        .await;
        let names = outcome.names();
        assert!(!names.is_empty());
        for name in ["a", "b"] {
            let recorded = names.iter().filter(|n| **n == name).count();
            assert_eq!(recorded, ledger.count(&format!("{name} failed")));
            assert_eq!(recorded + ledger.count(&format!("{name} cut")), 1);
        }
        assert_eq!(ledger.now(), 1000);
    });
}

/// Rule 9: the body awaits the handle of the child that fails.
#[test]
fn a_body_that_awaits_its_failed_child_adds_no_second_failure() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            let handle = g.spawn(ledger.failing("a", secs(1)));
            let joined = handle.await;
            ledger.note("body resumed");
            joined.map_err(|_| Oops("body"))
        })
        .await;
        assert_eq!(outcome.names(), ["a"]);
        ledger.expect(&[(1000, "a failed")]);
    });
}

/// Rule 9: a sibling awaits it.
#[test]
fn a_sibling_that_awaits_the_failed_child_adds_no_second_failure() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            let handle = g.spawn(ledger.failing("a", secs(1)));
            let mark = ledger.mark("sibling");
            g.spawn(async move {
                let joined = handle.await;
                mark.finish("resumed");
                joined.map_err(|_| Oops("sibling"))
            });
            done()
        })
        .await;
        assert_eq!(outcome.names(), ["a"]);
        ledger.expect(&[(1000, "a failed"), (1000, "sibling cut")]);
    });
}

/// Rule 9, rule 13: somebody outside awaits it, whom the failure does not cancel.
#[test]
fn an_outsider_learns_that_the_child_has_failed() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let handed_over = std::sync::Mutex::new(None);
        let gate = Gate::default();
        let outcome = open(async |outer| {
            outer.spawn(sleep(secs(1)));
            let inner = open(async |g| {
                *handed_over.lock().unwrap() = Some(g.spawn(ledger.failing("a", secs(1))));
                gate.open();
                pending::<Result<(), Oops>>().await
            });
            let outsider = async {
                gate.wait().await;
                let handle = handed_over.lock().unwrap().take().unwrap();
                let error = handle.await.unwrap_err();
                ledger.note("outsider");
                assert!(error.is_failed());
                assert!(!error.is_cancelled() && !error.is_panicked());
                assert!(!error.to_string().is_empty());
                let _: io::Error = error.into();
            };
            let (inner, ()) = (inner, outsider).join().await;
            assert_eq!(inner.names(), ["a"]);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(1000, "a failed"), (1000, "outsider")]);
    });
}

/// Case 12, rule 13.
#[test]
fn cancelling_one_child_is_no_failure() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            let doomed = g.spawn(ledger.sleeper("doomed", secs(9)));
            g.spawn(ledger.sleeper("sibling", secs(3)));
            sleep(secs(1)).await;
            doomed.cancel();
            doomed.cancel();
            let error = doomed.await.unwrap_err();
            assert!(error.is_cancelled());
            assert!(!error.is_failed() && !error.is_panicked());
            assert_eq!(ledger.now(), 1000);
            assert!(!headcount::is_cancelled());
            ok("value")
        })
        .await;
        assert_eq!(outcome.unwrap(), "value");
        ledger.expect(&[(1000, "doomed cut"), (3000, "sibling done")]);
    });
}

/// Rule 13, rule 4: by handle, before its first poll.
#[test]
fn a_child_that_is_cancelled_before_its_first_poll_is_never_polled() {
    sim(SEEDS, || async {
        let (ledger, polls) = (Ledger::open(), PollCount::default());
        let outcome = open(async |g| {
            let doomed = g.spawn(polls.of(ledger.sleeper("doomed", secs(9))));
            doomed.cancel();
            assert!(
                !ledger.contains("doomed cut"),
                "cancel drops nothing itself"
            );
            assert!(doomed.await.unwrap_err().is_cancelled());
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(polls.get(), 0);
        ledger.expect(&[(0, "doomed cut")]);
    });
}
