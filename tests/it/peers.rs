//! The programs in which comparable libraries fail, in virtual time.

use std::{
    future::pending,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
};

use headcount::{GroupError, group, scope, testing::Sim, time::sleep};

use crate::support::{
    Census, Flag, Gate, Ledger, Named, Oops, PanicOnDrop, PollCount, SEEDS, catch, done,
    drops_later_panicking, message, ok, poll_once, secs, sim, yield_now,
};

type Opening<'a> = Pin<Box<dyn Future<Output = Result<(), GroupError<Oops>>> + Send + 'a>>;

/// Elsewhere it aborts the process, for a mutex that the panic poisoned is unwrapped in a destructor.
#[test]
fn a_child_of_an_inline_scope_panics_while_it_borrows() {
    sim(SEEDS, || async {
        let census = Census::default();
        let data = census.tracked();
        let outcome = catch(scope(async |s| {
            for n in 0..3 {
                let data = &data;
                s.spawn(async move {
                    sleep(secs(1)).await;
                    data.assert_alive();
                    assert_ne!(n, 1, "the child panics");
                    pending::<()>().await;
                });
            }
            done()
        }))
        .await;
        assert!(message(&*outcome.unwrap_err()).contains("the child panics"));
        data.assert_alive();
        drop(data);
        assert_eq!(census.living(), 0);
    });
}

/// Elsewhere the panic of the opener's own poll leaves children behind that can be polled again.
#[test]
fn a_scope_that_has_panicked_polls_no_child_again() {
    sim(SEEDS, || async {
        let (polls, gate, ledger) = (PollCount::default(), Gate::default(), Ledger::open());
        let mut inner: Opening = Box::pin(scope(async |s| {
            let (wait, mark) = (gate.wait(), ledger.mark("child"));
            s.spawn(polls.of(async move {
                wait.await;
                mark.finish("done");
            }));
            sleep(secs(1)).await;
            panic!("body");
        }));
        assert!(catch(inner.as_mut()).await.is_err());
        ledger.expect(&[(1000, "child cut")]);
        let before = polls.get();
        gate.open();
        sleep(secs(1)).await;
        drop(inner);
        assert_eq!(polls.get(), before);
    });
}

/// Elsewhere a child of a forgotten scope runs on another thread after its borrow has ended.
#[test]
fn a_forgotten_half_polled_scope_lets_its_borrowed_data_go() {
    sim(SEEDS, || async {
        let (polls, gates, census) = (PollCount::default(), Gate::default(), Census::default());
        let outcome = group(async |g| {
            let text = (census.tracked(), String::from("borrowed"));
            let mut inner: Opening = Box::pin(scope(async |s| {
                let (text, s2, gates, polls) = (&text, s.clone(), &gates, &polls);
                s.spawn(polls.of(async move {
                    s2.spawn(polls.of(async move {
                        gates.wait().await;
                        text.0.assert_alive();
                    }));
                    gates.wait().await;
                    text.0.assert_alive();
                }));
                done()
            }));
            while polls.get() < 2 {
                assert!(poll_once(&mut inner).await.is_pending());
                yield_now().await;
            }
            mem::forget(inner);
            drop(text);
            let (before, wake) = (polls.get(), gates.clone());
            g.spawn(async move { wake.open() }).await.unwrap();
            sleep(secs(1)).await;
            assert_eq!(polls.get(), before);
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(census.living(), 0);
    });
}

/// Elsewhere an un-awaited spawn, or a dropped handle, makes an orphan while the owner returns.
#[test]
fn a_handle_that_is_never_awaited_makes_no_orphan() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let _kept = g.spawn(ledger.sleeper("kept", secs(1)));
            drop(g.spawn(ledger.sleeper("ignored", secs(2))));
            mem::forget(g.spawn(ledger.sleeper("forgotten", secs(3))));
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (1000, "kept done"),
            (2000, "ignored done"),
            (3000, "forgotten done"),
        ]);
    });
}

/// Elsewhere the panic of a task that is cancelled is lost.
#[test]
fn a_panic_during_the_cancellation_is_not_lost() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = catch(group(async |g| {
            for _ in 0..3 {
                g.spawn(ledger.forever("sibling"));
                g.spawn(drops_later_panicking("while cancelled"));
            }
            sleep(secs(1)).await;
            g.cancel();
            pending::<Result<(), Oops>>().await
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "while cancelled");
        assert_eq!(ledger.count("sibling cut"), 3);
    });
}

