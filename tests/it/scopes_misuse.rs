//! Cancel scopes that are entered twice, or kept and polled where they do not belong (rules 8 and 32).

use std::{future::pending, pin::pin};

use headcount::{CancelScope, checkpoint, group, time::sleep, timeout};

use crate::support::{Ledger, SEEDS, catch, done, message, poll_once, secs, sim};

/// Rule 32: what the panic of a second `enter` says.
async fn enters_again(cancel_scope: &CancelScope) {
    let again = catch(cancel_scope.enter(async { unreachable!("it is not polled") }));
    let again: Result<Result<(), _>, _> = again.await;
    let payload = again.map(drop).unwrap_err();
    let text = message(&*payload);
    assert!(
        text.contains("second time") && text.contains("new scope"),
        "{text}"
    );
}

/// Rule 32: after a first section with a value, one that was cancelled, and one that was dropped.
#[test]
fn a_second_enter_panics_with_advice() {
    sim(SEEDS, || async {
        let finished = CancelScope::new();
        finished.enter(async {}).await.unwrap();
        enters_again(&finished).await;
        enters_again(&finished).await;

        let cancelled = CancelScope::new();
        cancelled.cancel();
        cancelled.enter(pending::<()>()).await.unwrap_err();
        enters_again(&cancelled.clone()).await;

        let dropped = CancelScope::new();
        {
            let mut entered = pin!(dropped.enter(pending::<()>()));
            assert!(poll_once(&mut entered).await.is_pending());
        }
        enters_again(&dropped).await;
    });
}

/// Rule 32: from inside, and from a sibling while it runs; the first section is not disturbed.
#[test]
fn an_enter_of_a_running_scope_panics_and_leaves_the_first_alone() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let running = CancelScope::new();
            let (first, second) = (running.clone(), running.clone());
            let sleeper = ledger.sleeper("first", secs(2));
            g.spawn(async move {
                let outcome = first.enter(async {
                    enters_again(&first).await;
                    sleeper.await;
                    5
                });
                assert_eq!(outcome.await.unwrap(), 5);
            });
            sleep(secs(1)).await;
            enters_again(&second).await;
            assert!(!running.cancel_called());
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(2000, "first done")]);
    });
}

/// An `enter` that is never polled enters nothing.
#[test]
fn an_unpolled_enter_does_not_use_the_scope_up() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let cancel_scope = CancelScope::new();
        drop(cancel_scope.enter(ledger.sleeper("never begun", secs(1))));
        let value = cancel_scope.enter(ledger.sleeper("begun", secs(1))).await;
        value.unwrap();
        ledger.expect(&[(0, "never begun cut"), (1000, "begun done")]);
    });
}

/// Rule 8: polled again after the timeout it was first polled in.
#[test]
fn an_enter_kept_past_the_timeout_it_began_in_panics_with_advice() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let cancel_scope = CancelScope::new();
        let mut kept = Box::pin(cancel_scope.enter(group(async |g| {
            g.spawn(ledger.sleeper("child", secs(5)));
            done()
        })));
        assert!(timeout(secs(1), kept.as_mut()).await.is_err());
        ledger.expect(&[(1000, "child cut")]);
        let payload = catch(kept).await.map(drop).unwrap_err();
        let text = message(&*payload);
        assert!(
            text.contains("first polled") && text.contains("await it"),
            "{text}"
        );
        assert_eq!(ledger.now(), 1000);
        assert!(!cancel_scope.cancelled_caught());
    });
}

/// Rule 8: begun by one child and awaited by another, where its first boundary does not stand around.
#[test]
fn an_enter_begun_in_a_child_and_awaited_by_its_sibling_panics_with_advice() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let cancel_scope = CancelScope::new();
            let (entered, held) = (cancel_scope.clone(), ledger.mark("held"));
            let begun = g.spawn(async move {
                let mut kept = Box::pin(async move {
                    let inside = async move {
                        let _held = held;
                        pending::<()>().await;
                    };
                    entered.enter(inside).await.is_ok()
                });
                assert!(poll_once(&mut kept).await.is_pending());
                Ok(kept)
            });
            let kept = begun.await.unwrap();
            sleep(secs(1)).await;
            let text = g.spawn(async {
                let payload = catch(kept).await.unwrap_err();
                Ok(message(&*payload).to_owned())
            });
            let text = text.await.unwrap();
            assert!(text.contains("first polled"), "{text}");
            done()
        });
        outcome.await.unwrap();
        assert_eq!(ledger.count("held cut"), 1);
        assert_eq!(ledger.now(), 1000);
    });
}

/// Rule 8: a timeout around a scope that began before it does not become its parent.
#[test]
fn a_scope_that_began_before_a_timeout_is_not_cancelled_by_it() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let cancel_scope = CancelScope::new();
            let mut kept = pin!(cancel_scope.enter(ledger.sleeper("sleep", secs(5))));
            assert!(poll_once(&mut kept).await.is_pending());
            let mut turns = 1;
            while timeout(secs(2), kept.as_mut()).await.is_err() {
                turns += 1;
                checkpoint().await;
            }
            assert_eq!((turns, ledger.now()), (3, 5000));
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(5000, "sleep done")]);
    });
}

/// Rule 8: polled again where it belongs, but after the body of the boundary around has ended, which
/// took it for forgotten.
#[test]
fn an_enter_kept_past_the_body_that_began_it_panics_with_advice() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let (cancel_scope, child) = (CancelScope::new(), ledger.clone());
            let mut kept = Box::pin(async move {
                let inside = group(async |_| {
                    pending::<()>().await;
                    done()
                });
                cancel_scope.enter(inside).await.is_ok()
            });
            assert!(poll_once(&mut kept).await.is_pending());
            g.spawn(async move {
                sleep(secs(1)).await;
                let payload = catch(kept).await.unwrap_err();
                let text = message(&*payload);
                assert!(text.contains("given it up"), "{text}");
                child.note("refused");
            });
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(1000, "refused")]);
    });
}
