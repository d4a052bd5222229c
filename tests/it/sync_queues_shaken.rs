//! `sync::Queue` while its consumers are cancelled again and again, in any schedule and on real threads.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use headcount::{group, run, sync::Queue};

use crate::support::{Oops, SEEDS, done, on_workers, yield_now};

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
        "sync_queues_shaken::nothing_is_lost_or_doubled_in_ten_thousand_cancellations_on_real_threads",
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
        "sync_queues_shaken::what_nobody_has_done_is_still_in_the_queue_on_real_threads",
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
