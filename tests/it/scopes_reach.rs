//! How far one request reaches (rule 18), and in which order it ends what it reached (rule 21).

use std::{future::pending, sync::mpsc::channel};

use headcount::{CancelScope, TaskGroup, checkpoint, group, time::sleep, timeout};

use crate::support::{
    Boxed, Census, FEW, Ledger, Oops, PollCount, SEEDS, done, millis, nested, nested_with_owners,
    nestings, ok, secs, sim,
};

/// Case 20: two children with two leaves each, under one scope; every leaf has been waiting, and is
/// not polled any more once the request was made.
#[test]
fn a_scope_reaches_every_leaf_of_its_groups_within_the_turn() {
    sim(SEEDS, || async {
        let (ledger, polls) = (Ledger::open(), PollCount::default());
        let root = CancelScope::new();
        let canceller = root.clone();
        let outcome = root.enter(group(async |g| {
            for leaves in [["a", "b"], ["c", "d"]] {
                let leaves = leaves.map(|name| polls.of(ledger.sleeper(name, secs(9))));
                g.spawn(async {
                    let inner = group(async move |g: TaskGroup<'_, Oops>| {
                        leaves.into_iter().for_each(|leaf| drop(g.spawn(leaf)));
                        done()
                    });
                    inner.await.map_err(|_| Oops("inner"))
                });
            }
            sleep(millis(1500)).await;
            assert_eq!(polls.get(), 4);
            canceller.cancel();
            pending::<Result<(), Oops>>().await
        }));
        outcome.await.unwrap_err();
        assert_eq!(polls.get(), 4);
        let cut = ["a cut", "b cut", "c cut", "d cut"];
        ledger.expect_in_any_order(&cut.map(|event| (1500, event)));
        assert_eq!(ledger.now(), 1500);
    });
}

/// Spawns a leaf under each nesting of so many layers.
fn spawn_forest(g: &TaskGroup<'_, Oops>, depth: usize, census: &Census, polls: &PollCount) {
    for layers in nestings(depth) {
        let leaf = census.tracked();
        let leaf = polls.of(async move {
            pending::<()>().await;
            drop(leaf);
        });
        g.spawn(nested(&layers, leaf));
    }
}

/// Case 20, through every mixed nesting of bodies, children, scopes, timeouts and cancel scopes.
#[test]
fn a_scope_reaches_every_leaf_through_every_nesting() {
    sim(FEW, || async {
        let (ledger, census, polls) = (Ledger::open(), Census::default(), PollCount::default());
        let root = CancelScope::new();
        let outcome = root.enter(group(async |g| {
            spawn_forest(&g, 3, &census, &polls);
            sleep(secs(1)).await;
            assert_eq!((census.living(), polls.get()), (216, 216));
            root.cancel();
            assert_eq!((census.living(), polls.get()), (216, 216));
            pending::<Result<(), Oops>>().await
        }));
        outcome.await.unwrap_err();
        assert_eq!((census.living(), polls.get()), (0, 216));
        assert_eq!(ledger.now(), 1000);
    });
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Deadline,
    Group,
    Failure,
    Handle,
}

/// Rule 18: the same, by everybody else who can make a request.
#[test]
fn every_kind_of_request_reaches_every_leaf_through_every_nesting() {
    for by in [By::Deadline, By::Group, By::Failure, By::Handle] {
        sim(FEW, move || async move {
            let (ledger, census, polls) = (Ledger::open(), Census::default(), PollCount::default());
            let (counted, leaves) = (census.clone(), polls.clone());
            let forest = group(async move |g| {
                spawn_forest(&g, 2, &counted, &leaves);
                sleep(secs(1)).await;
                match by {
                    By::Group => g.cancel(),
                    By::Failure => return Err(Oops("body")),
                    By::Deadline | By::Handle => {}
                }
                pending::<Result<(), Oops>>().await
            });
            match by {
                By::Deadline => drop(timeout(millis(1500), forest).await.unwrap_err()),
                By::Group | By::Failure => drop(forest.await.unwrap_err()),
                By::Handle => {
                    let holder = group(async |g| {
                        let child = g.spawn(async {
                            let _ = forest.await;
                            unreachable!("resumed");
                        });
                        sleep(millis(1500)).await;
                        child.cancel();
                        ok(child.await.unwrap_err().is_cancelled())
                    });
                    assert!(holder.await.unwrap());
                }
            }
            assert_eq!((census.born(), census.living()), (36, 0));
            assert_eq!(polls.get(), 36);
            let late = matches!(by, By::Deadline | By::Handle);
            assert_eq!(ledger.now(), if late { 1500 } else { 1000 });
        });
    }
}

