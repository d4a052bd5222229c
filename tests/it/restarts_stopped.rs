//! Restart policies while their group is being shut down.

use std::future::pending;

use headcount::{
    GroupError, Restart, Restarts, TaskGroup, cancelled, defer, group, is_shutting_down, shield,
    time::sleep,
};

use super::restarts::Runs;
use crate::support::{
    Flag, Ledger, Named, Oops, PanicOnDrop, SEEDS, catch, done, message, millis, secs, sim,
};

#[test]
fn a_shutdown_lets_children_end_and_restarts_none() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let (polite, failed) = (ledger.clone(), ledger.clone());
        let outcome = group(async |g| {
            let kept = Restart::permanent()
                .backoff(secs(100), 1, secs(100))
                .child("polite", move || {
                    polite.note("start");
                    cancelled()
                })
                .child("waits for its restart", move || {
                    failed.note("start");
                    async { Err::<(), _>(Oops("once")) }
                });
            g.spawn(async { kept.run().await.map_err(|_| Oops("given up")) });
            sleep(secs(5)).await;
            g.shutdown(secs(60));
            done()
        });
        outcome.await.unwrap();
        assert_eq!(ledger.now(), 5_000);
        ledger.expect(&[(0, "start"), (0, "start")]);
    });
}

#[test]
fn a_failure_during_a_shutdown_is_returned_after_the_others_have_ended() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let log = ledger.clone();
        let outcome = group(async |g| {
            let kept = Restart::transient()
                .one_for_all()
                .child("fails", || async {
                    cancelled().await;
                    Err::<(), _>(Oops("late"))
                })
                .child("finishes", move || {
                    let log = log.clone();
                    async move {
                        cancelled().await;
                        sleep(secs(2)).await;
                        log.note("finished");
                        done()
                    }
                });
            let kept = g.spawn(async { Ok(kept.run().await) });
            sleep(secs(5)).await;
            g.shutdown(secs(60));
            kept.await
        });
        let error = outcome.await.unwrap().unwrap_err();
        assert_eq!(error.failures().len(), 1);
        assert_eq!(error.failures()[0].name(), Some("fails"));
        let error = error.into_first().unwrap();
        assert_eq!(error.error(), Some(&Oops("late")));
        assert!(!error.gave_up());
        ledger.expect(&[(7_000, "finished")]);
    });
}

/// The error comes at the instant at which the grace ends. If there was one, it is not lost.
#[test]
fn an_error_at_the_end_of_the_grace_is_not_lost() {
    let (failed, cut) = (Flag::default(), Flag::default());
    let seen = (failed.clone(), cut.clone());
    sim(SEEDS, move || {
        let (failed, cut) = seen.clone();
        async move {
            let fails = Flag::default();
            let inside = fails.clone();
            let outcome = group(async |g| {
                let kept = Restart::transient().child("late", move || {
                    let fails = inside.clone();
                    async move {
                        sleep(secs(10)).await;
                        fails.set();
                        Err::<(), _>(Oops("late"))
                    }
                });
                g.spawn(async {
                    let outcome = kept.run().await;
                    outcome.map_err(|error| error.into_first().unwrap().into_error().unwrap())
                });
                g.shutdown(secs(10));
                done()
            });
            let expected = if fails_at_last(outcome.await, &fails) {
                failed
            } else {
                cut
            };
            expected.set();
        }
    });
    assert!(failed.is_set() && cut.is_set(), "both were tried");
}

/// Did the child fail? Then the outcome says so.
fn fails_at_last(outcome: Result<(), GroupError<Oops>>, fails: &Flag) -> bool {
    let expected = fails.is_set().then_some(Oops("late"));
    assert_eq!(outcome.err().and_then(GroupError::into_first), expected);
    fails.is_set()
}

/// The group is shut down while the others are joined, and some of them take their time. No failure is
/// lost, though a short grace ends before the last of them.
#[test]
fn a_restart_of_all_does_not_happen_when_a_shutdown_comes_while_the_others_end() {
    for grace in [secs(60), secs(1)] {
        sim(SEEDS / 2, move || async move {
            let ledger = Ledger::open();
            let (log, told) = (ledger.clone(), ledger.clone());
            let outcome = group(async |g| {
                let kept = Restart::permanent()
                    .one_for_all()
                    .intensity(9, secs(60))
                    .child("fails later", || async {
                        shield(sleep(millis(1_500))).await;
                        Err::<(), _>(Oops("later"))
                    })
                    .child("releases", move || {
                        log.note("start");
                        let _guard = log.deferred("guard", secs(2));
                        async move {
                            let _guard = _guard;
                            pending::<Result<(), Oops>>().await
                        }
                    })
                    .child("fails", || async {
                        sleep(millis(500)).await;
                        Err::<(), _>(Oops("first"))
                    });
                g.spawn(async move {
                    for failure in kept.run().await.unwrap_err().failures() {
                        assert!(!failure.error().gave_up());
                        told.note(failure.name().unwrap());
                    }
                });
                sleep(secs(1)).await;
                g.shutdown(grace);
                done()
            });
            outcome.await.unwrap();
            ledger.expect(&[
                (0, "start"),
                (500, "guard releasing"),
                (2_500, "guard released"),
                (2_500, "fails"),
                (2_500, "fails later"),
            ]);
        });
    }
}

