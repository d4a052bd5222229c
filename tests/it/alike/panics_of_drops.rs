//! Panics of destructors: of futures, of outputs, of payloads.

use std::{
    fmt,
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind, panic_any},
};

use headcount::{shield, time::sleep};

use super::open;
use crate::support::{
    Census, FEW, Ledger, Oops, PanicOnDrop, SEEDS, catch, done, drops_later_panicking, message, ok,
    secs, sim,
};

/// Case 35: the destructor of a child that is cancelled by handle.
#[test]
fn the_panic_of_a_cancelled_childs_destructor_resumes_after_its_siblings_are_joined() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = catch(open(async |g| {
            let doomed = g.spawn(drops_later_panicking("destructor"));
            g.spawn(ledger.forever("sibling"));
            sleep(secs(1)).await;
            doomed.cancel();
            ledger.forever("body").await;
            done()
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "destructor");
        ledger.expect_in_any_order(&[(1000, "body cut"), (1000, "sibling cut")]);
    });
}

/// Case 35: all of them are cancelled by the opening's own request.
#[test]
fn every_child_is_drained_though_each_destructor_panics() {
    sim(SEEDS, || async {
        let census = Census::default();
        let outcome = catch(open(async |g| {
            for _ in 0..5 {
                let tracked = census.tracked();
                g.spawn(async move {
                    let _panics = PanicOnDrop("destructor");
                    let _tracked = tracked;
                    pending::<()>().await;
                });
            }
            sleep(secs(1)).await;
            g.cancel();
            pending::<Result<(), Oops>>().await
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "destructor");
        assert_eq!((census.born(), census.living()), (5, 0));
    });
}

/// Case 35: a child that was never polled has a destructor too.
#[test]
fn the_destructor_of_an_unpolled_child_may_panic() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = catch(open(async |g| {
            let guard = PanicOnDrop("unpolled");
            g.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            g.spawn(ledger.forever("sibling"));
            Err::<(), _>(Oops("body"))
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "unpolled");
        ledger.expect(&[(0, "sibling cut")]);
    });
}

/// Case 35: a future that has returned its value and panics when it is dropped.
#[test]
fn the_destructor_of_a_finished_future_may_panic() {
    struct Finished;
    impl Future for Finished {
        type Output = ();
        fn poll(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<()> {
            std::task::Poll::Ready(())
        }
    }
    impl Drop for Finished {
        fn drop(&mut self) {
            panic!("finished");
        }
    }
    sim(SEEDS, || async {
        let outcome = catch(open(async |g| {
            g.spawn(Finished);
            done()
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "finished");
    });
}

/// Case 35: the destructor of a body that is cancelled.
#[test]
fn the_panic_of_a_cancelled_bodys_destructor_resumes() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = catch(open(async |g| {
            g.spawn(ledger.failing("a", secs(1)));
            g.spawn(ledger.forever("sibling"));
            drops_later_panicking("body").await;
            done()
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "body");
        ledger.expect_in_any_order(&[(1000, "a failed"), (1000, "sibling cut")]);
    });
}

/// Rule 14: nobody owes the output to anybody, so it is dropped where the child ended.
#[test]
fn the_destructor_of_an_output_without_a_handle_panics_as_the_child() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = catch(open(async |g| {
            g.spawn(ledger.forever("sibling"));
            drop(g.spawn(async {
                sleep(secs(1)).await;
                ok(PanicOnDrop("output"))
            }));
            ledger.forever("body").await;
            done()
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "output");
        ledger.expect_in_any_order(&[(1000, "body cut"), (1000, "sibling cut")]);
    });
}

/// Rule 14: the handle is dropped by the body after the child has ended.
#[test]
fn the_destructor_of_an_output_whose_handle_is_dropped_unread_panics_into_the_opener() {
    sim(SEEDS, || async {
        let outcome = catch(open(async |g| {
            let handle = g.spawn(async { ok(PanicOnDrop("output")) });
            sleep(secs(1)).await;
            assert!(handle.is_finished());
            drop(handle);
            ok(())
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "output");
    });
}

/// Rule 14: the handle outlives the opening, and its owner gets or drops the output.
#[test]
fn an_output_that_panics_when_dropped_can_be_received() {
    sim(SEEDS, || async {
        let handles = open(async |g| {
            let first = g.spawn(async { ok(PanicOnDrop("first")) });
            let second = g.spawn(async { ok(PanicOnDrop("second")) });
            ok((first, second))
        })
        .await;
        let (first, second) = handles.unwrap();
        // Outside, nobody is left to whom the panic could go but the one who drops.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(first)));
        let received = second.await.unwrap();
        assert_eq!(received.0, "second");
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(received)));
        assert_eq!(message(&*dropped.unwrap_err()), "second");
    });
}

/// Rule 14: the payload of a panic that cannot be carried panics when it is dropped.
#[test]
fn the_destructor_of_a_suppressed_payload_may_panic() {
    sim(SEEDS, || async {
        let census = Census::default();
        let outcome = catch(open(async |g| {
            let tracked = census.tracked();
            g.spawn(async move {
                let _tracked = tracked;
                let _nasty = Nasty;
                pending::<()>().await;
            });
            g.spawn(async {
                sleep(secs(1)).await;
                panic!("first");
            });
            done()
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "first");
        assert_eq!(census.living(), 0);
    });
}

/// Its destructor panics with a payload whose destructor panics.
struct Nasty;

impl Drop for Nasty {
    fn drop(&mut self) {
        panic_any(PanicOnDrop("payload"));
    }
}

/// Rule 14: an error beside a panic, whose destructor panics.
#[test]
fn the_destructor_of_a_suppressed_error_may_panic() {
    #[derive(Debug)]
    struct NastyError;
    impl Drop for NastyError {
        fn drop(&mut self) {
            panic!("error");
        }
    }
    sim(SEEDS, || async {
        let outcome = catch(open(async |g| {
            g.spawn(drops_later_panicking("panic"));
            g.spawn(async {
                sleep(secs(1)).await;
                Err::<(), _>(NastyError)
            });
            Ok(())
        }))
        .await;
        // Which of the two counts as the first panic is not laid down; that one resumes is.
        let payload = outcome.map(drop).unwrap_err();
        assert!(["panic", "error"].contains(&message(&*payload)));
    });
}

/// Rule 14: the value of a body that is dropped for a failure of a child.
#[test]
fn the_destructor_of_a_dropped_body_value_may_panic() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = catch(open(async |g| {
            g.spawn(ledger.failing("a", secs(1)));
            g.spawn(ledger.forever("sibling"));
            ok(PanicOnDrop("value"))
        }))
        .await;
        let payload = outcome.map(drop).unwrap_err();
        assert_eq!(message(&*payload), "value");
        ledger.expect(&[(1000, "a failed"), (1000, "sibling cut")]);
    });
}

/// An error whose destructor may panic.
struct Touchy(Option<PanicOnDrop>);

impl fmt::Debug for Touchy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.as_ref().map(|panics| panics.0))
            .finish()
    }
}

/// Rule 14: of the errors that nobody wants all are dropped, and the first panic of that goes on. Then the one
/// that was wanted is dropped too.
#[test]
fn the_destructors_of_the_errors_beside_the_first_may_panic() {
    let (none, second, third) = (None, Some("second"), Some("third"));
    for (others, expected) in [
        ([none, none], None),
        ([none, third], third),
        ([second, third], second),
    ] {
        sim(FEW, move || async move {
            let outcome = open(async |g| {
                for (n, text) in [Some("first"), others[0], others[1]]
                    .into_iter()
                    .enumerate()
                {
                    g.spawn(async move {
                        shield(sleep(secs(1 + n as u64))).await;
                        Err::<(), _>(Touchy(text.map(PanicOnDrop)))
                    });
                }
                Ok(())
            });
            let error = outcome.await.unwrap_err();
            assert_eq!(error.failures().len(), 3);
            match catch_unwind(AssertUnwindSafe(|| error.into_first())) {
                Ok(first) => {
                    assert_eq!(expected, None);
                    std::mem::forget(first.unwrap());
                }
                Err(payload) => assert_eq!(Some(message(&*payload)), expected),
            }
        });
    }
}
