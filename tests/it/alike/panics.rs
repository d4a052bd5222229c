//! Panics of children and bodies.

use std::{
    future::pending,
    panic::{panic_any, resume_unwind},
};

use headcount::time::sleep;

use super::open;
use crate::support::{
    Census, Ledger, Oops, SEEDS, catch, done, drops_later_panicking, message, ok, secs, sim,
};

/// Recognised by its type and its value.
#[derive(Debug, PartialEq)]
struct Payload(u32);

async fn panics_after(time: u64, text: &'static str) {
    sleep(secs(time)).await;
    panic!("{text}");
}

/// Case 35, rule 14.
#[test]
fn the_panic_of_a_child_resumes_in_the_opener_with_its_payload() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = catch(open(async |g| {
            g.spawn(ledger.forever("sibling"));
            g.spawn(async {
                sleep(secs(1)).await;
                panic_any(Payload(7));
            });
            ledger.forever("body").await;
            done()
        }))
        .await;
        let payload = outcome.unwrap_err().downcast::<Payload>().unwrap();
        assert_eq!(*payload, Payload(7));
        ledger.expect_in_any_order(&[(1000, "body cut"), (1000, "sibling cut")]);
        assert_eq!(ledger.now(), 1000);
    });
}

/// Rule 14: the very box, not a copy of its text.
#[test]
fn the_payload_is_resumed_unchanged() {
    sim(SEEDS, || async {
        let payload: Box<dyn std::any::Any + Send> = Box::new(Payload(8));
        let address = std::ptr::from_ref(&*payload).addr();
        let outcome = catch(open(async |g| {
            g.spawn(async move {
                resume_unwind(payload);
                #[allow(unreachable_code)]
                done()
            });
            done()
        }))
        .await;
        let payload = outcome.unwrap_err();
        assert_eq!(std::ptr::from_ref(&*payload).addr(), address);
        assert_eq!(*payload.downcast::<Payload>().unwrap(), Payload(8));
    });
}

/// Case 35: two children.
#[test]
fn of_two_panics_the_first_resumes() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = catch(open(async |g| {
            g.spawn(panics_after(2, "later"));
            g.spawn(panics_after(1, "first"));
            done()
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "first");
        assert_eq!(ledger.now(), 1000);
    });
}

/// Case 35: both really panic, the second while it is cancelled for the first.
#[test]
fn a_panic_during_the_cancellation_for_a_panic_replaces_nothing() {
    sim(SEEDS, || async {
        let census = Census::default();
        let outcome = catch(open(async |g| {
            let tracked = census.tracked();
            g.spawn(async move {
                let _tracked = tracked;
                drops_later_panicking("second").await;
            });
            g.spawn(panics_after(1, "first"));
            done()
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "first");
        assert_eq!(census.living(), 0);
    });
}

/// Case 35: two at one instant.
#[test]
fn one_of_two_panics_of_one_instant_resumes_and_all_are_joined() {
    sim(SEEDS, || async {
        let (ledger, census) = (Ledger::open(), Census::default());
        let outcome = catch(open(async |g| {
            for text in ["a", "b"] {
                let tracked = census.tracked();
                g.spawn(async move {
                    panics_after(1, text).await;
                    drop(tracked);
                });
            }
            done()
        }))
        .await;
        let payload = outcome.unwrap_err();
        assert!(["a", "b"].contains(&message(&*payload)));
        assert_eq!(census.living(), 0);
        assert_eq!(ledger.now(), 1000);
    });
}

/// Case 35.
#[test]
fn the_panic_of_a_body_cancels_and_joins_its_children() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = catch(open(async |g| {
            g.spawn(ledger.sleeper("child", secs(9)));
            panics_after(1, "body").await;
            done()
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "body");
        ledger.expect(&[(1000, "child cut")]);
        assert_eq!(ledger.now(), 1000);
    });
}

/// Case 35: in the closure itself, before there is a future.
#[test]
fn the_panic_of_the_closure_that_makes_the_body_is_a_panic_of_the_body() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let child = ledger.sleeper("child", secs(9));
        let outcome = catch(open(|g| {
            g.spawn(child);
            if ledger.now() == 0 {
                panic!("closure");
            }
            async { done() }
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "closure");
        ledger.expect(&[(0, "child cut")]);
    });
}

/// Rule 14: the panic comes later than the error, from a destructor, and still beats it.
#[test]
fn a_panic_beats_an_error() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = catch(open(async |g| {
            g.spawn(drops_later_panicking("destructor"));
            g.spawn(ledger.failing("a", secs(1)));
            done()
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "destructor");
        ledger.expect(&[(1000, "a failed")]);
    });
}

/// Rule 14: through several openings the payload stays the same, and each joins its own.
#[test]
fn a_panic_passes_nested_openings() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = catch(open(async |outer| {
            outer.spawn(ledger.forever("uncle"));
            let cousin = ledger.forever("cousin");
            outer.spawn(async move {
                let inner = open(async move |inner| {
                    inner.spawn(cousin);
                    inner.spawn(async {
                        sleep(secs(1)).await;
                        panic_any(Payload(9));
                    });
                    done()
                })
                .await;
                inner.map_err(|_| Oops("inner"))
            });
            done()
        }))
        .await;
        assert_eq!(
            *outcome.unwrap_err().downcast::<Payload>().unwrap(),
            Payload(9)
        );
        ledger.expect(&[(1000, "cousin cut"), (1000, "uncle cut")]);
    });
}

/// Rules 9 and 14: a live awaiter of the panicked child's handle, outside its opening.
#[test]
fn a_handle_tells_of_a_panic() {
    sim(SEEDS, || async {
        let kept = std::sync::Mutex::new(None);
        let outcome = catch(open(async |g| {
            *kept.lock().unwrap() = Some(g.spawn(panics_after(1, "child")));
            done()
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "child");
        let handle = kept.lock().unwrap().take().unwrap();
        assert!(handle.is_finished());
        let error = handle.await.unwrap_err();
        assert!(error.is_panicked());
        assert!(!error.is_failed() && !error.is_cancelled());
    });
}

/// Rules 12 and 14: a panic beats an outer cancellation.
#[test]
fn a_panic_beats_an_outer_cancellation() {
    sim(SEEDS, || async {
        let outcome = catch(open(async |outer| {
            let canceller = outer.clone();
            outer.spawn(async move {
                let inner = open(async move |inner| {
                    inner.spawn(async move {
                        sleep(secs(1)).await;
                        canceller.cancel();
                        panic!("inner child");
                    });
                    pending::<Result<(), Oops>>().await
                })
                .await;
                inner.map_err(|_| Oops("inner"))
            });
            ok(())
        }))
        .await;
        assert_eq!(message(&*outcome.unwrap_err()), "inner child");
    });
}
