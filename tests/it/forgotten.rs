//! Openings that are leaked half-way: their parent accounts for what they leave.

use std::{
    future::pending,
    mem,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use futures_concurrency::future::Join;

use headcount::{
    Boundary, GroupError, Options, Started, defer, group, scope, shield, time::sleep, timeout,
};

use crate::support::{
    Census, Gate, Ledger, Oops, PollCount, SEEDS, catch, done, message, poll_once, secs, sim,
    yield_now,
};

type Opening<'a, E> = Pin<Box<dyn Future<Output = Result<(), GroupError<E>>> + Send + 'a>>;

/// Case 34, without finalizers.
#[test]
fn the_children_of_a_forgotten_group_are_cancelled_when_its_parent_ends() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut inner: Opening<Oops> = Box::pin(group(async |g| {
                g.spawn(ledger.sleeper("quick", secs(1)));
                g.spawn(ledger.sleeper("slow", secs(10)));
                done()
            }));
            assert!(poll_once(&mut inner).await.is_pending());
            mem::forget(inner);
            sleep(secs(2)).await;
            ledger.note("parent's body ends");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (1000, "quick done"),
            (2000, "parent's body ends"),
            (2000, "slow cut"),
        ]);
        assert_eq!(ledger.now(), 2000);
    });
}

/// Case 34: below a timeout and another group, three levels deep.
#[test]
fn a_forgotten_group_is_accounted_for_three_levels_deep() {
    sim(SEEDS, || async {
        let (ledger, census) = (Ledger::open(), Census::default());
        let outcome = group(async |outer| {
            let census = census.clone();
            outer.spawn(async move {
                let inner = timeout(secs(1), async {
                    let middle = group(async |_| {
                        let mut lost: Opening<Oops> = Box::pin(group(async |g| {
                            let tracked = census.tracked();
                            g.spawn(async move {
                                sleep(secs(10)).await;
                                drop(tracked);
                            });
                            done()
                        }));
                        assert!(poll_once(&mut lost).await.is_pending());
                        mem::forget(lost);
                        sleep(secs(7)).await;
                        done()
                    });
                    middle.await
                });
                assert!(inner.await.is_err());
                assert_eq!((census.born(), census.living()), (1, 0));
            });
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(census.living(), 0);
        assert_eq!(ledger.now(), 1000);
    });
}

/// Case 34: a forgotten group whose parent is cancelled instead of ending.
#[test]
fn the_children_of_a_forgotten_group_are_cancelled_with_its_parent() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |parent| {
            let mut inner: Opening<Oops> = Box::pin(group(async |g| {
                g.spawn(ledger.sleeper("child", secs(10)));
                done()
            }));
            assert!(poll_once(&mut inner).await.is_pending());
            mem::forget(inner);
            sleep(secs(1)).await;
            parent.cancel();
            pending::<Result<(), Oops>>().await
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        ledger.expect(&[(1000, "child cut")]);
    });
}

/// Rule 21: what the body owns outlives the children of a group that it has forgotten.
#[test]
fn a_cancelled_body_is_dropped_when_what_it_has_forgotten_has_drained() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |parent| {
            let _owned = ledger.mark("owned");
            let mut inner: Opening<Oops> = Box::pin(group(async |g| {
                g.spawn(shield(ledger.sleeper("child", secs(3))));
                done()
            }));
            // Its waker is gone with it, as that of a branch of a combinator would be.
            let polled = inner.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
            mem::forget(inner);
            sleep(secs(1)).await;
            parent.cancel();
            pending::<Result<(), Oops>>().await
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        ledger.expect(&[(3000, "child done"), (3000, "owned cut")]);
    });
}

