//! `start`: to whom a child belongs before it has started, and after.

use std::{
    future::{Ready, pending},
    time::Duration,
};

use headcount::{
    CancelScope, StartError, Started, TaskGroup, checkpoint, group, scope, time::sleep, timeout,
};

use crate::support::{Ledger, Oops, SEEDS, catch, done, message, ok, poll_once, secs, sim};

/// Starts after `ready`, ends after `rest`; notes both, and being cut.
async fn service(
    ledger: Ledger,
    started: Started<u64>,
    ready: Duration,
    rest: Duration,
) -> Result<(), Oops> {
    let mark = ledger.mark("service");
    sleep(ready).await;
    started.send(7);
    sleep(rest).await;
    mark.finish("done");
    Ok(())
}

/// Case 25, rule 30.
#[test]
fn start_gives_what_the_child_sent_and_the_child_goes_on_in_the_group() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let child = ledger.clone();
            let value = g
                .start(|started| service(child, started, secs(2), secs(2)))
                .await;
            assert_eq!(value.unwrap(), 7);
            ledger.note("started");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(2000, "started"), (4000, "service done")]);
    });
}

/// Case 25, rule 30: in an inline scope too.
#[test]
fn start_works_in_a_scope_and_borrows() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = scope(async |s| {
            let value = s
                .start(async |started: Started<u64>| {
                    ledger.note("child runs");
                    sleep(secs(2)).await;
                    started.send(3);
                    sleep(secs(2)).await;
                    done()
                })
                .await;
            assert_eq!(value.unwrap(), 3);
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(ledger.now(), 4000);
    });
}

/// Case 25, rule 30: before the start the error is the caller's only.
#[test]
fn a_child_that_fails_before_it_has_started_fails_for_its_caller_only() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.spawn(ledger.sleeper("sibling", secs(3)));
            let error = g
                .start(async |_started: Started<()>| {
                    sleep(secs(1)).await;
                    Err::<(), _>(Oops("early"))
                })
                .await
                .unwrap_err();
            assert_eq!(error.into_error(), Some(Oops("early")));
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(3000, "sibling done")]);
    });
}

/// Case 25, rule 30: after it, it is the group's.
#[test]
fn a_child_that_fails_after_it_has_started_fails_its_group() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.start(async |started: Started<()>| {
                started.send(());
                sleep(secs(1)).await;
                Err::<(), _>(Oops("late"))
            })
            .await
            .unwrap();
            ledger.forever("body").await;
            done()
        })
        .await;
        assert_eq!(outcome.unwrap_err().into_first(), Some(Oops("late")));
        ledger.expect(&[(1000, "body cut")]);
    });
}

/// Case 25, rule 30.
#[test]
fn a_child_that_ends_without_having_started_is_a_specific_error() {
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            let dropped = g.start(async |started: Started<()>| {
                drop(started);
                sleep(secs(1)).await;
                done()
            });
            let error: StartError<Oops> = dropped.await.unwrap_err();
            assert!(error.is_never_started() && !error.is_cancelled());
            done()
        })
        .await;
        outcome.unwrap();
    });
}

/// Rule 30: a panic before the start resumes in the caller, and touches nobody else.
#[test]
fn a_panic_before_the_start_resumes_in_the_caller() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.spawn(ledger.sleeper("sibling", secs(3)));
            let start = g.start(async |_started: Started<()>| -> Result<(), Oops> {
                sleep(secs(1)).await;
                panic!("early")
            });
            let payload = catch(start).await.map(|_| ()).unwrap_err();
            assert_eq!(message(&*payload), "early");
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(3000, "sibling done")]);
    });
}

/// Rule 30: the same when it panics before there is a future.
#[test]
fn a_panic_of_the_closure_itself_resumes_in_the_caller() {
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            let start =
                g.start(|_started: Started<()>| -> Ready<Result<(), Oops>> { panic!("no future") });
            let payload = catch(start).await.map(|_| ()).unwrap_err();
            assert_eq!(message(&*payload), "no future");
            done()
        });
        outcome.await.unwrap();
    });
}

/// Rule 30: cancelled with the caller before, not after.
#[test]
fn the_cancellation_of_the_caller_ends_a_child_that_has_not_started() {
    for (ready, expected) in [
        (2, &[(1000, "service cut")][..]),
        (0, &[(4000, "service done")]),
    ] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |g| {
                let child = ledger.clone();
                let _ = timeout(secs(1), async {
                    let value = g
                        .start(|started| service(child, started, secs(ready), secs(4)))
                        .await;
                    assert_eq!((value.unwrap(), ready), (7, 0));
                    pending::<()>().await;
                })
                .await;
                done()
            })
            .await;
            outcome.unwrap();
            ledger.expect(expected);
        });
    }
}

