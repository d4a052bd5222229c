//! Deadlines around plain futures.

use std::{
    future::{pending, poll_fn},
    pin::pin,
    task::Poll,
};

use headcount::{
    Instant, checkpoint, current_deadline, group, move_on_after, time::sleep, time::sleep_until,
    timeout, timeout_at,
};

use crate::support::{Ledger, Oops, PollCount, SEEDS, catch, done, message, poll_once, secs, sim};

/// Case 21.
#[test]
fn a_timeout_over_a_longer_sleep_reports_at_its_deadline() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        timeout(secs(1), ledger.sleeper("sleep", secs(10)))
            .await
            .unwrap_err();
        ledger.expect(&[(1000, "sleep cut")]);
        assert_eq!(ledger.now(), 1000);
    });
}

/// Rule 27.
#[test]
fn a_timeout_over_a_shorter_sleep_gives_the_value() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let value = timeout(secs(10), async {
            sleep(secs(1)).await;
            5
        })
        .await;
        assert_eq!(value.unwrap(), 5);
        assert_eq!(ledger.now(), 1000);
        assert_eq!(move_on_after(secs(1), async { 6 }).await, Some(6));
        assert_eq!(move_on_after(secs(1), pending::<()>()).await, None);
        assert_eq!(ledger.now(), 2000);
    });
}

/// Case 23.
#[test]
fn an_inner_timeout_reports_and_the_outer_body_goes_on() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outer = timeout(secs(5), async {
            let inner = timeout(secs(1), ledger.forever("inner")).await;
            assert_eq!(ledger.now(), 1000);
            inner.unwrap_err();
            sleep(secs(3)).await;
            "value"
        })
        .await;
        assert_eq!(outer.unwrap(), "value");
        assert_eq!(ledger.now(), 4000);
    });
}

/// Case 15, rule 21: the outer deadline passes inside the inner timeout.
#[test]
fn code_between_two_timeouts_is_skipped_when_the_outer_expires() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outer = timeout(secs(1), async {
            let inner = timeout(secs(5), ledger.forever("inner")).await;
            ledger.note("between");
            inner
        })
        .await;
        outer.unwrap_err();
        ledger.expect(&[(1000, "inner cut")]);
        assert_eq!(ledger.now(), 1000);
    });
}

/// Rule 21: what the code between owns is dropped after what it awaits.
#[test]
fn an_expired_timeout_drops_from_the_inside_out() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outer = timeout(secs(1), async {
            let _first = ledger.mark("first");
            let _second = ledger.mark("second");
            timeout(secs(5), async {
                let _third = ledger.mark("third");
                timeout(secs(9), ledger.forever("sleep")).await
            })
            .await
        })
        .await;
        assert!(outer.is_err());
        ledger.expect(&[
            (1000, "sleep cut"),
            (1000, "third cut"),
            (1000, "second cut"),
            (1000, "first cut"),
        ]);
    });
}

/// Rule 28.
#[test]
fn of_nested_timeouts_with_one_deadline_the_outermost_reports() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let at = Instant::now() + secs(2);
        let outer = timeout_at(at, async {
            let inner = timeout_at(at, async {
                let innermost = timeout(secs(2), ledger.forever("sleep")).await;
                ledger.note("between the inner two");
                innermost
            })
            .await;
            ledger.note("between the outer two");
            inner
        })
        .await;
        assert!(outer.is_err());
        ledger.expect(&[(2000, "sleep cut")]);
        assert_eq!(ledger.now(), 2000);
    });
}

/// Rule 28: zero, and a deadline that has passed long ago.
#[test]
fn a_timeout_of_zero_runs_to_the_first_checkpoint() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let past = Instant::now();
        assert_eq!(timeout(secs(0), async { 5 }).await.unwrap(), 5);
        let stopped = timeout(secs(0), async {
            ledger.note("zero");
            checkpoint().await;
            ledger.note("never");
        });
        stopped.await.unwrap_err();
        sleep(secs(3)).await;
        assert_eq!(timeout_at(past, async { 6 }).await.unwrap(), 6);
        let stopped = timeout_at(past, async {
            ledger.note("past");
            checkpoint().await;
            ledger.note("never");
        });
        stopped.await.unwrap_err();
        assert!(move_on_after(secs(0), pending::<()>()).await.is_none());
        ledger.expect(&[(0, "zero"), (3000, "past")]);
        assert_eq!(ledger.now(), 3000);
    });
}

