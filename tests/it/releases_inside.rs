//! Rule 23: what a release may do, and what does not reach it.

use std::{mem, pin::Pin};

use headcount::{
    CancelScope, GroupError, Started, TaskGroup, defer, group, shield, time::sleep, timeout,
};

use crate::support::{Ledger, Oops, SEEDS, done, poll_for, secs, sim};

type Group = TaskGroup<'static, Oops>;
type Opening = Pin<Box<dyn Future<Output = Result<(), GroupError<Oops>>> + Send>>;

/// A release may defer in turn, open groups, spawn, and use timeouts; all of it belongs to it.
#[test]
fn a_release_may_do_everything_that_a_task_may() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(1), async {
            let _next = ledger.deferred("next", secs(1));
            let _guard = defer(ledger.clone(), |ledger| async move {
                let _inner = ledger.deferred("deferred in a release", secs(1));
                let spawned = ledger.clone();
                let inside = group(async |g| {
                    let _deep = spawned.deferred("deep", secs(1));
                    g.spawn(spawned.sleeper("spawned in a release", secs(2)));
                    done()
                });
                inside.await.unwrap();
                assert!(timeout(secs(1), sleep(secs(9))).await.is_err());
                let scope = CancelScope::new();
                scope.cancel();
                assert!(scope.enter(sleep(secs(9))).await.is_err());
                ledger.note("release ends");
            });
            sleep(secs(10)).await;
        })
        .await;
        assert!(outcome.is_err());
        ledger.expect(&[
            (3000, "spawned in a release done"),
            (3000, "deep releasing"),
            (4000, "deep released"),
            (5000, "release ends"),
            (5000, "deferred in a release releasing"),
            (6000, "deferred in a release released"),
            (6000, "next releasing"),
            (7000, "next released"),
        ]);
    });
}

/// A release may still spawn into the group that runs it.
#[test]
fn a_child_that_a_release_spawns_into_an_open_group_is_waited_for() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let (group, note) = (g.clone(), ledger.clone());
            let _guard = defer((), move |()| async move {
                group.spawn(note.sleeper("child", secs(2)));
            });
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(2000, "child done")]);
    });
}

/// Neither requests nor deadlines reach a release, before or while it runs; its own do, and a shield
/// changes nothing.
#[test]
fn no_cancellation_from_outside_reaches_a_release() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(2), async {
            let inner = group(async |g| {
                let group = g.clone();
                let _guard = defer(ledger.clone(), move |ledger| async move {
                    group.cancel();
                    assert!(!headcount::is_cancelled() && !headcount::is_shutting_down());
                    assert_eq!(headcount::current_deadline(), None);
                    sleep(secs(3)).await;
                    shield(sleep(secs(1))).await;
                    assert!(!headcount::is_cancelled());
                    ledger.note("released");
                });
                sleep(secs(1)).await;
                g.shutdown(secs(0));
                Err::<(), _>(Oops("body"))
            });
            let _ = inner.await;
        });
        let _ = outcome.await;
        ledger.expect(&[(5000, "released")]);
    });
}

/// Case 34 inside a release.
#[test]
fn a_group_that_is_forgotten_in_a_release_is_accounted_for() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let _g = defer(ledger.clone(), |ledger| async move {
                let child = ledger.clone();
                let mut lost: Opening = Box::pin(group(async move |g| {
                    g.spawn(async move {
                        let _g = child.deferred("child", secs(2));
                        sleep(secs(60)).await;
                    });
                    done()
                }));
                assert!(poll_for(&mut lost, secs(1)).await.is_pending());
                mem::forget(lost);
                ledger.note("release over");
            });
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (1000, "release over"),
            (1000, "child releasing"),
            (3000, "child released"),
        ]);
    });
}

/// Rule 30 inside a release.
#[test]
fn a_release_may_start_a_child_in_an_open_group() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g: Group| {
            let (note, target) = (ledger.clone(), g.clone());
            let _guard = defer((), move |()| async move {
                let child = note.clone();
                let value = target.start(async move |s: Started<u8>| {
                    sleep(secs(1)).await;
                    s.send(1);
                    child.sleeper("child", secs(1)).await;
                });
                assert_eq!(value.await.unwrap(), 1);
                note.note("started");
            });
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(1000, "started"), (2000, "child done")]);
    });
}
