//! Restart policies, on exact virtual instants.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use headcount::{
    GroupError, Restart, RestartError, group, supervise, time::Instant, time::sleep, timeout,
};

use crate::support::{FEW, Ledger, Oops, SEEDS, catch, done, message, millis, ok, secs, sim};

/// The `n`th run of a child, from 0.
#[derive(Clone, Default)]
pub struct Runs(Arc<AtomicUsize>);

impl Runs {
    pub fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A factory whose first `failures` runs fail after a second, and whose next does as `last` says.
pub fn flaky(
    ledger: &Ledger,
    failures: usize,
    last: Duration,
) -> impl FnMut() -> std::pin::Pin<Box<dyn Future<Output = Result<(), Oops>> + Send>> + Send + use<>
{
    let (ledger, runs) = (ledger.clone(), Runs::default());
    move || {
        ledger.note("start");
        let run = runs.next();
        Box::pin(async move {
            if run < failures {
                sleep(secs(1)).await;
                Err(Oops("flaky"))
            } else {
                sleep(last).await;
                Ok(())
            }
        })
    }
}

type Kept<E> = Result<(), GroupError<RestartError<E>>>;

/// The one error of children that were given up.
#[track_caller]
fn given_up<E: std::fmt::Debug>(outcome: Kept<E>) -> RestartError<E> {
    let error = outcome.unwrap_err();
    assert_eq!(error.failures().len(), 1);
    let error = error.into_first().unwrap();
    assert!(error.gave_up());
    error
}

#[test]
fn the_delay_before_a_restart_grows_up_to_its_cap() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = Restart::transient()
            .intensity(9, secs(1000))
            .backoff(secs(1), 2, secs(3))
            .child("flaky", flaky(&ledger, 4, secs(1)))
            .run()
            .await;
        outcome.unwrap();
        ledger.expect(&[
            (0, "start"),
            (2_000, "start"),
            (5_000, "start"),
            (9_000, "start"),
            (13_000, "start"),
        ]);
        assert_eq!(ledger.now(), 14_000);
    });
}

#[test]
fn a_run_as_long_as_the_period_begins_with_the_first_delay_again() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let runs = Runs::default();
        let log = ledger.clone();
        let outcome = Restart::transient()
            .intensity(9, secs(10))
            .backoff(secs(1), 4, secs(100))
            .child("now and then", move || {
                log.note("start");
                let lasts = [secs(0), secs(0), secs(10), secs(0)]
                    .get(runs.next())
                    .copied();
                async move {
                    match lasts {
                        Some(lasts) => {
                            sleep(lasts).await;
                            Err(Oops("again"))
                        }
                        None => Ok(()),
                    }
                }
            })
            .run()
            .await;
        outcome.unwrap();
        ledger.expect(&[
            (0, "start"),
            (1_000, "start"),
            (5_000, "start"),
            (16_000, "start"),
            (20_000, "start"),
        ]);
    });
}

#[test]
fn a_permanent_child_is_restarted_though_it_returned() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = Restart::permanent()
            .intensity(2, secs(60))
            .child("loop", flaky(&ledger, 0, secs(1)))
            .run()
            .await;
        let error = given_up(outcome);
        assert_eq!((error.name(), error.error()), ("loop", None));
        assert_eq!(
            error.to_string(),
            "child `loop` returned (and is not restarted: the limit is 2 in 60s)"
        );
        ledger.expect(&[(0, "start"), (1_000, "start"), (2_000, "start")]);
        assert_eq!(ledger.now(), 3_000);
    });
}

