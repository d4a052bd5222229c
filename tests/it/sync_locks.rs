//! What comes from async-lock, as tasks of this crate use it.

use std::sync::Arc;

use headcount::{
    group,
    sync::{Barrier, Mutex, RwLock, Semaphore},
    time::sleep,
    timeout,
};

use crate::support::{Ledger, SEEDS, done, millis, secs, sim};

/// The guide's account: no deposit is lost, though each sleeps in the middle.
#[test]
fn a_mutex_is_held_across_sleeps_and_given_back_by_a_cancelled_task() {
    sim(SEEDS, || async {
        let account = Arc::new(Mutex::new(100));
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let held = account.clone();
            let holder = g.spawn(async move {
                let _guard = held.lock().await;
                sleep(secs(3600)).await;
                done()
            });
            sleep(secs(1)).await;
            for amount in [50, -30, 20, -40] {
                let account = account.clone();
                g.spawn(async move {
                    let mut balance = account.lock().await;
                    let old = *balance;
                    sleep(millis(100)).await;
                    *balance = old + amount;
                });
            }
            sleep(secs(1)).await;
            holder.cancel();
            done()
        });
        outcome.await.unwrap();
        assert_eq!(*account.lock().await, 100);
        assert_eq!(ledger.now(), 2_400);
    });
}

#[test]
fn readers_share_and_a_writer_is_alone() {
    sim(SEEDS, || async {
        let (ledger, lock) = (Ledger::open(), Arc::new(RwLock::new(0)));
        let outcome = group(async |g| {
            for _ in 0..3 {
                let lock = lock.clone();
                g.spawn(async move {
                    let _shared = lock.read().await;
                    sleep(secs(1)).await;
                });
            }
            sleep(millis(500)).await;
            *lock.write().await += 1;
            assert_eq!(ledger.now(), 1_000);
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn a_semaphore_and_a_barrier_keep_virtual_time() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let (semaphore, barrier) = (Arc::new(Semaphore::new(3)), Arc::new(Barrier::new(11)));
        let outcome = group(async |g| {
            for _ in 0..10 {
                let (semaphore, barrier) = (semaphore.clone(), barrier.clone());
                g.spawn(async move {
                    {
                        let _permit = semaphore.acquire().await;
                        sleep(secs(1)).await;
                    }
                    barrier.wait().await;
                });
            }
            barrier.wait().await;
            assert_eq!(ledger.now(), 4_000);
            assert!(timeout(secs(1), barrier.wait()).await.is_err());
            done()
        });
        outcome.await.unwrap();
    });
}
