//! Deadlines around openings, and of `Options`.

use std::{
    future::{Future, pending, poll_fn},
    pin::Pin,
    task::Poll,
};

use futures_concurrency::future::Join;
use futures_util::{StreamExt, stream::FuturesUnordered};
use headcount::{
    Instant, Options, TaskGroup, checkpoint, group, move_on_after, scope, shield, time::sleep,
    timeout,
};

use crate::support::{Census, Ledger, Named, Oops, SEEDS, done, ok, secs, sim};

/// Case 21, rule 27.
#[test]
fn a_timeout_over_a_group_ends_its_children_before_it_reports() {
    sim(SEEDS, || async {
        let (ledger, census) = (Ledger::open(), Census::default());
        let outcome = timeout(
            secs(1),
            group(async |g| {
                for _ in 0..5 {
                    let tracked = census.tracked();
                    g.spawn(async move {
                        sleep(secs(10)).await;
                        drop(tracked);
                    });
                }
                done()
            }),
        )
        .await;
        assert!(outcome.is_err());
        assert_eq!((census.born(), census.living()), (5, 0));
        assert_eq!(ledger.now(), 1000);
    });
}

/// Rule 27: the group returned in time, with an error of its own.
#[test]
fn a_failure_in_time_is_no_timeout() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(
            secs(5),
            group(async |g| {
                g.spawn(ledger.failing("a", secs(1)));
                done()
            }),
        )
        .await;
        assert_eq!(outcome.unwrap().names(), ["a"]);
        assert_eq!(ledger.now(), 1000);
    });
}

/// Rule 28: an explicit cancel is never a timeout.
#[test]
fn an_explicit_cancel_under_a_timeout_is_no_timeout() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(
            secs(5),
            group(async |g| {
                g.spawn(ledger.forever("child"));
                sleep(secs(1)).await;
                g.cancel();
                pending::<Result<(), Oops>>().await
            }),
        )
        .await;
        assert!(outcome.unwrap().unwrap_err().is_cancelled());
        ledger.expect(&[(1000, "child cut")]);
    });
}

/// Rules 21 and 28: a timeout inside a cancelled group does not report either.
#[test]
fn a_timeout_does_not_report_a_cancellation_from_outside() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let (canceller, mark) = (g.clone(), ledger.mark("after the timeout"));
            g.spawn(async move {
                let _ = timeout(secs(5), pending::<()>()).await;
                mark.finish("resumed");
            });
            g.spawn(async move {
                sleep(secs(1)).await;
                canceller.cancel();
            });
            pending::<Result<(), Oops>>().await
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        ledger.expect(&[(1000, "after the timeout cut")]);
    });
}

/// Rule 11: the deadline of `Options`.
#[test]
fn a_group_that_passes_its_own_deadline_says_cancelled() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let start = Instant::now();
        let options = Options::new().name("hurried").deadline(start + secs(2));
        let outcome = options
            .clone()
            .group(async |g| {
                assert_eq!(headcount::current_deadline(), Some(start + secs(2)));
                g.spawn(ledger.forever("child"));
                ledger.forever("body").await;
                done()
            })
            .await;
        assert!(outcome.unwrap_err().is_cancelled());
        ledger.expect_in_any_order(&[(2000, "body cut"), (2000, "child cut")]);

        // The same deadline is past now; the first poll happens all the same.
        let outcome = options
            .scope(async |g| {
                g.spawn(ledger.forever("second child"));
                ledger.note("second body");
                checkpoint().await;
                ledger.note("never");
                done()
            })
            .await;
        assert!(outcome.unwrap_err().is_cancelled());
        assert!(ledger.contains("second body") && !ledger.contains("never"));
        assert_eq!(ledger.now(), 2000);
    });
}

/// Rule 11: the body has returned its value when the deadline of `Options` cuts a child.
#[test]
fn a_value_survives_the_deadline_of_its_own_group() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let options = Options::new().deadline(Instant::now() + secs(2));
        let outcome = options
            .group(async |g| {
                g.spawn(ledger.forever("child"));
                ok("value")
            })
            .await;
        assert_eq!(outcome.unwrap(), "value");
        ledger.expect(&[(2000, "child cut")]);
    });
}

/// Rule 28: a timeout around a group with the same deadline reports, not the group.
#[test]
fn of_a_timeout_and_the_deadline_of_a_group_inside_the_outermost_reports() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let at = Instant::now() + secs(2);
        let outcome = headcount::timeout_at(at, async {
            let inner = Options::new().deadline(at).group(async |g| {
                g.spawn(ledger.forever("child"));
                pending::<Result<(), Oops>>().await
            });
            let inner = inner.await;
            ledger.note("between");
            inner
        })
        .await;
        assert!(outcome.is_err());
        ledger.expect(&[(2000, "child cut")]);
    });
}

