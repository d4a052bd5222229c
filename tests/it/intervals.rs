//! Ticks under cancellation: intervals as the heartbeat of a child (rules 19 and 29).

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
