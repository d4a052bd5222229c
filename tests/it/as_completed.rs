//! `as_completed`: every outcome as it comes, and nobody left behind.

use std::pin::pin;

use futures_util::{Stream, StreamExt};
use headcount::{TaskError, as_completed, group, run, time::sleep, timeout};

use crate::support::{
    Census, Ledger, Named, Oops, SEEDS, catch, done, message, millis, ok, on_workers, secs, sim,
    yield_now,
};

#[test]
fn outcomes_come_in_the_order_of_completion() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let mut results = as_completed([3, 1, 2].map(|n| async move {
            sleep(secs(n)).await;
            match n {
                2 => Err(Oops("two")),
                _ => Ok(n),
            }
        }));
        assert_eq!(results.size_hint(), (3, Some(3)));
        assert_eq!(results.next().await.unwrap().unwrap(), 1);
        assert_eq!(ledger.now(), 1_000);
        let failed = results.next().await.unwrap();
        assert!(matches!(failed, Err(TaskError::Failed(Oops("two")))));
        assert_eq!(results.size_hint(), (1, Some(1)));
        assert_eq!(results.next().await.unwrap().unwrap(), 3);
        assert!(results.next().await.is_none());
        assert!(results.next().await.is_none());
        assert_eq!(ledger.now(), 3_000);
    });
}

#[test]
fn as_completed_of_nothing_ends_at_once() {
    sim(SEEDS, || async {
        let mut none = as_completed(Vec::<std::future::Ready<Result<u8, Oops>>>::new());
        assert!(none.next().await.is_none());
    });
}

/// A panic is an outcome like any other, and touches nobody else.
#[test]
fn a_panic_comes_out_as_an_outcome() {
    sim(SEEDS, || async {
        let mut results = as_completed((0..3).map(|n| async move {
            sleep(secs(n)).await;
            assert_ne!(n, 1, "one");
            ok(n)
        }));
        assert_eq!(results.next().await.unwrap().unwrap(), 0);
        match results.next().await.unwrap() {
            Err(TaskError::Panicked(payload)) => assert!(message(&*payload).contains("one")),
            other => panic!("{other:?}"),
        }
        assert_eq!(results.next().await.unwrap().unwrap(), 2);
    });
}

/// An outcome comes after the releases of its task.
#[test]
fn an_outcome_comes_after_the_releases_of_its_task() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let inside = ledger.clone();
        let mut results = as_completed([async move {
            let _guard = inside.deferred("guard", secs(2));
            sleep(secs(1)).await;
            done()
        }]);
        results.next().await.unwrap().unwrap();
        ledger.expect(&[(1_000, "guard releasing"), (3_000, "guard released")]);
    });
}

/// Dropped half-way, the boundary around waits for those that were cancelled, and for their releases.
#[test]
fn a_stream_dropped_half_way_leaves_nobody_behind() {
    sim(SEEDS, || async {
        let (ledger, census) = (Ledger::open(), Census::default());
        let outcome = group(async |_| {
            let mut results = as_completed((1..=5).map(|n| {
                let (ledger, tracked) = (ledger.clone(), census.tracked());
                async move {
                    let _guard = ledger.deferred("connection", secs(2));
                    let _tracked = tracked;
                    sleep(secs(n)).await;
                    done()
                }
            }));
            results.next().await.unwrap().unwrap();
            assert_eq!(ledger.now(), 3_000);
            drop(results);
            done()
        });
        outcome.await.unwrap();
        assert_eq!((census.born(), census.living()), (5, 0));
        assert_eq!(ledger.count("connection released"), 5);
        assert_eq!(ledger.now(), 5_000);
    });
}

/// A stream that is never polled never starts its futures.
#[test]
fn a_stream_that_is_not_polled_starts_nobody() {
    sim(SEEDS, || async {
        let census = Census::default();
        let tracked = census.tracked();
        drop(as_completed([async move {
            drop(tracked);
            unreachable!("polled");
            #[allow(unreachable_code)]
            done()
        }]));
        assert_eq!(census.living(), 0);
    });
}