/// Case 44 without finalizers, rule 21, in every nesting: what the code around a boundary owns is
/// dropped after everything below that boundary, and that code never resumes.
#[test]
fn what_is_owned_around_a_boundary_outlives_it_in_every_nesting() {
    for layers in nestings(3) {
        sim(FEW, || {
            let layers = layers.clone();
            async move {
                let ledger = Ledger::open();
                let root = CancelScope::with_timeout(secs(1));
                let (leaf, beside) = (ledger.mark("leaf"), ledger.mark("beside"));
                let inner = group(async move |g| {
                    g.spawn(async move {
                        let _leaf = leaf;
                        pending::<()>().await;
                    });
                    pending::<Result<(), Oops>>().await
                });
                let inner = async move {
                    let value = inner.await;
                    beside.finish("resumed");
                    value.unwrap();
                };
                let tree: Boxed<()> = nested_with_owners(&ledger, &layers, inner);
                root.enter(tree).await.unwrap_err();
                ledger.expect(&[
                    (1000, "leaf cut"),
                    (1000, "beside cut"),
                    (1000, "owner 2 cut"),
                    (1000, "owner 1 cut"),
                    (1000, "owner 0 cut"),
                ]);
            }
        });
    }
}

/// Rule 18: a group at the end of every nesting says cancelled inside the call, and under a shield
/// does not, until the shield is taken away.
#[test]
fn everything_below_says_cancelled_at_once_in_every_nesting() {
    sim(FEW, || async {
        let (send, receive) = channel();
        let (root, shielded) = (CancelScope::new(), CancelScope::new());
        shielded.shield(true);
        let forest = group(async move |g| {
            for layers in nestings(3) {
                let send = send.clone();
                let leaf = group(async move |leaf| {
                    send.send(leaf.clone()).unwrap();
                    pending::<Result<(), Oops>>().await
                });
                g.spawn(nested(&layers, async { drop(leaf.await) }));
            }
            pending::<Result<(), Oops>>().await
        });
        let [(outside, inside), (asks, switches)] =
            std::array::from_fn(|_| (root.clone(), shielded.clone()));
        let outcome = group(async move |g| {
            g.spawn(async move { drop(outside.enter(inside.enter(forest)).await) });
            sleep(secs(1)).await;
            let leaves: Vec<TaskGroup<'_, Oops>> = receive.try_iter().collect();
            assert_eq!(leaves.len(), 216);
            let cancelled = || leaves.iter().filter(|leaf| leaf.is_cancelled()).count();
            asks.cancel();
            assert_eq!(cancelled(), 0);
            for on in [false, true, false] {
                switches.shield(on);
                assert_eq!(cancelled(), if on { 0 } else { 216 });
            }
            done()
        });
        outcome.await.unwrap();
        assert!(root.cancelled_caught() && !shielded.cancelled_caught());
    });
}

/// Rule 18: a request that is made at the very moment in which the tree grows is not missed.
#[test]
fn what_is_opened_after_the_request_is_cancelled_too() {
    for layers in nestings(2) {
        sim(FEW, || {
            let layers = layers.clone();
            async move {
                let ledger = Ledger::open();
                let root = CancelScope::new();
                let canceller = root.clone();
                let tree = nested(&layers, async move {
                    canceller.cancel();
                    // The first poll of each happens; a child that is spawned now is never polled.
                    let opened = group(async |g| {
                        g.spawn(async { unreachable!("spawned into a cancelled group") });
                        pending::<Result<(), Oops>>().await
                    });
                    let _ = timeout(secs(5), opened).await;
                    unreachable!("resumed");
                });
                let outcome: Result<(), _> = root.enter(tree).await;
                outcome.unwrap_err();
                assert_eq!(ledger.now(), 0);
            }
        });
    }
}

/// Rule 18: cancelling is idempotent, and an ended scope is a memory only.
#[test]
fn a_scope_cancelled_after_its_end_cancels_nothing() {
    for layers in nestings(1) {
        sim(FEW, || {
            let layers = layers.clone();
            async move {
                let ended = CancelScope::new();
                let inside = ended.clone();
                let outcome = nested(&layers, async move {
                    inside.enter(sleep(secs(1))).await.unwrap();
                    inside.cancel();
                    inside.cancel();
                    checkpoint().await;
                    sleep(secs(1)).await;
                    7
                });
                assert_eq!(outcome.await, 7);
                assert!(ended.cancel_called() && !ended.cancelled_caught());
            }
        });
    }
}
