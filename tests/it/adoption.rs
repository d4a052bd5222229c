//! Openings that are dropped or forgotten half-way: their parent accounts for what they leave.

use std::{
    future::{pending, poll_fn},
    pin::Pin,
    task::Poll,
};

use futures_concurrency::future::Race;
use headcount::{GroupError, group, scope, time::sleep};

use crate::support::{
    Census, Ledger, Named, Oops, SEEDS, catch, done, drops_later_panicking, message, ok, poll_for,
    poll_once, secs, shielded_sleep, sim,
};

type Opening<'a, E> = Pin<Box<dyn Future<Output = Result<(), GroupError<E>>> + Send + 'a>>;

/// Case 33, without finalizers: a foreign combinator drops the group half-way.
#[test]
fn a_group_dropped_by_a_race_is_accounted_for_by_its_parent() {
    sim(SEEDS, || async {
        let (ledger, census) = (Ledger::open(), Census::default());
        let outcome = group(async |_| {
            let loser = async {
                let lost = group(async |g| {
                    for _ in 0..3 {
                        let tracked = census.tracked();
                        g.spawn(async move {
                            sleep(secs(10)).await;
                            drop(tracked);
                        });
                    }
                    done()
                })
                .await;
                ledger.note("never");
                lost.map(|()| "loser")
            };
            let winner = async {
                sleep(secs(1)).await;
                Ok("winner")
            };
            ok((loser, winner).race().await.unwrap())
        })
        .await;
        assert_eq!(outcome.unwrap(), "winner");
        assert_eq!((census.born(), census.living()), (3, 0));
        ledger.expect(&[]);
        assert_eq!(ledger.now(), 1000);
    });
}

/// Case 33: dropping requests the cancellation at once; the parent's body need not end for it.
#[test]
fn the_children_of_a_dropped_group_are_cancelled_at_once() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut inner: Opening<Oops> = Box::pin(group(async |g| {
                g.spawn(ledger.sleeper("child", secs(10)));
                ledger.forever("body").await;
                done()
            }));
            assert!(poll_once(&mut inner).await.is_pending());
            sleep(secs(1)).await;
            drop(inner);
            ledger.note("dropped");
            sleep(secs(1)).await;
            ledger.note("parent's body ends");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect_in_any_order(&[
            (1000, "body cut"),
            (1000, "dropped"),
            (1000, "child cut"),
            (2000, "parent's body ends"),
        ]);
    });
}

/// Rule 18: dropping a group drops no spawned child on the dropper's stack.
#[test]
fn dropping_a_group_drops_its_body_but_no_child_itself() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut inner: Opening<Oops> = Box::pin(group(async |g| {
                g.spawn(ledger.sleeper("child", secs(10)));
                ledger.forever("body").await;
                done()
            }));
            assert!(poll_once(&mut inner).await.is_pending());
            sleep(secs(1)).await;
            drop(inner);
            ledger.expect(&[(1000, "body cut")]);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(1000, "body cut"), (1000, "child cut")]);
    });
}

/// Rule 12: what a dropped group's child panics with while it is cancelled climbs to the parent.
#[test]
fn the_panic_of_a_dropped_groups_child_resumes_in_the_parent() {
    sim(SEEDS, || async {
        let outcome = catch(group(async |_| {
            let mut inner: Opening<Oops> = Box::pin(group(async |g| {
                g.spawn(drops_later_panicking("orphan"));
                done()
            }));
            assert!(poll_once(&mut inner).await.is_pending());
            sleep(secs(1)).await;
            drop(inner);
            done()
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "orphan");
    });
}

/// Rules 12 and 14: the nearest boundary is the group of the child that dropped its own.
#[test]
fn the_panic_of_a_group_dropped_in_a_child_resumes_in_the_childs_group() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = catch(group(async |g| {
            g.spawn(ledger.forever("sibling"));
            g.spawn(async {
                let mut inner = Box::pin(group(async |g| {
                    g.spawn(drops_later_panicking("orphan"));
                    sleep(secs(9)).await;
                    done()
                }));
                assert!(poll_once(&mut inner).await.is_pending());
                sleep(secs(1)).await;
                drop(inner);
                sleep(secs(1)).await;
            });
            done()
        }))
        .await;
        assert_eq!(message(&*outcome.map(drop).unwrap_err()), "orphan");
        ledger.expect(&[(1000, "sibling cut")]);
    });
}

