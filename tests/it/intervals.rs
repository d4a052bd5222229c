//! Ticks under cancellation: intervals as the heartbeat of a child (rules 19 and 29).

use std::pin::pin;

use futures_util::future::{Either, select};
use headcount::{
    Instant, group,
    time::{MissedTicks, interval, sleep},
    timeout,
};

use crate::support::{Ledger, SEEDS, done, millis, secs, sim};

/// A tick is a checkpoint, the first one too.
#[test]
fn every_tick_is_a_checkpoint() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let mut ticks = interval(secs(1));
        let outcome = timeout(secs(0), async {
            ticks.tick().await;
            ledger.note("never");
        });
        outcome.await.unwrap_err();
        ledger.expect(&[]);
        let start = Instant::now();
        assert_eq!(ticks.tick().await, start, "a tick that was cut is not lost");
    });
}

/// A timeout around one tick leaves the rhythm alone.
#[test]
fn a_tick_that_times_out_is_not_lost() {
    sim(SEEDS, || async {
        let start = Instant::now();
        let mut ticks = interval(secs(2));
        ticks.tick().await;
        let mut outcomes = Vec::new();
        for _ in 0..4 {
            outcomes.push(timeout(secs(1), ticks.tick()).await.ok());
            if outcomes.last().unwrap().is_none() {
                assert_eq!(Instant::now().duration_since(start).as_secs() % 2, 1);
            }
        }
        let seen: Vec<_> = outcomes.into_iter().flatten().collect();
        assert_eq!(seen, [start + secs(2), start + secs(4)]);
    });
}

/// The loop calls for a tick anew in each turn, and each of these calls is dropped as the other one is ready.
#[test]
fn ticks_come_beside_something_that_is_always_ready() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let mut ticks = interval(secs(1));
        while ledger.now() < 3500 {
            match select(pin!(ticks.tick()), pin!(std::future::ready(()))).await {
                Either::Left(_) => ledger.note("tick"),
                // Works on it.
                Either::Right(_) => sleep(millis(100)).await,
            }
        }
        ledger.expect(&[
            (100, "tick"),
            (1000, "tick"),
            (2000, "tick"),
            (3000, "tick"),
        ]);
    });
}

/// A daemon that ticks serves its group to the end and not longer.
#[test]
fn a_heartbeat_beats_until_its_group_has_nothing_else_to_do() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let beats = ledger.clone();
            g.spawn_daemon(async move {
                let mut ticks = interval(secs(1)).missed_ticks(MissedTicks::Burst);
                loop {
                    ticks.tick().await;
                    beats.note("beat");
                }
            });
            g.spawn(sleep(millis(2500)));
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(0, "beat"), (1000, "beat"), (2000, "beat")]);
        assert_eq!(ledger.now(), 2500);
    });
}
