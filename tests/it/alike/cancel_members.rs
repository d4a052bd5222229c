//! What a cancellation drops, in which order, and what it leaves alone.

use std::future::pending;

use headcount::{time::sleep, timeout};

use super::open;
use crate::support::{Ledger, Oops, SEEDS, done, millis, ok, secs, sim, yield_now};

/// Case 44 without finalizers, rule 21: what the outer code owns outlives everything below it.
#[test]
fn what_the_body_owns_outlives_the_children_of_an_inner_opening() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(1), async {
            let _folder = ledger.mark("folder");
            let inner = open(async |g| {
                g.spawn(ledger.forever("child"));
                ledger.forever("inner body").await;
                done()
            })
            .await;
            ledger.note("never");
            drop(inner);
        })
        .await;
        outcome.unwrap_err();
        assert!(!ledger.contains("never"));
        assert_eq!(ledger.count("child cut"), 1);
        assert_eq!(ledger.count("inner body cut"), 1);
        ledger.expect_in_any_order(&[
            (1000, "child cut"),
            (1000, "folder cut"),
            (1000, "inner body cut"),
        ]);
        assert!(last(&ledger, "folder cut"));
    });
}

/// Case 44, the same with the body one opening further out.
#[test]
fn what_a_body_two_openings_out_owns_outlives_the_innermost_children() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(1), async {
            let outer = open(async |_| {
                let _outer_folder = ledger.mark("outer folder");
                let inner = open(async |_| {
                    let _inner_folder = ledger.mark("inner folder");
                    let innermost = open(async |g| {
                        g.spawn(ledger.forever("child"));
                        done()
                    })
                    .await;
                    innermost.map_err(|_| Oops("innermost"))
                })
                .await;
                inner.map_err(|_| Oops("inner"))
            })
            .await;
            outer.unwrap();
        })
        .await;
        outcome.unwrap_err();
        ledger.expect(&[
            (1000, "child cut"),
            (1000, "inner folder cut"),
            (1000, "outer folder cut"),
        ]);
    });
}

/// Rule 21 for the failure of a sibling: the child's own guard outlives its inner opening.
#[test]
fn what_a_child_owns_outlives_the_children_of_its_inner_opening() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |outer| {
            let (folder, leaf) = (ledger.mark("folder"), ledger.forever("leaf"));
            outer.spawn(async move {
                let folder = folder;
                let inner = open(async move |inner| {
                    inner.spawn(leaf);
                    done()
                })
                .await;
                folder.finish("resumed");
                inner.map_err(|_| Oops("inner"))
            });
            sleep(secs(1)).await;
            Err::<(), _>(Oops("body"))
        })
        .await;
        outcome.unwrap_err();
        ledger.expect(&[(1000, "leaf cut"), (1000, "folder cut")]);
    });
}

/// Case 20, rule 18: one request reaches the leaves of all inner openings within its instant, and
/// each inner opening is drained before the child that opened it is dropped.
#[test]
fn one_request_reaches_every_leaf() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |root| {
            for (inner_name, leaves) in [("left", ["a", "b"]), ("right", ["c", "d"])] {
                let mark = ledger.mark(inner_name);
                let [one, two] = leaves.map(|leaf| {
                    let mark = ledger.mark(leaf);
                    async move {
                        sleep(secs(9)).await;
                        mark.finish("done");
                    }
                });
                root.spawn(async move {
                    let inner = open(async move |g| {
                        g.spawn(one);
                        g.spawn(two);
                        done()
                    })
                    .await;
                    mark.finish("resumed");
                    inner.map_err(|_| Oops("inner"))
                });
            }
            sleep(millis(1500)).await;
            root.cancel();
            pending::<Result<(), Oops>>().await
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        ledger.expect_in_any_order(&[
            (1500, "a cut"),
            (1500, "b cut"),
            (1500, "c cut"),
            (1500, "d cut"),
            (1500, "left cut"),
            (1500, "right cut"),
        ]);
    });
}

/// Rule 18: descendants see the flag at once, before anything of them is polled.
#[test]
fn the_handle_of_an_inner_opening_says_cancelled_at_once() {
    sim(SEEDS, || async {
        let outcome = open(async |root| {
            let (send, receive) = std::sync::mpsc::channel();
            root.spawn(async move {
                let inner = open(async move |g| {
                    send.send(g.clone()).unwrap();
                    pending::<Result<(), Oops>>().await
                })
                .await;
                inner.map_err(|_| Oops("inner"))
            });
            sleep(secs(1)).await;
            let inner = receive.recv().unwrap();
            assert!(!inner.is_cancelled());
            root.cancel();
            assert!(inner.is_cancelled());
            ok(())
        })
        .await;
        outcome.unwrap();
    });
}

/// Rule 19: the code after the await does not run, however often the task is woken.
#[test]
fn a_cancelled_child_cannot_go_on_by_yielding() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            let (canceller, mark) = (g.clone(), ledger.mark("child"));
            g.spawn(async move {
                yield_now().await;
                canceller.cancel();
                yield_now().await;
                mark.finish("resumed");
            });
            pending::<Result<(), Oops>>().await
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        ledger.expect(&[(0, "child cut")]);
    });
}

/// Rule 13: a handle that is cancelled and awaited waits for what is below its task.
#[test]
fn cancel_and_await_waits_for_the_openings_of_the_child() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            let (leaf, mark) = (ledger.forever("leaf"), ledger.mark("child"));
            let child = g.spawn(async move {
                let inner = open(async move |inner| {
                    inner.spawn(leaf);
                    done()
                })
                .await;
                mark.finish("resumed");
                inner.map_err(|_| Oops("inner"))
            });
            sleep(secs(2)).await;
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            ledger.note("joined");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(2000, "leaf cut"), (2000, "child cut"), (2000, "joined")]);
    });
}

/// Whether `event` is the last in the ledger.
fn last(ledger: &Ledger, event: &str) -> bool {
    ledger.last().as_deref() == Some(event)
}
