//! Who of several cancelled scopes absorbs (rule 21), and that nothing goes on (rule 19).

use std::future::pending;

use futures_concurrency::future::Race;
use headcount::{
    CancelKind, CancelScope, checkpoint, current_deadline, group, is_cancelled, time::sleep,
    timeout,
};

use crate::support::{
    Boxed, FEW, Layer, Ledger, Named, Oops, SEEDS, catch, done, message, nested, secs,
    shielded_sleep, sim, yield_now,
};

/// Rule 21: whichever of two scopes was cancelled first, in one poll.
#[test]
fn of_two_cancelled_scopes_the_outer_absorbs() {
    for inner_first in [false, true] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let (outer, inner) = (CancelScope::new(), CancelScope::new());
            let outcome = outer.enter(async {
                let cut = inner.enter(async {
                    sleep(secs(1)).await;
                    let order = match inner_first {
                        true => [&inner, &outer],
                        false => [&outer, &inner],
                    };
                    order.into_iter().for_each(CancelScope::cancel);
                    checkpoint().await;
                    ledger.note("never");
                });
                let _ = cut.await;
                ledger.note("between");
            });
            outcome.await.unwrap_err();
            assert!(inner.cancel_called() && !inner.cancelled_caught());
            assert!(outer.cancelled_caught());
            ledger.expect(&[]);
        });
    }
}

/// Rule 21: both before entry.
#[test]
fn of_two_scopes_cancelled_before_entry_the_outer_absorbs() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let (outer, inner) = (CancelScope::new(), CancelScope::new());
        inner.cancel();
        outer.cancel();
        let outcome = outer.enter(async {
            ledger.note("outer");
            let cut = inner.enter(async {
                ledger.note("inner");
                checkpoint().await;
                ledger.note("never");
            });
            let _ = cut.await;
            ledger.note("between");
        });
        outcome.await.unwrap_err();
        assert!(outer.cancelled_caught() && !inner.cancelled_caught());
        ledger.expect(&[(0, "outer"), (0, "inner")]);
    });
}

/// Rule 21: the outer request comes while the inner scope drains already.
#[test]
fn an_outer_request_during_the_drain_of_an_inner_scope_is_absorbed_outside() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let (outer, inner) = (CancelScope::with_timeout(secs(2)), CancelScope::new());
        let outcome = outer.enter(async {
            let _owned = ledger.mark("owned");
            let cut = inner.enter(group(async |g| {
                g.spawn_named("drains until 3", shielded_sleep(secs(3)));
                sleep(secs(1)).await;
                inner.cancel();
                ledger.forever("body").await;
                done()
            }));
            let _ = cut.await;
            ledger.note("between");
        });
        let cancelled = outcome.await.unwrap_err();
        assert_eq!(cancelled.reason().unwrap().kind, CancelKind::Deadline);
        assert!(inner.cancel_called() && !inner.cancelled_caught());
        ledger.expect(&[(1000, "body cut"), (3000, "owned cut")]);
    });
}

/// Rule 21: of four, the second and the last are cancelled.
#[test]
fn the_outermost_of_the_cancelled_scopes_absorbs_and_those_around_go_on() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let [a, b, c, d] = std::array::from_fn(|_| CancelScope::new());
        let outcome = a.enter(async {
            let caught = b.enter(async {
                let _ = c
                    .enter(async {
                        let _ = d
                            .enter(async {
                                d.cancel();
                                b.cancel();
                                pending::<()>().await;
                            })
                            .await;
                        ledger.note("in c");
                    })
                    .await;
                ledger.note("in b");
            });
            caught.await.unwrap_err();
            assert!(!is_cancelled());
            sleep(secs(1)).await;
            ledger.note("in a");
        });
        outcome.await.unwrap();
        let caught = [&a, &b, &c, &d].map(CancelScope::cancelled_caught);
        assert_eq!(caught, [false, true, false, false]);
        ledger.expect(&[(1000, "in a")]);
    });
}

/// Rule 19: code that ignores what its awaits return cannot swallow a request, in whatever it opens.
#[test]
fn a_request_cannot_be_swallowed() {
    for layer in Layer::ALL {
        sim(FEW, move || async move {
            let ledger = Ledger::open();
            let cancel_scope = CancelScope::new();
            let outcome = cancel_scope.enter(async {
                let mut turns = 0;
                loop {
                    turns += 1;
                    ledger.note(format!("turn {turns}"));
                    let inside = cancel_scope.clone();
                    let sleeps = nested(&[layer], async move {
                        sleep(secs(1)).await;
                        if turns == 3 {
                            inside.cancel();
                        }
                        sleep(secs(1)).await;
                    });
                    let _ = catch(sleeps).await;
                }
            });
            let outcome: Result<(), _> = outcome.await;
            outcome.unwrap_err();
            ledger.expect(&[(0, "turn 1"), (2000, "turn 2"), (4000, "turn 3")]);
            assert_eq!(ledger.now(), 5000);
        });
    }
}

/// Rule 19: nothing that is done to a scope afterwards takes its request back.
#[test]
fn a_request_cannot_be_taken_back() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let cancel_scope = CancelScope::with_timeout(secs(9));
        let outcome = cancel_scope.enter(async {
            cancel_scope.cancel();
            cancel_scope.set_deadline(None);
            cancel_scope.shield(true);
            cancel_scope.shield(false);
            cancel_scope.set_deadline(Some(headcount::Instant::now() + secs(5)));
            cancel_scope.shield(true);
            assert!(is_cancelled() && cancel_scope.cancel_called());
            yield_now().await;
            ledger.note("never");
        });
        outcome.await.unwrap_err();
        ledger.expect(&[]);
        assert_eq!(ledger.now(), 0);
    });
}