/// Case 23 with a group in each.
#[test]
fn an_inner_timeout_over_a_scope_leaves_the_outer_group_alone() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(
            secs(5),
            group(async |g| {
                g.spawn(ledger.sleeper("sibling", secs(3)));
                let inner = move_on_after(
                    secs(1),
                    scope(async |s| {
                        s.spawn(ledger.forever("inner child"));
                        done()
                    }),
                )
                .await;
                assert!(inner.is_none());
                assert_eq!(ledger.now(), 1000);
                ok("value")
            }),
        )
        .await;
        assert_eq!(outcome.unwrap().unwrap(), "value");
        ledger.expect(&[(1000, "inner child cut"), (3000, "sibling done")]);
    });
}

/// A timeout in every child, each with its own deadline.
#[test]
fn the_timeouts_of_siblings_are_their_own() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            for (name, time) in [("a", 1), ("b", 2), ("c", 3)] {
                let sleeper = ledger.sleeper(name, secs(2));
                g.spawn(async move {
                    // At two seconds the value of `b` is ready, and wins.
                    assert_eq!(timeout(secs(time), sleeper).await.is_err(), name == "a");
                });
            }
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect_in_any_order(&[(1000, "a cut"), (2000, "b done"), (2000, "c done")]);
    });
}

/// Rule 22: a combinator that polls only who was woken does not cut the shields of the others.
#[test]
fn a_shield_holds_in_a_branch_that_is_not_polled_while_another_drains() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(1), async {
            let drains = group(async |g| {
                let child = ledger.clone();
                g.spawn(async move {
                    let _guard = child.deferred("guard", secs(1));
                    pending::<()>().await;
                });
                pending::<Result<(), Oops>>().await
            });
            let shields = group(async |_| {
                shield(sleep(secs(5))).await;
                ledger.note("shielded");
                done()
            });
            (drains, shields).join().await
        })
        .await;
        assert!(outcome.is_err());
        ledger.expect(&[
            (1000, "guard releasing"),
            (2000, "guard released"),
            (5000, "shielded"),
        ]);
    });
}

/// Rule 22: nor does one that polls its branches in turn, one in each poll.
#[test]
fn a_shield_holds_in_branches_that_are_polled_in_turn() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(1), async {
            let mut branches = ["a", "b", "c", "d", "e"].map(|name| {
                let ledger = ledger.clone();
                Box::pin(group(async move |_| {
                    shield(sleep(secs(4))).await;
                    ledger.note(name);
                    done()
                }))
            });
            let mut turn = 0;
            poll_fn(|cx| {
                _ = branches[turn].as_mut().poll(cx);
                turn = (turn + 1) % branches.len();
                if turn > 0 {
                    cx.waker().wake_by_ref();
                }
                Poll::<()>::Pending
            })
            .await;
        })
        .await;
        assert!(outcome.is_err());
        ledger.expect_in_any_order(&[
            (4000, "a"),
            (4000, "b"),
            (4000, "c"),
            (4000, "d"),
            (4000, "e"),
        ]);
    });
}

/// Rule 21: nor does it drop what a branch owns before the groups inside have drained.
#[test]
fn what_a_branch_owns_outlives_its_groups_while_another_branch_drains_first() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let slow = |name, time| {
            let ledger = ledger.clone();
            group(async move |g| {
                g.spawn(async move {
                    let _guard = ledger.deferred(name, secs(time));
                    pending::<()>().await;
                });
                pending::<Result<(), Oops>>().await
            })
        };
        let branches: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send>>> =
            FuturesUnordered::new();
        let owner = ledger.clone();
        let inside = slow("slow", 5);
        branches.push(Box::pin(async {
            let _ = slow("quick", 1).await;
        }));
        branches.push(Box::pin(async move {
            let _ = group(async |_: TaskGroup<'static, Oops>| {
                let _folder = owner.mark("folder");
                let _ = inside.await;
                done()
            })
            .await;
        }));
        let outcome = timeout(secs(1), branches.collect::<Vec<()>>()).await;
        assert!(outcome.is_err());
        ledger.expect_in_any_order(&[
            (1000, "quick releasing"),
            (1000, "slow releasing"),
            (2000, "quick released"),
            (6000, "slow released"),
            (6000, "folder cut"),
        ]);
        assert_eq!(ledger.last().unwrap(), "folder cut");
    });
}