/// Rules 19 and 27: the deadline has passed, and the future is ready when it is looked at.
#[test]
fn a_value_that_is_ready_wins_over_a_passed_deadline() {
    sim(SEEDS, || async {
        let at = Instant::now() + secs(1);
        let value = timeout_at(at, async {
            sleep_until(at).await;
            5
        })
        .await;
        assert_eq!(value.unwrap(), 5);

        // Polled for the second time only long after its deadline, when its value is there.
        let ready_at = Instant::now() + secs(2);
        let mut late = pin!(timeout(
            secs(1),
            poll_fn(|_| match Instant::now() < ready_at {
                true => Poll::Pending,
                false => Poll::Ready(6),
            })
        ));
        assert!(poll_once(&mut late).await.is_pending());
        sleep(secs(4)).await;
        let Poll::Ready(value) = poll_once(&mut late).await else {
            panic!("it is ready");
        };
        assert_eq!(value.unwrap(), 6);
    });
}

/// Rule 26: the clock of a timeout starts with its first poll.
#[test]
fn a_timeout_counts_from_its_first_poll() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let kept = timeout(secs(2), ledger.forever("sleep"));
        sleep(secs(5)).await;
        kept.await.unwrap_err();
        ledger.expect(&[(7000, "sleep cut")]);
    });
}

/// Case 24 as far as it needs no shield, rule 26.
#[test]
fn the_current_deadline_is_the_earliest_around() {
    sim(SEEDS, || async {
        let start = Instant::now();
        assert_eq!(current_deadline(), None);
        timeout(secs(5), async {
            assert_eq!(current_deadline(), Some(start + secs(5)));
            timeout(secs(10), async {
                assert_eq!(current_deadline(), Some(start + secs(5)));
            })
            .await
            .unwrap();
            timeout(secs(3), async {
                assert_eq!(current_deadline(), Some(start + secs(3)));
                checkpoint().await;
                assert_eq!(current_deadline(), Some(start + secs(3)));
            })
            .await
            .unwrap();
            assert_eq!(current_deadline(), Some(start + secs(5)));
        })
        .await
        .unwrap();
        assert_eq!(current_deadline(), None);
    });
}

/// Rule 19: inside, before its future is dropped, an expired timeout is a cancellation.
#[test]
fn the_cancellation_can_be_seen_until_the_first_checkpoint() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let at = Instant::now();
        assert!(!headcount::is_cancelled());
        let outcome = timeout_at(at, async {
            let noted = ledger.mark("inside");
            pending::<()>().await;
            noted.finish("resumed");
        })
        .await;
        outcome.unwrap_err();
        assert!(
            !headcount::is_cancelled(),
            "a timeout keeps its cancellation to itself"
        );
        checkpoint().await;
        ledger.expect(&[(0, "inside cut")]);
    });
}

/// Rule 27: the panic of what is timed comes out of the timeout, of its destructor too.
#[test]
fn a_panic_comes_out_of_a_timeout() {
    sim(SEEDS, || async {
        let polled = catch(timeout(secs(1), async { panic!("polled") })).await;
        assert_eq!(message(&*polled.map(drop).unwrap_err()), "polled");
        let dropped = timeout(secs(1), crate::support::drops_later_panicking("dropped"));
        let dropped = catch(dropped).await;
        assert_eq!(message(&*dropped.map(drop).unwrap_err()), "dropped");
    });
}

/// A timeout costs its task no more polls than a sleep does: the opener that finds its time over
/// needs nobody to wake it.
#[test]
fn an_expired_timeout_wakes_its_task_once() {
    sim(SEEDS, || async {
        let polls = PollCount::default();
        let program = polls.of(async {
            timeout(secs(1), pending::<()>()).await.unwrap_err();
            sleep(secs(1)).await;
        });
        program.await;
        assert_eq!(polls.get(), 3);
    });
}

/// Nor does a boundary that ends inside the body of another wake that: it is being polled.
#[test]
fn what_ends_inside_a_body_does_not_wake_it_again() {
    sim(SEEDS, || async {
        let polls = PollCount::default();
        let outer = polls.of(group(async |_| {
            let inner = group(async |g| {
                g.spawn(sleep(secs(1)));
                done()
            });
            inner.await.map_err(|_| Oops("inner"))?;
            sleep(secs(1)).await;
            done()
        }));
        outer.await.unwrap();
        assert_eq!(polls.get(), 3);
    });
}
