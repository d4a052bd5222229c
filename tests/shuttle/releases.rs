//! Guards against requests to cancel.

use std::future::pending;

use headcount::{bracket, checkpoint, defer, group};

use crate::{
    engine::{explore, explore_all},
    ledger::Ledger,
};

/// Another thread cancels while the guard is taken, while the child waits, or while it releases.
#[test]
fn a_guard_is_released_once_whenever_the_request_comes() {
    explore_all(1, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let (handle, witness) = (g.clone(), ledger.clone());
            g.spawn(ledger.child("child", async move {
                let guard = witness.defer("guard");
                checkpoint().await;
                guard.close().await.expect("it does not fail");
            }));
            ledger.thread(move || handle.cancel());
            Ok::<_, u32>(())
        }));
        if let Err(error) = result {
            assert!(error.is_cancelled());
        }
        ledger.settle();
    });
}

/// A release that fails is told once, by whoever was there to take it.
#[test]
fn a_release_that_fails_is_told_once() {
    explore_all(1, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let (handle, witness) = (g.clone(), ledger.clone());
            g.spawn(ledger.child("child", async move {
                let failing = async |witness: Ledger| {
                    checkpoint().await;
                    Err::<(), _>(witness.fails(1).to_string())
                };
                let _guard = defer(witness.clone(), failing);
                pending::<()>().await
            }));
            g.spawn(ledger.child("sibling", async { checkpoint().await }));
            ledger.thread(move || handle.cancel());
            Ok::<_, u32>(())
        }));
        ledger.told_by(&result);
        ledger.settle();
    });
}

/// What a body has taken, its child may use: it is released after the child has ended, and the last
/// taken first.
#[test]
fn guards_of_a_body_are_released_after_its_child_from_the_inside_out() {
    explore_all(1, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let guard = |name, before: &'static str| {
                defer(ledger.clone(), async move |witness: Ledger| {
                    if !witness.has(before) {
                        witness.breaks(format!("{name} was released before {before}"));
                    }
                    checkpoint().await;
                    witness.mark(name);
                })
            };
            let _outer = guard("the outer", "the inner");
            let _inner = guard("the inner", "the end of the child");
            let witness = ledger.clone();
            g.spawn(ledger.child("child", async move {
                checkpoint().await;
                witness.mark("the end of the child");
            }));
            Ok::<_, u32>(())
        }));
        result.expect("nobody fails");
        assert!(ledger.has("the outer"));
        ledger.settle();
    });
}

/// What was acquired is released exactly once, also if the request comes in between.
#[test]
fn a_bracket_releases_what_it_acquired() {
    explore(|| {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let (handle, witness) = (g.clone(), ledger.clone());
            g.spawn(ledger.child("child", async move {
                let (acquires, releases) = (witness.clone(), witness.clone());
                let acquire = async move {
                    checkpoint().await;
                    Ok::<_, u32>(acquires.keep("acquired"))
                };
                let used = bracket(
                    acquire,
                    async |_guard| {
                        checkpoint().await;
                        Ok(())
                    },
                    async move |acquired| {
                        checkpoint().await;
                        drop(acquired);
                        releases.mark("released");
                    },
                );
                used.await?;
                if !witness.has("released") {
                    witness.breaks("it returned before the release had run".to_owned());
                }
                Ok(())
            }));
            ledger.thread(move || handle.cancel());
            Ok::<_, u32>(())
        }));
        if let Err(error) = result {
            assert!(error.is_cancelled());
        }
        ledger.settle();
    });
}