#[test]
fn too_many_restarts_fail_upward_with_the_last_error_and_end_the_others() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let (runs, log) = (Runs::default(), ledger.clone());
        let outcome = Restart::transient()
            .intensity(2, secs(10))
            .child("bad", move || {
                let run = runs.next();
                async move {
                    sleep(secs(1)).await;
                    Err::<(), _>(run)
                }
            })
            .child("good", move || {
                let log = log.clone();
                async move {
                    log.forever("good").await;
                    Ok(())
                }
            })
            .run()
            .await;
        let error = given_up(outcome);
        assert_eq!((error.name(), error.error()), ("bad", Some(&2)));
        assert!(error.to_string().contains("failed: 2"), "{error}");
        assert_eq!(error.into_error(), Some(2));
        ledger.expect(&[(3_000, "good cut")]);
        assert_eq!(ledger.now(), 3_000);
    });
}

#[test]
fn restarts_that_are_a_period_apart_are_never_too_many() {
    sim(SEEDS, || async {
        for (lasts, gives_up) in [(millis(1000), false), (millis(999), true)] {
            let runs = Runs::default();
            let count = runs.clone();
            let kept = Restart::permanent()
                .intensity(1, secs(1))
                .child("regular", move || {
                    runs.next();
                    async move {
                        sleep(lasts).await;
                        done()
                    }
                })
                .run();
            match timeout(secs(100), kept).await {
                Ok(outcome) => {
                    assert!(gives_up && given_up(outcome).error().is_none());
                    assert_eq!(count.count(), 2);
                }
                Err(_) => assert!(!gives_up && count.count() >= 100),
            }
        }
    });
}

#[test]
fn by_default_the_second_restart_in_five_seconds_is_too_many() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = Restart::transient()
            .child("bad", flaky(&ledger, usize::MAX, secs(0)))
            .run()
            .await;
        assert_eq!(given_up(outcome).error(), Some(&Oops("flaky")));
        ledger.expect(&[(0, "start"), (1_000, "start")]);
        assert_eq!(ledger.now(), 2_000);
    });
}

#[test]
fn an_intensity_of_zero_allows_no_restart() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = Restart::transient()
            .intensity(0, secs(60))
            .child("bad", flaky(&ledger, 1, secs(0)))
            .run()
            .await;
        given_up(outcome);
        ledger.expect(&[(0, "start")]);
    });
}

#[test]
fn the_intensity_counts_the_restarts_of_all_children_together() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = Restart::transient()
            .intensity(2, secs(60))
            .child("a", flaky(&ledger, 2, secs(0)))
            .child("b", flaky(&ledger, 2, secs(0)))
            .run()
            .await;
        // Both fail at the end: the one that is too many is first, the other is not lost.
        let error = outcome.unwrap_err();
        let gave_up: Vec<_> = error
            .failures()
            .iter()
            .map(|f| f.error().gave_up())
            .collect();
        assert!(gave_up == [true] || gave_up == [true, false], "{gave_up:?}");
        assert_eq!(ledger.count("start"), 4);
        assert_eq!(ledger.now(), 2_000);
    });
}

#[test]
fn panics_of_children_and_factories_lead_to_restarts() {
    sim(SEEDS, || async {
        let (runs, count) = (Runs::default(), Runs::default());
        let counted = count.clone();
        let outcome: Kept<Oops> = Restart::transient()
            .intensity(3, secs(60))
            .child("odd", move || {
                counted.next();
                let run = runs.next();
                assert_ne!(run, 1, "in the factory");
                async move { assert_eq!(run, 2, "in the child") }
            })
            .run()
            .await;
        outcome.unwrap();
        assert_eq!(count.count(), 3);
    });
}

#[test]
fn giving_up_after_a_panic_keeps_its_text() {
    sim(SEEDS, || async {
        let outcome: Kept<Oops> = Restart::permanent()
            .intensity(1, secs(60))
            .child("odd", || async { panic!("boom") })
            .run()
            .await;
        let error = given_up(outcome);
        assert_eq!(error.panic_text(), Some("boom"));
        assert!(error.to_string().starts_with("child `odd` panicked: boom"));
        assert_eq!(error.into_error(), None);
    });
}

