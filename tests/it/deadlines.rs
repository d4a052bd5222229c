//! Deadlines of cancel scopes, set and moved (rule 26).

use headcount::{CancelKind, CancelScope, Instant, checkpoint, group, shield, time::sleep};

use crate::support::{FEW, Ledger, SEEDS, millis, nested, nestings, ok, secs, sim};

/// Case 22.
#[test]
fn a_deadline_is_moved_while_the_scope_runs() {
    sim(SEEDS, || async {
        let start = Instant::now();
        let later = CancelScope::with_timeout(secs(1));
        let outcome = later.enter(async {
            later.set_deadline(Some(start + secs(3)));
            sleep(secs(2)).await;
            5
        });
        assert_eq!(outcome.await.unwrap(), 5);
        assert!(!later.cancel_called());

        let past = CancelScope::with_timeout(secs(9));
        let outcome = past.enter(async {
            past.set_deadline(Some(start));
            checkpoint().await;
            unreachable!("resumed");
        });
        let outcome: Result<(), _> = outcome.await;
        outcome.unwrap_err();
        assert_eq!(Instant::now(), start + secs(2));
    });
}

/// Case 22: a deadline that has passed cannot be moved away any more.
#[test]
fn a_deadline_moved_later_after_it_has_passed_stays_passed() {
    sim(SEEDS, || async {
        let (ledger, start) = (Ledger::open(), Instant::now());
        let moved = CancelScope::with_timeout(secs(1));
        let outcome = moved.enter(async {
            let _ = shield(async {
                sleep(secs(2)).await;
                assert!(moved.cancel_called());
                moved.set_deadline(Some(start + secs(60)));
                moved.set_deadline(None);
            })
            .await;
            assert!(moved.cancel_called() && !moved.cancelled_caught());
            ledger.forever("rest").await;
        });
        let cancelled = outcome.await.unwrap_err();
        assert_eq!(cancelled.reason().unwrap().kind, CancelKind::Deadline);
        ledger.expect(&[(2000, "rest cut")]);
    });
}

/// Rule 26: by another task, to an earlier time, a later one, none, and one that has passed.
#[test]
fn another_task_moves_the_deadline_of_a_scope_that_waits() {
    let moves: [(Option<u64>, u64); 4] = [
        (Some(2000), 2000),
        (Some(9000), 9000),
        (None, 20_000),
        (Some(500), 1000),
    ];
    for (deadline, ends_at) in moves {
        for nesting in nestings(1) {
            sim(FEW, || {
                let nesting = nesting.clone();
                async move {
                    let (ledger, start) = (Ledger::open(), Instant::now());
                    let moved = CancelScope::with_timeout(secs(5));
                    let remote = moved.clone();
                    let sleeper = nested(&nesting, sleep(secs(20)));
                    let outcome = group(async |g| {
                        g.spawn(async move {
                            sleep(secs(1)).await;
                            remote.set_deadline(deadline.map(|at| start + millis(at)));
                        });
                        ok(moved.enter(sleeper).await.is_err())
                    });
                    assert_eq!(outcome.await.unwrap(), deadline.is_some());
                    assert_eq!(ledger.now(), ends_at);
                }
            });
        }
    }
}

/// Rule 26: before entry, the last word counts.
#[test]
fn a_deadline_may_be_set_and_removed_before_entry() {
    sim(SEEDS, || async {
        let (ledger, start) = (Ledger::open(), Instant::now());
        let set = CancelScope::new();
        set.set_deadline(Some(start + secs(2)));
        set.enter(ledger.forever("set")).await.unwrap_err();
        let replaced = CancelScope::with_timeout(secs(1));
        replaced.set_deadline(Some(start + secs(4)));
        replaced
            .enter(ledger.forever("replaced"))
            .await
            .unwrap_err();
        let removed = CancelScope::with_deadline(start + secs(5));
        removed.set_deadline(None);
        let sleeper = ledger.sleeper("removed", secs(5));
        removed.enter(sleeper).await.unwrap();
        ledger.expect(&[
            (2000, "set cut"),
            (4000, "replaced cut"),
            (9000, "removed done"),
        ]);
        assert!(!removed.cancel_called());
    });
}

/// Rule 26: a point in time is one; a duration counts from the entry.
#[test]
fn a_timeout_counts_from_entry_and_a_deadline_does_not() {
    sim(SEEDS, || async {
        let (ledger, start) = (Ledger::open(), Instant::now());
        let point = CancelScope::with_deadline(start + secs(3));
        let duration = CancelScope::with_timeout(secs(3));
        sleep(secs(2)).await;
        point.enter(ledger.forever("point")).await.unwrap_err();
        sleep(secs(2)).await;
        duration
            .enter(ledger.forever("duration"))
            .await
            .unwrap_err();
        ledger.expect(&[(3000, "point cut"), (8000, "duration cut")]);
    });
}
