//! `map_concurrent`: some at a time, as fast as they are taken, and nobody left behind.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use headcount::{group, map_concurrent, run, time::sleep, timeout};

use crate::support::{
    Census, Ledger, Oops, PanicOnDrop, SEEDS, catch, done, message, millis, ok, on_workers, secs,
    sim, yield_now,
};

#[test]
fn outputs_come_in_the_order_of_completion_or_of_the_items() {
    sim(SEEDS, || async {
        let nap = async |n: u64| {
            sleep(secs(4 - n)).await;
            n
        };
        let ledger = Ledger::open();
        let quickest: Vec<_> = map_concurrent([1, 2, 3], 3, nap).collect().await;
        assert_eq!((quickest, ledger.now()), (vec![3, 2, 1], 3_000));
        let ledger = Ledger::open();
        let ordered: Vec<_> = map_concurrent([1, 2, 3], 3, nap).in_order().collect().await;
        assert_eq!((ordered, ledger.now()), (vec![1, 2, 3], 3_000));
    });
}

#[test]
fn streams_are_taken_as_iterators_are() {
    sim(SEEDS, || async {
        let items = stream::iter(0..10).then(|n| async move {
            sleep(secs(1)).await;
            n
        });
        let outputs = map_concurrent(Box::pin(items), 4, async |n| n * 2).in_order();
        assert_eq!(outputs.collect::<Vec<_>>().await.len(), 10);
        let outputs = map_concurrent(vec!["a"; 3], 1, async |name| name.len());
        assert_eq!(outputs.size_hint(), (3, Some(3)));
        assert_eq!(outputs.collect::<Vec<_>>().await, [1, 1, 1]);
        let none = map_concurrent(Vec::<u8>::new(), 1, async |n| n);
        assert!(none.collect::<Vec<_>>().await.is_empty());
    });
}

/// Back-pressure: what nobody has taken keeps its place, so no further item is asked for.
#[test]
fn items_are_asked_for_only_as_fast_as_outputs_are_taken() {
    for in_order in [false, true] {
        sim(SEEDS / 2, move || async move {
            let asked = Arc::new(AtomicUsize::new(0));
            let (count, taken) = (asked.clone(), 20);
            let items = (0..100).inspect(move |_| _ = count.fetch_add(1, Ordering::SeqCst));
            let mut outputs = map_concurrent(items, 5, async |n| {
                sleep(millis(n % 3)).await;
                n
            });
            if in_order {
                outputs = outputs.in_order();
            }
            assert_eq!(asked.load(Ordering::SeqCst), 0);
            for n in 0..taken {
                outputs.next().await.unwrap();
                sleep(secs(1)).await;
                assert_eq!(asked.load(Ordering::SeqCst), n + 5);
            }
        });
    }
}

#[test]
fn never_more_than_the_limit_run_at_a_time_and_they_run_while_the_reader_is_busy() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (inside, peak) = (now.clone(), most.clone());
        let mut outputs = pin!(map_concurrent(0..12, 4, move |_| {
            let (inside, peak) = (inside.clone(), peak.clone());
            async move {
                let running = inside.fetch_add(1, Ordering::SeqCst) + 1;
                peak.fetch_max(running, Ordering::SeqCst);
                sleep(secs(1)).await;
                inside.fetch_sub(1, Ordering::SeqCst);
            }
        }));
        outputs.next().await.unwrap();
        sleep(secs(10)).await;
        assert_eq!((ledger.now(), now.load(Ordering::SeqCst)), (11_000, 0));
        for _ in 0..11 {
            outputs.next().await.unwrap();
        }
        assert!(outputs.next().await.is_none());
        assert_eq!(most.load(Ordering::SeqCst), 4);
    });
}

/// The first error ends the loop; the rest is cancelled, and waited for by the boundary.
#[test]
fn an_error_ends_the_loop_and_dropping_the_stream_cancels_the_rest() {
    sim(SEEDS, || async {
        let (ledger, census) = (Ledger::open(), Census::default());
        let outcome = group(async |_| {
            let mut sizes = map_concurrent(1..100, 8, |n| {
                let (tracked, notes) = (census.tracked(), ledger.clone());
                async move {
                    let _tracked = tracked;
                    let _guard = notes.deferred("connection", secs(5));
                    sleep(secs(n)).await;
                    if n == 3 { Err(Oops("three")) } else { Ok(n) }
                }
            });
            let mut sum = 0;
            while let Some(size) = sizes.try_next().await? {
                sum += size;
            }
            ok(sum)
        });
        let error = outcome.await.unwrap_err();
        assert_eq!(error.into_first(), Some(Oops("three")));
        assert_eq!(census.living(), 0);
        assert_eq!(
            ledger.count("connection released"),
            ledger.count("connection releasing")
        );
        // The third failed at 3, and its output came when its connection was closed.
        assert_eq!(ledger.now(), 13_000);
    });
}

/// An output comes after the releases of its task.
#[test]
fn an_output_comes_after_the_releases_of_its_task() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let notes = ledger.clone();
        let mut outputs = map_concurrent([()], 1, move |()| {
            let notes = notes.clone();
            async move { drop(notes.deferred("guard", secs(2))) }
        });
        outputs.next().await.unwrap();
        ledger.expect(&[(0, "guard releasing"), (2_000, "guard released")]);
    });
}