/// What code sees around it when it is dropped.
struct Looks(Ledger, headcount::Instant);

impl Drop for Looks {
    fn drop(&mut self) {
        let as_inside = is_cancelled() && current_deadline() == Some(self.1);
        self.0.note(format!("dropped as inside: {as_inside}"));
    }
}

/// Rule 19: a cancelled future is dropped with the context of its boundary.
#[test]
fn a_cancelled_future_is_dropped_in_the_context_of_its_boundary() {
    for layer in Layer::ALL {
        sim(FEW, move || async move {
            let ledger = Ledger::open();
            let at = headcount::Instant::now() + secs(7);
            let cancel_scope = CancelScope::with_deadline(at);
            let looks = Looks(ledger.clone(), at);
            let inner = nested(&[layer], async move {
                let _looks = looks;
                pending::<()>().await;
            });
            let outcome = group(async |g| {
                let canceller = cancel_scope.clone();
                g.spawn(async move {
                    sleep(secs(1)).await;
                    canceller.cancel();
                });
                cancel_scope.enter(inner).await.unwrap_err();
                done()
            });
            outcome.await.unwrap();
            ledger.expect(&[(1000, "dropped as inside: true")]);
        });
    }
}

/// Rule 12 for a scope: a real error comes out of a cancelled scope, and is no cancellation.
#[test]
fn a_real_error_comes_out_of_a_cancelled_scope() {
    sim(SEEDS, || async {
        let cancel_scope = CancelScope::new();
        let outcome = cancel_scope.enter(group(async |g| {
            let canceller = cancel_scope.clone();
            g.spawn(async move {
                canceller.cancel();
                Err::<(), _>(Oops("a"))
            });
            pending::<Result<(), Oops>>().await
        }));
        assert_eq!(outcome.await.unwrap().names(), ["a"]);
        assert!(cancel_scope.cancel_called() && !cancel_scope.cancelled_caught());
    });
}

/// Rules 14 and 21: a panic of what is entered comes out once everything below has ended.
#[test]
fn a_panic_comes_out_of_a_scope_after_what_is_below() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let cancel_scope = CancelScope::new();
        let body = ledger.forever("body");
        let entered = cancel_scope.enter(async {
            let work: Boxed<_> = Box::pin(group(async move |g| {
                g.spawn(shielded_sleep(secs(3)));
                body.await;
                done()
            }));
            let breaks: Boxed<_> = Box::pin(async {
                sleep(secs(1)).await;
                panic!("broken")
            });
            let _ = [work, breaks].race().await;
        });
        let payload = catch(entered).await.unwrap_err();
        assert_eq!(message(&*payload), "broken");
        assert_eq!(ledger.now(), 3000);
        ledger.expect(&[(1000, "body cut")]);
    });
}

/// Rule 18: a scope whose future was dropped by others cancels what is below, and says why.
#[test]
fn a_scope_dropped_by_a_race_is_cancelled_and_its_parent_waits() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let cancel_scope = CancelScope::new();
        let outcome = timeout(secs(60), async {
            let loses = cancel_scope.enter(group(async |g| {
                g.spawn(ledger.forever("child"));
                g.spawn(shielded_sleep(secs(3)));
                done()
            }));
            let wins = async {
                sleep(secs(1)).await;
                5
            };
            (async { loses.await.map_or(1, |_| 2) }, wins).race().await
        });
        assert_eq!(outcome.await.unwrap(), 5);
        ledger.expect(&[(1000, "child cut")]);
        assert_eq!(ledger.now(), 3000);
        assert_eq!(cancel_scope.reason().unwrap().kind, CancelKind::Dropped);
        assert!(!cancel_scope.cancelled_caught());
    });
}

/// Case 15: the inner scope is not even requested.
#[test]
fn an_inner_scope_is_not_requested_by_an_outer_deadline() {
    sim(SEEDS, || async {
        let inner = CancelScope::new();
        let cut = timeout(secs(1), inner.enter(pending::<()>())).await;
        cut.unwrap_err();
        assert!(!inner.cancel_called() && !inner.cancelled_caught());
        assert!(inner.reason().is_none());
    });
}

/// Rule 20: a panic is no request.
#[test]
fn a_scope_that_panics_is_not_requested() {
    sim(SEEDS, || async {
        let scope = CancelScope::new();
        let panics = scope.enter(async { panic!("inside") });
        assert!(catch(panics).await.map(|_: Result<(), _>| ()).is_err());
        assert!(!scope.cancel_called());
    });
}

#[test]
fn a_scope_shows_whether_it_was_cancelled_and_has_absorbed_that() {
    sim(1, || async {
        let cancel_scope = CancelScope::new();
        let shows = |called, caught| {
            let text = format!("{cancel_scope:?}");
            assert!(text.contains(&format!("cancel_called: {called}")), "{text}");
            assert!(
                text.contains(&format!("cancelled_caught: {caught}")),
                "{text}"
            );
        };
        shows(false, false);
        cancel_scope.cancel();
        shows(true, false);
        cancel_scope.enter(pending::<()>()).await.unwrap_err();
        shows(true, true);
    });
}
