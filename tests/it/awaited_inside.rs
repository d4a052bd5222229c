//! What was begun outside of a shield, of a release or of a closure, and is awaited inside: a request from
//! above ends it, though what awaits it goes on.

use std::{
    future::pending,
    sync::{Arc, Mutex},
};

use headcount::{
    Boundary, JoinHandle, TimedOut, checkpoint, defer, gather_settled, group, run, shield,
    time::sleep, timeout,
};

use crate::support::{
    Boxed, FEW, Flag, Ledger, Oops, block_on, catch, done, message, on_workers, poll_once, secs,
    sim,
};

type Outcome<T> = Result<T, Box<dyn std::any::Any + Send>>;

/// Begins `future` outside, and awaits it inside of a shield; the boundary around is cancelled after a second.
async fn awaited_in_a_shield<T: Send + 'static>(future: Boxed<T>) -> Outcome<T> {
    let (ledger, seen) = (Ledger::open(), Arc::new(Mutex::new(None)));
    let put = seen.clone();
    let outcome = group(async move |g| {
        let mut future = future;
        assert!(poll_once(&mut future).await.is_pending());
        g.spawn({
            let g = g.clone();
            async move {
                sleep(secs(1)).await;
                g.cancel();
            }
        });
        let ended = catch(shield(future)).await;
        *put.lock().unwrap() = Some(ended);
        checkpoint().await;
        unreachable!("the shield is over");
        #[allow(unreachable_code, reason = "names the types")]
        done()
    });
    assert!(outcome.await.unwrap_err().is_cancelled());
    assert_eq!(ledger.now(), 1000);
    seen.lock().unwrap().take().unwrap()
}

#[test]
fn a_group_begun_before_the_shield_says_inside_that_it_is_cancelled() {
    sim(FEW, async || {
        let begun = Box::pin(group(async |_| {
            sleep(secs(5)).await;
            done()
        }));
        let ended = awaited_in_a_shield(begun).await.unwrap();
        assert!(ended.unwrap_err().is_cancelled());
    });
}

#[test]
fn what_has_no_error_panics_inside_with_advice() {
    sim(FEW, async || {
        let advice = "polled outside of the boundary in which it was first polled";
        let panics = |outcome: Outcome<()>| {
            let payload = outcome.expect_err("nobody can be told");
            let text = message(&*payload);
            assert!(text.contains(advice), "{text}");
        };
        let limited = timeout(secs(3), sleep(secs(5)));
        panics(awaited_in_a_shield(Box::pin(async { limited.await.unwrap() })).await);
        let gathered = gather_settled([async {
            sleep(secs(5)).await;
            done()
        }]);
        panics(awaited_in_a_shield(Box::pin(gathered)).await.map(drop));
    });
}

#[test]
fn a_release_that_awaits_a_group_begun_before_is_told_that_it_is_cancelled() {
    sim(FEW, async || {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let mut kept = Box::pin(group(async |_| {
                sleep(secs(5)).await;
                done()
            }));
            assert!(poll_once(&mut kept).await.is_pending());
            let seen = ledger.clone();
            let _guard = defer(kept, async move |kept| {
                assert!(kept.await.unwrap_err().is_cancelled());
                seen.note("told");
            });
            sleep(secs(1)).await;
            g.cancel();
            pending::<Result<(), Oops>>().await
        });
        let error = outcome.await.unwrap_err();
        assert!(error.is_cancelled() && error.cleanup_failures().is_empty());
        ledger.expect(&[(1000, "told")]);
    });
}

/// Rule 22: a task of somebody else, which polls slowly, is no reason to give up what is shielded there.
#[test]
fn a_shield_in_a_carried_boundary_holds_though_its_task_is_slow() {
    sim(FEW, async || {
        let ledger = Ledger::open();
        let outcome = group(async |outer| {
            let inner = group(async |g| {
                let here = Boundary::current().unwrap();
                let commit = ledger.clone();
                outer.spawn(async move {
                    let mut foreign = Box::pin(here.wrap(shield(async move {
                        sleep(secs(3)).await;
                        commit.note("committed");
                    })));
                    while poll_once(&mut foreign).await.is_pending() {
                        sleep(secs(1)).await;
                    }
                });
                sleep(secs(1)).await;
                g.cancel();
                pending::<Result<(), Oops>>().await
            });
            assert!(inner.await.unwrap_err().is_cancelled());
            ledger.note("cancelled");
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(3000, "committed"), (3000, "cancelled")]);
    });
}

#[test]
fn a_handle_awaited_in_a_carried_boundary_says_how_its_child_has_ended() {
    sim(FEW, async || {
        let outcome = group(async |outer| {
            let inner = group(async |g| {
                let (here, child) = (Boundary::current().unwrap(), g.spawn(pending::<()>()));
                let foreign = here.wrap(child);
                let foreign = outer.spawn(async move { Ok(foreign.await.unwrap_err()) });
                g.cancel();
                pending::<Result<_, Oops>>().await.map(|()| foreign)
            });
            assert!(inner.await.unwrap_err().is_cancelled());
            done()
        });
        outcome.await.unwrap();
    });
}

