//! `sync::Queue`: every item is done or in the queue, whoever is cancelled.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use headcount::{TaskError, group, run, supervise, sync::Queue, time::sleep, timeout};

use crate::support::{
    Census, Ledger, Oops, SEEDS, catch, done, message, millis, ok, on_workers, poll_once, secs,
    sim, yield_now,
};

/// A number that is different for each seed and call, without a clock.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        // xorshift
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// The guide's program: two producers, three consumers, `join`, and then the consumers are cancelled.
#[test]
fn join_returns_when_every_item_is_done() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let queue = Queue::<(u8, u8)>::bounded(5);
        let outcome = group(async |g| {
            for _ in 0..3 {
                let (ledger, queue) = (ledger.clone(), queue.clone());
                g.spawn_daemon(async move {
                    while let Some(item) = queue.get().await {
                        sleep(millis(300)).await;
                        ledger.note("done");
                        item.done();
                    }
                });
            }
            let producers = group(async |producers| {
                for producer in 0..2 {
                    let queue = queue.clone();
                    producers.spawn(async move {
                        for n in 0..5 {
                            sleep(millis(10)).await;
                            queue.put((producer, n)).await.map_err(|_| Oops("closed"))?;
                        }
                        done()
                    });
                }
                done()
            });
            producers.await.unwrap();
            queue.join().await;
            assert_eq!(ledger.count("done"), 10);
            assert_eq!((queue.len(), queue.unfinished()), (0, 0));
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn an_item_that_is_dropped_undone_goes_to_another_consumer_before_the_rest() {
    sim(SEEDS, || async {
        let queue = Queue::unbounded();
        for n in 0..3 {
            queue.try_put(n).unwrap();
        }
        let first = queue.get().await.unwrap();
        assert_eq!((*first, queue.len(), queue.unfinished()), (0, 2, 3));
        drop(first);
        assert_eq!((queue.len(), queue.unfinished()), (3, 3));
        for n in 0..3 {
            assert_eq!(queue.get().await.unwrap().done(), n);
        }
        queue.join().await;
    });
}

/// `join` waits for what a cancelled consumer had in hand.
#[test]
fn a_cancelled_consumer_neither_loses_its_item_nor_hangs_join() {
    sim(SEEDS, || async {
        let (ledger, queue) = (Ledger::open(), Queue::bounded(1));
        let outcome = group(async |g| {
            queue.put("item").await.unwrap();
            let slow = queue.clone();
            let cancelled = g.spawn(async move {
                let _item = slow.get().await;
                sleep(secs(3600)).await;
                done()
            });
            let (other, notes) = (queue.clone(), ledger.clone());
            g.spawn_daemon(async move {
                sleep(millis(1)).await;
                while let Some(item) = other.get().await {
                    notes.note(item.done());
                }
            });
            let canceller = g.clone();
            canceller.spawn(async move {
                sleep(secs(1)).await;
                cancelled.cancel();
            });
            queue.join().await;
            assert_eq!(ledger.now(), 1_000);
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(1_000, "item")]);
    });
}

#[test]
fn the_item_of_a_consumer_that_panics_is_given_to_the_next() {
    sim(SEEDS, || async {
        let queue = Queue::unbounded();
        queue.try_put("item").unwrap();
        let outcome = supervise(async |s| {
            let taker = queue.clone();
            let bad = s.spawn(async move {
                let _item = taker.get().await;
                panic!("in the middle of it");
                #[allow(unreachable_code)]
                done()
            });
            assert!(matches!(bad.await, Err(TaskError::Panicked(_))));
            assert_eq!(queue.get().await.unwrap().done(), "item");
            queue.join().await;
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn a_full_queue_holds_its_producer_up_and_refuses_try_put() {
    sim(SEEDS, || async {
        let (ledger, queue) = (Ledger::open(), Queue::bounded(2));
        let outcome = group(async |g| {
            let (notes, producer) = (ledger.clone(), queue.clone());
            g.spawn(async move {
                for n in 0..3 {
                    producer.put(n).await.map_err(|_| Oops("closed"))?;
                    notes.note("put");
                }
                done()
            });
            sleep(secs(1)).await;
            let refused = queue.try_put(7).unwrap_err();
            assert!(refused.is_full() && !refused.is_closed());
            assert_eq!(refused.into_item(), 7);
            // The one that waits to be put counts already.
            assert_eq!((queue.len(), queue.unfinished()), (2, 3));
            for n in 0..3 {
                assert_eq!(queue.get().await.unwrap().done(), n);
            }
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(0, "put"), (0, "put"), (1_000, "put")]);
    });
}

#[test]
fn a_put_that_is_cancelled_while_it_waits_does_not_count() {
    sim(SEEDS, || async {
        let (census, queue) = (Census::default(), Queue::bounded(1));
        queue.put(census.tracked()).await.unwrap();
        assert!(timeout(secs(1), queue.put(census.tracked())).await.is_err());
        assert_eq!(
            (queue.len(), queue.unfinished(), census.living()),
            (1, 1, 1)
        );
        drop(queue.get().await.unwrap().done());
        queue.join().await;
        assert_eq!(census.living(), 0);
    });
}

#[test]
fn a_closed_queue_takes_nothing_and_gives_the_rest() {
    sim(SEEDS, || async {
        let queue = Queue::bounded(2);
        let outcome = group(async |g| {
            queue.put(0).await.unwrap();
            queue.put(1).await.unwrap();
            let waiting = queue.clone();
            let refused = g.spawn(async move {
                let refused = waiting.put(2).await.unwrap_err();
                assert!(refused.is_closed() && !refused.is_full());
                ok(refused.into_item())
            });
            sleep(secs(1)).await;
            queue.close();
            assert!(queue.is_closed());
            assert!(queue.put(3).await.unwrap_err().is_closed());
            assert!(queue.try_put(3).unwrap_err().is_closed());
            assert_eq!(refused.await.unwrap(), 2);
            assert_eq!(queue.get().await.unwrap().done(), 0);
            assert_eq!(queue.get().await.unwrap().done(), 1);
            assert!(queue.get().await.is_none());
            done()
        });
        outcome.await.unwrap();
    });
}

/// A consumer does not leave while another, who may be cancelled, has the last item in hand.
#[test]
fn the_last_item_of_a_closed_queue_is_not_stranded_by_the_cancellation_of_its_consumer() {
    sim(SEEDS, || async {
        let (ledger, queue) = (Ledger::open(), Queue::unbounded());
        queue.try_put("last").unwrap();
        queue.close();
        let outcome = group(async |g| {
            let taken = queue.get().await.unwrap();
            for _ in 0..2 {
                let (notes, queue) = (ledger.clone(), queue.clone());
                g.spawn(async move {
                    while let Some(item) = queue.get().await {
                        notes.note(item.done());
                    }
                    notes.note("left");
                });
            }
            sleep(secs(1)).await;
            ledger.expect(&[]);
            drop(taken);
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(1_000, "last"), (1_000, "left"), (1_000, "left")]);
    });
}

/// Two items that come back at once need two consumers: one word for both would leave one asleep.
#[test]
fn each_item_that_comes_back_wakes_a_consumer() {
    sim(SEEDS, || async {
        let queue = Queue::unbounded();
        queue.try_put(1).unwrap();
        queue.try_put(2).unwrap();
        let taken = (queue.get().await.unwrap(), queue.get().await.unwrap());
        let outcome = group(async |g| {
            for _ in 0..2 {
                let queue = queue.clone();
                g.spawn(async move {
                    let item = queue.get().await.unwrap();
                    // Keeps its item until the other has one too.
                    while !queue.is_empty() {
                        sleep(millis(1)).await;
                    }
                    item.done();
                });
            }
            sleep(secs(1)).await;
            drop(taken);
            timeout(secs(1), queue.join())
                .await
                .expect("nobody sleeps on");
            done()
        });
        outcome.await.unwrap();
    });
}

/// `join` sees a moment without unfinished items, also when a producer is quicker than it.
#[test]
fn join_does_not_miss_a_moment_in_which_all_was_done() {
    sim(SEEDS, || async {
        let queue = Queue::unbounded();
        queue.try_put(1).unwrap();
        let mut join = Box::pin(queue.join());
        assert!(poll_once(&mut join).await.is_pending());
        assert_eq!(queue.get().await.unwrap().done(), 1);
        queue.try_put(2).unwrap();
        join.await;
        assert_eq!(queue.unfinished(), 1);
        let mut join = Box::pin(queue.join());
        assert!(poll_once(&mut join).await.is_pending());
        assert_eq!(queue.drain(), [2]);
        join.await;
    });
}

#[test]
fn drain_takes_what_nobody_has_in_hand() {
    sim(SEEDS, || async {
        let queue = Queue::unbounded();
        for n in 0..4 {
            queue.try_put(n).unwrap();
        }
        let (in_hand, back) = (queue.get().await.unwrap(), queue.get().await.unwrap());
        drop(back);
        queue.close();
        assert_eq!(queue.drain(), [1, 2, 3]);
        assert_eq!(queue.unfinished(), 1);
        in_hand.done();
        assert!(queue.get().await.is_none());
    });
}

#[test]
fn a_queue_without_room_is_refused_with_advice() {
    sim(1, || async {
        let payload = catch(async { Queue::<u8>::bounded(0) }).await.map(drop);
        assert!(message(&*payload.unwrap_err()).contains("use at least 1"));
        assert_eq!(Queue::<u8>::bounded(3).capacity(), Some(3));
        assert_eq!(Queue::<u8>::unbounded().capacity(), None);
    });
}

/// What became of the items of one run.
#[derive(Clone, Default)]
struct Tally(Arc<Mutex<Vec<u64>>>);

impl Tally {
    /// Each of the items was done once, or is in the queue.
    #[track_caller]
    fn settle(&self, queue: &Queue<u64>, items: u64) {
        let mut all = self.0.lock().unwrap().clone();
        all.extend(queue.drain());
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..items), "{all:?}");
        assert_eq!((queue.len(), queue.unfinished()), (0, 0));
    }
}

async fn consume(queue: Queue<u64>, tally: Tally) {
    while let Some(item) = queue.get().await {
        yield_now().await;
        tally.0.lock().unwrap().push(*item);
        item.done();
    }
}

/// Two producers and three consumers, which are cancelled and replaced again and again: in each
/// schedule every item is done once.
#[test]
fn nothing_is_lost_or_doubled_under_cancelled_consumers_in_any_schedule() {
    for seed in 1..=SEEDS {
        headcount::testing::Sim::new(seed).run(async move {
            let (queue, tally) = (Queue::bounded(3), Tally::default());
            let outcome = group(async |g| {
                for producer in 0..2 {
                    let queue = queue.clone();
                    g.spawn(async move {
                        for n in 0..10 {
                            queue
                                .put(producer * 10 + n)
                                .await
                                .map_err(|_| Oops("closed"))?;
                        }
                        done()
                    });
                }
                let mut dice = Dice(seed);
                let hire = || g.spawn_daemon(consume(queue.clone(), tally.clone()));
                let mut consumers = [hire(), hire(), hire()];
                for _ in 0..20 {
                    for _ in 0..dice.below(6) {
                        yield_now().await;
                    }
                    let place = dice.below(3) as usize;
                    consumers[place].cancel();
                    consumers[place] = hire();
                }
                queue.join().await;
                done()
            });
            outcome.await.unwrap();
            tally.settle(&queue, 20);
        });
    }
}

/// The same with real threads, and ten thousand cancellations.
#[test]
fn nothing_is_lost_or_doubled_in_ten_thousand_cancellations_on_real_threads() {
    on_workers(
        "sync_queues::nothing_is_lost_or_doubled_in_ten_thousand_cancellations_on_real_threads",
        || {
            const ITEMS: u64 = 20_000;
            let (queue, tally) = (Queue::bounded(16), Tally::default());
            let outcome = run(async |g| {
                for producer in 0..2 {
                    let queue = queue.clone();
                    g.spawn(async move {
                        for n in 0..ITEMS / 2 {
                            let item = producer * (ITEMS / 2) + n;
                            queue.put(item).await.map_err(|_| Oops("closed"))?;
                        }
                        done()
                    });
                }
                let mut dice = Dice(7);
                let hire = || g.spawn_daemon(consume(queue.clone(), tally.clone()));
                let mut consumers = [hire(), hire(), hire()];
                for _ in 0..10_000 {
                    let place = dice.below(3) as usize;
                    consumers[place].cancel();
                    consumers[place] = hire();
                    yield_now().await;
                }
                queue.join().await;
                done()
            });
            outcome.unwrap();
            tally.settle(&queue, ITEMS);
        },
    );
}

/// Some of the items stay: those who were to consume them are all cancelled in the end.
#[test]
fn what_nobody_has_done_is_still_in_the_queue_on_real_threads() {
    on_workers(
        "sync_queues::what_nobody_has_done_is_still_in_the_queue_on_real_threads",
        || {
            let kept = AtomicUsize::new(0);
            for _ in 0..200 {
                let (queue, tally) = (Queue::unbounded(), Tally::default());
                let outcome = run(async |g| {
                    for n in 0..50 {
                        queue.try_put(n).unwrap();
                    }
                    for _ in 0..3 {
                        g.spawn(consume(queue.clone(), tally.clone()));
                    }
                    for _ in 0..20 {
                        yield_now().await;
                    }
                    g.cancel();
                    done()
                });
                outcome.unwrap();
                kept.fetch_add(queue.len(), Ordering::SeqCst);
                tally.settle(&queue, 50);
            }
            assert!(kept.load(Ordering::SeqCst) > 0, "never cancelled in time");
        },
    );
}

/// A consumer that fails at its first try gets the item again when it is spawned anew.
#[test]
fn a_consumer_that_failed_gets_its_item_again() {
    sim(SEEDS, || async {
        let (queue, tries) = (Queue::unbounded(), Arc::new(AtomicUsize::new(0)));
        queue.try_put("item").unwrap();
        let outcome = supervise(async |s| {
            loop {
                let (queue, tries) = (queue.clone(), tries.clone());
                let child = s.spawn(async move {
                    let item = queue.get().await.unwrap();
                    match tries.fetch_add(1, Ordering::SeqCst) {
                        0 => Err(Oops("at the first try")),
                        _ => ok(item.done()),
                    }
                });
                if let Ok(item) = child.await {
                    return ok(item);
                }
            }
        });
        assert_eq!(outcome.await.unwrap(), "item");
        assert_eq!(tries.load(Ordering::SeqCst), 2);
        queue.join().await;
    });
}