/// The shutdown comes between the decision and the first poll of the run, too.
#[test]
fn a_restart_without_a_delay_does_not_happen_once_a_shutdown_has_come() {
    for one_for_all in [false, true] {
        sim(SEEDS, move || async move {
            let runs = Runs::default();
            let outcome = group(async |g| {
                let mut policy = Restart::transient();
                if one_for_all {
                    policy = policy.one_for_all();
                }
                let kept = policy.child("fails", move || {
                    let run = runs.next();
                    assert!(run == 0 || !is_shutting_down(), "restarted");
                    async move {
                        match run {
                            0 => sleep(secs(1)).await,
                            _ => cancelled().await,
                        }
                        if run == 0 { Err(Oops("once")) } else { Ok(()) }
                    }
                });
                g.spawn(async {
                    if let Err(error) = kept.run().await {
                        assert_eq!(error.first().unwrap().panic_text(), None);
                    }
                });
                sleep(secs(1)).await;
                g.shutdown(secs(60));
                done()
            });
            outcome.await.unwrap();
        });
    }
}

/// Who has not begun may still have something to do in order to stop.
#[test]
fn children_begin_though_their_group_is_being_shut_down_already() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let log = ledger.clone();
        let outcome = group(async |g| {
            g.shutdown(secs(60));
            let kept: Restarts<Oops> = Restart::permanent().child("first", move || {
                log.note("start");
                cancelled()
            });
            kept.run().await.map_err(|_| Oops("given up"))
        });
        outcome.await.unwrap();
        ledger.expect(&[(0, "start")]);
    });
}

/// It is not restarted any more, so its failure is returned. (One that is cancelled has restarted, as far as anybody
/// can tell.)
#[test]
fn the_failure_that_would_restart_all_is_returned_if_a_shutdown_has_no_time_for_that() {
    sim(SEEDS, || async {
        for by_shutdown in [false, true] {
            let outcome = group(async |g| {
                let kept = Restart::permanent()
                    .one_for_all()
                    .child("fails", || async {
                        sleep(secs(1)).await;
                        Err::<(), _>(Oops("once"))
                    })
                    .child("releases", || async {
                        let _guard = defer((), async |()| sleep(secs(5)).await);
                        pending::<()>().await;
                    });
                g.spawn(async move {
                    let error = kept.run().await.unwrap_err();
                    let failures = error.failures();
                    assert_eq!(failures.len(), 1);
                    assert_eq!(failures[0].name(), Some("fails"));
                    Err::<(), _>(Oops("returned"))
                });
                sleep(secs(2)).await;
                match by_shutdown {
                    true => g.shutdown(secs(1)),
                    false => g.cancel(),
                }
                done()
            });
            let outcome = outcome.await;
            match by_shutdown {
                true => assert_eq!(outcome.names(), ["returned"]),
                false => outcome.unwrap(),
            }
        }
    });
}

#[test]
fn code_that_is_cancelled_already_gets_no_answer_from_temporary_children_that_never_begin() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g: TaskGroup<'static, Oops>| {
            g.cancel();
            let kept = Restart::temporary().child("never", || async { Err::<(), _>(Oops("ran")) });
            drop(kept.run().await);
            ledger.note("went on");
            done()
        });
        assert!(outcome.await.unwrap_err().is_cancelled());
        ledger.expect(&[]);
    });
}

#[test]
fn the_last_error_is_returned_beside_a_factory_that_panics_when_dropped() {
    sim(SEEDS, || async {
        let outcome = group(async |_| {
            let owned = PanicOnDrop("factory");
            let kept = Restart::transient()
                .intensity(0, secs(1))
                .child("fails", move || {
                    let _ = &owned;
                    async { Err::<(), _>(Oops("last")) }
                });
            let payload = catch(kept.run()).await.map(drop).unwrap_err();
            assert_eq!(message(&*payload), "factory");
            done()
        });
        outcome.await.unwrap();
    });
}
