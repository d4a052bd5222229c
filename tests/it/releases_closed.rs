//! `Deferred::close` and `into_inner`: releasing by hand, to the end or half-way.

use std::{
    future::pending,
    mem,
    pin::Pin,
    sync::{Arc, Mutex},
};

use futures_concurrency::future::{Join, Race};
use headcount::{Options, defer, group, scope, shield, time::sleep, timeout};

use crate::support::{
    Ledger, SEEDS, catch, done, drops_later_panicking, message, poll_for, poll_once, secs, sim,
};

type Closing =
    Pin<Box<dyn Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>> + Send>>;

/// What a `close` returns is its awaiter's, and nobody else hears of it.
#[test]
fn what_a_close_comes_to_is_told_to_its_awaiter_only() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            ledger.deferred("good", secs(1)).close().await.unwrap();
            let error = ledger
                .deferred_failing("bad", secs(1))
                .close()
                .await
                .unwrap_err();
            assert_eq!(error.to_string(), "bad");
            let closing = ledger.deferred_panicking("ugly", secs(1)).close();
            assert_eq!(
                message(&*catch(closing).await.map(drop).unwrap_err()),
                "ugly"
            );
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(ledger.now(), 3000);
        assert_eq!(ledger.count("good released"), 1);
    });
}

/// Two at once: by hand they need not be in series.
#[test]
fn two_closes_run_side_by_side_and_beside_an_eager_release() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let (one, two) = (
                ledger.deferred("one", secs(2)),
                ledger.deferred("two", secs(2)),
            );
            drop(ledger.deferred("dropped", secs(2)));
            let (one, two) = (one.close(), two.close()).join().await;
            one.and(two).unwrap();
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(ledger.now(), 2000);
        for name in ["one", "two", "dropped"] {
            assert_eq!(ledger.count(&format!("{name} released")), 1);
        }
    });
}

/// Dropped half-way by a foreign race, in a body that goes on: finished beside it, once.
#[test]
fn a_close_that_a_foreign_race_drops_is_finished_beside_the_body() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = scope(async |_| {
            let closing = async {
                ledger
                    .deferred_failing("guard", secs(3))
                    .close()
                    .await
                    .unwrap();
            };
            (closing, sleep(secs(1))).race().await;
            ledger.note("body goes on");
            sleep(secs(5)).await;
            ledger.note("body ends");
            done()
        })
        .await;
        assert_eq!(outcome.unwrap_err().cleanup_failures().len(), 1);
        ledger.expect(&[
            (0, "guard releasing"),
            (1000, "body goes on"),
            (3000, "guard released"),
            (6000, "body ends"),
        ]);
    });
}

/// Never polled, it is the guard that is dropped.
#[test]
fn a_close_that_is_dropped_unpolled_releases_like_its_guard() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            drop(ledger.deferred("guard", secs(1)).close());
            ledger.note("dropped");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (0, "dropped"),
            (0, "guard releasing"),
            (1000, "guard released"),
        ]);
    });
}

/// A half-run release whose `close` is forgotten cannot be finished: its boundary ends, and says so.
#[test]
fn a_forgotten_close_is_reported_as_a_cleanup_failure() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let child = ledger.clone();
            g.spawn_named("owner", async move {
                let mut closing: Closing = Box::pin(child.deferred("guard", secs(9)).close());
                assert!(poll_for(&mut closing, secs(1)).await.is_pending());
                mem::forget(closing);
            });
            done()
        })
        .await;
        let error = outcome.unwrap_err();
        assert_eq!(error.cleanup_failures().len(), 1);
        let failure = &error.cleanup_failures()[0];
        assert_eq!(failure.name(), Some("owner"));
        assert!(failure.error().to_string().contains("close"), "{failure}");
        ledger.expect(&[(0, "guard releasing")]);
        assert_eq!(ledger.now(), 1000);
    });
}

/// The same if it was never polled, but nobody can know of that one.
#[test]
fn a_guard_or_an_unpolled_close_that_is_forgotten_is_never_released() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            mem::forget(ledger.deferred("guard", secs(1)));
            mem::forget(ledger.deferred("close", secs(1)).close());
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[]);
    });
}

/// Rule 8: kept aside past the boundary in which it began. That one reports it; the awaiter is told
/// too, and it never runs again.
#[test]
fn a_close_that_is_kept_past_its_boundary_is_reported_and_never_runs_again() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut closing: Closing = Box::pin(ledger.deferred("guard", secs(3)).close());
            assert!(timeout(secs(1), &mut closing).await.is_err());
            ledger.note("timed out");
            sleep(secs(5)).await;
            assert!(closing.await.is_err());
            ledger.note("told");
            done()
        })
        .await;
        assert_eq!(outcome.unwrap_err().cleanup_failures().len(), 1);
        ledger.expect(&[(0, "guard releasing"), (1000, "timed out"), (6000, "told")]);
    });
}

