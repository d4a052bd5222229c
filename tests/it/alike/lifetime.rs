//! Who lives how long.

use std::{
    future::{pending, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use headcount::time::sleep;

use super::open;
use crate::support::{
    Census, Flag, Ledger, Oops, PollCount, SEEDS, done, ok, poll_once, secs, sim, yield_now,
};

/// Case 1.
#[test]
fn the_opening_returns_when_its_slowest_child_ends() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            for (name, time) in [("a", 1), ("b", 2), ("c", 3)] {
                g.spawn(ledger.sleeper(name, secs(time)));
            }
            ok(7)
        })
        .await;
        assert_eq!(outcome.unwrap(), 7);
        assert_eq!(ledger.now(), 3000);
        ledger.expect(&[(1000, "a done"), (2000, "b done"), (3000, "c done")]);
    });
}

/// Case 2.
#[test]
fn a_child_outlives_the_body_uncancelled() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            g.spawn(ledger.sleeper("child", secs(5)));
            ledger.note("body ends");
            ok("value")
        })
        .await;
        assert_eq!(outcome.unwrap(), "value");
        assert_eq!(ledger.now(), 5000);
        ledger.expect(&[(0, "body ends"), (5000, "child done")]);
    });
}

/// Case 3, rule 2.
#[test]
fn a_child_spawns_a_sibling_after_the_body_ended() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            let (siblings, ledger) = (g.clone(), ledger.clone());
            g.spawn(async move {
                sleep(secs(1)).await;
                siblings.spawn(ledger.sleeper("late", secs(2)));
            });
            ok(())
        })
        .await;
        outcome.unwrap();
        assert_eq!(ledger.now(), 3000);
        ledger.expect(&[(3000, "late done")]);
    });
}

/// Rule 2: generation after generation, each spawned by the last living child.
#[test]
fn the_last_child_alone_keeps_the_opening_open() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            let (second, ledger) = (g.clone(), ledger.clone());
            g.spawn(async move {
                sleep(secs(1)).await;
                let third = second.clone();
                second.spawn(async move {
                    sleep(secs(1)).await;
                    third.spawn(ledger.sleeper("third", secs(1)));
                });
            });
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(3000, "third done")]);
    });
}

/// Rule 2: the body alone keeps it open too.
#[test]
fn the_body_spawns_after_all_its_children_ended() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            g.spawn(ledger.sleeper("early", secs(1)));
            sleep(secs(4)).await;
            let handle = g.spawn(ledger.sleeper("late", secs(1)));
            handle.await.unwrap();
            assert_eq!(ledger.now(), 5000);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(1000, "early done"), (5000, "late done")]);
    });
}

/// Case 4, rule 2.
#[test]
fn a_handle_kept_past_the_end_refuses_to_spawn() {
    sim(SEEDS, || async {
        let (ledger, polls) = (Ledger::open(), PollCount::default());
        let kept = open(async |g| ok(g.clone())).await.unwrap();
        let child = kept.spawn(polls.of(ledger.sleeper("child", secs(1))));
        ledger.expect(&[(0, "child cut")]);
        assert!(child.is_finished());
        assert!(child.await.unwrap_err().is_cancelled());
        assert_eq!(polls.get(), 0);
        let refused = kept.try_spawn(ledger.sleeper("second", secs(1)));
        let refused = refused.expect_err("the end has passed");
        assert!(refused.is_closed() && !refused.is_full());
        let when_free = kept.spawn_when_free(polls.of(async { ok(1) })).await;
        assert!(when_free.await.unwrap_err().is_cancelled());
        assert_eq!(polls.get(), 0);
        assert_eq!(ledger.now(), 0);
    });
}

/// Rule 2, one level down: cancelled by itself, or by the opening around it.
#[test]
fn an_opening_that_is_cancelled_takes_no_more_children_in() {
    for own in [true, false] {
        sim(SEEDS, move || async move {
            let polls = PollCount::default();
            let outcome = open(async |outer| {
                let inner = open(async |g| {
                    g.spawn(pending::<()>());
                    yield_now().await;
                    match own {
                        true => g.cancel(),
                        false => outer.cancel(),
                    }
                    let refused = g.try_spawn(polls.of(async {})).err().unwrap();
                    assert!(refused.is_closed());
                    assert!(g.spawn(polls.of(async {})).is_finished());
                    pending::<Result<(), Oops>>().await
                });
                assert!(inner.await.unwrap_err().is_cancelled());
                done()
            });
            assert_eq!(outcome.await.is_ok(), own);
            assert_eq!(polls.get(), 0);
        });
    }
}

