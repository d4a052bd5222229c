//! Misuse is answered with advice (rule 32).

use std::{
    future::{Future, pending},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Waker},
};

use headcount::{Options, Started, bracket, defer, group, run, shield, time::sleep, timeout};

use crate::support::{Boxed, Ledger, Oops, SEEDS, catch, done, message, ok, poll_once, secs, sim};

/// Rules 3 and 32: never a hang; an error or a panic that says what to do.
#[test]
fn a_limit_of_zero_is_refused_with_advice() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let opened = catch(async {
            let opening = Options::new().limit(0).group(async |g| {
                g.spawn(ledger.sleeper("child", secs(1)));
                done()
            });
            opening.await
        });
        let text = match opened.await {
            Err(payload) => message(&*payload).to_owned(),
            Ok(outcome) => outcome.unwrap_err().to_string(),
        };
        assert!(text.contains("limit") && text.contains('1'), "{text}");
        assert!(!ledger.contains("child done"));
        assert_eq!(ledger.now(), 0);
    });
}

/// Case 39, rule 32.
#[test]
fn run_inside_a_task_panics_at_once_with_advice() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let inside = ledger.clone();
            let child = g.spawn(async move {
                let ran = catch(async {
                    run(async |_| {
                        inside.note("never");
                        done()
                    })
                });
                ok(message(&*ran.await.unwrap_err()).to_owned())
            });
            ok(child.await.unwrap())
        })
        .await;
        let advice = outcome.unwrap();
        assert!(
            advice.contains("run") && advice.contains("group"),
            "{advice}"
        );
        ledger.expect(&[]);
    });
}

/// Rule 32: a task of an executor that nobody here knows.
#[test]
fn run_inside_a_group_on_a_foreign_executor_panics_with_advice() {
    let mut opening = pin!(group(async |_| {
        run(async |_| done()).unwrap();
        done()
    }));
    let mut cx = Context::from_waker(Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| opening.as_mut().poll(&mut cx)));
    let payload = polled.unwrap_err();
    let advice = message(&*payload);
    assert!(
        advice.contains("run") && advice.contains("group"),
        "{advice}"
    );
}

/// The panic for the misuse is an ordinary panic of the child.
#[test]
fn a_child_that_calls_run_fails_like_any_that_panics() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = catch(group(async |g| {
            g.spawn(ledger.forever("sibling"));
            g.spawn(async { run(async |_| done()).map_err(|_| crate::support::Oops("run")) });
            done()
        }))
        .await;
        assert!(message(&*outcome.unwrap_err()).contains("run"));
        ledger.expect(&[(0, "sibling cut")]);
    });
}

/// Rule 29: a program that waits for ever is reported, its futures having been destroyed before.
#[test]
fn a_deadlock_under_the_simulator_is_a_panic_after_everything_was_dropped() {
    for seed in 0..SEEDS {
        let census = crate::support::Census::default();
        let (root, child) = (census.tracked(), census.tracked());
        let ran = std::panic::catch_unwind(move || {
            headcount::testing::Sim::new(seed).run(async move {
                let outcome = group(async |g| {
                    g.spawn_named("the one that waits", async move {
                        pending::<()>().await;
                        drop(child);
                    });
                    done()
                })
                .await;
                drop(root);
                outcome.unwrap();
            });
        });
        let payload = ran.unwrap_err();
        assert!(message(&*payload).contains("the one that waits"));
        assert_eq!((census.born(), census.living()), (2, 0));
    }
}

/// The same while children wait for what is below them, one with its value and one that has not started.
#[test]
fn a_deadlock_of_children_that_drain_is_a_panic_after_everything_was_dropped() {
    for seed in 0..SEEDS {
        let census = crate::support::Census::default();
        let (value, below) = (census.tracked(), [census.tracked(), census.tracked()]);
        let ran = catch_unwind(move || {
            headcount::testing::Sim::new(seed).run(async move {
                let outcome = group(async |g| {
                    let [first, second] = below;
                    let with_value = g.spawn(async move {
                        leaves_stuck(first).await;
                        ok(value)
                    });
                    let start = g.start(async |_: Started<()>| {
                        leaves_stuck(second).await;
                        Err::<(), _>(Oops("early"))
                    });
                    let _ = start.await;
                    with_value.await.map(drop).map_err(|_| Oops("child"))
                });
                outcome.await.unwrap();
            });
        });
        assert!(message(&*ran.unwrap_err()).contains("stuck"));
        assert_eq!((census.born(), census.living()), (3, 0));
    }
}

