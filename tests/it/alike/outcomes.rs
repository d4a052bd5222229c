//! Failures that could not be returned where they arose, and where they are found instead.

use std::{
    any::Any,
    mem,
    pin::Pin,
    sync::{Arc, Mutex},
};

use headcount::{GroupError, Options, checkpoint, time::sleep, timeout};

use super::{INLINE, open};
use crate::support::{
    Ledger, Oops, SEEDS, catch, done, drops_later_panicking, message, poll_for, secs, sim,
};

/// What fails, one second after the inner boundary was opened.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Failing {
    Error,
    Panic,
    FailedRelease,
    PanickingRelease,
    ErrorAndPanic,
    ErrorAndFailedRelease,
    PanicAndFailedRelease,
}
use Failing::*;

/// What becomes of the opener of the inner boundary after two seconds, while it drains.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// Awaited to its end.
    Returned,
    /// Dropped by a foreign combinator.
    Dropped,
    Forgotten,
    /// Its parent is cancelled while it is awaited.
    Cancelled,
}
use Fate::*;

/// What fails, the fate, what the inner boundary came to, what its parent came to, what the hook saw.
type Cell = (
    Failing,
    Fate,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const TABLE: &[Cell] = &[
    (Error, Returned, "error a", "value", &[]),
    (Error, Dropped, "gone", "cleanup a", &[]),
    (Error, Cancelled, "error a", "cancelled", &[]),
    (Panic, Returned, "panic p", "value", &[]),
    (Panic, Dropped, "gone", "panic p", &[]),
    (Panic, Forgotten, "gone", "panic p", &[]),
    (Panic, Cancelled, "panic p", "cancelled", &[]),
    (FailedRelease, Returned, "cleanup f", "value", &[]),
    (FailedRelease, Dropped, "gone", "cleanup f", &[]),
    (FailedRelease, Forgotten, "gone", "cleanup f", &[]),
    (FailedRelease, Cancelled, "cleanup f", "cancelled", &[]),
    (
        PanickingRelease,
        Returned,
        "cleanup panicked: q",
        "value",
        &[],
    ),
    (
        PanickingRelease,
        Dropped,
        "gone",
        "cleanup panicked: q",
        &[],
    ),
    (
        PanickingRelease,
        Forgotten,
        "gone",
        "cleanup panicked: q",
        &[],
    ),
    (
        PanickingRelease,
        Cancelled,
        "cleanup panicked: q",
        "cancelled",
        &[],
    ),
    (ErrorAndPanic, Returned, "panic p", "value", &["a"]),
    (ErrorAndPanic, Dropped, "gone", "panic p", &["a"]),
    (ErrorAndPanic, Cancelled, "panic p", "cancelled", &["a"]),
    (
        ErrorAndFailedRelease,
        Returned,
        "error a, cleanup f",
        "value",
        &[],
    ),
    (
        ErrorAndFailedRelease,
        Dropped,
        "gone",
        "cleanup a, cleanup f",
        &[],
    ),
    (
        ErrorAndFailedRelease,
        Cancelled,
        "error a, cleanup f",
        "cancelled",
        &[],
    ),
    (PanicAndFailedRelease, Returned, "panic p", "value", &["f"]),
    (PanicAndFailedRelease, Dropped, "gone", "panic p", &["f"]),
    (PanicAndFailedRelease, Forgotten, "gone", "panic p", &["f"]),
    (
        PanicAndFailedRelease,
        Cancelled,
        "panic p",
        "cancelled",
        &["f"],
    ),
];

/// Forgotten with errors: those of children on the runtime are found, those of inline children, which
/// may borrow, are forgotten with them.
const FORGOTTEN: &[Cell] = match INLINE {
    false => &[
        (Error, Forgotten, "gone", "cleanup a", &[]),
        (ErrorAndPanic, Forgotten, "gone", "panic p", &["a"]),
        (
            ErrorAndFailedRelease,
            Forgotten,
            "gone",
            "cleanup a, cleanup f",
            &[],
        ),
    ],
    true => &[
        (Error, Forgotten, "gone", "value", &[]),
        (ErrorAndPanic, Forgotten, "gone", "panic p", &[]),
        (ErrorAndFailedRelease, Forgotten, "gone", "cleanup f", &[]),
    ],
};

type Opening = Pin<Box<dyn Future<Output = Result<(), GroupError<Oops>>> + Send>>;

/// A boundary in which, after a second, things fail as told. A sibling with a release of three
/// seconds sees to it that it drains until after the second second.
fn failing(ledger: &Ledger, what: Failing) -> Opening {
    let ledger = ledger.clone();
    Box::pin(open(async move |g| {
        let slow = ledger.clone();
        g.spawn(async move {
            let _guard = slow.deferred("slow", secs(3));
            sleep(secs(10)).await;
        });
        if what == ErrorAndPanic {
            g.spawn(drops_later_panicking("p"));
        }
        g.spawn(async move {
            let _guard = match what {
                FailedRelease | ErrorAndFailedRelease | PanicAndFailedRelease => {
                    Some(ledger.deferred_failing("f", secs(0)))
                }
                PanickingRelease => Some(ledger.deferred_panicking("q", secs(0))),
                _ => None,
            };
            sleep(secs(1)).await;
            match what {
                Error | ErrorAndPanic | ErrorAndFailedRelease => Err(Oops("a")),
                Panic | PanicAndFailedRelease => panic!("p"),
                FailedRelease | PanickingRelease => Ok(()),
            }
        });
        done()
    }))
}

/// What came out, in words.
fn told(outcome: Result<Result<(), GroupError<Oops>>, Box<dyn Any + Send>>) -> String {
    let error = match outcome {
        Err(payload) => return format!("panic {}", message(&*payload)),
        Ok(Ok(())) => return "value".into(),
        Ok(Err(error)) => error,
    };
    let failures = error
        .failures()
        .iter()
        .map(|f| format!("error {}", f.error().0));
    let cleanup = error.cleanup_failures().iter().map(|f| {
        // An error that climbed is there as its text.
        let text = f
            .error()
            .to_string()
            .replace(&format!("{:?}", Oops("a")), "a");
        format!("cleanup {text}")
    });
    let mut all: Vec<_> = failures.chain(cleanup).collect();
    all.sort_by_key(|text| (text.starts_with("cleanup"), text.clone()));
    assert_eq!(error.is_cancelled(), all.is_empty());
    match all.is_empty() {
        true => "cancelled".into(),
        false => all.join(", "),
    }
}

async fn check(cell: Cell) {
    let (what, fate, inner, parent, hook) = cell;
    let ledger = Ledger::open();
    let came_to: Arc<Mutex<String>> = Arc::default();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = seen.clone();
    let options = Options::new().on_suppressed(move |failure| {
        let text = failure.text().replace(&format!("{:?}", Oops("a")), "a");
        sink.lock().unwrap().push(text);
    });
    let (body_ledger, result) = (ledger.clone(), came_to.clone());
    let outcome = options.group(async move |g| {
        let ledger = body_ledger;
        let mut opening = failing(&ledger, what);
        assert!(poll_for(&mut opening, secs(2)).await.is_pending());
        match fate {
            Dropped | Forgotten => {
                *result.lock().unwrap() = "gone".into();
                match fate {
                    Forgotten => mem::forget(opening),
                    _ => drop(opening),
                }
                sleep(secs(1)).await;
            }
            Returned | Cancelled => {
                if fate == Cancelled {
                    g.cancel();
                }
                let outcome = told(catch(opening).await);
                assert!(ledger.contains("slow released"));
                *result.lock().unwrap() = outcome;
                checkpoint().await;
                assert_eq!(fate, Returned, "cut at the next checkpoint");
            }
        }
        done()
    });
    let outcome = told(catch(outcome).await);
    let released = ledger.contains("slow released");
    assert_eq!(*came_to.lock().unwrap(), inner, "{what:?} {fate:?}");
    assert_eq!(outcome, parent, "{what:?} {fate:?}");
    assert_eq!(*seen.lock().unwrap(), *hook, "{what:?} {fate:?}");
    // Only what an inline child still owned is forgotten with its scope.
    let owned = matches!(what, FailedRelease | PanickingRelease);
    assert_eq!(
        released,
        !(INLINE && fate == Forgotten && owned),
        "{cell:?}"
    );
}

/// Rules 10, 12, 14 and 17.
#[test]
fn every_failure_is_found_where_the_rules_say_whatever_becomes_of_its_boundary() {
    assert_eq!(TABLE.len() + FORGOTTEN.len(), 7 * 4);
    for &cell in TABLE.iter().chain(FORGOTTEN) {
        sim(SEEDS, || check(cell));
    }
}

/// Rules 12 and 17: what returns no `GroupError` lets failures through.
#[test]
fn failures_climb_through_timeouts_to_the_nearest_boundary_that_can_return_them() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outer = open(async |_| {
            let middle = open(async |_| {
                timeout(secs(60), async {
                    let _guard = ledger.deferred_failing("guard", secs(1));
                    let mut inner = failing(&ledger, ErrorAndFailedRelease);
                    assert!(poll_for(&mut inner, secs(2)).await.is_pending());
                    drop(inner);
                })
                .await
                .unwrap();
                done()
            });
            let middle = middle.await;
            let found: Vec<_> = middle
                .unwrap_err()
                .cleanup_failures()
                .iter()
                .map(|f| f.error().to_string())
                .collect();
            assert_eq!(found.len(), 3, "{found:?}");
            assert!(found.contains(&"guard".into()));
            done()
        });
        outer.await.unwrap();
    });
}

/// Rule 12: an enclosing timeout returns what came out, rather than that it is over.
#[test]
fn a_timeout_returns_the_failed_release_that_came_out_of_it() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(
            secs(1),
            open(async |g| {
                let child = ledger.clone();
                g.spawn(async move {
                    let _guard = child.deferred_failing("guard", secs(2));
                    sleep(secs(10)).await;
                });
                done()
            }),
        )
        .await;
        let error = outcome.expect("the error, not the timeout").unwrap_err();
        assert_eq!(error.cleanup_failures().len(), 1);
        assert_eq!(ledger.now(), 3000);
    });
}
