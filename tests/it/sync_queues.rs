//! `sync::Queue`: every item is done or in the queue, whoever is cancelled.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use headcount::{TaskError, group, supervise, sync::Queue, time::sleep, timeout};

use crate::support::{
    Census, Ledger, Oops, SEEDS, catch, done, message, millis, ok, poll_once, secs, sim,
};

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
        let second = queue.get().await.unwrap();
        drop(first);
        drop(second);
        assert_eq!((queue.len(), queue.unfinished()), (3, 3));
        // And before those that came back later.
        for n in 0..3 {
            assert_eq!(queue.get().await.unwrap().done(), n);
        }
        queue.join().await;
    });
}

#[test]
fn a_consumer_that_waits_gets_what_comes_back_before_what_is_new() {
    sim(SEEDS, || async {
        let queue = Queue::unbounded();
        queue.try_put("old").unwrap();
        let taken = queue.get().await.unwrap();
        let outcome = group(async |g| {
            let waits = queue.clone();
            let consumer = g.spawn(async move { ok(waits.get().await.unwrap().done()) });
            sleep(secs(1)).await;
            drop(taken);
            queue.try_put("new").unwrap();
            assert_eq!(consumer.await.unwrap(), "old");
            done()
        });
        outcome.await.unwrap();
        assert_eq!(queue.drain(), ["new"]);
    });
}

/// Also if one that has just come was quicker than the first of them.
#[test]
fn consumers_that_wait_are_called_in_the_order_in_which_they_came() {
    sim(SEEDS, || async {
        let (ledger, queue) = (Ledger::open(), Queue::<()>::unbounded());
        let outcome = group(async |g| {
            for name in ["first", "second", "third"] {
                let (notes, queue) = (ledger.clone(), queue.clone());
                g.spawn(async move {
                    queue.get().await.unwrap().done();
                    notes.note(name);
                });
                sleep(secs(1)).await;
            }
            queue.try_put(()).unwrap();
            queue.try_get().unwrap().done();
            for _ in 0..3 {
                sleep(secs(1)).await;
                queue.try_put(()).unwrap();
            }
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(4_000, "first"), (5_000, "second"), (6_000, "third")]);
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

/// The item of such a `put` is not in the queue, and will not be. It is not done either.
#[test]
fn a_consumer_of_a_closed_queue_does_not_wait_for_a_put_that_does() {
    sim(SEEDS, || async {
        let queue = Queue::bounded(1);
        queue.put(1).await.unwrap();
        let mut put = Box::pin(queue.put(2));
        assert!(poll_once(&mut put).await.is_pending());
        let taken = queue.get().await.unwrap();
        let mut get = Box::pin(queue.get());
        assert!(poll_once(&mut get).await.is_pending());
        queue.close();
        assert!(poll_once(&mut get).await.is_pending(), "1 may come back");
        taken.done();
        assert!(get.await.is_none());
        let mut join = Box::pin(queue.join());
        assert!(poll_once(&mut join).await.is_pending());
        assert_eq!(queue.unfinished(), 1);
        assert_eq!(put.await.unwrap_err().into_item(), 2);
        join.await;
    });
}

/// One that was told that there is room, and is dropped, tells the next.
#[test]
fn a_put_that_gives_up_leaves_its_turn_to_the_next() {
    sim(SEEDS, || async {
        let queue = Queue::bounded(1);
        queue.put(0).await.unwrap();
        let mut puts = [1, 2, 3].map(|n| Box::pin(queue.put(n)));
        for put in &mut puts {
            assert!(poll_once(put).await.is_pending());
        }
        let [first, second, third] = puts;
        drop(second);
        assert_eq!(queue.get().await.unwrap().done(), 0);
        drop(first);
        third.await.unwrap();
        assert_eq!((queue.unfinished(), queue.drain()), (1, vec![3]));
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
        let payload = catch(async { Queue::<u8>::bounded(usize::MAX) }).await;
        assert!(payload.is_err(), "there is a place for each item");
        assert_eq!(Queue::<u8>::bounded(3).capacity(), Some(3));
        assert_eq!(Queue::<u8>::unbounded().capacity(), None);
    });
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
