//! Releases of what was kept too long: in a value that is not returned, past a boundary, forgotten.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

use headcount::{checkpoint, defer, group, time::sleep, timeout};

use crate::support::{Ledger, SEEDS, done, ok, poll_once, secs, sim};

/// Rules 1 and 17: a value that a failure takes the place of is dropped before the end.
#[test]
fn a_guard_in_a_value_that_is_not_returned_is_released_before_the_group_returns() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.spawn(ledger.failing("child", secs(1)));
            ok(ledger.deferred("guard", secs(2)))
        })
        .await;
        assert!(outcome.is_err());
        ledger.note("returned");
        ledger.expect(&[
            (1000, "child failed"),
            (1000, "guard releasing"),
            (3000, "guard released"),
            (3000, "returned"),
        ]);
    });
}

/// Rules 1 and 17: also if the failure is that of a release.
#[test]
fn a_failed_release_has_the_guard_in_the_value_released_too() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let _failing = ledger.deferred_failing("failing", secs(1));
            ok(ledger.deferred("guard", secs(2)))
        })
        .await;
        assert!(outcome.is_err());
        ledger.note("returned");
        ledger.expect(&[
            (0, "failing releasing"),
            (1000, "failing released"),
            (1000, "guard releasing"),
            (3000, "guard released"),
            (3000, "returned"),
        ]);
    });
}

/// What a forgotten future owns is forgotten: a release that it was in the middle of is reported,
/// and holds nobody up.
#[test]
fn a_forgotten_close_is_reported_by_the_boundary_around() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let guard = ledger.deferred("guard", secs(5));
            let mut inner = Box::pin(group(async move |_| {
                guard.close().await.unwrap();
                done()
            }));
            assert!(poll_once(&mut inner).await.is_pending());
            std::mem::forget(inner);
            done()
        })
        .await;
        let error = outcome.unwrap_err();
        assert_eq!(error.cleanup_failures().len(), 1);
        let text = error.cleanup_failures()[0].error().to_string();
        assert!(text.contains("neither awaited to its end nor dropped"));
    });
}

/// Rule 23: a half-run `close` that is dropped elsewhere goes on where it began.
#[test]
fn a_close_that_is_dropped_in_another_task_is_finished_where_it_began() {
    type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;
    sim(SEEDS, || async {
        let (ledger, carried) = (Ledger::open(), Arc::<Mutex<Option<Closing>>>::default());
        let outcome = group(async |g| {
            let (begins, give) = (ledger.clone(), carried.clone());
            let beginner = g.spawn(async move {
                let guard = begins.deferred("guard", secs(5));
                let mut closing: Closing = Box::pin(async move { guard.close().await.unwrap() });
                assert!(poll_once(&mut closing).await.is_pending());
                *give.lock().unwrap() = Some(closing);
                sleep(secs(2)).await;
            });
            let take = carried.clone();
            g.spawn(async move {
                sleep(secs(1)).await;
                drop(take.lock().unwrap().take());
            });
            let _ = beginner.await;
            ledger.note("joined");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (0, "guard releasing"),
            (5000, "guard released"),
            (5000, "joined"),
        ]);
    });
}

/// A guard that left the timeout in which it was taken, and is dropped where no boundary is in
/// sight, is released by the nearest boundary that lives.
#[test]
fn a_guard_that_outlived_its_boundary_is_released_by_one_around() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let taken = timeout(secs(1), async {
                checkpoint().await;
                ledger.deferred("guard", secs(2))
            });
            let guard = taken.await.unwrap();
            std::thread::spawn(move || drop(guard)).join().unwrap();
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(0, "guard releasing"), (2000, "guard released")]);
    });
}

#[test]
fn a_guard_shows_its_resource() {
    let guard = defer(7, async |_| unreachable!("it is taken out"));
    assert_eq!(format!("{guard:?}"), "Deferred(7)");
    guard.into_inner();
}
