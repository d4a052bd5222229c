//! `Boundary`: the current boundary, carried where the crate cannot see.

use std::{
    future::{Future, pending, poll_fn},
    sync::{Arc, Mutex},
    task::Poll,
};

use headcount::{
    Boundary, CancelScope, cancelled, checkpoint, group, run, scope, testing::Sim, time::sleep,
};

use crate::support::{
    Ledger, Oops, PanicOnDrop, SEEDS, block_on, catch, done, logged, message, ok, on_workers,
    poll_once, secs, sim,
};

#[test]
fn there_is_no_boundary_outside_of_any() {
    assert!(Boundary::current().is_none());
    sim(SEEDS, || async {
        assert!(Boundary::current().is_none());
        let inside = group(async |_| ok(Boundary::current().is_some())).await;
        assert!(inside.unwrap());
    });
}

/// What is opened under a carried boundary is cancelled with it and waited for.
#[test]
fn a_group_opened_under_a_carried_boundary_belongs_to_it() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let foreign = ledger.clone();
        let outcome = group(async |outer| {
            group(async |g| {
                let here = Boundary::current().unwrap();
                // The foreign task: it runs in another branch of the tree.
                outer.spawn(async move {
                    let inside = here.wrap(async {
                        let inner = group(async |g| {
                            g.spawn(foreign.forever("child"));
                            done()
                        });
                        inner.await
                    });
                    assert!(inside.await.unwrap_err().is_cancelled());
                });
                sleep(secs(1)).await;
                g.cancel();
                sleep(secs(1)).await;
                done()
            })
            .await
            .unwrap_err();
            ledger.expect(&[(1000, "child cut")]);
            done()
        })
        .await;
        outcome.unwrap();
    });
}

/// Rule 8: who forbids further polls of a scope waits out a poll in progress, also if it is that of
/// an inline child. Here the scope is polled elsewhere, and the boundary around it from within.
#[test]
fn a_boundary_does_not_return_while_an_inline_child_below_it_is_polled() {
    sim(SEEDS, || async {
        let carried = Arc::new(Mutex::new(None));
        let put = carried.clone();
        let mut outer = Box::pin(group(async move |_| {
            *put.lock().unwrap() = Boundary::current();
            checkpoint().await;
            done()
        }));
        let polled = poll_fn(|cx| Poll::Ready(outer.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        let here = carried.lock().unwrap().take().unwrap();

        let outer = Arc::new(Mutex::new(outer));
        let around = outer.clone();
        let mut inner = Box::pin(here.wrap(scope(async move |s| {
            s.spawn(async move {
                let polled =
                    poll_fn(|cx| Poll::Ready(around.lock().unwrap().as_mut().poll(cx))).await;
                assert!(polled.is_pending(), "{polled:?}");
            });
            pending::<Result<(), Oops>>().await
        })));
        // The poll in which it was given up, and its child has ended, is its last.
        let polled = poll_fn(|cx| Poll::Ready(inner.as_mut().poll(cx))).await;
        assert!(matches!(polled, Poll::Ready(Err(error)) if error.is_cancelled()));
        let outcome = poll_fn(|cx| outer.lock().unwrap().as_mut().poll(cx)).await;
        outcome.unwrap();
    });
}

/// Rule 8: what is opened after the end finds itself cancelled.
#[test]
fn a_group_opened_under_a_boundary_that_has_ended_is_cancelled() {
    sim(SEEDS, || async {
        let of_group = group(async |_| ok(Boundary::current().unwrap())).await;
        let cancel_scope = CancelScope::new();
        let of_scope = cancel_scope.enter(async { Boundary::current().unwrap() });
        let ledger = Ledger::open();
        for ended in [of_group.unwrap(), of_scope.await.unwrap()] {
            let late = ended.wrap(async {
                group(async |g| {
                    g.spawn(ledger.forever("child"));
                    sleep(secs(5)).await;
                    done()
                })
                .await
            });
            assert!(late.await.unwrap_err().is_cancelled());
            assert_eq!(ledger.now(), 0);
            ended.wrap(cancelled()).await;
        }
    });
}

#[test]
fn a_thread_that_carries_a_boundary_opens_a_run_in_it() {
    on_workers(
        "boundaries::a_thread_that_carries_a_boundary_opens_a_run_in_it",
        || {
            let outcome = block_on(group(async |g| {
                let here = Boundary::current().unwrap();
                let child = g.spawn_blocking(move |_| {
                    let thread = std::thread::spawn(move || {
                        here.enter(|| {
                            run(async |_| -> Result<(), Oops> {
                                cancelled().await;
                                std::future::pending().await
                            })
                        })
                    });
                    assert!(thread.join().unwrap().unwrap_err().is_cancelled());
                });
                headcount::checkpoint().await;
                g.cancel();
                drop(child);
                done()
            }));
            outcome.unwrap();
        },
    );
}

#[test]
fn a_panic_of_what_is_dropped_in_a_carried_boundary_beside_another_is_an_error_in_the_log() {
    let lines = logged(|| {
        Sim::new(0).run(async {
            let here = group(async |_| ok(Boundary::current().unwrap())).await;
            let mut held = Box::pin(here.unwrap().wrap(async {
                let _held = PanicOnDrop("second");
                pending::<()>().await;
            }));
            assert!(poll_once(&mut held).await.is_pending());
            let both = catch(async move {
                let _held = held;
                panic!("first");
            });
            assert_eq!(message(&*both.await.unwrap_err()), "first");
        });
    });
    let [line] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert!(line.starts_with("ERROR") && line.ends_with("boundary panicked too: second"));
}
