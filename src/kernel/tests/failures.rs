//! The first failure against the second, and against the result of the body.
//!
//! Every failure that was returned is in the error, and none else; one failure is enough for the
//! group to fail. Of the reasons the first stays (The tree, invariant 2), and whoever reads it finds
//! a failure: each is recorded before the request (`Book::fail`).

use super::{Trace, begin, bound, check, join, thread};
use crate::{
    CancelKind, checkpoint, group,
    runtime::models::{Task, next_task},
};

#[test]
fn no_failure_of_two_children_is_lost() {
    check(bound(1, 1), || fail(2, Ok(())));
}

#[test]
fn the_error_of_the_body_comes_beside_that_of_its_child() {
    check(bound(2, 3), || fail(1, Err("body")));
}

#[test]
fn a_failure_beats_the_value_of_the_body() {
    check(bound(2, 3), || fail(1, Ok(())));
}

fn fail(children: usize, body: Result<(), &'static str>) {
    let traces: Vec<_> = (0..children).map(|_| Trace::new()).collect();
    let failed_body = Trace::new();
    let (theirs, bodys) = (traces.clone(), failed_body.clone());
    let opener = begin(Task::new(group(async move |g| {
        for trace in theirs {
            g.spawn(async move {
                trace.leave();
                Err::<(), _>("child")
            });
        }
        checkpoint().await;
        if body.is_err() {
            bodys.leave();
        }
        body
    })));
    let tasks = (0..children).map(|_| next_task());
    let threads: Vec<_> = tasks.map(|task| thread(|| task.finish())).collect();
    let result = opener.finish();
    let of_children: usize = traces.iter().map(Trace::count).sum();
    let expected = of_children + failed_body.count();
    assert!(expected > 0, "the first of them is polled");
    let error = result.expect_err("somebody failed");
    let failures: Vec<_> = error.failures().iter().map(|f| *f.error()).collect();
    assert_eq!(failures.len(), expected, "{failures:?}");
    let told = failures.iter().filter(|error| **error == "child").count();
    assert_eq!(told, of_children);
    let reason = error.reason().expect("a failure cancels the rest");
    match reason.kind {
        CancelKind::SiblingFailed => assert!(of_children > 0),
        CancelKind::BodyFailed => assert_eq!(failed_body.count(), 1),
        kind => panic!("{kind:?}"),
    }
    threads.into_iter().for_each(join);
}