/// Case 34: inline children of a forgotten scope never run again, and nobody waits for them.
#[test]
fn the_children_of_a_forgotten_scope_never_run_again() {
    sim(SEEDS, || async {
        let (ledger, polls, gate) = (Ledger::open(), PollCount::default(), Gate::default());
        let borrowed = Census::default();
        let outcome = group(async |_| {
            let data = borrowed.tracked();
            let mut inner: Opening<Oops> = Box::pin(scope(async |s| {
                let data = &data;
                for _ in 0..3 {
                    let wait = gate.wait();
                    s.spawn(polls.of(async move {
                        wait.await;
                        data.assert_alive();
                        pending::<()>().await;
                    }));
                }
                done()
            }));
            while polls.get() < 3 {
                assert!(poll_once(&mut inner).await.is_pending());
                yield_now().await;
            }
            mem::forget(inner);
            drop(data);
            let before = polls.get();
            gate.open();
            sleep(secs(1)).await;
            assert_eq!(polls.get(), before);
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(borrowed.living(), 0);
        assert_eq!(ledger.now(), 1000);
    });
}

/// Case 34, rule 8: below a forgotten scope the spawned children do count.
#[test]
fn the_children_of_a_group_inside_a_forgotten_scope_are_accounted_for() {
    sim(SEEDS, || async {
        let (ledger, census) = (Ledger::open(), Census::default());
        let outcome = group(async |_| {
            let mut inner: Opening<Oops> = Box::pin(scope(async |s| {
                let census = census.clone();
                s.spawn(async move {
                    let below = group(async |g| {
                        let tracked = census.tracked();
                        g.spawn(async move {
                            sleep(secs(10)).await;
                            drop(tracked);
                        });
                        done()
                    });
                    below.await.map_err(|_| Oops("below"))
                });
                done()
            }));
            while census.born() == 0 {
                assert!(poll_once(&mut inner).await.is_pending());
                yield_now().await;
            }
            mem::forget(inner);
            sleep(secs(2)).await;
            assert_eq!(census.living(), 1);
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(census.living(), 0);
        assert_eq!(ledger.now(), 2000);
    });
}

/// A child of a forgotten scope never ends: who awaits its handle, or its start, elsewhere is told.
#[test]
fn who_waits_for_a_child_of_a_forgotten_scope_is_told_that_it_is_cancelled() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |outer| {
            let mut lost: Opening<Oops> = Box::pin(scope(async |s| {
                let child = s.spawn(pending::<()>());
                let (first, second) = (ledger.clone(), ledger.clone());
                outer.spawn(async move {
                    assert!(child.await.unwrap_err().is_cancelled());
                    first.note("joined");
                });
                outer.spawn(async move {
                    let start = s.start(async |_started: Started<()>| pending::<()>().await);
                    assert!(start.await.unwrap_err().is_cancelled());
                    second.note("not started");
                });
                pending().await
            }));
            assert!(poll_once(&mut lost).await.is_pending());
            sleep(secs(1)).await;
            mem::forget(lost);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect_in_any_order(&[(1000, "joined"), (1000, "not started")]);
    });
}

/// The same if the end of the scope waits for who waits: for a child that is starting from its
/// body, or for one of a group in there.
#[test]
fn who_waits_below_a_forgotten_scope_for_its_child_is_told_that_it_is_cancelled() {
    sim(SEEDS, || async {
        let (ledger, census) = (Ledger::open(), Census::default());
        let outcome = group(async |outer| {
            let mut lost: Opening<Oops> = Box::pin(scope(async |s| {
                let child = s.spawn(pending::<()>());
                let (starting, inside) = (census.tracked(), ledger.clone());
                let start = outer.start(async move |_started: Started<()>| {
                    let start = s.start(async |_started: Started<()>| pending::<()>().await);
                    let _ = start.await;
                    drop(starting);
                });
                let waits = group(async move |g| {
                    g.spawn(async move {
                        assert!(shield(child).await.unwrap_err().is_cancelled());
                        inside.note("joined");
                    });
                    pending::<Result<(), Oops>>().await
                });
                let _ = (start, waits).join().await;
                done()
            }));
            assert!(poll_once(&mut lost).await.is_pending());
            sleep(secs(1)).await;
            mem::forget(lost);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(1000, "joined")]);
        assert_eq!((census.born(), census.living()), (1, 0));
        assert_eq!(ledger.now(), 1000);
    });
}

/// The same for one that waits in line under the limit of the scope.
#[test]
fn who_waits_for_a_child_in_line_in_a_forgotten_scope_is_told_that_it_is_cancelled() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |outer| {
            let mut lost: Opening<Oops> = Box::pin(Options::new().limit(1).scope(async |s| {
                s.spawn(pending::<()>());
                let in_line = s.spawn(async {});
                let waits = ledger.clone();
                outer.spawn(async move {
                    assert!(in_line.await.unwrap_err().is_cancelled());
                    waits.note("joined");
                });
                pending().await
            }));
            assert!(poll_once(&mut lost).await.is_pending());
            sleep(secs(1)).await;
            mem::forget(lost);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(1000, "joined")]);
    });
}

