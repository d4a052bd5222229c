//! What a restart does to the siblings: one for one, one for all.

use headcount::{Restart, shield, time::sleep};

use super::restarts::{Runs, flaky};
use crate::support::{Ledger, SEEDS, millis, secs, sim};

#[test]
fn one_for_one_leaves_the_siblings_alone() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let log = ledger.clone();
        let outcome = Restart::transient()
            .one_for_one()
            .intensity(3, secs(60))
            .child("flaky", flaky(&ledger, 2, secs(1)))
            .child("steady", move || log.sleeper("steady", secs(5)))
            .run()
            .await;
        outcome.unwrap();
        ledger.expect(&[
            (0, "start"),
            (1_000, "start"),
            (2_000, "start"),
            (5_000, "steady done"),
        ]);
    });
}

#[test]
fn one_for_all_joins_the_siblings_before_it_starts_all_again() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let (log, steady, short) = (ledger.clone(), Runs::default(), Runs::default());
        let (count, short_count) = (steady.clone(), short.clone());
        let outcome = Restart::transient()
            .one_for_all()
            .intensity(3, secs(60))
            .backoff(secs(1), 1, secs(1))
            .child("flaky", flaky(&ledger, 1, secs(0)))
            .child("steady", move || {
                steady.next();
                log.sleeper("steady", secs(5))
            })
            .child("short", move || {
                short.next();
                sleep(millis(500))
            })
            .run()
            .await;
        outcome.unwrap();
        ledger.expect(&[
            (0, "start"),
            (1_000, "steady cut"),
            (2_000, "start"),
            (7_000, "steady done"),
        ]);
        assert_eq!((count.count(), short_count.count()), (2, 2));
    });
}

/// The sibling takes two seconds more to end.
#[test]
fn one_for_all_waits_for_a_sibling_that_ends_late() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let log = ledger.clone();
        let outcome = Restart::transient()
            .one_for_all()
            .child("flaky", flaky(&ledger, 1, secs(0)))
            .child("late", move || shield(log.sleeper("late", secs(3))))
            .run()
            .await;
        outcome.unwrap();
        ledger.expect(&[
            (0, "start"),
            (3_000, "late done"),
            (3_000, "start"),
            (6_000, "late done"),
        ]);
    });
}

/// All fail at one instant: that is one restart of all.
#[test]
fn under_one_for_all_a_common_failure_is_one_restart() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = Restart::transient()
            .one_for_all()
            .intensity(1, secs(60))
            .child("a", flaky(&ledger, 1, secs(1)))
            .child("b", flaky(&ledger, 1, secs(1)))
            .run()
            .await;
        outcome.unwrap();
        assert_eq!(ledger.count("start"), 4);
        assert_eq!(ledger.now(), 2_000);
    });
}