/// What a closure does that blocks its thread by waiting, in a group that is cancelled meanwhile; false if it
/// went on after that.
fn blocked(wait: impl FnOnce(&Flag) + Send + 'static) -> bool {
    let (began, went_on) = (Flag::default(), Flag::default());
    let (begins, goes_on) = (began.clone(), went_on.clone());
    let outcome = run(async |g| {
        let child: JoinHandle<()> = g.spawn_blocking(move |_| {
            wait(&begins);
            goes_on.set();
        });
        while !began.is_set() {
            checkpoint().await;
        }
        g.cancel();
        drop(child);
        done()
    });
    outcome.unwrap();
    went_on.is_set()
}

#[test]
fn a_thread_that_is_blocked_learns_that_what_it_waits_for_is_cancelled() {
    let name =
        "awaited_inside::a_thread_that_is_blocked_learns_that_what_it_waits_for_is_cancelled";
    on_workers(name, || {
        assert!(blocked(|began| {
            let opening = group(async |_| {
                began.set();
                pending::<Result<(), Oops>>().await
            });
            assert!(block_on(opening).unwrap_err().is_cancelled());
        }));
    });
}

#[test]
fn a_thread_that_is_blocked_is_unwound_where_there_is_no_error_for_that() {
    let name =
        "awaited_inside::a_thread_that_is_blocked_is_unwound_where_there_is_no_error_for_that";
    on_workers(name, || {
        assert!(!blocked(|began| {
            let endless = async {
                began.set();
                pending::<()>().await;
            };
            let limited: Result<(), TimedOut> = block_on(timeout(secs(3600), endless));
            limited.unwrap();
        }));
        assert!(!blocked(|began| {
            let began = began.clone();
            let endless = async move {
                began.set();
                pending::<Result<(), Oops>>().await
            };
            block_on(gather_settled([endless]));
        }));
    });
}

#[test]
fn a_thread_that_is_blocked_learns_from_a_handle_that_its_child_has_failed() {
    let name =
        "awaited_inside::a_thread_that_is_blocked_learns_from_a_handle_that_its_child_has_failed";
    on_workers(name, || {
        for _ in 0..100 {
            let outcome = run(async |g| {
                let child = g.spawn(async { Err::<(), _>(Oops("child")) });
                g.spawn_blocking(|_| assert!(block_on(child).is_err()));
                done()
            });
            assert_eq!(outcome.unwrap_err().into_first(), Some(Oops("child")));
        }
    });
}

/// What a task of somebody else has opened is no part of the body, which is dropped without it.
#[test]
fn a_group_forgotten_in_a_carried_boundary_keeps_no_cancelled_body_alive() {
    sim(FEW, async || {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let here = Boundary::current().unwrap();
            let child = ledger.forever("child");
            let mut foreign = Box::pin(here.wrap(group(async |inner| {
                inner.spawn(child);
                pending::<Result<(), Oops>>().await
            })));
            assert!(poll_once(&mut foreign).await.is_pending());
            std::mem::forget(foreign);
            sleep(secs(1)).await;
            g.cancel();
            pending::<Result<(), Oops>>().await
        });
        assert!(outcome.await.unwrap_err().is_cancelled());
        ledger.expect(&[(1000, "child cut")]);
    });
}

/// Nobody is there to drop it, and it has no error for that.
#[test]
fn a_timeout_in_a_carried_boundary_stays_pending_when_that_ends() {
    sim(FEW, async || {
        let outcome = group(async |outer| {
            let here = group(async |_| {
                let here = Boundary::current().unwrap();
                let before = here.wrap(timeout(secs(9), pending::<()>()));
                outer.spawn(async move { before.await.unwrap() });
                sleep(secs(1)).await;
                Ok::<_, Oops>(here)
            });
            let after = here.await.unwrap().wrap(timeout(secs(9), pending::<()>()));
            outer.spawn(async move { after.await.unwrap() });
            sleep(secs(10)).await;
            outer.cancel();
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn a_thread_to_which_a_boundary_was_carried_panics_with_advice_where_there_is_no_error() {
    let name = "awaited_inside::a_thread_to_which_a_boundary_was_carried_panics_with_advice_where_there_is_no_error";
    on_workers(name, || {
        assert!(blocked(|began| {
            let (began, here) = (began.clone(), Boundary::current().unwrap());
            let endless = async move {
                began.set();
                pending::<()>().await;
            };
            let waits = move || here.enter(|| block_on(timeout(secs(3600), endless)));
            let payload = std::thread::spawn(waits).join().unwrap_err();
            assert!(message(&*payload).contains("carried to this thread"));
        }));
    });
}

/// A second panic would abort.
#[test]
fn a_destructor_in_a_closure_that_is_unwound_may_wait_to_the_end() {
    struct Flush(Flag);

    impl Drop for Flush {
        fn drop(&mut self) {
            let flushed = block_on(timeout(secs(3600), async {
                checkpoint().await;
                shield(checkpoint()).await;
            }));
            flushed.unwrap();
            block_on(gather_settled([async {
                checkpoint().await;
                done()
            }]));
            self.0.set();
        }
    }

    let name = "awaited_inside::a_destructor_in_a_closure_that_is_unwound_may_wait_to_the_end";
    on_workers(name, || {
        let flushed = Flag::default();
        let flush = Flush(flushed.clone());
        assert!(!blocked(move |began| {
            let _flush = flush;
            let endless = async {
                began.set();
                pending::<()>().await;
            };
            _ = block_on(timeout(secs(3600), endless));
        }));
        assert!(flushed.is_set());
    });
}