/// Leaves a child below that never ends, whatever is asked of it.
async fn leaves_stuck(owned: crate::support::Tracked) {
    let mut inner = Box::pin(group(async |g| {
        g.spawn_named("stuck", async move {
            shield(pending::<()>()).await;
            drop(owned);
        });
        pending::<Result<(), Oops>>().await
    }));
    assert!(poll_once(&mut inner).await.is_pending());
    // Its children have been polled when it is dropped, and so it does not end with it.
    sleep(secs(1)).await;
}

/// What has returned is not polled again.
#[test]
fn an_opening_or_a_handle_that_has_returned_panics_when_it_is_polled_again() {
    async fn again<F: Future + Unpin>(mut future: F) -> String {
        (&mut future).await;
        let payload = catch(future).await.map(drop).unwrap_err();
        message(&*payload).to_owned()
    }
    sim(1, || async {
        for text in [
            again(Box::pin(group(async |_| done()))).await,
            again(Box::pin(headcount::scope(async |_| done()))).await,
        ] {
            assert!(text.contains("boundary was polled again"), "{text}");
        }
        let outcome =
            group(async |g| ok(again(g.spawn(async { ok(String::from("output")) })).await));
        let text = outcome.await.unwrap();
        assert!(text.contains("handle was polled again"), "{text}");
    });
}

/// Rule 8: begun in one child, polled in its sibling, and then where it was begun.
#[test]
fn what_has_no_error_and_was_polled_elsewhere_panics_where_it_belongs() {
    async fn comes_back<F>(future: F) -> String
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let begun: Arc<Mutex<Option<Boxed<()>>>> = Arc::default();
        let elsewhere = begun.clone();
        let outcome = group(async |g| {
            let owner = g.spawn(async move {
                let mut future: Boxed<()> = Box::pin(future);
                assert!(poll_once(&mut future).await.is_pending());
                *begun.lock().unwrap() = Some(future);
                sleep(secs(2)).await;
                let future = begun.lock().unwrap().take().unwrap();
                let payload = catch(future).await.unwrap_err();
                ok(message(&*payload).to_owned())
            });
            sleep(secs(1)).await;
            let mut future = elsewhere.lock().unwrap().take().unwrap();
            g.spawn(async move {
                assert!(poll_once(&mut future).await.is_pending());
                *elsewhere.lock().unwrap() = Some(future);
            });
            ok(owner.await.unwrap())
        });
        outcome.await.unwrap()
    }
    sim(SEEDS, || async {
        let shielded = shield(async {
            let _guard = defer((), async |()| sleep(secs(3)).await);
            pending::<()>().await;
        });
        let bracketed = async {
            let used = bracket(
                async { ok(()) },
                async |_guard| pending::<Result<(), Oops>>().await,
                async |()| sleep(secs(3)).await,
            );
            used.await.unwrap();
        };
        let limited = async {
            let held = timeout(secs(100), async {
                let _guard = defer((), async |()| sleep(secs(3)).await);
                pending::<()>().await;
            });
            held.await.unwrap();
        };
        let texts = [
            comes_back(shielded).await,
            comes_back(bracketed).await,
            comes_back(limited).await,
        ];
        for text in texts {
            let advice = "await it where it was started, or start it anew";
            assert!(text.contains(advice), "{text}");
        }
    });
}

/// Rule 8: a shield that was kept aside while its boundary was cancelled is given up.
#[test]
fn a_kept_shield_that_was_given_up_gives_advice() {
    sim(SEEDS, || async {
        let outcome = catch(timeout(secs(1), async {
            let mut kept = Box::pin(shield(group(async |g| {
                g.spawn(async {
                    let _guard = defer((), async |()| sleep(secs(1)).await);
                    pending::<()>().await;
                });
                pending::<Result<(), Oops>>().await
            })));
            assert!(poll_once(&mut kept).await.is_pending());
            shield(sleep(secs(2))).await;
            let _ = kept.await;
        }));
        match outcome.await {
            Ok(outcome) => assert!(outcome.is_err()),
            Err(payload) => {
                let advice = "await it where it was started, or start it anew";
                assert!(message(&*payload).contains(advice));
            }
        }
    });
}
