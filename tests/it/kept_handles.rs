//! Openings and other boundaries that are kept and polled again where they do not belong.

use std::{future::pending, pin::pin};

use headcount::{group, scope, time::sleep, timeout};

use crate::support::{
    Ledger, Oops, SEEDS, catch, done, message, ok, poll_once, secs, sim, yield_now,
};

/// Case 41, rule 8.
#[test]
fn a_group_awaited_after_the_timeout_it_began_in_says_cancelled() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut inner = pin!(group(async |g| {
                g.spawn(ledger.sleeper("child", secs(5)));
                ledger.forever("body").await;
                done()
            }));
            assert!(timeout(secs(1), inner.as_mut()).await.is_err());
            assert_eq!(ledger.now(), 1000);
            assert_eq!(
                ledger.count("child cut"),
                1,
                "its children end with the timeout"
            );
            ledger.note("awaited outside");
            assert!(inner.await.unwrap_err().is_cancelled());
            sleep(secs(1)).await;
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(ledger.count("body cut"), 1);
        assert_eq!(ledger.now(), 2000);
    });
}

/// Case 41: each turn of the loop opens its own timeout around the same group.
#[test]
fn a_loop_of_timeouts_around_one_group_comes_to_an_end() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let mut turns = 0;
        let mut inner = pin!(group(async |g| {
            g.spawn(ledger.sleeper("child", secs(5)));
            done()
        }));
        let outcome = loop {
            turns += 1;
            if let Ok(outcome) = timeout(secs(1), inner.as_mut()).await {
                break outcome;
            }
        };
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!(turns, 2);
        ledger.expect(&[(1000, "child cut")]);
    });
}

/// Case 41: a scope's children are its own, so they end when it is polled again or dropped.
#[test]
fn a_scope_awaited_after_the_timeout_it_began_in_says_cancelled() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let mut inner = pin!(scope(async |s| {
            s.spawn(ledger.sleeper("child", secs(5)));
            ledger.forever("body").await;
            done()
        }));
        assert!(timeout(secs(1), inner.as_mut()).await.is_err());
        assert_eq!(ledger.now(), 1000);
        assert!(inner.await.unwrap_err().is_cancelled());
        assert_eq!(ledger.now(), 1000);
        ledger.expect_in_any_order(&[(1000, "body cut"), (1000, "child cut")]);
    });
}

/// Rule 8: what is no opener has no error to return, so it panics.
#[test]
fn a_timeout_awaited_after_the_timeout_it_began_in_panics_with_advice() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let mut inner = Box::pin(timeout(secs(9), ledger.forever("sleep")));
        assert!(timeout(secs(1), inner.as_mut()).await.is_err());
        let payload = catch(inner).await.map(drop).unwrap_err();
        assert!(message(&*payload).len() > 20, "{}", message(&*payload));
        assert_eq!(ledger.count("sleep cut"), 1);
        assert_eq!(ledger.now(), 1000);
    });
}

/// Rule 8: the parent of a group is where it is polled first, not where it is built.
#[test]
fn a_group_belongs_to_the_timeout_it_is_first_polled_in() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let built_outside = group(async |g| {
            g.spawn(ledger.sleeper("child", secs(5)));
            done()
        });
        assert!(timeout(secs(1), built_outside).await.is_err());
        ledger.expect(&[(1000, "child cut")]);
    });
}

/// Rule 8: a group that is only polled again under a timeout does not become that timeout's.
#[test]
fn a_timeout_around_a_group_that_began_before_it_leaves_the_group_alone() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut inner = pin!(group(async |g| {
                g.spawn(ledger.sleeper("child", secs(5)));
                done()
            }));
            assert!(poll_once(&mut inner).await.is_pending());
            let mut turns = 0;
            loop {
                turns += 1;
                if let Ok(outcome) = timeout(secs(2), inner.as_mut()).await {
                    outcome.unwrap();
                    break;
                }
            }
            assert_eq!((turns, ledger.now()), (3, 5000));
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(5000, "child done")]);
    });
}

