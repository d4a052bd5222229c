//! Requests to cancel are events of the boundary.

use std::{future::pending, time::Duration};

use headcount::{CancelScope, Instant, Options, checkpoint, time::sleep, timeout};

use crate::recorder::trace;

type Done = Result<(), &'static str>;

#[test]
fn each_kind_of_request_is_one_event_of_its_boundary() {
    let trace = trace(async || {
        let named = |name: &str| Options::new().name(name);
        let explicit = named("explicit").group(async |g| {
            g.cancel_with("enough");
            g.cancel();
            pending::<Done>().await
        });
        assert!(explicit.await.is_err());
        let failing = named("failing").group(async |g| {
            g.spawn_named("bad", async { Done::Err("no route") });
            pending::<Done>().await
        });
        assert!(failing.await.is_err());
        let body = named("body").scope(async |_| Done::Err("no route"));
        assert!(body.await.is_err());
        let soon = Instant::now() + Duration::from_secs(1);
        let late = named("late")
            .deadline(soon)
            .group(async |_| pending::<Done>().await);
        assert!(late.await.is_err());
        let stopped = named("stopped").group(async |g| {
            g.shutdown(Duration::from_secs(1));
            pending::<Done>().await
        });
        assert!(stopped.await.is_err());
        named("quiet").group(async |_| Done::Ok(())).await.unwrap();
    });
    let requests = |name: &str| trace.told(name, "request");
    assert_eq!(requests("explicit"), ["Explicit"]);
    assert_eq!(trace.told("explicit", "by"), ["explicit"]);
    assert_eq!(
        trace.told("explicit", "reason"),
        ["on request (by `explicit`): enough"]
    );
    assert_eq!(requests("failing"), ["SiblingFailed"]);
    assert_eq!(trace.told("failing", "by"), ["bad"]);
    assert_eq!(requests("body"), ["BodyFailed"]);
    assert_eq!(requests("late"), ["Deadline"]);
    assert_eq!(requests("stopped"), ["Stop", "Shutdown"]);
    assert_eq!(requests("quiet"), [""; 0]);
}

#[test]
fn what_happens_to_scopes_and_timeouts_is_told_in_the_boundary_around() {
    let trace = trace(async || {
        let crew = Options::new().name("crew").group(async |_| {
            let scope = CancelScope::new();
            scope.cancel();
            assert!(scope.enter(pending::<()>()).await.is_err());
            let inner = Options::new().name("inner").group(async |_| {
                let scope = CancelScope::new();
                let entered = scope.enter(async {
                    scope.cancel();
                    checkpoint().await;
                });
                assert!(entered.await.is_err());
                Done::Ok(())
            });
            inner.await.unwrap();
            let late = timeout(Duration::from_secs(1), sleep(Duration::from_secs(2)));
            assert!(late.await.is_err());
            Done::Ok(())
        });
        crew.await.unwrap();
    });
    // Nobody knows yet where a scope belongs that is cancelled before it is entered.
    assert_eq!(trace.told("crew", "request"), ["Deadline"]);
    assert_eq!(trace.told("crew", "what"), ["cancel scope"]);
    assert_eq!(trace.told("inner", "request"), ["Explicit"]);
}
