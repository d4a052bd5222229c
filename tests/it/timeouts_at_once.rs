//! Timeouts that end in their first poll. Their boundary is made only if something asks for it, and
//! nobody must notice.

use std::{
    future::{Future, pending, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use headcount::{
    Boundary, CancelScope, Instant, checkpoint, current_deadline, defer, group, is_cancelled,
    is_shutting_down, move_on_after, shield, time::sleep, time::sleep_until, timeout, timeout_at,
};

use crate::support::{Ledger, PollCount, SEEDS, catch, message, secs, sim};

/// Does something when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Owns that, and is pending for ever.
async fn owning<F: FnMut()>(on_drop: F) {
    let _owned = OnDrop(on_drop);
    pending().await
}

/// A future whose destructor does something, though it has returned.
fn returning<F: FnMut()>(value: u8, on_drop: F) -> impl Future<Output = u8> {
    let owned = OnDrop(on_drop);
    poll_fn(move |_| {
        let _ = &owned;
        Poll::Ready(value)
    })
}

/// Nobody polls that where it belongs any more, so it ends with the timeout, a shield too.
#[test]
fn a_timeout_of_zero_waits_for_nobody_whom_its_destructor_forgets_or_puts_aside() {
    type Kept = Arc<Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>>;
    for forgets in [true, false] {
        sim(SEEDS, move || async move {
            let (ledger, kept) = (Ledger::open(), Kept::default());
            let opens = kept.clone();
            let expired = timeout(
                secs(0),
                owning(move || {
                    let mut inner: Pin<Box<dyn Future<Output = ()> + Send>> =
                        Box::pin(shield(sleep(secs(60))));
                    let polled = inner.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    assert!(polled.is_pending());
                    match forgets {
                        true => std::mem::forget(inner),
                        false => *opens.lock().unwrap() = Some(inner),
                    }
                }),
            );
            expired.await.unwrap_err();
            assert_eq!(ledger.now(), 0);
            drop(kept.lock().unwrap().take());
        });
    }
}

/// Rule 19: the future is dropped inside its boundary, which is cancelled by then.
#[test]
fn what_a_timeout_of_zero_drops_finds_itself_cancelled() {
    sim(SEEDS, || async {
        let mut seen = Vec::new();
        let expired = timeout(secs(0), owning(|| seen.push(is_cancelled()))).await;
        expired.unwrap_err();
        let value = timeout(secs(0), returning(5, || seen.push(is_cancelled()))).await;
        assert_eq!(value.unwrap(), 5);
        assert_eq!(seen, [true, false]);
        // The same when the destructor has asked for its boundary.
        let mut seen = None;
        let expired = timeout(
            secs(0),
            owning(|| seen = Some((current_deadline(), is_cancelled()))),
        );
        expired.await.unwrap_err();
        assert_eq!(seen, Some((Some(Instant::now()), true)));
        assert!(!is_cancelled());
    });
}

/// Rules 23 and 27: what the destructors hand over is released before the timeout returns.
#[test]
fn a_timeout_of_zero_waits_for_the_releases_of_what_it_drops() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let expired = timeout(secs(0), async {
            let _first = ledger.deferred("first", secs(1));
            let _second = ledger.deferred("second", secs(2));
            pending::<()>().await;
        });
        expired.await.unwrap_err();
        assert_eq!(ledger.now(), 3000);
        let value = timeout(secs(1), async {
            let _third = ledger.deferred("third", secs(3));
            5
        });
        assert_eq!(value.await.unwrap(), 5);
        assert_eq!(ledger.now(), 6000);
    });
}

/// The same for a guard that only a destructor takes.
#[test]
fn a_destructor_that_defers_in_an_expired_timeout_is_waited_for() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let late = || {
            let ledger = ledger.clone();
            drop(defer((), async move |()| {
                sleep(secs(2)).await;
                ledger.note("released");
            }));
        };
        timeout(secs(0), owning(late)).await.unwrap_err();
        ledger.expect(&[(2000, "released")]);
        let value = timeout(secs(9), returning(5, late)).await;
        assert_eq!(value.unwrap(), 5);
        ledger.expect(&[(2000, "released"), (4000, "released")]);
    });
}

/// Rule 21: an outer request takes the code around, also if it comes from the destructors.
#[test]
fn a_destructor_that_cancels_what_is_around_an_expired_timeout_takes_the_code_there() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let scope = CancelScope::new();
        let inside = scope.clone();
        let entered = scope.enter(async {
            let expired = timeout(secs(0), owning(|| inside.cancel())).await;
            ledger.note("went on");
            expired
        });
        entered.await.unwrap_err();
        ledger.expect(&[]);
        assert!(scope.cancelled_caught());
    });
}

/// Rule 28: of those that have no boundary yet, too.
#[test]
fn of_nested_timeouts_of_zero_only_the_outermost_reports() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let at = Instant::now();
        for _ in 0..2 {
            let outer = timeout_at(at, async {
                let inner = timeout(secs(0), async {
                    let innermost = timeout_at(at, ledger.forever("sleep")).await;
                    ledger.note("between the inner two");
                    innermost
                });
                let inner = inner.await;
                ledger.note("between the outer two");
                inner
            });
            outer.await.map(drop).unwrap_err();
            sleep(secs(1)).await;
        }
        ledger.expect(&[(0, "sleep cut"), (1000, "sleep cut")]);
    });
}