/// Rule 14: the first panic resumes in the reader, after the others have ended.
#[test]
fn a_panic_resumes_in_the_reader_after_the_rest_has_ended() {
    sim(SEEDS, || async {
        let census = Census::default();
        let mut outputs = map_concurrent(0..10, 4, |n| {
            let tracked = census.tracked();
            async move {
                let _tracked = tracked;
                sleep(secs(n)).await;
                assert_ne!(n, 2, "two");
                n
            }
        });
        assert_eq!(outputs.next().await, Some(0));
        assert_eq!(outputs.next().await, Some(1));
        let payload = catch(outputs.next()).await.unwrap_err();
        assert!(message(&*payload).contains("two"));
        assert_eq!(census.living(), 0);
    });
}

/// Nor is the panic of an output's destructor lost when nobody takes it.
#[test]
fn the_panic_of_an_output_that_nobody_took_resumes_in_the_boundary() {
    sim(SEEDS, || async {
        let outcome = catch(group(async |_| {
            let mut outputs = map_concurrent(0..2, 2, async |n| {
                sleep(secs(n)).await;
                headcount::shield(sleep(secs(2))).await;
                (n == 1).then(|| PanicOnDrop("late output"))
            });
            assert!(outputs.next().await.unwrap().is_none());
            drop(outputs);
            done()
        }));
        assert_eq!(message(&*outcome.await.unwrap_err()), "late output");
    });
}

/// Rule 17: a failed release climbs, and the outputs are all given.
#[test]
fn a_failed_release_climbs_and_takes_no_output() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let notes = ledger.clone();
            let outputs = map_concurrent(0..4, 2, move |n| {
                let notes = notes.clone();
                async move {
                    drop(notes.deferred_failing("bad", secs(1)));
                    n
                }
            });
            assert_eq!(outputs.in_order().collect::<Vec<_>>().await, [0, 1, 2, 3]);
            done()
        });
        assert_eq!(outcome.await.unwrap_err().cleanup_failures().len(), 4);
    });
}

/// Rules 21 and 27.
#[test]
fn a_timeout_around_the_stream_waits_for_its_tasks() {
    sim(SEEDS, || async {
        let (ledger, census) = (Ledger::open(), Census::default());
        let all = map_concurrent(0..100, 3, |_| {
            let (notes, tracked) = (ledger.clone(), census.tracked());
            async move {
                let _tracked = tracked;
                let _guard = notes.deferred("connection", secs(2));
                sleep(millis(700)).await;
            }
        });
        assert!(timeout(secs(1), all.collect::<Vec<()>>()).await.is_err());
        assert_eq!(census.living(), 0);
        assert_eq!(ledger.now(), 2_700);
        assert_eq!(ledger.count("connection released"), 3);
    });
}

/// Rule 8.
#[test]
fn a_stream_polled_out_of_place_panics_with_advice() {
    sim(SEEDS, || async {
        let mut outputs = pin!(map_concurrent([10, 10], 1, |n| sleep(secs(n))));
        assert!(timeout(secs(1), outputs.next()).await.is_err());
        let payload = catch(outputs.next()).await.map(drop).unwrap_err();
        assert!(message(&*payload).contains("`map_concurrent`"));
    });
}

/// It would wait for the outputs that were given already.
#[test]
fn an_order_chosen_after_the_first_poll_is_refused_with_advice() {
    sim(SEEDS / 5, || async {
        let ledger = Ledger::open();
        for polls in [0, 1, 11] {
            let mut outputs = map_concurrent(0..10, 4, async |n| n).in_order().in_order();
            for n in 0..polls {
                assert_eq!(outputs.next().await, (n < 10).then_some(n));
            }
            let ordered = catch(async { outputs.in_order().collect::<Vec<_>>().await }).await;
            match polls {
                0 => assert!(ordered.unwrap().into_iter().eq(0..10)),
                _ => assert!(message(&*ordered.unwrap_err()).contains("before the first poll")),
            }
        }
        assert_eq!(ledger.now(), 0);
    });
}

#[test]
fn a_limit_of_zero_is_refused_with_advice() {
    sim(1, || async {
        let payload = catch(async { drop(map_concurrent([0], 0, async |n| n)) }).await;
        assert!(message(&*payload.unwrap_err()).contains("use at least 1"));
    });
}

#[test]
fn every_output_comes_once_on_real_threads() {
    on_workers(
        "map_concurrent::every_output_comes_once_on_real_threads",
        || {
            for in_order in [false, true] {
                let outcome = run(async |_| {
                    let mut outputs = map_concurrent(0..20_000_u64, 64, async |n| {
                        for _ in 0..n % 4 {
                            yield_now().await;
                        }
                        n
                    });
                    if in_order {
                        outputs = outputs.in_order();
                        for n in 0..10_000 {
                            assert_eq!(outputs.next().await, Some(n));
                        }
                    }
                    let mut rest: Vec<_> = outputs.collect().await;
                    rest.sort_unstable();
                    let first = if in_order { 10_000 } else { 0 };
                    assert!(rest.into_iter().eq(first..20_000));
                    done()
                });
                outcome.unwrap();
            }
        },
    );
}

#[test]
fn a_stream_dropped_anywhere_leaves_nobody_behind_on_real_threads() {
    on_workers(
        "map_concurrent::a_stream_dropped_anywhere_leaves_nobody_behind_on_real_threads",
        || {
            for taken in 0..500 {
                let census = Census::default();
                let outcome = run(async |_| {
                    let mut outputs = map_concurrent(0..1_000, 8, |n: u64| {
                        let tracked = census.tracked();
                        async move {
                            if n % 2 == 0 {
                                yield_now().await;
                            }
                            tracked
                        }
                    });
                    for _ in 0..taken % 50 {
                        outputs.next().await.unwrap().assert_alive();
                    }
                    done()
                });
                outcome.unwrap();
                assert_eq!(census.living(), 0);
                assert!(census.born() <= taken % 50 + 8);
            }
        },
    );
}