#[test]
fn temporary_children_are_not_restarted_and_their_failures_are_returned() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let log = ledger.clone();
        let outcome = Restart::temporary()
            .child("bad", flaky(&ledger, 1, secs(0)))
            .child("worse", || async { panic!("boom") })
            .child("good", move || log.sleeper("good", secs(3)))
            .run()
            .await;
        let error = outcome.unwrap_err();
        assert_eq!(error.failures().len(), 1);
        assert_eq!(error.failures()[0].name(), Some("bad"));
        assert_eq!(error.failures()[0].location().file(), file!());
        let first = error.first().unwrap();
        assert_eq!(
            (first.error(), first.gave_up()),
            (Some(&Oops("flaky")), false)
        );
        assert_eq!(error.cleanup_failures()[0].name(), Some("worse"));
        ledger.expect(&[(0, "start"), (3_000, "good done")]);
    });
}

/// Cancellation from above, in a delay and in a run.
#[test]
fn a_cancelled_supervisor_restarts_nobody() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let log = ledger.clone();
        let kept = Restart::permanent()
            .intensity(9, secs(60))
            .backoff(secs(5), 1, secs(5))
            .child("resting", flaky(&ledger, 9, secs(0)))
            .child("running", move || {
                let log = log.clone();
                async move {
                    log.forever("running").await;
                    done()
                }
            })
            .run();
        assert!(timeout(secs(3), kept).await.is_err());
        assert_eq!(ledger.now(), 3_000);
        sleep(secs(100)).await;
        ledger.expect(&[(0, "start"), (3_000, "running cut")]);
    });
}

/// A restart is a future like any other: policies nest, and it is `Send`.
#[test]
fn policies_are_mixed_by_nesting() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let log = ledger.clone();
        let started = Instant::now();
        let outcome = group(async |g| {
            g.spawn(async move {
                let outer = Restart::transient()
                    .intensity(1, secs(60))
                    .child("inner", move || {
                        let flaky = flaky(&log, usize::MAX, secs(0));
                        Restart::permanent()
                            .intensity(1, secs(60))
                            .child("leaf", flaky)
                            .run()
                    })
                    .run();
                let error = given_up(outer.await);
                assert_eq!(error.name(), "inner");
                assert_eq!(error.error().unwrap().first().unwrap().name(), "leaf");
            });
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(ledger.count("start"), 4);
        assert_eq!(started.elapsed(), secs(4));
        let nobody = supervise(async |s| {
            let kept = Restart::permanent()
                .child("never ends", pending::<()>)
                .run();
            let handle = s.spawn(kept);
            sleep(secs(1)).await;
            handle.cancel();
            assert!(handle.await.is_err());
            ok::<()>(())
                .map_err(|_| unreachable!("it is fine"))
                .map(|()| s.stats().living)
        });
        let living: Result<usize, GroupError<GroupError<RestartError<Oops>>>> = nobody.await;
        assert_eq!(living.unwrap(), 0);
    });
}

/// With the limit that is never reached the streak still ends.
#[test]
fn restarts_without_a_limit_never_give_up() {
    sim(FEW, || async {
        let runs = Runs::default();
        let count = runs.clone();
        let kept = Restart::permanent()
            .intensity(u32::MAX, Duration::MAX)
            .backoff(secs(1), 2, secs(4))
            .child("bad", move || {
                runs.next();
                async { Err::<(), _>(Oops("again")) }
            });
        // At 0, 1 and 3 seconds, and every 4 seconds from then on.
        assert!(timeout(secs(1_000), kept.run()).await.is_err());
        assert_eq!(count.count(), 3 + 249);
    });
}

#[test]
fn an_intensity_of_no_time_is_refused_with_advice() {
    sim(1, || async {
        let bad = async { drop(Restart::permanent().intensity(1, Duration::ZERO)) };
        let payload = catch(bad).await.unwrap_err();
        assert!(message(&*payload).contains("never give up: use"));
        drop(Restart::permanent().intensity(0, Duration::ZERO));
    });
}