/// Rule 28: one that has its boundary already, and one around that is cancelled without a deadline.
#[test]
fn a_timeout_of_zero_leaves_it_to_a_boundary_around_that_is_over_or_cancelled() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outer = timeout(secs(0), async {
            // Asks for its boundary.
            assert_eq!(current_deadline(), Some(Instant::now()));
            let inner = timeout(secs(0), ledger.forever("inner")).await;
            ledger.note("between the two");
            inner
        });
        outer.await.map(drop).unwrap_err();
        let scope = CancelScope::new();
        let entered = scope.enter(async {
            scope.cancel();
            let expired = timeout(secs(0), ledger.forever("cancelled")).await;
            ledger.note("went on");
            expired
        });
        entered.await.map(drop).unwrap_err();
        ledger.expect(&[(0, "inner cut"), (0, "cancelled cut")]);
    });
}

/// Rule 24: with a boundary and without.
#[test]
fn a_first_poll_is_asked_to_stop_as_what_is_around_its_timeout_is() {
    sim(SEEDS, || async {
        assert!(!is_shutting_down());
        let outcome = group(async |g| {
            for asked in [false, true] {
                let bare = timeout(secs(1), async { is_shutting_down() });
                let placed = timeout(secs(1), async {
                    (Boundary::current().is_some(), is_shutting_down())
                });
                assert_eq!(bare.await.unwrap(), asked);
                assert_eq!(placed.await.unwrap(), (true, asked));
                g.shutdown(secs(9));
            }
            Ok::<_, ()>(())
        });
        outcome.await.unwrap();
    });
}

/// Rule 28: through children, and not through what is not over yet.
#[test]
fn a_timeout_of_zero_reports_inside_one_that_is_not_over() {
    sim(SEEDS, || async {
        let outcome = timeout(secs(1), async {
            assert!(move_on_after(secs(0), pending::<()>()).await.is_none());
            let outcome = group(async |g| {
                let child = g.spawn(async {
                    assert!(timeout(secs(0), checkpoint()).await.is_err());
                    Ok(timeout(secs(1), async { 5 }).await.unwrap())
                });
                child.await
            });
            outcome.await.unwrap()
        });
        assert_eq!(outcome.await.unwrap(), 5);
    });
}

/// Rule 28: one that is over, and has been polled before, reports itself.
#[test]
fn a_timeout_of_zero_does_not_report_inside_one_whose_time_is_over() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let at = Instant::now() + secs(1);
        let outer = timeout_at(at, async {
            sleep_until(at).await;
            let inner = timeout(secs(0), ledger.forever("sleep")).await;
            ledger.note("between");
            inner
        });
        outer.await.map(drop).unwrap_err();
        ledger.expect(&[(1000, "sleep cut")]);
    });
}

/// Rule 26.
#[test]
fn the_deadline_of_a_first_poll_can_be_seen_in_it() {
    sim(SEEDS, || async {
        sleep(secs(3)).await;
        let start = Instant::now();
        let outer = timeout(secs(5), async {
            let inner = timeout(secs(9), async { current_deadline() });
            (inner.await.unwrap(), current_deadline())
        });
        let due = Some(start + secs(5));
        assert_eq!(outer.await.unwrap(), (due, due));
    });
}

/// Rule 18: a request that is made in the first poll reaches what was started there.
#[test]
fn a_group_opened_in_a_first_poll_is_cancelled_with_what_is_around_the_timeout() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let scope = CancelScope::new();
        let by_hand = scope.clone();
        let entered = scope.enter(timeout(secs(9), async {
            let outcome = group(async |g| {
                g.spawn(ledger.forever("child"));
                checkpoint().await;
                by_hand.cancel();
                Ok::<_, ()>(())
            });
            outcome.await
        }));
        assert!(entered.await.is_err());
        ledger.expect(&[(0, "child cut")]);
    });
}

/// Rule 27: the panic of a destructor, and the value that had been returned before it is dropped.
#[test]
fn a_panic_in_the_destructor_of_a_timed_future_comes_out_of_its_timeout() {
    sim(SEEDS, || async {
        let ready = timeout(secs(1), returning(5, || panic!("ready")));
        let ready = catch(ready).await.map(drop).unwrap_err();
        assert_eq!(message(&*ready), "ready");
        let expired = timeout(secs(0), owning(|| panic!("expired")));
        let expired = catch(expired).await.map(drop).unwrap_err();
        assert_eq!(message(&*expired), "expired");
    });
}

/// Rules 14 and 27: a panic comes out, also when the time is over.
#[test]
fn a_panic_in_its_first_poll_comes_out_of_a_timeout_and_of_one_of_zero() {
    sim(SEEDS, || async {
        for after in [secs(0), secs(1)] {
            let panics = timeout(after, async { panic!("in the poll") });
            let panicked = catch(panics).await.map(drop).unwrap_err();
            assert_eq!(message(&*panicked), "in the poll");
        }
    });
}

/// It is dropped at once, with the shield that is at work in it.
#[test]
fn a_future_that_panics_in_its_first_poll_is_not_polled_again() {
    sim(SEEDS, || async {
        let (ledger, polls) = (Ledger::open(), PollCount::default());
        let mut shielded = Box::pin(shield(ledger.sleeper("shielded", secs(3))));
        let panics = poll_fn(move |cx| -> Poll<()> {
            assert!(shielded.as_mut().poll(cx).is_pending());
            panic!("in the poll")
        });
        let outcome = catch(timeout(secs(9), polls.of(panics))).await;
        let panicked = outcome.map(drop).unwrap_err();
        assert_eq!(message(&*panicked), "in the poll");
        assert_eq!(polls.get(), 1);
        ledger.expect(&[(0, "shielded cut")]);
    });
}

/// It is still a future of its own.
#[test]
fn a_timeout_that_was_never_polled_drops_its_future_and_does_nothing() {
    sim(SEEDS, || async {
        let owned = Arc::new(());
        let captured = owned.clone();
        drop(timeout(secs(1), async move {
            pending::<()>().await;
            drop(captured);
        }));
        assert_eq!(Arc::strong_count(&owned), 1);
    });
}
