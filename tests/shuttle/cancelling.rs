//! Requests to cancel against what they meet.

use std::{
    future::{Future, pending, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use headcount::{CancelScope, checkpoint, group, scope, shield};

use crate::{
    engine::{block_on, explore, explore_all},
    ledger::Ledger,
};

/// Another thread cancels while the child completes: its output is delivered, or dropped once, and
/// the group says the same as the handle.
#[test]
fn a_request_and_an_end_at_once_leave_one_of_the_two() {
    explore_all(2, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let (handle, witness) = (g.clone(), ledger.clone());
            let child = g.spawn(ledger.child("child", async move {
                checkpoint().await;
                Ok::<_, u32>(witness.keep("output"))
            }));
            ledger.thread(move || handle.cancel());
            drop(child.await);
            ledger.mark("the body went on");
            Ok(())
        }));
        match &result {
            Ok(()) => assert!(ledger.has("the body went on")),
            Err(error) => assert!(error.is_cancelled()),
        }
        ledger.settle();
    });
}

/// The smallest program of all: every schedule, whatever the number of preemptions. What the scope says
/// of itself fits what it gave.
#[test]
fn a_scope_that_ends_as_it_is_cancelled_keeps_its_value() {
    explore_all(usize::MAX, || {
        let ledger = Ledger::new();
        let scope = CancelScope::new();
        let canceller = scope.clone();
        ledger.thread(move || canceller.cancel());
        let result = ledger.root(scope.enter(async { ledger.keep("value") }));
        assert!(result.is_ok() && !scope.cancelled_caught());
        drop(result);
        ledger.settle();
        assert!(scope.cancel_called());
    });
}

/// A child waits for ever: whenever the request comes, it is found.
#[test]
fn a_request_finds_every_child_at_every_moment() {
    explore_all(2, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let handle = g.clone();
            ledger.thread(move || handle.cancel());
            g.spawn(ledger.child("child", pending::<()>()));
            pending::<Result<(), u32>>().await
        }));
        assert!(result.expect_err("it was cancelled").is_cancelled());
        ledger.settle();
    });
}

/// The same through two levels, which are linked to each other while the request comes.
#[test]
fn a_request_from_outside_finds_what_is_two_levels_below() {
    explore_all(1, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |outer| {
            let handle = outer.clone();
            ledger.thread(move || handle.cancel());
            let witness = ledger.clone();
            outer.spawn(ledger.child("outer child", async move {
                let _resource = witness.keep("resource");
                let inside = witness.clone();
                let inner = group(async move |g| {
                    let child = inside.child_inside("resource", "inner", pending::<()>());
                    g.spawn(child);
                    pending::<Result<(), u32>>().await
                });
                inner.await.map_err(|_| witness.fails(1))
            }));
            pending::<Result<(), u32>>().await
        }));
        assert!(result.expect_err("it was cancelled").is_cancelled());
        ledger.settle();
    });
}

/// The opener of a scope polls its children, so who polls it knows whether a request had returned before.
#[test]
fn a_child_is_not_polled_once_a_request_has_returned() {
    explore_all(2, || {
        let ledger = Ledger::new();
        let polls = Arc::new(AtomicUsize::new(0));
        let mut opening = pin!(scope(async |s| {
            let (handle, witness, counts) = (s.clone(), ledger.clone(), polls.clone());
            ledger.thread(move || {
                handle.cancel();
                witness.mark("cancelled");
            });
            let child = poll_fn(move |_| {
                counts.fetch_add(1, Ordering::Relaxed);
                Poll::<()>::Pending
            });
            s.spawn(ledger.child("child", child));
            pending::<Result<(), u32>>().await
        }));
        let result = ledger.root(poll_fn(|cx| {
            let (late, before) = (ledger.has("cancelled"), polls.load(Ordering::Relaxed));
            let polled = opening.as_mut().poll(cx);
            if late && polls.load(Ordering::Relaxed) > before {
                ledger.breaks("polled after it was cancelled".to_owned());
            }
            polled
        }));
        assert!(result.expect_err("it was cancelled").is_cancelled());
        ledger.settle();
    });
}

/// The shield is left while the request comes: the value of the section is delivered first.
#[test]
fn a_shielded_section_is_never_cut() {
    explore_all(1, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let (handle, witness) = (g.clone(), ledger.clone());
            g.spawn(ledger.child("child", async move {
                shield(async {
                    witness.mark("in");
                    checkpoint().await;
                    witness.mark("out");
                })
                .await;
                witness.mark("value");
                checkpoint().await;
                pending::<()>().await
            }));
            ledger.thread(move || handle.cancel());
            Ok::<_, u32>(())
        }));
        if let Err(error) = result {
            assert!(error.is_cancelled());
        }
        assert_eq!(ledger.has("in"), ledger.has("out"));
        assert_eq!(ledger.has("in"), ledger.has("value"));
        ledger.settle();
    });
}

/// Two scopes around one wait are cancelled by two threads: one absorbs, and the code between the
/// two runs only if it was the inner one.
#[test]
fn of_two_cancelled_scopes_one_absorbs() {
    explore_all(2, || {
        let ledger = Ledger::new();
        let (outer, inner) = (CancelScope::new(), CancelScope::new());
        for scope in [outer.clone(), inner.clone()] {
            ledger.thread(move || scope.cancel());
        }
        let result = ledger.root(outer.enter(async {
            let result = inner.enter(pending::<()>()).await;
            ledger.mark("between");
            checkpoint().await;
            result.is_err()
        }));
        match result {
            Ok(cut) => assert!(cut && ledger.has("between")),
            Err(_) => assert!(outer.cancelled_caught()),
        }
        assert!(outer.cancelled_caught() || inner.cancelled_caught());
        ledger.settle();
    });
}

/// A handle cancels its child while the child opens a group of its own, and its sibling goes on.
#[test]
fn a_cancelled_child_takes_its_group_along_and_nobody_else() {
    explore(|| {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let witness = ledger.clone();
            let child = g.spawn(ledger.child("child", async move {
                let inner = group(async |g| {
                    g.spawn(witness.child("grandchild", pending::<()>()));
                    Ok::<_, u32>(())
                });
                inner.await.map_err(|_| witness.fails(1))
            }));
            let sibling = ledger.clone();
            g.spawn(ledger.child("sibling", async move {
                checkpoint().await;
                sibling.mark("the sibling went on");
            }));
            let witness = ledger.clone();
            ledger.thread(move || {
                child.cancel();
                match block_on(child) {
                    // The request came when the grandchild was about to be spawned.
                    Ok(()) => {}
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => witness.breaks(error.to_string()),
                }
            });
            Ok(())
        }));
        result.expect("nobody fails");
        assert!(ledger.has("the sibling went on"));
        ledger.settle();
    });
}
