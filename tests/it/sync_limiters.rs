//! `sync::CapacityLimiter`: how many, who, and who comes next.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc::channel,
};

use futures_concurrency::future::Race;
use headcount::{Options, group, run, sync::CapacityLimiter, time::sleep, timeout, unblock};

use crate::support::{
    Flag, Ledger, Oops, SEEDS, catch, done, message, millis, ok, on_workers, poll_once, secs, sim,
    spin_until, yield_now,
};

#[test]
fn never_more_than_the_capacity_are_inside_and_all_get_in() {
    sim(SEEDS, || async {
        let limiter = CapacityLimiter::new(3);
        let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let outcome = group(async |g| {
            for _ in 0..12 {
                let (limiter, inside, most) = (limiter.clone(), inside.clone(), most.clone());
                g.spawn(async move {
                    let _permit = limiter.acquire().await;
                    let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    sleep(millis(10)).await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
            }
            done()
        });
        outcome.await.unwrap();
        assert_eq!(most.load(Ordering::SeqCst), 3);
        assert_eq!((limiter.in_use(), limiter.holders().len()), (0, 0));
    });
}

/// In every schedule: who was polled first is served first, and nobody who comes later overtakes.
#[test]
fn permits_go_to_who_came_first() {
    sim(SEEDS, || async {
        let (ledger, limiter) = (Ledger::open(), CapacityLimiter::new(1));
        let permit = limiter.acquire().await;
        let outcome = group(async |g| {
            for (n, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
                let (ledger, limiter) = (ledger.clone(), limiter.clone());
                g.spawn(async move {
                    sleep(millis(n as u64)).await;
                    let _permit = limiter.acquire().await;
                    ledger.note(name);
                });
            }
            sleep(secs(1)).await;
            drop(permit);
            assert!(limiter.try_acquire().is_none(), "others came first");
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(1_000, "a"), (1_000, "b"), (1_000, "c"), (1_000, "d")]);
    });
}

#[test]
fn a_permit_granted_to_a_waiter_that_is_dropped_goes_to_the_next() {
    sim(SEEDS, || async {
        let limiter = CapacityLimiter::new(1);
        let permit = limiter.try_acquire().unwrap();
        let mut waiters = [(); 3].map(|()| Box::pin(limiter.acquire()));
        for waiter in &mut waiters {
            assert!(poll_once(waiter).await.is_pending());
        }
        let [first, second, third] = waiters;
        drop(second);
        drop(permit);
        drop(first);
        drop(third.await);
        assert!(limiter.try_acquire().is_some());
    });
}

#[test]
fn the_capacity_can_be_raised_and_lowered_while_permits_are_held() {
    sim(SEEDS, || async {
        let limiter = CapacityLimiter::new(1);
        let first = limiter.acquire().await;
        let mut waiters = [(); 3].map(|()| Box::pin(limiter.acquire()));
        for waiter in &mut waiters {
            assert!(poll_once(waiter).await.is_pending());
        }
        let [second, third, fourth] = waiters;
        limiter.set_capacity(3);
        let (second, third) = (second.await, third.await);
        assert_eq!((limiter.capacity(), limiter.in_use()), (3, 3));
        limiter.set_capacity(1);
        let mut fourth = fourth;
        drop((first, second));
        assert!(poll_once(&mut fourth).await.is_pending());
        assert_eq!((limiter.capacity(), limiter.in_use()), (1, 1));
        drop(third);
        drop(fourth.await);
        assert_eq!(limiter.in_use(), 0);
    });
}

/// By the nearest name around, whatever it is acquired in.
#[test]
fn a_holder_without_a_name_is_told_by_the_nearest_boundary_that_has_one() {
    sim(SEEDS, || async {
        let limiter = CapacityLimiter::new(9);
        let held = async || {
            let here = limiter.acquire().await;
            let timed = timeout(secs(1), limiter.acquire()).await.unwrap();
            let inner = group(async |_| Ok::<_, Oops>(limiter.acquire().await));
            let permits = (here, timed, inner.await.unwrap());
            let holders = limiter.holders();
            let tasks = holders.iter().map(|holder| holder.task().map(String::from));
            let tasks = tasks.collect::<Vec<_>>();
            drop(permits);
            tasks
        };
        assert_eq!(held().await, [None, None, None]);
        let named = Options::new().name("named").scope(async |s| {
            let handle = s.spawn(async { ok(held().await) });
            assert_eq!(handle.await.unwrap(), vec![Some("named".to_owned()); 3]);
            done()
        });
        named.await.unwrap();
    });
}

#[test]
fn the_holders_are_told_by_task_and_place() {
    sim(SEEDS, || async {
        let limiter = CapacityLimiter::new(2);
        let outcome = group(async |g| {
            let line = line!() + 3;
            let holder = limiter.clone();
            g.spawn_named("first", async move {
                let _permit = holder.acquire().await;
                sleep(secs(1)).await;
            });
            sleep(millis(1)).await;
            let holders = limiter.holders();
            assert_eq!(holders.len(), 1);
            assert_eq!(holders[0].task(), Some("first"));
            assert_eq!(holders[0].location().line(), line);
            assert!(holders[0].to_string().starts_with("`first` ("));
            done()
        });
        outcome.await.unwrap();
        assert!(limiter.holders().is_empty());
    });
}

#[test]
fn a_capacity_of_zero_is_refused_with_advice() {
    sim(1, || async {
        let payload = catch(async { CapacityLimiter::new(0) }).await.map(drop);
        assert!(message(&*payload.unwrap_err()).contains("use at least 1"));
        let limiter = CapacityLimiter::new(1);
        let payload = catch(async { limiter.set_capacity(0) }).await;
        assert!(message(&*payload.unwrap_err()).contains("use at least 1"));
    });
}

/// Waiters that give up, wherever they stand in line, cost nobody a wake-up.
#[test]
fn no_schedule_loses_a_wake_up_though_waiters_give_up() {
    sim(SEEDS, || async {
        let limiter = CapacityLimiter::new(2);
        let outcome = group(async |g| {
            for n in 0..12_u64 {
                let limiter = limiter.clone();
                g.spawn(async move {
                    yield_now().await;
                    if n % 3 == 0 {
                        _ = timeout(millis(n), limiter.acquire()).await;
                    } else {
                        let _permit = limiter.acquire().await;
                        sleep(millis(n % 4)).await;
                    }
                });
            }
            done()
        });
        outcome.await.unwrap();
        assert_eq!(limiter.in_use(), 0);
    });
}

/// Counts who is inside; leaves before the permit, which was taken before.
struct Here<'a>(&'a AtomicUsize);

impl<'a> Here<'a> {
    fn enter(inside: &'a AtomicUsize) -> Self {
        assert!(inside.fetch_add(1, Ordering::SeqCst) < 4);
        Here(inside)
    }
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn never_more_than_the_capacity_on_real_threads_while_it_changes() {
    on_workers(
        "sync_limiters::never_more_than_the_capacity_on_real_threads_while_it_changes",
        || {
            let limiter = CapacityLimiter::new(1);
            let (inside, entered) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let outcome = run(async |g| {
                for n in 0..2_000 {
                    let (limiter, inside, entered) = (&limiter, &inside, &entered);
                    let child = g.spawn(async move {
                        let _permit = limiter.acquire().await;
                        let _here = Here::enter(inside);
                        yield_now().await;
                        entered.fetch_add(1, Ordering::SeqCst);
                        done()
                    });
                    limiter.set_capacity(1 + n % 4);
                    if n % 5 == 0 {
                        child.cancel();
                    }
                }
                done()
            });
            outcome.unwrap();
            assert!(entered.load(Ordering::SeqCst) >= 1_600);
            assert_eq!((limiter.in_use(), limiter.holders().len()), (0, 0));
        },
    );
}

/// The recipe of the documentation: a permit in the closure is held for as long as that runs, also
/// when a foreign race has dropped the task's future.
#[test]
fn a_permit_in_a_blocking_closure_outlives_the_future_that_waits_for_it() {
    on_workers(
        "sync_limiters::a_permit_in_a_blocking_closure_outlives_the_future_that_waits_for_it",
        || {
            for _ in 0..50 {
                let (limiter, stop) = (CapacityLimiter::new(1), Flag::default());
                let (begun, has_begun) = channel();
                let outcome = run(async |_| {
                    let permit = limiter.acquire().await;
                    let halt = stop.clone();
                    let loser = async {
                        unblock(move || {
                            let _permit = permit;
                            begun.send(()).unwrap();
                            spin_until(|| halt.is_set());
                        })
                        .await;
                    };
                    let winner = async {
                        while has_begun.try_recv().is_err() {
                            yield_now().await;
                        }
                    };
                    (loser, winner).race().await;
                    assert_eq!(limiter.in_use(), 1);
                    assert!(limiter.try_acquire().is_none());
                    stop.set();
                    done()
                });
                outcome.unwrap();
                assert_eq!(limiter.in_use(), 0);
            }
        },
    );
}
