//! `map_concurrent` from below: its workers take one item after another, and nobody can tell.

use std::{
    future::{pending, poll_fn},
    mem,
    pin::{Pin, pin},
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
};

use futures_util::{StreamExt, stream};
use headcount::{
    CancelScope, Options, TaskError, group, map_concurrent, run, supervise, time::sleep, tree,
};

use crate::support::{
    Census, Gate, Ledger, PanicOnDrop, SEEDS, catch, done, message, ok, on_these_workers, poll_for,
    poll_once, secs, sim, spin_until, yield_now,
};

#[test]
fn items_that_block_their_threads_run_in_parallel() {
    on_these_workers(
        &[2, 8],
        "map_workers::items_that_block_their_threads_run_in_parallel",
        || {
            let outcome = run(async |_| {
                for _ in 0..200 {
                    let barrier = Arc::new(Barrier::new(2));
                    let met = map_concurrent(0..10, 2, |_| {
                        let barrier = barrier.clone();
                        async move { barrier.wait() }
                    });
                    assert_eq!(met.count().await, 10);
                }
                done()
            });
            outcome.unwrap();
        },
    );
}

#[test]
fn an_item_that_waits_holds_up_none_behind_it() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let mut outputs = pin!(map_concurrent(0..100, 4, async |n| {
            if n % 40 == 0 {
                sleep(secs(10)).await;
            }
            n
        }));
        for _ in 0..97 {
            outputs.next().await.unwrap();
        }
        assert_eq!(ledger.now(), 0);
        assert_eq!(outputs.count().await, 3);
        assert_eq!(ledger.now(), 10_000);
    });
}

#[test]
fn no_item_is_begun_after_a_request() {
    sim(SEEDS, || async {
        let (begun, census) = (Arc::new(AtomicUsize::new(0)), Census::default());
        let outcome = group(async |g| {
            let all = map_concurrent(0..100, 50, |n| {
                let (group, begun, tracked) = (g.clone(), begun.clone(), census.tracked());
                async move {
                    let _tracked = tracked;
                    begun.fetch_add(1, Ordering::SeqCst);
                    if n == 5 {
                        group.cancel();
                    }
                }
            });
            all.count().await;
            done()
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!((begun.load(Ordering::SeqCst), census.living()), (6, 0));
    });
}

#[test]
fn items_that_nobody_began_are_dropped_with_their_group_though_the_stream_is_forgotten() {
    sim(SEEDS, || async {
        let census = Census::default();
        let outcome = group(async |_| {
            let mut outputs = Box::pin(map_concurrent(0..100, 50, |_| {
                let tracked = census.tracked();
                async move { drop(tracked) }
            }));
            assert!(poll_once(&mut outputs.next()).await.is_pending());
            mem::forget(outputs);
            done()
        });
        outcome.await.unwrap();
        assert_eq!((census.born(), census.living()), (50, 0));
    });
}

/// Rule 14: the first resumes, the others are told.
#[test]
fn each_panic_of_the_destructors_of_items_that_nobody_began_is_told() {
    for forget in [false, true] {
        sim(SEEDS / 5, move || async move {
            let told = Arc::new(AtomicUsize::new(0));
            let count = told.clone();
            let options = Options::new().on_suppressed(move |suppressed| {
                assert_eq!(suppressed.text(), "item");
                count.fetch_add(1, Ordering::SeqCst);
            });
            let outcome = catch(options.group(async |_| {
                let mut outputs = Box::pin(map_concurrent(0..5, 5, |_| {
                    let owned = PanicOnDrop("item");
                    async move {
                        let _owned = owned;
                        pending::<()>().await;
                    }
                }));
                assert!(poll_once(&mut outputs.next()).await.is_pending());
                match forget {
                    true => mem::forget(outputs),
                    false => drop(outputs),
                }
                done()
            }));
            assert_eq!(message(&*outcome.await.unwrap_err()), "item");
            assert_eq!(told.load(Ordering::SeqCst), 4);
        });
    }
}

/// Those that the stream has taken, those that it has not, and those that come before their turn. The first
/// goes on where the stream is dropped.
#[test]
fn panics_of_outputs_that_nobody_took_do_not_meet() {
    for (in_order, taken) in [(false, 0), (false, 1), (true, 1)] {
        sim(SEEDS / 5, move || async move {
            let census = Census::default();
            let mut outputs = Box::pin(map_concurrent(0..8, 8, |n| {
                let tracked = census.tracked();
                async move {
                    sleep(secs(if n == 3 { 9 } else { 0 })).await;
                    ((n > 0).then(|| PanicOnDrop("output")), tracked)
                }
            }));
            if in_order {
                outputs = Box::pin(Pin::into_inner(outputs).in_order());
            }
            assert!(poll_once(&mut outputs.next()).await.is_pending());
            sleep(secs(1)).await;
            for _ in 0..taken {
                let (output, _) = outputs.next().await.unwrap();
                mem::forget(output);
            }
            let payload = catch(async { drop(outputs) }).await.unwrap_err();
            assert_eq!(message(&*payload), "output");
            sleep(secs(1)).await;
            assert_eq!((census.born(), census.living()), (8, 0));
        });
    }
}

/// Rule 15: as that of anything else that it drops.
#[test]
fn the_panic_of_an_output_that_a_supervised_child_drops_is_its_own() {
    sim(SEEDS, || async {
        let outcome = supervise(async |s| {
            let child = s.spawn(async {
                let mut outputs =
                    Box::pin(map_concurrent(0..2, 2, async |_| PanicOnDrop("output")));
                assert!(poll_once(&mut outputs.next()).await.is_pending());
                sleep(secs(1)).await;
                drop(outputs);
                done()
            });
            let sibling = s.spawn(async {
                sleep(secs(5)).await;
                ok(1)
            });
            let panicked = matches!(child.await, Err(TaskError::Panicked(_)));
            ok((panicked, sibling.await.unwrap()))
        });
        assert_eq!(outcome.await.unwrap(), (true, 1));
    });
}

/// Each in its own frame, as tasks that were never polled.
#[test]
fn releases_of_items_that_nobody_began_do_not_wait_for_each_other() {
    for forget in [false, true] {
        sim(SEEDS / 5, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |_| {
                let mut outputs = Box::pin(map_concurrent(0..20, 20, |_| {
                    let guard = ledger.deferred("item", secs(2));
                    async move { drop(guard) }
                }));
                assert!(poll_once(&mut outputs.next()).await.is_pending());
                match forget {
                    true => mem::forget(outputs),
                    false => drop(outputs),
                }
                done()
            });
            outcome.await.unwrap();
            assert_eq!((ledger.count("item released"), ledger.now()), (20, 2_000));
        });
    }
}

