//! Rule 23: which boundary runs a release, wherever its guard was taken, kept and dropped.

use std::{sync::mpsc::channel, thread};

use headcount::{
    Boundary, Deferred, JoinError, Options, checkpoint, group, scope, time::sleep, timeout,
};

use crate::support::{Ledger, SEEDS, done, ok, poll_for, secs, sim};

/// A guard is a value: where it goes, the release goes.
#[test]
fn a_guard_that_is_returned_is_released_where_it_is_dropped() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let guard = group(async |_| ok(ledger.deferred("guard", secs(1))))
                .await
                .unwrap();
            ledger.note("inner ended");
            sleep(secs(1)).await;
            drop(guard);
            sleep(secs(5)).await;
            ledger.note("body ends");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (0, "inner ended"),
            (1000, "guard releasing"),
            (2000, "guard released"),
            (6000, "body ends"),
        ]);
    });
}

/// Returned to a caller outside of every boundary, it goes back to where it was taken or, since that
/// has ended, runs detached; it runs all the same.
#[test]
fn a_guard_that_outlives_every_boundary_is_released_all_the_same() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let guard = group(async |_| ok(ledger.deferred("guard", secs(1))))
            .await
            .unwrap();
        drop(guard);
        drop(ledger.deferred("of no boundary", secs(2)));
        sleep(secs(5)).await;
        ledger.expect_in_any_order(&[
            (0, "guard releasing"),
            (0, "of no boundary releasing"),
            (1000, "guard released"),
            (2000, "of no boundary released"),
        ]);
    });
}

/// In the output of a child that nobody awaits: the group releases it, before and after the end of
/// the child, with and without a handle.
#[test]
fn a_guard_in_an_unread_output_is_released_by_the_group_of_the_child() {
    for (kept, given) in [(false, false), (false, true), (true, false), (true, true)] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |g| {
                let child = ledger.clone();
                // Taken by the body, or by the child, which has something to release only then.
                let guard = given.then(|| ledger.deferred("output", secs(2)));
                let handle = g.spawn(async move {
                    ok(guard.unwrap_or_else(|| child.deferred("output", secs(2))))
                });
                match kept {
                    true => {
                        sleep(secs(1)).await;
                        assert!(handle.is_finished());
                    }
                    false => drop(handle),
                }
                done()
            })
            .await;
            outcome.unwrap();
            let begin = if kept { 1000 } else { 0 };
            ledger.expect(&[
                (begin, "output releasing"),
                (begin + 2000, "output released"),
            ]);
        });
    }
}

/// Case 30 and rules 2 to 4: whatever is never polled releases what it captured, each in time.
#[test]
fn a_child_that_is_never_polled_releases_the_guard_that_it_captured() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let ended = group(async |g| ok(g)).await.unwrap();
            let limited = Options::new().limit(1).group(async |g| {
                let (first, queued) = (ledger.clone(), ledger.deferred("queued", secs(1)));
                g.spawn(async move { first.forever("first").await });
                g.spawn(async move { drop(queued) });
                let refused = ledger.deferred("full", secs(1));
                let refused = g.try_spawn(async move { drop(refused) }).unwrap_err();
                drop(refused);
                sleep(secs(5)).await;
                g.cancel();
                let unpolled = ledger.deferred("cancelled", secs(1));
                g.spawn(async move { drop(unpolled) });
                done()
            });
            limited.await.unwrap();
            ledger.note("limited ended");
            let late = ledger.deferred("ended", secs(1));
            ended.spawn(async move { drop(late) });
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect_in_any_order(&[
            // What was refused was dropped by the body, and released beside it.
            (0, "full releasing"),
            (1000, "full released"),
            (5000, "first cut"),
            (5000, "queued releasing"),
            (6000, "queued released"),
            // Dropped in the call of the body: its tear-down waits for the children.
            (6000, "cancelled releasing"),
            (7000, "cancelled released"),
            (7000, "limited ended"),
            (7000, "ended releasing"),
            (8000, "ended released"),
        ]);
    });
}