/// Elsewhere a panic of a task hides the drain: its owner unwinds past living children.
#[test]
fn the_drain_comes_before_the_panic() {
    sim(SEEDS, || async {
        let (census, unwound) = (Census::default(), Flag::default());
        let outcome = catch(group(async |outer| {
            let (tracked, seen) = (census.tracked(), unwound.clone());
            outer.spawn(async move {
                let inner = group(async move |inner| {
                    inner.spawn(async move {
                        let _guard = Unwound(tracked, seen);
                        pending::<()>().await;
                    });
                    done()
                });
                inner.await.map_err(|_| Oops("inner"))
            });
            sleep(secs(1)).await;
            panic!("body");
            #[allow(unreachable_code)]
            done()
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "body");
        assert_eq!(census.living(), 0);
        assert!(
            !unwound.is_set(),
            "children are dropped in peace, not by the unwinding"
        );
    });
}

/// Notes whether it is dropped while its thread unwinds.
struct Unwound(crate::support::Tracked, Flag);

impl Drop for Unwound {
    fn drop(&mut self) {
        self.0.assert_alive();
        if std::thread::panicking() {
            self.1.set();
        }
    }
}

/// Elsewhere the process aborts for each of these.
#[test]
fn destructors_of_futures_outputs_and_payloads_panic_in_one_group() {
    sim(SEEDS, || async {
        let census = Census::default();
        let outcome = catch(group(async |g| {
            let tracked = census.tracked();
            g.spawn(drops_later_panicking("future"));
            g.spawn(async move {
                let _tracked = tracked;
                pending::<()>().await;
            });
            g.spawn(async {
                let _payload = PayloadOnDrop;
                pending::<()>().await;
            });
            sleep(secs(1)).await;
            drop(g.spawn(async { ok(PanicOnDrop("output")) }));
            pending::<Result<(), Oops>>().await
        }))
        .await;
        // The output's came first: it cancelled the others, whose panics cannot be carried.
        assert_eq!(message(&*outcome.unwrap_err()), "output");
        assert_eq!(census.living(), 0);
    });
}

/// Its destructor panics with a payload whose destructor panics.
struct PayloadOnDrop;

impl Drop for PayloadOnDrop {
    fn drop(&mut self) {
        std::panic::panic_any(PanicOnDrop("payload"));
    }
}

/// The payload reaches the very end of a program, through the simulator too.
#[test]
fn a_panic_nobody_catches_leaves_the_program_with_its_payload() {
    for seed in 0..SEEDS {
        let census = Census::default();
        let tracked = census.tracked();
        let ran = catch_unwind(AssertUnwindSafe(|| {
            Sim::new(seed).run(async move {
                let outcome = group(async |g| {
                    g.spawn(async move {
                        let _tracked = tracked;
                        pending::<()>().await;
                    });
                    g.spawn(async {
                        sleep(secs(1)).await;
                        std::panic::panic_any(42_u64);
                    });
                    done()
                })
                .await;
                drop(outcome);
            });
        }));
        assert_eq!(*ran.unwrap_err().downcast::<u64>().unwrap(), 42);
        assert_eq!(census.living(), 0);
    }
}

/// Elsewhere results of finished tasks pile up until somebody joins them.
#[test]
fn outputs_nobody_wants_do_not_pile_up() {
    sim(SEEDS, || async {
        let outputs = Census::default();
        let outcome = group(async |g| {
            for _ in 0..50 {
                let output = outputs.tracked();
                g.spawn(async move { ok(output) });
                sleep(secs(1)).await;
                assert_eq!(outputs.living(), 0);
            }
            done()
        })
        .await;
        assert!(outcome.names().is_empty());
        assert_eq!(outputs.born(), 50);
    });
}

/// Elsewhere a cancel that arrives together with the end of a task loses its result.
#[test]
fn a_cancel_at_the_instant_of_the_end_neither_loses_nor_doubles_the_result() {
    sim(SEEDS, || async {
        let (ledger, outputs) = (Ledger::open(), Census::default());
        let outcome = group(async |g| {
            let output = outputs.tracked();
            let child = g.spawn(async move {
                sleep(secs(1)).await;
                ok(output)
            });
            sleep(secs(1)).await;
            child.cancel();
            match child.await {
                Ok(output) => output.assert_alive(),
                Err(error) => assert!(error.is_cancelled()),
            }
            assert_eq!(outputs.living(), 0);
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(ledger.now(), 1000);
    });
}