/// A group that waits for ever, and its boundary.
async fn opened() -> (Boundary, Opening<'static, Oops>) {
    let here = Arc::new(Mutex::new(None));
    let give = here.clone();
    let mut opening: Opening<Oops> = Box::pin(group(async move |_| {
        *give.lock().unwrap() = Boundary::current();
        pending().await
    }));
    assert!(poll_once(&mut opening).await.is_pending());
    let here = here.lock().unwrap().take();
    (here.unwrap(), opening)
}

/// The body of the inner group drops the opener of the one around, and what it opens after that is
/// left behind like the rest.
#[test]
fn what_a_body_opens_after_it_was_left_behind_itself_is_accounted_for() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let (here, around) = opened().await;
            let mut inner = Box::pin(here.wrap(group(async |_| {
                drop(around);
                let late = group(async |_| {
                    let _guard = ledger.deferred("guard", secs(2));
                    done()
                });
                late.await.map_err(|_| Oops("late"))
            })));
            assert!(poll_once(&mut inner).await.is_pending());
            mem::forget(inner);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(0, "guard releasing"), (2000, "guard released")]);
    });
}

/// The poll of a scope covers those of its inline children.
#[test]
fn what_an_inline_child_opens_after_its_scope_was_left_behind_is_accounted_for() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let (here, around) = opened().await;
            let mut inner = Box::pin(here.wrap(scope(async |s| {
                s.spawn(async {
                    let _never = ledger.deferred("never", secs(2));
                    drop(around);
                    let late = group(async |_| {
                        let _guard = ledger.deferred("guard", secs(2));
                        done()
                    });
                    late.await.map_err(|_| Oops("late"))
                });
                done()
            })));
            assert!(poll_once(&mut inner).await.is_pending());
            mem::forget(inner);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(0, "guard releasing"), (2000, "guard released")]);
    });
}

/// Rule 14: left behind in the poll that ends it, it still has an opener that is told.
#[test]
fn the_panic_of_a_body_that_has_left_itself_behind_resumes_in_its_opener() {
    sim(SEEDS, || async {
        let outcome = group(async |_| {
            let (here, around) = opened().await;
            let inner = here.wrap(group(async |_| {
                drop(around);
                panic!("inner");
                #[allow(unreachable_code)]
                done()
            }));
            assert_eq!(message(&*catch(inner).await.unwrap_err()), "inner");
            done()
        })
        .await;
        outcome.unwrap();
    });
}

/// Case 37: a chain of boundaries that only the boundary around can account for.
#[test]
fn ten_thousand_forgotten_groups_in_one_another_end_without_a_stack_overflow() {
    sim(1, || async {
        let outcome = group(async |_| {
            let (mut here, opening) = opened().await;
            mem::forget(opening);
            for _ in 0..10_000 {
                let mut next = Box::pin(here.wrap(opened()));
                let Poll::Ready((inner, opening)) = poll_once(&mut next).await else {
                    panic!("nothing to wait for");
                };
                mem::forget(opening);
                here = inner;
            }
            done()
        });
        outcome.await.unwrap();
    });
}

/// Forgets a group whose child has a release that takes 3 s, and goes on at 3 s.
async fn forgets_and_goes_on(ledger: Ledger) -> Result<(), Oops> {
    let mut inner: Opening<Oops> = Box::pin(group(async |g| {
        g.spawn(async {
            let _guard = defer((), |()| sleep(secs(3)));
            pending::<()>().await;
        });
        pending().await
    }));
    assert!(poll_once(&mut inner).await.is_pending());
    mem::forget(inner);
    sleep(secs(3)).await;
    ledger.note("went on");
    done()
}

/// Rules 19 and 21: the code is there until what it forgot has drained, and does not go on.
#[test]
fn a_cancelled_body_does_not_go_on_while_what_it_forgot_drains() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let handle = g.clone();
            g.spawn(async move {
                sleep(secs(1)).await;
                handle.cancel();
            });
            forgets_and_goes_on(ledger.clone()).await
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        ledger.expect(&[]);
        assert_eq!(ledger.now(), 4000);
    });
}

/// The same for a child.
#[test]
fn a_cancelled_child_does_not_go_on_while_what_it_forgot_drains() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let child = g.spawn(forgets_and_goes_on(ledger.clone()));
            sleep(secs(1)).await;
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[]);
        assert_eq!(ledger.now(), 4000);
    });
}
