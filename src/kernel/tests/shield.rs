//! A shield that is taken away against a request from above.
//!
//! The tree, invariant 2: `ABOVE` follows the parent also when shields are switched, since the last
//! refresh has seen the last state. "A boundary's life", invariant 3: the boundary around drops its body
//! only when no shield is at work inside. So what was shielded is not cancelled before the shield is
//! gone, and is cancelled afterwards.

use super::{Event, Out, Trace, begin, bound, check, join, thread};
use crate::{CancelScope, checkpoint, group, runtime::models::Task, shield};

#[test]
fn a_request_reaches_what_was_shielded_once_the_shield_is_off() {
    check(bound(1, 2), || {
        let (out, gone) = (Out::new(), Trace::new());
        let (put, guard) = (out.clone(), gone.guard());
        let opener = begin(Task::new(group(async move |g| {
            let scope = CancelScope::new();
            scope.shield(true);
            put.put((g, scope.clone()));
            let inside = async move {
                let _guard = guard;
                std::future::pending::<()>().await
            };
            let _ = scope.enter(inside).await;
            unreachable!("the code around is cancelled too");
            #[allow(unreachable_code, reason = "names the types")]
            Ok::<(), ()>(())
        })));
        let (g, scope) = out.take();
        let request = thread(move || g.cancel());
        let switch = thread(move || scope.shield(false));
        assert!(opener.finish().unwrap_err().is_cancelled());
        assert_eq!(gone.count(), 1);
        join(request);
        join(switch);
    });
}

#[test]
fn what_is_shielded_comes_to_its_end_though_a_request_came() {
    check(bound(1, 2), || {
        let (out, saved, event) = (Out::new(), Trace::new(), Event::default());
        let (put, saves, awaited) = (out.clone(), saved.clone(), event.clone());
        let opener = begin(Task::new(group(async move |g| {
            put.put(g);
            shield(async {
                awaited.wait().await;
                saves.leave();
            })
            .await;
            std::future::pending::<Result<(), ()>>().await
        })));
        let g = out.take();
        let request = thread(move || g.cancel());
        let end = thread(move || event.set());
        assert!(opener.finish().unwrap_err().is_cancelled());
        assert_eq!(saved.count(), 1, "what was shielded was dropped");
        join(request);
        join(end);
    });
}

/// The request has taken the body, and `enter` has not returned: nobody above drops the code around
/// while the shield is up, so that has to go on, to its next checkpoint.
#[test]
fn a_shield_that_comes_after_the_request_has_taken_the_body_hides_nothing() {
    check(bound(2, 2), || {
        let (out, gone) = (Out::new(), Trace::new());
        let (put, guard) = (out.clone(), gone.guard());
        let opener = begin(Task::new(group(async move |g| {
            let scope = CancelScope::new();
            put.put((g, scope.clone()));
            let inside = async move {
                let _guard = guard;
                std::future::pending::<()>().await
            };
            assert!(scope.enter(inside).await.is_err());
            std::future::pending::<Result<(), ()>>().await
        })));
        let (g, scope) = out.take();
        let late = thread(move || {
            g.cancel();
            scope.shield(true);
            scope.shield(false);
        });
        assert!(opener.finish().unwrap_err().is_cancelled());
        assert_eq!(gone.count(), 1);
        join(late);
    });
}

/// Never a body that waits for ever, cancelled, without a shield.
#[test]
fn a_shield_that_is_switched_twice_hides_nothing() {
    check(bound(1, 2), || {
        let (out, gone) = (Out::new(), Trace::new());
        let (put, guard) = (out.clone(), gone.guard());
        let opener = begin(Task::new(group(async move |g| {
            let scope = CancelScope::new();
            put.put((g, scope.clone()));
            let inside = async move {
                let _guard = guard;
                checkpoint().await;
                std::future::pending::<()>().await
            };
            let _ = scope.enter(inside).await;
            std::future::pending::<Result<(), ()>>().await
        })));
        let (g, scope) = out.take();
        let request = thread(move || g.cancel());
        let switch = thread(move || {
            scope.shield(true);
            scope.shield(false);
        });
        assert!(opener.finish().unwrap_err().is_cancelled());
        assert_eq!(gone.count(), 1);
        join(request);
        join(switch);
    });
}