/// Rule 8: as long as nobody is cancelled, it does not matter how long it is not polled.
#[test]
fn a_group_that_is_put_aside_for_many_polls_of_its_parent_goes_on() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut kept = pin!(group(async |g| {
                g.spawn(ledger.sleeper("child", secs(1)));
                sleep(secs(2)).await;
                ok("value")
            }));
            assert!(poll_once(&mut kept).await.is_pending());
            for _ in 0..100 {
                yield_now().await;
            }
            ok(kept.await.unwrap())
        })
        .await;
        assert_eq!(outcome.unwrap(), "value");
        ledger.expect(&[(1000, "child done")]);
    });
}

/// Rule 8: the parent has ended altogether, and the kept group is awaited by its grandparent.
#[test]
fn a_group_kept_past_the_end_of_its_parent_says_cancelled() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut kept = pin!(group(async |g| {
                g.spawn(ledger.sleeper("child", secs(5)));
                done()
            }));
            let parent = group(async |_| {
                assert!(poll_once(&mut kept).await.is_pending());
                sleep(secs(1)).await;
                done()
            })
            .await;
            parent.unwrap();
            ledger.expect(&[(1000, "child cut")]);
            assert!(kept.await.unwrap_err().is_cancelled());
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(ledger.now(), 1000);
    });
}

/// Rule 8: polled where it belongs, but after the body around has ended, which took it for forgotten:
/// its value is dropped too.
#[test]
fn a_group_kept_past_the_body_that_began_it_says_cancelled() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |outer| {
            let (child, value) = (ledger.sleeper("child", secs(5)), ledger.mark("value"));
            let mut kept = Box::pin(group(async move |g| {
                g.spawn(child);
                Ok::<_, Oops>(value)
            }));
            assert!(poll_once(&mut kept).await.is_pending());
            let told = ledger.clone();
            outer.spawn(async move {
                sleep(secs(1)).await;
                assert!(kept.await.err().unwrap().is_cancelled());
                told.note("told");
            });
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(0, "child cut"), (1000, "value cut"), (1000, "told")]);
    });
}

/// Rule 13, and "dropping it changes nothing": handles that nobody awaits.
#[test]
fn a_dropped_handle_changes_nothing() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            drop(g.spawn(ledger.sleeper("dropped at once", secs(2))));
            let mut polled = g.spawn(ledger.sleeper("dropped after a poll", secs(3)));
            assert!(poll_once(&mut polled).await.is_pending());
            drop(polled);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (2000, "dropped at once done"),
            (3000, "dropped after a poll done"),
        ]);
    });
}

/// Rule 23: nothing is linked to a scope any more that has ended, but what its children own is released.
#[test]
fn a_scope_awaited_after_its_end_releases_what_its_children_own() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let inner = group(async |_| {
                let guard = ledger.deferred("guard", secs(2));
                let mut kept = Box::pin(scope(async move |s| {
                    s.spawn(async move {
                        let _guard = guard;
                        pending::<()>().await;
                    });
                    pending::<Result<(), Oops>>().await
                }));
                assert!(poll_once(&mut kept).await.is_pending());
                ok(kept)
            });
            let kept = inner.await.unwrap();
            ledger.note("inner ended");
            assert!(kept.await.unwrap_err().is_cancelled());
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[
            (0, "inner ended"),
            (0, "guard releasing"),
            (2000, "guard released"),
        ]);
    });
}

/// Rule 13: a handle of a cancelled sibling is awaited by one whom its end does not concern.
#[test]
fn a_handle_awaited_long_after_its_group_has_ended_still_answers() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let value = g.spawn(async { Ok::<_, Oops>(5) });
            let cancelled = g.spawn(pending::<()>());
            cancelled.cancel();
            Ok((value, cancelled))
        })
        .await;
        let (value, cancelled) = outcome.unwrap();
        sleep(secs(10)).await;
        assert!(value.is_finished() && cancelled.is_finished());
        cancelled.cancel();
        assert_eq!(value.await.unwrap(), 5);
        assert!(cancelled.await.unwrap_err().is_cancelled());
        assert_eq!(ledger.now(), 10_000);
    });
}