/// Rule 3.
#[test]
fn spawn_polls_nothing_inside_the_call() {
    sim(SEEDS, || async {
        let polls = PollCount::default();
        let outcome = open(async |g| {
            let first = g.spawn(polls.of(async { ok(1) }));
            let second = g.spawn_named("second", polls.of(async { ok(2) }));
            let third = g.try_spawn(polls.of(async { ok(3) })).ok().unwrap();
            assert_eq!(polls.get(), 0);
            assert!(!first.is_finished() && !second.is_finished() && !third.is_finished());
            assert_eq!((first.name(), second.name()), (None, Some("second")));
            assert_ne!(first.id(), second.id());
            let values = (first.await, second.await, third.await);
            ok((values.0.unwrap(), values.1.unwrap(), values.2.unwrap()))
        })
        .await;
        assert_eq!(outcome.unwrap(), (1, 2, 3));
        assert_eq!(polls.get(), 3);
    });
}

/// Rule 5.
#[test]
fn an_opening_without_children_returns_in_its_first_poll() {
    sim(SEEDS, || async {
        let mut empty = pin!(open(async |_| ok(5)));
        let Poll::Ready(outcome) = poll_once(&mut empty).await else {
            panic!("its end is no checkpoint");
        };
        assert_eq!(outcome.unwrap(), 5);
    });
}

/// Rule 5.
#[test]
fn an_opening_whose_children_have_ended_returns_in_the_poll_in_which_its_body_ends() {
    sim(SEEDS, || async {
        let body_ended = Flag::default();
        let mut opening = pin!(open(async |g| {
            for time in 1..4 {
                g.spawn(sleep(secs(time)));
            }
            sleep(secs(9)).await;
            body_ended.set();
            ok(5)
        }));
        let outcome = poll_fn(|cx| {
            let poll = opening.as_mut().poll(cx);
            assert_eq!(poll.is_ready(), body_ended.is_set());
            poll
        })
        .await;
        assert_eq!(outcome.unwrap(), 5);
    });
}

/// Rule 5: under an expired timeout only a checkpoint would drop the code between.
#[test]
fn the_end_of_an_opening_invents_no_cancellation() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = headcount::timeout(secs(0), async {
            let inner = open(async |_| ok(1)).await.unwrap();
            ledger.note("between");
            inner + open(async |_| ok(2)).await.unwrap()
        })
        .await;
        assert_eq!(outcome.unwrap(), 3);
        ledger.expect(&[(0, "between")]);
    });
}

/// Rule 4: each child spawns for ever; the fiftieth cancels.
#[test]
fn a_cancelled_opening_ends_however_fast_its_children_spawn() {
    sim(SEEDS, || async {
        let (census, count) = (Census::default(), Arc::new(AtomicUsize::new(0)));
        let outcome = open(async |g| {
            g.spawn(Breed::future(Breed {
                census: census.clone(),
                count: count.clone(),
                spawn: {
                    let g = g.clone();
                    Arc::new(move |breed| drop(g.spawn(Breed::future(breed))))
                },
                cancel: {
                    let g = g.clone();
                    Arc::new(move || g.cancel())
                },
            }));
            std::future::pending::<Result<(), Oops>>().await
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!(census.living(), 0);
        assert!(count.load(Ordering::SeqCst) >= 50);
    });
}

/// A kind of child that spawns its own kind.
#[derive(Clone)]
struct Breed {
    census: Census,
    count: Arc<AtomicUsize>,
    spawn: Arc<dyn Fn(Breed) + Send + Sync>,
    cancel: Arc<dyn Fn() + Send + Sync>,
}

impl Breed {
    fn future(self) -> impl Future<Output = ()> + Send {
        let tracked = self.census.tracked();
        async move {
            loop {
                tracked.assert_alive();
                (self.spawn)(self.clone());
                if self.count.fetch_add(1, Ordering::SeqCst) == 50 {
                    (self.cancel)();
                }
                yield_now().await;
            }
        }
    }
}
