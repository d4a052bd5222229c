//! A deadline against the value, and against an explicit request.
//!
//! Rules 27 and 28 of the contract, and "A boundary's life", invariant 2: a scope returns a value or
//! says that it was cancelled, never both and never neither; the first reason stays, and only a
//! deadline of its own is a timeout.

use std::time::Duration;

use super::{Event, Out, Trace, begin, bound, check, join, thread};
use crate::{
    CancelKind, CancelScope, Instant, group,
    runtime::models::{Task, advance_to},
    timeout_at,
};

fn at(seconds: u64) -> Instant {
    Instant::from_epoch(Duration::from_secs(seconds))
}

#[test]
fn a_timeout_comes_to_a_value_or_to_an_error() {
    check(bound(2, 3), || {
        let (event, reached) = (Event::default(), Trace::new());
        let (awaited, reaches) = (event.clone(), reached.clone());
        let opener = begin(Task::new(timeout_at(at(10), async move {
            awaited.wait().await;
            reaches.leave();
            7
        })));
        let value = thread(move || event.set());
        let clock = thread(|| advance_to(at(10)));
        let result = opener.finish();
        assert_eq!(result.ok(), (reached.count() == 1).then_some(7));
        join(value);
        join(clock);
    });
}

#[test]
fn the_first_reason_of_a_scope_is_the_one_that_it_reports() {
    check(bound(2, 3), || {
        let scope = CancelScope::with_deadline(at(10));
        let entered = scope.clone();
        let opener = begin(Task::new(async move {
            entered.enter(std::future::pending::<()>()).await
        }));
        let by_hand = scope.clone();
        let request = thread(move || {
            by_hand.cancel();
            by_hand.reason()
        });
        let clock = thread(|| advance_to(at(10)));
        let error = opener.finish().unwrap_err();
        let reason = error.reason().expect("it was cancelled").kind;
        assert!(matches!(
            reason,
            CancelKind::Explicit | CancelKind::Deadline
        ));
        assert!(scope.cancelled_caught());
        let seen = join(request).expect("it was cancelled");
        assert_eq!(seen.kind, reason, "the first reason stays");
        join(clock);
    });
}

/// The inner scope has a deadline of its own; the request is for the boundary around, and then the
/// code between does not go on.
#[test]
fn a_request_from_above_is_no_timeout() {
    check(bound(1, 2), || {
        let (out, timed_out) = (Out::new(), Trace::new());
        let (put, times_out) = (out.clone(), timed_out.clone());
        let opener = begin(Task::new(group(async move |g| {
            put.put(g);
            let result = timeout_at(at(10), std::future::pending::<()>()).await;
            assert!(result.is_err());
            times_out.leave();
            std::future::pending::<Result<(), ()>>().await
        })));
        let g = out.take();
        let clock = thread(|| advance_to(at(10)));
        let request = thread(move || g.cancel());
        assert!(opener.finish().unwrap_err().is_cancelled());
        assert!(timed_out.count() <= 1);
        join(clock);
        join(request);
    });
}

/// A deadline that is moved while its scope waits for another.
#[test]
fn a_deadline_that_is_moved_is_seen() {
    check(bound(3, 4), || {
        let scope = CancelScope::with_deadline(at(100));
        let entered = scope.clone();
        let mut opener =
            Task::new(async move { entered.enter(std::future::pending::<()>()).await });
        let mover = thread(move || {
            scope.set_deadline(Some(at(0)));
            scope
        });
        let error = match opener.poll() {
            std::task::Poll::Ready(result) => result,
            std::task::Poll::Pending => opener.finish(),
        };
        let error = error.unwrap_err();
        assert_eq!(error.reason().unwrap().kind, CancelKind::Deadline);
        join(mover);
    });
}