/// Rule 12: an error whose group was dropped becomes a cleanup failure of the parent.
#[test]
fn the_error_of_a_dropped_group_becomes_a_cleanup_failure_of_the_parent() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            // The child has failed, and nobody polls the group any more to hear of it.
            let mut inner: Opening<Oops> = Box::pin(group(async |g| {
                g.spawn(ledger.failing("a", secs(1)));
                done()
            }));
            assert!(poll_once(&mut inner).await.is_pending());
            sleep(secs(2)).await;
            assert!(ledger.contains("a failed"));
            drop(inner);
            done()
        })
        .await;
        let error = outcome.unwrap_err();
        assert!(error.failures().is_empty() && !error.is_cancelled());
        assert_eq!(error.cleanup_failures().len(), 1);
        let text = error.cleanup_failures()[0].error().to_string();
        let (shown, debugged) = (Oops("a").to_string(), format!("{:?}", Oops("a")));
        assert!(text.contains(&shown) || text.contains(&debugged), "{text}");
    });
}

/// A scope that is dropped takes its inline children with it, there and then.
#[test]
fn a_dropped_scope_drops_its_children_inside_the_drop() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let data = String::from("borrowed");
            let mut inner: Opening<Oops> = Box::pin(scope(async |s| {
                let (mark, data) = (ledger.mark("child"), &data);
                s.spawn(async move {
                    sleep(secs(10)).await;
                    mark.finish(data);
                });
                done()
            }));
            assert!(poll_once(&mut inner).await.is_pending());
            sleep(secs(1)).await;
            drop(inner);
            ledger.note("dropped");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(1000, "child cut"), (1000, "dropped")]);
    });
}

/// Rules 1 and 13: such a child has ended with its scope, and its handle says so to who awaits it
/// elsewhere. What it had begun to release goes on in the boundary around.
#[test]
fn the_handle_of_a_child_of_a_dropped_scope_does_not_wait_for_its_releases() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |outer| {
            let mut lost = Box::pin(scope(async |s| {
                let (inside, waits) = (ledger.clone(), ledger.clone());
                let child = s.spawn(async move { drop(inside.deferred("guard", secs(5))) });
                outer.spawn(async move {
                    assert!(child.await.unwrap_err().is_cancelled());
                    waits.note("told");
                });
                pending::<Result<(), Oops>>().await
            }));
            assert!(poll_for(&mut lost, secs(1)).await.is_pending());
            drop(lost);
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[
            (0, "guard releasing"),
            (1000, "told"),
            (5000, "guard released"),
        ]);
    });
}

/// Case 33: a child is dropped with its half-way group because its own group is cancelled.
#[test]
fn groups_in_cancelled_children_of_a_dropped_group_are_accounted_for() {
    sim(SEEDS, || async {
        let census = Census::default();
        let outcome = group(async |_| {
            let (leaves, count) = (census.clone(), census.clone());
            let mut inner: Opening<Oops> = Box::pin(group(async move |g| {
                g.spawn(async move {
                    let below = group(async move |g| {
                        let tracked = leaves.tracked();
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
            let mut some = 0;
            poll_fn(|cx| {
                some = count.born();
                if some == 1 {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                inner.as_mut().poll(cx).map(|outcome| outcome.unwrap())
            })
            .await;
            drop(inner);
            ok(some)
        })
        .await;
        assert_eq!(outcome.names(), [""; 0]);
        assert_eq!(outcome.unwrap(), 1);
        assert_eq!(census.living(), 0);
    });
}

/// Rules 1 and 13: what a race in a child has dropped belongs to the child, whose handle resolves, and
/// whose group returns, only once that has ended.
#[test]
fn a_child_that_has_dropped_a_group_ends_after_it() {
    for awaited in [false, true] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |g| {
                let inside = ledger.clone();
                let child = g.spawn(async move {
                    let loses = async {
                        let lost = group(async |g| {
                            g.spawn(shielded_sleep(secs(3)));
                            std::future::pending::<Result<&str, Oops>>().await
                        });
                        lost.await.map_err(|_| Oops("loser"))
                    };
                    let wins = async {
                        sleep(secs(1)).await;
                        ok("winner")
                    };
                    let won = (loses, wins).race().await;
                    inside.note("raced");
                    won
                });
                if awaited {
                    assert_eq!(child.await.unwrap(), "winner");
                    ledger.note("joined");
                }
                done()
            });
            outcome.await.unwrap();
            match awaited {
                true => ledger.expect(&[(1000, "raced"), (3000, "joined")]),
                false => ledger.expect(&[(1000, "raced")]),
            }
            assert_eq!(ledger.now(), 3000);
        });
    }
}
