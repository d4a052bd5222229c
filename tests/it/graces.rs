//! `Options::grace`: how long the releases of a boundary may take once it is torn down.

use std::time::Duration;

use headcount::{
    CleanupFailure, GroupError, Options, checkpoint, defer, group, shield, time::sleep,
};

use crate::support::{Ledger, Oops, SEEDS, done, secs, sim};

pub fn grace(n: u64) -> Options {
    Options::new().grace(secs(n))
}

/// The failures of the releases, and nothing else.
#[track_caller]
pub fn cuts(outcome: Result<(), GroupError<Oops>>) -> usize {
    let error = outcome.unwrap_err();
    assert!(error.failures().is_empty(), "{error}");
    let cut = |f: &CleanupFailure| f.error().to_string().contains("grace");
    assert!(error.cleanup_failures().iter().all(cut), "{error}");
    error.cleanup_failures().len()
}

/// It begins with the request, its own or one from above, and not with the first release after it.
#[test]
fn a_grace_begins_when_the_group_is_cancelled() {
    for above in [false, true] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |outer| {
                let inner = grace(3).group(async |g| {
                    let child = ledger.clone();
                    g.spawn(async move {
                        let _guard = child.deferred("guard", secs(2));
                        shield(sleep(secs(3))).await;
                        checkpoint().await;
                    });
                    sleep(secs(1)).await;
                    match above {
                        true => outer.cancel(),
                        false => g.cancel(),
                    }
                    done()
                });
                assert_eq!(cuts(inner.await), 1);
                done()
            });
            outcome.await.unwrap();
            ledger.expect(&[(3000, "guard releasing")]);
            assert_eq!(ledger.now(), 4000);
        });
    }
}

/// Without a request it begins with the first release of the tear-down, and not before.
#[test]
fn without_a_cancellation_a_grace_begins_with_the_first_release_of_the_tear_down() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = grace(3).group(async |g| {
            let (child, own) = (ledger.clone(), ledger.clone());
            let _guard = ledger.deferred("body's", secs(2));
            let _slow = ledger.deferred("slow", secs(60));
            // Nothing is torn down while these run: the eager one has all the time of the body.
            drop(ledger.deferred("eager", secs(5)));
            g.spawn(async move { child.deferred("child's", secs(5)).close().await.unwrap() });
            g.spawn(async move {
                let _own = own.deferred("of a child that ended", secs(5));
            });
            sleep(secs(10)).await;
            done()
        });
        assert_eq!(cuts(outcome.await), 2);
        assert!(ledger.contains("eager released") && ledger.contains("child's released"));
        assert!(ledger.contains("of a child that ended released"));
        // The other guard was behind the slow one.
        assert!(ledger.contains("body's releasing") && !ledger.contains("body's released"));
        assert_eq!(ledger.now(), 13_000);
    });
}

/// Each release is polled at least once, though the grace is over before it begins.
#[test]
fn every_release_is_polled_once_though_the_grace_is_over() {
    for n in [0, 1] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = grace(n).group(async |g| {
                let child = ledger.clone();
                g.spawn(async move {
                    let _guards = ["a", "b", "c"].map(|name| child.deferred(name, secs(60)));
                    let _done = child.deferred("quick", Duration::ZERO);
                    sleep(secs(60)).await;
                });
                let _body = ledger.deferred("body", secs(60));
                sleep(secs(1)).await;
                g.cancel();
                done()
            });
            assert!(cuts(outcome.await) >= 4);
            for name in ["a", "b", "c", "body", "quick"] {
                assert_eq!(ledger.count(&format!("{name} releasing")), 1);
            }
            assert_eq!(ledger.now(), (1 + n) * 1000);
        });
    }
}

/// In series within one grace: what is left of it is for the rest.
#[test]
fn releases_in_series_share_one_grace() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = grace(3).scope(async |_| {
            let _three = ledger.deferred("three", secs(2));
            let _two = ledger.deferred("two", secs(2));
            let _one = ledger.deferred("one", secs(2));
            checkpoint().await;
            done()
        });
        assert_eq!(cuts(outcome.await), 2);
        ledger.expect(&[
            (0, "one releasing"),
            (2000, "one released"),
            (2000, "two releasing"),
            (3000, "three releasing"),
        ]);
        assert_eq!(ledger.now(), 3000);
    });
}

/// Rule 17: a cut is a failure with name and place.
#[test]
fn a_cut_release_is_a_failure_that_names_its_task_and_place() {
    sim(SEEDS, || async {
        let outcome: Result<(), GroupError<Oops>> = grace(1)
            .group(async |g| {
                g.spawn_named("owner", async {
                    let _guard = defer((), |()| sleep(secs(60)));
                    sleep(secs(60)).await;
                });
                sleep(secs(1)).await;
                Err(Oops("body"))
            })
            .await;
        let error = outcome.unwrap_err();
        assert_eq!(error.first(), Some(&Oops("body")));
        let failure = &error.cleanup_failures()[0];
        assert_eq!(failure.name(), Some("owner"));
        assert!(failure.location().file().ends_with("graces.rs"));
        assert!(failure.error().to_string().contains("grace"));
        assert!(!error.is_cancelled());
    });
}

/// Ordinary work and shields of users take the time that they need.
#[test]
fn a_grace_cuts_neither_ordinary_work_nor_shields() {
    for cancelled in [false, true] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = grace(1).group(async |g| {
                let child = ledger.clone();
                g.spawn(async move {
                    shield(child.sleeper("shielded", secs(60))).await;
                });
                if !cancelled {
                    g.spawn(ledger.sleeper("ordinary", secs(60)));
                }
                // Ends at once, so it needs no more than the one poll.
                let _guard = defer(ledger.clone(), async |ledger| ledger.note("released"));
                sleep(secs(1)).await;
                if cancelled {
                    g.cancel();
                }
                done()
            });
            outcome.await.unwrap();
            assert!(ledger.contains("shielded done"));
            assert_eq!(ledger.contains("ordinary done"), !cancelled);
            assert_eq!(ledger.last().unwrap(), "released");
        });
    }
}

/// A `close` that is awaited is bounded as well, and its awaiter hears of the cut; while nothing is
/// torn down it is not.
#[test]
fn a_close_is_cut_by_the_grace_and_tells_its_awaiter() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = grace(2).group(async |g| {
            ledger.deferred("unhurried", secs(9)).close().await.unwrap();
            g.cancel();
            let closing = ledger.deferred("cut", secs(9)).close();
            let error = shield(closing).await.unwrap_err();
            assert!(error.to_string().contains("grace"), "{error}");
            ledger.note("told");
            checkpoint().await;
            done()
        });
        assert!(outcome.await.unwrap_err().is_cancelled());
        ledger.expect(&[
            (0, "unhurried releasing"),
            (9000, "unhurried released"),
            (9000, "cut releasing"),
            (11_000, "told"),
        ]);
    });
}
