//! Limits, dropped and forgotten groups, and deep trees on real threads.

use std::{
    future::pending,
    mem,
    pin::Pin,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
};

use futures_concurrency::future::Race;
use headcount::{GroupError, Options, group, scope};

use crate::support::{
    Census, Flag, Gate, Oops, PollCount, block_on, done, ok, on_workers, poll_once, spin_until,
    yield_now,
};

type Opening<'a> = Pin<Box<dyn Future<Output = Result<(), GroupError<Oops>>> + Send + 'a>>;

/// Case 29.
#[test]
fn a_limit_of_three_holds_on_real_threads() {
    on_workers(
        "threads_group::a_limit_of_three_holds_on_real_threads",
        || {
            let (alive, peak, ended) = (
                AtomicUsize::new(0),
                AtomicUsize::new(0),
                AtomicUsize::new(0),
            );
            let outcome = Options::new().limit(3).run(async |r| {
                for n in 0..1000 {
                    let (alive, peak, ended) = (&alive, &peak, &ended);
                    let child = async move {
                        let now = alive.fetch_add(1, Ordering::SeqCst) + 1;
                        peak.fetch_max(now, Ordering::SeqCst);
                        yield_now().await;
                        alive.fetch_sub(1, Ordering::SeqCst);
                        ended.fetch_add(1, Ordering::SeqCst);
                    };
                    match n % 3 {
                        0 => drop(r.spawn(child)),
                        1 => drop(r.spawn_when_free(child).await),
                        _ => {
                            if let Err(refused) = r.try_spawn(child) {
                                assert!(refused.is_full());
                                r.spawn(refused.into_future());
                            }
                        }
                    }
                }
                done()
            });
            outcome.unwrap();
            assert_eq!(ended.load(Ordering::SeqCst), 1000);
            assert_eq!(alive.load(Ordering::SeqCst), 0);
            assert!((1..=3).contains(&peak.load(Ordering::SeqCst)));
        },
    );
}

/// Case 33: the parent returns only when the closure that still runs has returned.
#[test]
fn a_group_dropped_by_a_race_is_accounted_for_on_real_threads() {
    on_workers(
        "threads_group::a_group_dropped_by_a_race_is_accounted_for_on_real_threads",
        || {
            for _ in 0..100 {
                let (ended, census) = (Flag::default(), Census::default());
                let (begun, has_begun) = channel();
                let outcome = block_on(group(async |_| {
                    let loser = async {
                        let lost = group(async |g| {
                            let ended = ended.clone();
                            g.spawn_blocking(move |token| {
                                begun.send(()).unwrap();
                                spin_until(|| token.is_cancelled());
                                std::thread::yield_now();
                                ended.set();
                            });
                            for _ in 0..10 {
                                let tracked = census.tracked();
                                g.spawn(async move {
                                    pending::<()>().await;
                                    drop(tracked);
                                });
                            }
                            has_begun.recv().unwrap();
                            done()
                        });
                        lost.await.map(|()| "loser")
                    };
                    let winner = async {
                        while census.born() < 10 {
                            yield_now().await;
                        }
                        Ok("winner")
                    };
                    ok((loser, winner).race().await.unwrap())
                }));
                assert_eq!(outcome.unwrap(), "winner");
                assert!(ended.is_set());
                assert_eq!((census.born(), census.living()), (10, 0));
            }
        },
    );
}

/// Case 34.
#[test]
fn a_forgotten_group_is_accounted_for_on_real_threads() {
    on_workers(
        "threads_group::a_forgotten_group_is_accounted_for_on_real_threads",
        || {
            for _ in 0..100 {
                let (ended, census) = (Flag::default(), Census::default());
                let (begun, has_begun) = channel();
                let outcome = block_on(group(async |_| {
                    let (ended, children) = (ended.clone(), census.clone());
                    let mut inner: Opening = Box::pin(group(async move |g| {
                        g.spawn_blocking(move |token| {
                            begun.send(()).unwrap();
                            spin_until(|| token.is_cancelled());
                            ended.set();
                        });
                        for _ in 0..10 {
                            let tracked = children.tracked();
                            g.spawn(async move {
                                loop {
                                    tracked.assert_alive();
                                    yield_now().await;
                                }
                            });
                        }
                        done()
                    }));
                    assert!(poll_once(&mut inner).await.is_pending());
                    mem::forget(inner);
                    has_begun.recv().unwrap();
                    assert_eq!(census.living(), 10);
                    done()
                }));
                outcome.unwrap();
                assert!(ended.is_set());
                assert_eq!((census.born(), census.living()), (10, 0));
            }
        },
    );
}

/// Case 34.
#[test]
fn the_children_of_a_forgotten_scope_never_run_again_on_real_threads() {
    on_workers(
        "threads_group::the_children_of_a_forgotten_scope_never_run_again_on_real_threads",
        || {
            for _ in 0..100 {
                let (polls, gate, census) =
                    (PollCount::default(), Gate::default(), Census::default());
                let outcome = block_on(group(async |_| {
                    let data = census.tracked();
                    let mut inner: Opening = Box::pin(scope(async |s| {
                        let (wait, data) = (gate.wait(), &data);
                        s.spawn(polls.of(async move {
                            wait.await;
                            data.assert_alive();
                            pending::<()>().await;
                        }));
                        done()
                    }));
                    while polls.get() == 0 {
                        assert!(poll_once(&mut inner).await.is_pending());
                        yield_now().await;
                    }
                    mem::forget(inner);
                    drop(data);
                    let (before, gate) = (polls.get(), gate.clone());
                    std::thread::spawn(move || gate.open()).join().unwrap();
                    for _ in 0..20 {
                        yield_now().await;
                    }
                    assert_eq!(polls.get(), before);
                    done()
                }));
                outcome.unwrap();
                assert_eq!(census.living(), 0);
            }
        },
    );
}
