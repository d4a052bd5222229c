//! Releases on real threads, of blocking closures, and where nobody waits for them.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    thread,
};

use headcount::{Deferred, bracket, defer, group, run, scope};

use crate::support::{
    Flag, Ledger, Named, Oops, SEEDS, block_on, done, ok, on_workers, poll_once, secs, sim,
    yield_now,
};

/// A guard whose release takes some turns and then counts.
fn counted(released: &'static AtomicUsize) -> Deferred<&'static AtomicUsize> {
    defer(released, |released| async move {
        for _ in 0..3 {
            yield_now().await;
        }
        released.fetch_add(1, Ordering::SeqCst);
    })
}

/// Always ready to run, never done.
async fn turning<E>() -> Result<(), E> {
    loop {
        yield_now().await;
    }
}

#[test]
fn a_run_returns_after_the_releases_of_all_its_children() {
    on_workers(
        "releases_threads::a_run_returns_after_the_releases_of_all_its_children",
        || {
            static RELEASED: AtomicUsize = AtomicUsize::new(0);
            for round in 0..50 {
                RELEASED.store(0, Ordering::SeqCst);
                let borrowed = String::from("borrowed");
                let outcome = run(async |g| {
                    let _body = counted(&RELEASED);
                    for n in 0..100 {
                        let borrowed = &borrowed;
                        g.spawn(async move {
                            let _guard = counted(&RELEASED);
                            let inner = scope(async |_| {
                                let _inner = counted(&RELEASED);
                                match n {
                                    50 => Err(borrowed.len()),
                                    _ => turning().await,
                                }
                            });
                            inner.await.map_err(|_| Oops("child 50"))
                        });
                    }
                    match round % 2 {
                        0 => done(),
                        _ => turning().await,
                    }
                });
                assert_eq!(outcome.names(), ["child 50"]);
                let polled = RELEASED.load(Ordering::SeqCst);
                // Children that were cancelled before their first poll have taken no guard.
                assert!(polled % 2 == 1 && (3..=201).contains(&polled), "{polled}");
            }
        },
    );
}

/// Every guard that was taken is released, by the time that the group returns.
#[test]
fn groups_that_lose_their_openers_release_everything_on_real_threads() {
    on_workers(
        "releases_threads::groups_that_lose_their_openers_release_everything_on_real_threads",
        || {
            static TAKEN: AtomicUsize = AtomicUsize::new(0);
            static RELEASED: AtomicUsize = AtomicUsize::new(0);
            for round in 0..100 {
                let outcome = block_on(group(async |_| {
                    let mut lost = Box::pin(group(async |g| {
                        for _ in 0..20 {
                            g.spawn(async {
                                TAKEN.fetch_add(1, Ordering::SeqCst);
                                let _guard = counted(&RELEASED);
                                std::future::pending::<()>().await;
                            });
                        }
                        done()
                    }));
                    assert!(poll_once(&mut lost).await.is_pending());
                    for _ in 0..round % 10 {
                        yield_now().await;
                    }
                    match round % 2 {
                        0 => drop(lost),
                        _ => std::mem::forget(lost),
                    }
                    done()
                }));
                outcome.unwrap();
                let (taken, released) = (
                    TAKEN.load(Ordering::SeqCst),
                    RELEASED.load(Ordering::SeqCst),
                );
                assert_eq!(taken, released, "in round {round}");
            }
        },
    );
}

#[test]
fn a_bracket_has_released_on_real_threads() {
    on_workers(
        "releases_threads::a_bracket_has_released_on_real_threads",
        || {
            let outcome = run(async |g| {
                for _ in 0..100 {
                    g.spawn(async {
                        let open = Flag::default();
                        let acquired = open.clone();
                        let used = bracket(
                            async move { ok(acquired) },
                            async |_guard| {
                                yield_now().await;
                                done()
                            },
                            async |flag: Flag| {
                                yield_now().await;
                                flag.set();
                            },
                        );
                        used.await?;
                        assert!(open.is_set());
                        done()
                    });
                }
                done()
            });
            outcome.unwrap();
        },
    );
}

/// A guard that a blocking closure drops, and one that it takes, belong to its child.
#[test]
fn guards_of_a_blocking_closure_are_released_by_its_child() {
    sim(SEEDS / 10, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let (taken, inside) = (ledger.deferred("given", secs(1)), ledger.clone());
            let handle = g.spawn_blocking(move |_| {
                let _own = inside.deferred("own", secs(1));
                drop(taken);
            });
            handle.await.unwrap();
            ledger.note("joined");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (0, "given releasing"),
            (1000, "given released"),
            (1000, "own releasing"),
            (2000, "own released"),
            (2000, "joined"),
        ]);
    });
}

/// Rules 4 and 31: a closure that never begins gives its guard back for release.
#[test]
fn the_guard_of_a_blocking_closure_that_never_begins_is_released() {
    sim(SEEDS / 10, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let guard = ledger.deferred("guard", secs(1));
            g.cancel();
            g.spawn_blocking(move |_| drop(guard));
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(0, "guard releasing"), (1000, "guard released")]);
    });
}

#[test]
fn a_closure_that_drops_a_guard_is_joined_with_its_release_on_real_threads() {
    on_workers(
        "releases_threads::a_closure_that_drops_a_guard_is_joined_with_its_release_on_real_threads",
        || {
            static RELEASED: AtomicUsize = AtomicUsize::new(0);
            let outcome = block_on(group(async |g| {
                for n in 1..=50 {
                    let guard = counted(&RELEASED);
                    let handle = g.spawn_blocking(move |_| {
                        // Dropped in the closure, and on a thread that nobody knows.
                        let own = counted(&RELEASED);
                        thread::spawn(move || drop(own)).join().unwrap();
                        drop(guard);
                    });
                    handle.await.unwrap();
                    assert_eq!(RELEASED.load(Ordering::SeqCst), 2 * n);
                }
                done()
            }));
            outcome.unwrap();
        },
    );
}

/// Outside of any boundary nobody waits, but everything is released: a guard of no boundary, one
/// that outlives its boundary, and those below a group that is dropped.
#[test]
fn without_a_boundary_releases_run_detached() {
    on_workers(
        "releases_threads::without_a_boundary_releases_run_detached",
        || {
            let (released, all) = channel();
            let guard = |name: &'static str| {
                let released = released.clone();
                defer((), move |()| async move {
                    yield_now().await;
                    released.send(name).unwrap();
                })
            };
            drop(guard("bare"));
            assert_eq!(all.recv(), Ok("bare"));
            let kept = block_on(group(async |_| ok(guard("kept")))).unwrap();
            thread::spawn(move || drop(kept)).join().unwrap();
            assert_eq!(all.recv(), Ok("kept"));
            let (body, child) = (guard("body"), guard("child"));
            block_on(async {
                let (begun, has_begun) = channel();
                let mut dropped = Box::pin(group(async |g| {
                    let _body = body;
                    g.spawn(async move {
                        let _child = child;
                        begun.send(()).unwrap();
                        std::future::pending::<()>().await;
                    });
                    std::future::pending::<Result<(), Oops>>().await
                }));
                assert!(poll_once(&mut dropped).await.is_pending());
                has_begun.recv().unwrap();
                drop(dropped);
            });
            let mut rest = [all.recv().unwrap(), all.recv().unwrap()];
            rest.sort_unstable();
            assert_eq!(rest, ["body", "child"]);
        },
    );
}