/// What failed and was not given is not lost: it climbs to the boundary around.
#[test]
fn a_failure_that_a_dropped_stream_had_not_given_climbs() {
    sim(SEEDS, || async {
        let outcome = group(async |_| {
            let mut results = as_completed(["one", "two"].map(|name| async move {
                yield_now().await;
                Err::<(), _>(Oops(name))
            }));
            results.next().await.unwrap().unwrap_err();
            sleep(secs(1)).await;
            drop(results);
            done()
        });
        let error = outcome.await.unwrap_err();
        assert!(error.failures().is_empty());
        assert_eq!(error.cleanup_failures().len(), 1);
    });
}

/// Rule 21: the timeout waits, and the code around the stream does not resume.
#[test]
fn a_timeout_around_the_stream_waits_for_its_tasks() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let names = ["a", "b"].map(|name| {
            let sleeper = ledger.sleeper(name, secs(10));
            async move {
                sleeper.await;
                done()
            }
        });
        let all = async {
            let mut results = as_completed(names);
            while results.next().await.is_some() {}
            unreachable!("resumed")
        };
        let outcome: Result<(), _> = timeout(secs(1), all).await;
        outcome.unwrap_err();
        ledger.expect_in_any_order(&[(1_000, "a cut"), (1_000, "b cut")]);
    });
}

/// Rule 8.
#[test]
fn a_stream_polled_out_of_place_panics_with_advice() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let sleeper = ledger.sleeper("cut in time", secs(10));
        let mut results = as_completed([async move {
            sleeper.await;
            done()
        }]);
        assert!(timeout(secs(1), results.next()).await.is_err());
        let payload = catch(results.next()).await.map(drop).unwrap_err();
        assert!(message(&*payload).contains("`as_completed`"));
        ledger.expect(&[(1_000, "cut in time cut")]);
    });
}

/// The cancelled group drains though its consumer is busy with something else.
#[test]
fn a_stream_that_is_put_aside_does_not_hold_up_a_cancellation() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let mut results = pin!(as_completed([1, 100].map(|n| {
                let mark = ledger.mark("entrant");
                async move {
                    sleep(secs(n)).await;
                    mark.finish("done");
                    done()
                }
            })));
            results.next().await.unwrap().unwrap();
            let canceller = g.clone();
            g.spawn(async move {
                sleep(secs(1)).await;
                canceller.cancel();
            });
            sleep(secs(1000)).await;
            done()
        });
        assert!(outcome.await.unwrap_err().is_cancelled());
        ledger.expect(&[(1_000, "entrant done"), (2_000, "entrant cut")]);
    });
}

#[test]
fn every_outcome_comes_once_on_real_threads() {
    on_workers(
        "as_completed::every_outcome_comes_once_on_real_threads",
        || {
            for _ in 0..200 {
                let outcome = run(async |_| {
                    let mut results = as_completed((0..50).map(|n| async move {
                        if n % 3 == 0 {
                            yield_now().await;
                        }
                        match n % 7 {
                            0 => Err(Oops("seventh")),
                            _ => Ok(n),
                        }
                    }));
                    let (mut sum, mut failed) = (0, 0);
                    while let Some(result) = results.next().await {
                        match result {
                            Ok(n) => sum += n,
                            Err(TaskError::Failed(Oops("seventh"))) => failed += 1,
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                    ok((sum, failed))
                });
                let sevenths: i32 = (0..50).filter(|n| n % 7 == 0).sum();
                assert_eq!(outcome.unwrap(), ((0..50).sum::<i32>() - sevenths, 8));
            }
        },
    );
}

/// Dropped at any moment on real threads, everybody has gone when the run returns.
#[test]
fn a_stream_dropped_anywhere_leaves_nobody_behind_on_real_threads() {
    on_workers(
        "as_completed::a_stream_dropped_anywhere_leaves_nobody_behind_on_real_threads",
        || {
            for taken in 0..300 {
                let census = Census::default();
                let outcome = run(async |_| {
                    let mut results = as_completed((0..20).map(|n| {
                        let tracked = census.tracked();
                        async move {
                            for _ in 0..n {
                                yield_now().await;
                            }
                            drop(tracked);
                            sleep(millis(if n < 10 { 0 } else { 3_600_000 })).await;
                            done()
                        }
                    }));
                    for _ in 0..taken % 10 {
                        results.next().await.unwrap().unwrap();
                    }
                    done()
                });
                assert!(outcome.names().is_empty());
                assert_eq!((census.born(), census.living()), (20, 0));
            }
        },
    );
}