/// Kept aside, but polled again before its boundary has ended: it is in place and ends.
#[test]
fn a_close_may_be_put_aside_and_awaited_later_in_its_boundary() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut closing: Closing = Box::pin(ledger.deferred("guard", secs(3)).close());
            assert!(poll_for(&mut closing, secs(1)).await.is_pending());
            sleep(secs(5)).await;
            // In a boundary further in.
            let inside = scope(async |_| {
                closing.await.unwrap();
                done()
            });
            inside.await.unwrap();
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(0, "guard releasing"), (6000, "guard released")]);
    });
}

/// What is taken out is not released.
#[test]
fn a_resource_that_is_taken_out_is_not_released() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut guard = defer((ledger.clone(), 1), |(ledger, _)| async move {
                ledger.note("never");
            });
            guard.1 += 1;
            assert_eq!(guard.1, 2);
            let (taken, number) = guard.into_inner();
            assert_eq!(number, 2);
            taken.note("taken");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(0, "taken")]);
    });
}

/// A `close` that is kept past its boundary is reported once, whether it is dropped or awaited then.
#[test]
fn a_close_that_is_kept_past_its_boundary_is_reported_once() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut closing: Closing = Box::pin(ledger.deferred("guard", secs(3)).close());
            assert!(timeout(secs(1), &mut closing).await.is_err());
            sleep(secs(5)).await;
            drop(closing);
            done()
        })
        .await;
        let error = outcome.unwrap_err();
        assert_eq!(error.cleanup_failures().len(), 1, "{error}");
    });
}

/// Rule 14: its destructor panics when nobody is left who would return that.
#[test]
fn a_panic_in_a_close_that_is_kept_past_every_boundary_goes_to_the_hook() {
    sim(SEEDS, || async {
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let hears = heard.clone();
        let options = Options::new().on_suppressed(move |suppressed| {
            hears.lock().unwrap().push(suppressed.text().to_owned());
        });
        let mut kept = None;
        let outcome = options.group(async |_| {
            let guard = defer((), |()| drops_later_panicking("late"));
            let mut closing: Closing = Box::pin(guard.close());
            assert!(poll_once(&mut closing).await.is_pending());
            kept = Some(closing);
            done()
        });
        let error = outcome.await.unwrap_err();
        assert_eq!(error.cleanup_failures().len(), 1, "{error}");
        assert!(heard.lock().unwrap().is_empty());
        drop(kept);
        assert_eq!(*heard.lock().unwrap(), ["late"]);
    });
}

/// And says why it was cut.
#[test]
fn a_close_that_is_kept_past_its_boundary_tells_its_awaiter_why() {
    sim(1, || async {
        let ledger = Ledger::open();
        let _ = group(async |_| {
            let mut closing: Closing = Box::pin(ledger.deferred("guard", secs(3)).close());
            assert!(timeout(secs(1), &mut closing).await.is_err());
            let text = closing.await.unwrap_err().to_string();
            assert!(!text.contains("grace"), "{text}");
            done()
        })
        .await;
    });
}

/// What a release has spawned lives on though its `close` is forgotten: the boundary reports the one,
/// and waits for the other.
#[test]
fn a_group_waits_for_what_a_forgotten_close_leaves_below() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let guard = defer(ledger.clone(), |ledger| async move {
                let below = group(async |g| {
                    g.spawn(shield(ledger.sleeper("below", secs(3))));
                    pending::<()>().await;
                    done()
                });
                below.await
            });
            let mut closing: Closing = Box::pin(guard.close());
            assert!(poll_for(&mut closing, secs(1)).await.is_pending());
            mem::forget(closing);
            done()
        })
        .await;
        assert_eq!(outcome.unwrap_err().cleanup_failures().len(), 1);
        ledger.expect(&[(3000, "below done")]);
        assert_eq!(ledger.now(), 3000);
    });
}

/// Rule 27: begun outside of the timeout that drops it, it is finished by that, which waits for it.
#[test]
fn a_timeout_finishes_the_close_that_it_drops_wherever_that_began() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut closing: Closing = Box::pin(ledger.deferred("guard", secs(5)).close());
            assert!(poll_for(&mut closing, secs(0)).await.is_pending());
            let cut = timeout(secs(1), async move {
                let _closing = closing;
                sleep(secs(9)).await;
            });
            assert!(cut.await.is_err());
            ledger.note("timed out");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (0, "guard releasing"),
            (5000, "guard released"),
            (5000, "timed out"),
        ]);
    });
}