/// Rule 30: the source was cancelled before; `send` comes too late, and the child is cut.
#[test]
fn a_child_of_a_cancelled_caller_cannot_start_any_more() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let (child, source) = (ledger.clone(), CancelScope::new());
            let inside = source.clone();
            let entered = source
                .enter(async {
                    let start = g.start(async move |started: Started<()>| {
                        let mark = child.mark("child");
                        inside.cancel();
                        started.send(());
                        checkpoint().await;
                        checkpoint().await;
                        mark.finish("went on");
                        done()
                    });
                    let _ = start.await;
                    ledger.note("never");
                })
                .await;
            assert!(entered.is_err());
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(0, "child cut")]);
    });
}

/// Rule 30: a target that is aborting cancels a child that has not started.
#[test]
fn the_cancellation_of_the_target_ends_a_child_that_has_not_started() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let (give, take) = async_channel_of_group();
            let target = async move {
                group(async |g: TaskGroup<'static, Oops>| {
                    give(g.clone());
                    sleep(secs(1)).await;
                    g.cancel();
                    pending::<Result<(), Oops>>().await
                })
                .await
            };
            let caller = async {
                checkpoint().await;
                let g = take();
                let child = ledger.clone();
                let start = g.start(|started| service(child, started, secs(5), secs(5)));
                assert!(start.await.unwrap_err().is_cancelled());
                ledger.note("refused");
            };
            let (ended, ()) = futures_concurrency::future::Join::join((target, caller)).await;
            assert!(ended.unwrap_err().is_cancelled());
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(1000, "service cut"), (1000, "refused")]);
    });
}

type Handle = TaskGroup<'static, Oops>;

/// Hands a group over from one branch to another.
fn async_channel_of_group() -> (impl FnOnce(Handle) + Send, impl FnOnce() -> Handle + Send) {
    let (give, take) = std::sync::mpsc::channel();
    let give = std::sync::Mutex::new(give);
    (
        move |g| give.lock().unwrap().send(g).unwrap(),
        move || take.recv().unwrap(),
    )
}

/// Rule 30: the pending start counts in the target.
#[test]
fn a_group_waits_for_a_child_that_is_starting() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |outer| {
            let child = ledger.clone();
            let inner = group(async |g: Handle| {
                outer.spawn(async move {
                    let start = g.start(|started| service(child, started, secs(2), secs(2)));
                    assert_eq!(start.await.unwrap(), 7);
                });
                sleep(secs(1)).await;
                done()
            });
            inner.await.unwrap();
            ledger.note("inner ended");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(4000, "service done"), (4000, "inner ended")]);
    });
}

/// Rule 30: dropped or forgotten, it is cancelled by the caller's boundary.
#[test]
fn a_start_that_is_dropped_or_forgotten_is_cancelled_with_its_callers_boundary() {
    for forget in [false, true] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |g| {
                let (child, outer) = (ledger.clone(), g.clone());
                group(async |_| {
                    let start = outer.start(|started| service(child, started, secs(9), secs(9)));
                    let mut start = Box::pin(start);
                    assert!(poll_once(&mut start).await.is_pending());
                    sleep(secs(1)).await;
                    match forget {
                        true => std::mem::forget(start),
                        false => drop(start),
                    }
                    ok(())
                })
                .await
                .unwrap();
                ledger.note("inner ended");
                done()
            })
            .await;
            outcome.unwrap();
            ledger.expect(&[(1000, "service cut"), (1000, "inner ended")]);
        });
    }
}

/// Rules 1 and 30: what it owes counts for its caller too.
#[test]
fn a_start_that_is_dropped_or_forgotten_is_waited_for_until_its_child_has_released() {
    for forget in [false, true] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |g| {
                let (child, outer) = (ledger.clone(), g.clone());
                let inner = group(async |_| {
                    let mut start = Box::pin(outer.start(async move |_started: Started<()>| {
                        let _guard = child.deferred("guard", secs(2));
                        sleep(secs(9)).await;
                        done()
                    }));
                    assert!(poll_once(&mut start).await.is_pending());
                    sleep(secs(1)).await;
                    match forget {
                        true => std::mem::forget(start),
                        false => drop(start),
                    }
                    done()
                });
                inner.await.unwrap();
                ledger.note("inner ended");
                done()
            })
            .await;
            outcome.unwrap();
            ledger.expect(&[
                (1000, "guard releasing"),
                (3000, "guard released"),
                (3000, "inner ended"),
            ]);
        });
    }
}
