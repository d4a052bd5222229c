//! `sync::Event`: nobody sleeps through a `set`.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use headcount::{group, run, sync::Event, time::sleep, timeout};

use crate::support::{
    BadWaker, Census, FEW, Ledger, LeftTask, SEEDS, catch, done, on_these_workers, on_workers,
    poll_once, secs, sim, spin_until, yield_now,
};

#[test]
fn all_who_wait_go_on_when_the_event_is_set_and_who_comes_later_does_not_wait() {
    sim(SEEDS, || async {
        let (ledger, event) = (Ledger::open(), Event::new());
        let outcome = group(async |g| {
            for _ in 0..3 {
                let (ledger, event) = (ledger.clone(), event.clone());
                g.spawn(async move {
                    event.wait().await;
                    ledger.note("went on");
                });
            }
            sleep(secs(2)).await;
            ledger.expect(&[]);
            event.set();
            event.wait().await;
            ledger.note("went on");
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(2_000, "went on"); 4]);
    });
}

/// In no schedule does a `clear` right after the `set` take it back from those who waited.
#[test]
fn a_set_counts_for_all_who_waited_though_it_is_cleared_at_once() {
    sim(SEEDS, || async {
        let event = Event::new();
        let outcome = group(async |g| {
            for _ in 0..4 {
                let event = event.clone();
                g.spawn(async move { event.wait().await });
            }
            sleep(secs(1)).await;
            event.set();
            event.clear();
            assert!(!event.is_set());
            done()
        });
        outcome.await.unwrap();
    });
}

/// A waiter that was told and is cancelled then passes the word on; that is not for who came after.
#[test]
fn a_set_that_was_cleared_does_not_reach_who_came_after_through_a_waiter_that_is_cancelled() {
    sim(SEEDS, || async {
        let event = Event::new();
        let mut before = Box::pin(event.wait());
        assert!(poll_once(&mut before).await.is_pending());
        event.set();
        event.clear();
        let mut after = Box::pin(event.wait());
        assert!(poll_once(&mut after).await.is_pending());
        drop(before);
        assert!(timeout(secs(1), after.as_mut()).await.is_err());
        drop(after);
        let mut next = Box::pin(event.wait());
        assert!(poll_once(&mut next).await.is_pending());
        event.set();
        next.await;
    });
}

/// Rounds of waiters, some of them cancelled, each against one `set`, under many schedules.
#[test]
fn no_schedule_loses_a_wake_up_though_other_waiters_are_cancelled() {
    sim(SEEDS, || async {
        let event = Event::new();
        for round in 0..5 {
            let outcome = group(async |g| {
                let waiters: Vec<_> = (0..4)
                    .map(|_| {
                        let event = event.clone();
                        g.spawn(async move {
                            yield_now().await;
                            event.wait().await;
                            Ok(())
                        })
                    })
                    .collect();
                let setter = event.clone();
                g.spawn(async move {
                    for _ in 0..round {
                        yield_now().await;
                    }
                    setter.set();
                });
                waiters[round % 4].cancel();
                done()
            });
            // A waiter that slept on would be a deadlock, which the simulator reports.
            outcome.await.unwrap();
            event.clear();
        }
    });
}

#[test]
fn no_wake_up_is_lost_on_real_threads() {
    on_workers("sync_events::no_wake_up_is_lost_on_real_threads", || {
        for _ in 0..2_000 {
            let (event, woken) = (Event::new(), Arc::new(AtomicUsize::new(0)));
            let outcome = run(async |g| {
                for _ in 0..3 {
                    g.spawn(async {
                        event.wait().await;
                        woken.fetch_add(1, Ordering::SeqCst);
                    });
                }
                g.spawn(async { event.set() });
                done()
            });
            outcome.unwrap();
            assert_eq!(woken.load(Ordering::SeqCst), 3);
        }
    });
}

/// Set and cleared from a foreign thread, again and again: every waiter of a round goes on.
#[test]
fn a_foreign_thread_may_set_and_clear() {
    on_workers("sync_events::a_foreign_thread_may_set_and_clear", || {
        let (event, waiting) = (Event::new(), Arc::new(AtomicUsize::new(0)));
        let (setter, count) = (event.clone(), waiting.clone());
        let thread = std::thread::spawn(move || {
            for round in 1..=500 {
                spin_until(|| count.load(Ordering::SeqCst) >= round);
                setter.set();
                setter.clear();
            }
        });
        async_std::task::block_on(async {
            for _ in 0..500 {
                let mut wait = pin!(event.wait());
                let pending = poll_once(&mut wait).await.is_pending();
                waiting.fetch_add(1, Ordering::SeqCst);
                // Or else the flag of the last round was still up.
                if pending {
                    wait.await;
                }
            }
        });
        thread.join().unwrap();
    });
}

/// Wakers of foreign executors, each of which panics once, in the middle of a line.
#[test]
fn a_waker_that_panics_keeps_nobody_else_from_going_on() {
    for bad in [BadWaker::Cloned, BadWaker::Called, BadWaker::Dropped] {
        let bad = Arc::new(bad);
        sim(FEW, move || {
            let bad = bad.clone();
            async move {
                let event = Event::new();
                let outcome = group(async |g| {
                    let wait = || {
                        let event = event.clone();
                        g.spawn(async move { event.wait().await })
                    };
                    wait();
                    sleep(secs(1)).await;
                    let mut dropped = Box::pin(event.wait());
                    let mut kept = Box::pin(event.wait());
                    for waits in [&mut dropped, &mut kept] {
                        let _ = catch(async { bad.poll(waits).is_pending() }).await;
                    }
                    wait();
                    sleep(secs(1)).await;
                    drop(dropped);
                    event.set();
                    event.clear();
                    drop(kept);
                    done()
                });
                outcome.await.unwrap();
            }
        });
    }
}

/// The waker of a task that its executor has left destroys that task, which leaves the line.
#[test]
fn a_set_may_destroy_the_task_that_it_wakes() {
    let name = "sync_events::a_set_may_destroy_the_task_that_it_wakes";
    on_these_workers(&[1], name, || {
        let (census, event) = (Census::default(), Event::new());
        for _ in 0..3 {
            let (event, owned) = (event.clone(), census.tracked());
            LeftTask::leave(async move {
                event.wait().await;
                drop(owned);
            });
        }
        assert_eq!(census.living(), 3);
        event.set();
        assert_eq!(census.living(), 0);
    });
}