/// Each behind as many others as there are tasks in the runtime, if one had to call the next.
#[test]
fn items_that_wait_begin_together_on_a_busy_runtime() {
    sim(SEEDS / 5, || async {
        let begun = Arc::new(AtomicUsize::new(0));
        let rounds = Arc::new(AtomicUsize::new(0));
        let outcome = group(async |g| {
            for _ in 0..20 {
                let rounds = rounds.clone();
                g.spawn_daemon(async move {
                    loop {
                        yield_now().await;
                        rounds.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            let (count, inside) = (rounds.clone(), begun.clone());
            let mut outputs = Box::pin(map_concurrent(0..64, 64, move |_| {
                let (rounds, begun) = (count.clone(), inside.clone());
                async move {
                    begun.fetch_max(rounds.load(Ordering::SeqCst), Ordering::SeqCst);
                    pending::<()>().await;
                }
            }));
            assert!(poll_once(&mut outputs.next()).await.is_pending());
            while rounds.load(Ordering::SeqCst) < 10_000 {
                yield_now().await;
            }
            done()
        });
        outcome.await.unwrap();
        let last = begun.load(Ordering::SeqCst);
        assert!(last < 1_000, "the last began after {last} polls of others");
    });
}

/// A worker was dropped for a request that a shield, raised later, takes away: the others do not wait for it.
#[test]
fn a_shield_that_is_raised_once_a_worker_is_gone_does_not_bring_the_others_back() {
    sim(SEEDS, || async {
        let (outer, inner, census) = (CancelScope::new(), CancelScope::new(), Census::default());
        let outcome = catch(group(async |g| {
            let (outside, inside) = (outer.clone(), inner.clone());
            g.spawn(async move {
                yield_now().await;
                outside.cancel();
                yield_now().await;
                inside.shield(true);
            });
            let stream = map_concurrent(0..100, 10, |_| {
                let tracked = census.tracked();
                async move {
                    yield_now().await;
                    drop(tracked);
                }
            });
            let _ = outer.enter(inner.enter(stream.count())).await;
            done()
        }));
        // With a panic that gives advice, if the stream was there when its tasks had gone.
        drop(outcome.await);
        assert_eq!(census.living(), 0);
    });
}

/// The panic of an item that runs does not keep those behind it from being dropped.
#[test]
fn a_panic_drops_the_items_behind_it() {
    sim(SEEDS, || async {
        let census = Census::default();
        let mut outputs = Box::pin(map_concurrent(0..100, 50, |n| {
            let tracked = census.tracked();
            async move {
                let _tracked = tracked;
                assert_ne!(n, 7, "seven");
            }
        }));
        let payload = catch(async { while outputs.next().await.is_some() {} }).await;
        assert!(message(&*payload.unwrap_err()).contains("seven"));
        assert_eq!(census.living(), 0);
        drop(outputs);
    });
}

/// Each item ends only when there is another behind it, so its worker never finds the desk empty.
#[test]
fn items_that_never_wait_let_others_run() {
    on_these_workers(
        &[1],
        "map_workers::items_that_never_wait_let_others_run",
        || {
            let outcome = run(async |g| {
                let (asked, over) = (
                    Arc::new(AtomicU64::new(0)),
                    Arc::new(AtomicBool::new(false)),
                );
                let (count, other) = (asked.clone(), over.clone());
                let items = (0..).inspect(move |_| _ = count.fetch_add(1, Ordering::SeqCst));
                let mut outputs = map_concurrent(items, 8, |n: u64| {
                    let (asked, over) = (asked.clone(), over.clone());
                    async move {
                        spin_until(|| {
                            asked.load(Ordering::SeqCst) > n + 4 || over.load(Ordering::SeqCst)
                        });
                    }
                });
                outputs.next().await.unwrap();
                g.spawn(async move {
                    for _ in 0..100 {
                        yield_now().await;
                    }
                    other.store(true, Ordering::SeqCst);
                });
                let mut taken = 0;
                while !over.load(Ordering::SeqCst) {
                    taken += 1;
                    assert!(taken < 100_000, "they have run alone");
                    outputs.next().await.unwrap();
                }
                done()
            });
            outcome.unwrap();
        },
    );
}

/// An item may leave its waker behind, and with it a way to wake who waits for another.
#[test]
fn a_worker_that_is_woken_for_nothing_goes_on_to_wait() {
    sim(SEEDS, || async {
        let (gates, wakers) = (
            [(); 20].map(|()| Gate::default()),
            Arc::new(Mutex::new(vec![])),
        );
        let opens = gates.clone();
        let items = stream::iter(gates).then(|gate| async move { gate.wait().await });
        let left = wakers.clone();
        let mut outputs = pin!(map_concurrent(Box::pin(items), 4, move |()| {
            let left = left.clone();
            poll_fn(move |cx| {
                left.lock().unwrap().push(cx.waker().clone());
                Poll::Ready(())
            })
        }));
        for gate in opens {
            gate.open();
            outputs.next().await.unwrap();
            sleep(secs(1)).await;
            let left = wakers.lock().unwrap().clone();
            left.into_iter().for_each(Waker::wake);
            sleep(secs(1)).await;
        }
        assert!(outputs.next().await.is_none());
    });
}

/// While others work. When the stream waits for items alone, none does.
#[test]
fn not_more_than_one_worker_waits_for_an_item() {
    sim(SEEDS, || async {
        let gate = Gate::default();
        let open = gate.clone();
        let last = stream::once(async move {
            open.wait().await;
            0
        });
        let items = Box::pin(stream::iter(1..=100).chain(last));
        let outcome = group(async |_| {
            let mut outputs = map_concurrent(items, 50, async |n| {
                if n == 50 {
                    sleep(secs(9)).await;
                }
            });
            for _ in 0..99 {
                outputs.next().await.unwrap();
            }
            assert!(poll_for(&mut outputs.next(), secs(1)).await.is_pending());
            let shows = |workers: &str| tree().to_string().contains(workers);
            assert!(shows("waiting; 2 of"), "{}", tree());
            outputs.next().await.unwrap();
            assert!(poll_for(&mut outputs.next(), secs(1)).await.is_pending());
            assert!(shows("waiting; 0 of"), "{}", tree());
            gate.open();
            assert_eq!(outputs.count().await, 1);
            done()
        });
        outcome.await.unwrap();
    });
}