/// Taken while the task is being cancelled: in a destructor, and in the poll that sees the request.
#[test]
fn what_is_deferred_in_a_task_that_is_being_cancelled_is_released() {
    struct DefersOnDrop(Ledger);
    impl Drop for DefersOnDrop {
        fn drop(&mut self) {
            let _guard = self.0.deferred("in the destructor", secs(1));
        }
    }
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let (child, group) = (ledger.clone(), g.clone());
            g.spawn(async move {
                let _in_drop = DefersOnDrop(child.clone());
                sleep(secs(1)).await;
                group.cancel();
                let _guard = child.deferred("in the last poll", secs(1));
                checkpoint().await;
                child.note("never");
            });
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (1000, "in the last poll releasing"),
            (2000, "in the last poll released"),
            (2000, "in the destructor releasing"),
            (3000, "in the destructor released"),
        ]);
    });
}

/// Dropped by a sibling in another boundary: that one releases it.
#[test]
fn a_guard_that_is_dropped_in_another_boundary_is_released_there() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let (give, take) = channel();
            let taken = group(async |g| {
                let ledger = ledger.clone();
                g.spawn(async move {
                    sleep(secs(1)).await;
                    let guard: Deferred<Ledger> = take.recv().unwrap();
                    let other = scope(async move |_| {
                        drop(guard);
                        done()
                    });
                    other.await.unwrap();
                    ledger.note("other boundary ended");
                });
                done()
            });
            // Taken in a boundary that lives on, and given away.
            give.send(ledger.deferred("guard", secs(1))).unwrap();
            taken.await.unwrap();
            sleep(secs(5)).await;
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (1000, "guard releasing"),
            (2000, "guard released"),
            (2000, "other boundary ended"),
        ]);
    });
}

/// A foreign thread has no boundary: the release falls back to where the guard was taken.
#[test]
fn a_guard_that_is_dropped_on_a_foreign_thread_is_released_where_it_was_taken() {
    sim(20, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let inner = group(async |g| {
                let guard = ledger.deferred("guard", secs(1));
                let failing = ledger.deferred_failing("failing", secs(1));
                g.spawn_blocking(move |_| {
                    let thread = thread::spawn(move || drop((guard, failing)));
                    thread.join().unwrap();
                });
                done()
            });
            let error = inner.await.unwrap_err();
            assert_eq!(error.cleanup_failures().len(), 1);
            ledger.note("inner ended");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (0, "guard releasing"),
            (1000, "guard released"),
            (1000, "failing releasing"),
            (2000, "failing released"),
            (2000, "inner ended"),
        ]);
    });
}

/// Rule 13: the handle of a child resolves after the releases of all it owned, at every depth.
#[test]
fn a_cancelled_childs_handle_resolves_after_its_releases() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let child = ledger.clone();
            let handle = g.spawn(async move {
                let _outer = child.deferred("outer", secs(1));
                let _ = timeout(secs(60), async {
                    let _inner = child.deferred("inner", secs(1));
                    sleep(secs(10)).await;
                })
                .await;
            });
            sleep(secs(1)).await;
            handle.cancel();
            assert!(handle.await.unwrap_err().is_cancelled());
            ledger.note("joined");
            Ok::<_, JoinError>(())
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (1000, "inner releasing"),
            (2000, "inner released"),
            (2000, "outer releasing"),
            (3000, "outer released"),
            (3000, "joined"),
        ]);
    });
}

/// Rule 3: a child has its place under the limit until it has released what it owned.
#[test]
fn a_child_gives_up_its_place_under_the_limit_after_its_releases() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = Options::new().limit(1).group(async |g| {
            for _ in 0..2 {
                let child = ledger.clone();
                g.spawn(async move {
                    let _guard = child.deferred("guard", secs(2));
                    sleep(secs(1)).await;
                });
            }
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[
            (1000, "guard releasing"),
            (3000, "guard released"),
            (4000, "guard releasing"),
            (6000, "guard released"),
        ]);
    });
}

/// A future that carries a boundary is dropped in it, wherever that happens.
#[test]
fn a_guard_in_a_future_that_carries_a_boundary_is_released_by_that() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |outer| {
            let inner = group(async |_| {
                let here = Boundary::current().unwrap();
                let foreign = ledger.clone();
                let mut carried = Box::pin(here.wrap(async move {
                    let _guard = foreign.deferred("guard", secs(5));
                    sleep(secs(60)).await;
                }));
                outer.spawn(async move {
                    assert!(poll_for(&mut carried, secs(1)).await.is_pending());
                });
                sleep(secs(2)).await;
                done()
            });
            inner.await.unwrap();
            ledger.note("inner ended");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (1000, "guard releasing"),
            (6000, "guard released"),
            (6000, "inner ended"),
        ]);
    });
}
