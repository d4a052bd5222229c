//! Failures across openings, and against cancellation from above.

use std::{error::Error, future::pending};

use headcount::{GroupError, time::sleep, timeout};

use super::open;
use crate::support::{Ledger, Named, Oops, SEEDS, done, ok, secs, sim};

/// Case 10.
#[test]
fn the_outer_error_contains_the_error_of_the_inner_opening() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |outer| {
            let failing = ledger.failing("a", secs(1));
            outer.spawn_named("outer child", async move {
                open(async move |inner| {
                    inner.spawn_named("inner child", failing);
                    pending::<Result<(), Oops>>().await
                })
                .await
            });
            pending::<Result<(), GroupError<Oops>>>().await
        })
        .await;
        let error = outcome.unwrap_err();
        assert_eq!(error.failures().len(), 1);
        assert_eq!(error.failures()[0].name(), Some("outer child"));
        let inner = error.into_first().unwrap();
        assert_eq!(inner.failures().len(), 1);
        assert_eq!(inner.failures()[0].name(), Some("inner child"));
        assert_eq!(inner.first(), Some(&Oops("a")));
        assert_eq!(ledger.now(), 1000);
    });
}

/// Case 10, through `?` into a boxed error.
#[test]
fn an_inner_error_passes_the_question_mark() {
    type Boxed = Box<dyn Error + Send + Sync>;
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |_| {
            let failing = ledger.failing("a", secs(1));
            open(async |inner| {
                inner.spawn(failing);
                done()
            })
            .await?;
            ledger.note("never");
            Ok::<_, Boxed>(())
        })
        .await;
        let error = outcome.unwrap_err().into_first().unwrap();
        let inner = error.downcast::<GroupError<Oops>>().unwrap();
        assert_eq!(inner.into_first(), Some(Oops("a")));
        ledger.expect(&[(1000, "a failed")]);
    });
}

/// Case 11, rule 11.
#[test]
fn a_cancelled_inner_opening_adds_nothing_to_the_outer_failure() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |outer| {
            let (mark, inner_child) = (ledger.mark("code between"), ledger.forever("leaf"));
            outer.spawn(async move {
                let inner = open(async move |inner| {
                    inner.spawn(inner_child);
                    done()
                })
                .await;
                mark.finish("resumed");
                inner.map_err(|_| Oops("inner"))
            });
            outer.spawn(ledger.failing("a", secs(1)));
            done()
        })
        .await;
        assert_eq!(outcome.names(), ["a"]);
        ledger.expect(&[
            (1000, "a failed"),
            (1000, "leaf cut"),
            (1000, "code between cut"),
        ]);
    });
}

/// Rule 12: the child of the inner opening cancels the outer one in the poll in which it fails. The
/// inner error comes out, the code runs on to its next checkpoint and no further.
#[test]
fn a_real_error_beats_an_outer_cancellation() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |outer| {
            let canceller = outer.clone();
            let inner = open(async |inner| {
                inner.spawn(async move {
                    sleep(secs(1)).await;
                    canceller.cancel();
                    Err::<(), _>(Oops("a"))
                });
                pending::<Result<(), Oops>>().await
            })
            .await;
            assert_eq!(inner.names(), ["a"]);
            ledger.note("error delivered");
            headcount::checkpoint().await;
            ledger.note("never");
            done()
        })
        .await;
        let error = outcome.unwrap_err();
        assert!(error.is_cancelled());
        assert!(error.failures().is_empty());
        ledger.expect(&[(1000, "error delivered")]);
    });
}

/// Rule 12: the same, and the code passes the error on without a checkpoint.
#[test]
fn a_real_error_that_meets_no_checkpoint_passes_every_cancelled_opening() {
    sim(SEEDS, || async {
        let outcome = open(async |outer| {
            let canceller = outer.clone();
            open(async |inner| {
                inner.spawn(async move {
                    sleep(secs(1)).await;
                    canceller.cancel();
                    Err::<(), _>(Oops("a"))
                });
                done()
            })
            .await
        })
        .await;
        let error = outcome.unwrap_err();
        assert!(!error.is_cancelled());
        assert_eq!(error.into_first().unwrap().into_first(), Some(Oops("a")));
    });
}

/// Rule 12, without a failure: `is_cancelled` is true exactly when both lists are empty.
#[test]
fn an_error_is_cancelled_exactly_when_it_holds_no_failure() {
    sim(SEEDS, || async {
        let cancelled = open(async |g| {
            g.cancel();
            pending::<Result<(), Oops>>().await
        })
        .await
        .unwrap_err();
        assert!(cancelled.is_cancelled());
        assert!(cancelled.failures().is_empty() && cancelled.cleanup_failures().is_empty());
        assert!(cancelled.first().is_none());
        assert!(!cancelled.to_string().is_empty());
        assert!(cancelled.into_first().is_none());

        let failed = open(async |g| {
            g.cancel();
            Err::<(), _>(Oops("a"))
        })
        .await
        .unwrap_err();
        assert!(!failed.is_cancelled());
        assert_eq!(failed.into_first(), Some(Oops("a")));
    });
}

/// Rules 12 and 27: a failure at the very instant of the deadline is reported or prevented, never lost.
#[test]
fn a_failure_at_the_deadline_is_never_lost() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(
            secs(1),
            open(async |g| {
                g.spawn(ledger.failing("a", secs(1)));
                done()
            }),
        )
        .await;
        match outcome {
            Ok(outcome) => {
                assert_eq!(outcome.names(), ["a"]);
                ledger.expect(&[(1000, "a failed")]);
            }
            Err(_) => ledger.expect(&[(1000, "a cut")]),
        }
        assert_eq!(ledger.now(), 1000);
    });
}

/// Rule 11: cancelled from above while a child lives, the value of a finished body is dropped too.
#[test]
fn a_value_is_dropped_when_the_cancellation_from_above_finds_a_living_child() {
    sim(SEEDS, || async {
        let (ledger, census) = (Ledger::open(), crate::support::Census::default());
        let outcome = timeout(secs(1), async {
            let inner = open(async |g| {
                g.spawn(ledger.sleeper("child", secs(5)));
                ok(census.tracked())
            })
            .await;
            ledger.note("never");
            drop(inner);
        })
        .await;
        outcome.unwrap_err();
        assert_eq!((census.born(), census.living()), (1, 0));
        ledger.expect(&[(1000, "child cut")]);
    });
}
