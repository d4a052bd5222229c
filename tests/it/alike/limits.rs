//! Children under a limit.

use std::sync::{Arc, Mutex};

use headcount::time::sleep;

use super::{limited, open};
use crate::support::{Census, Ledger, Named, PollCount, SEEDS, done, ok, secs, sim, yield_now};

/// How many are inside, and how many ever were at one time.
#[derive(Clone, Default)]
struct Gauge(Arc<Mutex<(usize, usize)>>);

impl Gauge {
    fn enter(&self) -> Inside {
        let mut counts = self.0.lock().unwrap();
        counts.0 += 1;
        counts.1 = counts.1.max(counts.0);
        Inside(self.clone())
    }

    fn peak(&self) -> usize {
        self.0.lock().unwrap().1
    }
}

struct Inside(Gauge);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().0 -= 1;
    }
}

/// Case 29.
#[test]
fn of_a_hundred_children_under_a_limit_of_three_never_more_than_three_are_alive() {
    sim(SEEDS, || async {
        let (ledger, gauge) = (Ledger::open(), Gauge::default());
        let outcome = limited(3, async |g| {
            for _ in 0..100 {
                let (ledger, gauge) = (ledger.clone(), gauge.clone());
                g.spawn(async move {
                    let _inside = gauge.enter();
                    yield_now().await;
                    sleep(secs(1)).await;
                    ledger.note("ended");
                });
            }
            ok("value")
        })
        .await;
        assert_eq!(outcome.unwrap(), "value");
        assert_eq!(gauge.peak(), 3);
        assert_eq!(ledger.count("ended"), 100);
        assert_eq!(ledger.now(), 34_000);
    });
}

/// Rule 3.
#[test]
fn queued_children_run_in_the_order_of_their_spawns() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = limited(1, async |g| {
            for name in ["a", "b", "c", "d"] {
                g.spawn(ledger.sleeper(name, secs(1)));
            }
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (1000, "a done"),
            (2000, "b done"),
            (3000, "c done"),
            (4000, "d done"),
        ]);
    });
}

/// Rule 3: a queued child is unpolled.
#[test]
fn a_queued_child_is_not_polled_before_there_is_a_place() {
    sim(SEEDS, || async {
        let (ledger, polls) = (Ledger::open(), PollCount::default());
        let outcome = limited(1, async |g| {
            g.spawn(ledger.sleeper("first", secs(2)));
            g.spawn(polls.of(ledger.sleeper("second", secs(1))));
            sleep(secs(1)).await;
            assert_eq!(polls.get(), 0);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(2000, "first done"), (3000, "second done")]);
    });
}

/// Rule 3, case 29.
#[test]
fn try_spawn_refuses_when_the_places_are_taken_and_gives_the_future_back() {
    sim(SEEDS, || async {
        let (ledger, polls) = (Ledger::open(), PollCount::default());
        let outcome = limited(2, async |g| {
            g.spawn(ledger.sleeper("a", secs(1)));
            assert!(g.try_spawn(ledger.sleeper("b", secs(2))).is_ok());
            let refused = g.try_spawn(polls.of(async { ok(9) })).err().unwrap();
            assert!(refused.is_full() && !refused.is_closed());
            assert_eq!(polls.get(), 0);
            assert_eq!(refused.into_future().await.unwrap(), 9);
            sleep(millis_past_one()).await;
            let accepted = g.try_spawn(ledger.sleeper("c", secs(1)));
            assert!(accepted.is_ok());
            assert!(g.try_spawn(async {}).err().unwrap().is_full());
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect_in_any_order(&[(1000, "a done"), (2000, "b done"), (2500, "c done")]);
    });
}

fn millis_past_one() -> std::time::Duration {
    crate::support::millis(1500)
}

/// Rule 4.
#[test]
fn queued_children_of_a_failed_opening_are_never_polled() {
    sim(SEEDS, || async {
        let (ledger, polls, census) = (Ledger::open(), PollCount::default(), Census::default());
        let outcome = limited(2, async |g| {
            g.spawn(ledger.forever("first"));
            g.spawn(ledger.failing("second", secs(1)));
            for _ in 0..10 {
                let tracked = census.tracked();
                g.spawn(polls.of(async move { drop(tracked) }));
            }
            done()
        })
        .await;
        assert_eq!(outcome.names(), ["second"]);
        assert_eq!((polls.get(), census.living()), (0, 0));
        ledger.expect(&[(1000, "second failed"), (1000, "first cut")]);
    });
}

/// Rules 3, 4 and 13: one queued child is cancelled by its handle; the queue goes on behind it.
#[test]
fn a_queued_child_that_is_cancelled_holds_nobody_up() {
    sim(SEEDS, || async {
        let (ledger, polls) = (Ledger::open(), PollCount::default());
        let outcome = limited(1, async |g| {
            g.spawn(ledger.sleeper("first", secs(2)));
            let doomed = g.spawn(polls.of(ledger.sleeper("doomed", secs(9))));
            g.spawn(ledger.sleeper("third", secs(1)));
            sleep(secs(1)).await;
            doomed.cancel();
            assert!(doomed.await.unwrap_err().is_cancelled());
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!((polls.get(), ledger.now()), (0, 3000));
        ledger.expect_in_any_order(&[
            (1000, "doomed cut"),
            (2000, "first done"),
            (3000, "third done"),
        ]);
    });
}

/// The counters of an opening.
#[test]
fn the_counters_follow_the_children() {
    sim(SEEDS, || async {
        let outcome = open(async |g| {
            assert_eq!(
                (g.stats().spawned, g.stats().living, g.stats().peak),
                (0, 0, 0)
            );
            for time in 1..4 {
                g.spawn(sleep(secs(time)));
            }
            assert_eq!((g.stats().spawned, g.stats().living), (3, 3));
            sleep(millis_past_one()).await;
            assert_eq!(
                (g.stats().spawned, g.stats().living, g.stats().peak),
                (3, 2, 3)
            );
            sleep(secs(5)).await;
            assert_eq!(
                (g.stats().spawned, g.stats().living, g.stats().peak),
                (3, 0, 3)
            );
            done()
        })
        .await;
        outcome.unwrap();
    });
}
