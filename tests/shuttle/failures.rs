//! Failures against each other, and against requests to cancel.

use std::future::pending;

use headcount::{Options, checkpoint, group};

use crate::{
    engine::{explore, explore_all},
    ledger::Ledger,
};

/// Each is told by the opener, and the third child is taken down with them.
#[test]
fn of_two_children_that_fail_at_once_neither_failure_is_lost() {
    explore_all(1, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            for error in [1, 2] {
                let witness = ledger.clone();
                g.spawn(ledger.child("fails", async move { Err::<(), u32>(witness.fails(error)) }));
            }
            g.spawn(ledger.child("waits", pending::<()>()));
            Ok(())
        }));
        assert!(result.is_err());
        ledger.told_by(&result);
        ledger.settle();
    });
}

/// A child fails while the body does.
#[test]
fn the_failures_of_a_body_and_of_a_child_are_both_returned() {
    explore_all(1, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let witness = ledger.clone();
            g.spawn(ledger.child("fails", async move {
                checkpoint().await;
                Err::<(), u32>(witness.fails(1))
            }));
            checkpoint().await;
            Err::<(), u32>(ledger.fails(2))
        }));
        assert!(result.is_err());
        ledger.told_by(&result);
        ledger.settle();
    });
}

/// A failure that was raised beats the request that came from another thread.
#[test]
fn a_failure_is_not_lost_to_a_request_to_cancel() {
    explore_all(1, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let (handle, witness) = (g.clone(), ledger.clone());
            g.spawn(ledger.child("fails", async move {
                checkpoint().await;
                Err::<(), u32>(witness.fails(1))
            }));
            ledger.thread(move || handle.cancel());
            Ok(())
        }));
        if let Err(error) = &result {
            assert_eq!(error.is_cancelled(), !ledger.has_raised(1));
        }
        ledger.told_by(&result);
        ledger.settle();
    });
}

/// The inner group is cancelled from above while its child fails: its real error comes out all the
/// same, here or as what was left behind.
#[test]
fn a_failure_below_a_cancelled_group_is_told_above() {
    explore(|| {
        let ledger = Ledger::new();
        let hook = ledger.hook();
        let opening = Options::new().on_suppressed(hook).group(async |outer| {
            let handle = outer.clone();
            ledger.thread(move || handle.cancel());
            let (middle, witness) = (ledger.clone(), ledger.clone());
            outer.spawn(ledger.child("middle", async move {
                let inner = middle.clone();
                let opening = group(async move |g| {
                    g.spawn(inner.child("fails", async move {
                        checkpoint().await;
                        Err::<(), u32>(witness.fails(1))
                    }));
                    Ok(())
                });
                let result = opening.await;
                middle.told_by(&result);
                Ok::<_, u32>(())
            }));
            pending::<Result<(), u32>>().await
        });
        let result = ledger.root(opening);
        assert!(result.is_err(), "it was cancelled");
        ledger.told_by(&result);
        ledger.settle();
    });
}
