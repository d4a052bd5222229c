//! How children and boundaries end.

use std::{
    convert::Infallible,
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use futures_util::FutureExt;
use headcount::{
    Instant, Options, checkpoint, move_on_after, race, run, testing::Sim, time::sleep, unblock,
};

use crate::recorder::{trace, trace_here};

type Done = Result<(), &'static str>;

/// The same program with each kind of opening in which a failure cancels.
macro_rules! failures_in {
    ($test:ident, $open:ident) => {
        #[test]
        fn $test() {
            let trace = trace(async || {
                let crew = Options::new().name("crew").$open(async |g| {
                    let good = g.spawn_named("good", async { Done::Ok(()) });
                    good.await.unwrap();
                    g.spawn_named("idle", pending::<Done>());
                    checkpoint().await;
                    g.spawn_named("bad", async { Done::Err("no route") });
                    pending::<Done>().await
                });
                assert_eq!(crew.await.unwrap_err().into_first(), Some("no route"));

                let loud = Options::new().name("loud crew").$open(async |g| {
                    g.spawn_named("loud", async { panic!("on purpose") });
                    pending::<Done>().await
                });
                assert!(AssertUnwindSafe(loud).catch_unwind().await.is_err());
            });
            assert_eq!(trace.outcome("good"), ("ok", ""));
            assert_eq!(trace.outcome("bad"), ("failed", ""));
            let reason = "a child failed (by `bad`)";
            assert_eq!(trace.outcome("idle"), ("cancelled", reason));
            assert_eq!(trace.outcome("crew"), ("failed", ""));
            assert_eq!(trace.outcome("loud"), ("panicked", ""));
            assert_eq!(trace.outcome("loud crew"), ("panicked", ""));
        }
    };
}

failures_in!(a_group_tells_who_failed_and_who_was_cancelled_for_it, group);
failures_in!(a_scope_tells_who_failed_and_who_was_cancelled_for_it, scope);

#[test]
fn supervised_children_tell_of_their_own_end() {
    let trace = trace(async || {
        let crew = Options::new().name("crew").supervise(async |s| {
            let bad = s.spawn_named("bad", async { Done::Err("no route") });
            let loud = s.spawn_named("loud", async { panic!("on purpose") });
            let idle = s.spawn_named("idle", pending::<Done>());
            assert!(bad.await.is_err() && loud.await.is_err());
            idle.cancel();
            assert!(idle.await.is_err());
            Done::Ok(())
        });
        crew.await.unwrap();
    });
    assert_eq!(trace.outcome("bad"), ("failed", ""));
    assert_eq!(trace.outcome("loud"), ("panicked", ""));
    assert_eq!(trace.outcome("idle"), ("cancelled", "through its handle"));
    assert_eq!(trace.outcome("crew"), ("ok", ""));
}

#[test]
fn a_child_that_fails_before_it_has_started_failed() {
    let trace = trace(async || {
        let crew = Options::new().name("crew").group(async |g| {
            let start = g.start(|_started: headcount::Started<()>| async { Done::Err("taken") });
            assert_eq!(start.await.unwrap_err().into_error(), Some("taken"));
            Done::Ok(())
        });
        crew.await.unwrap();
    });
    assert_eq!(trace.outcome("task"), ("failed", ""));
    assert_eq!(trace.outcome("crew"), ("ok", ""));
}

#[test]
fn a_closure_tells_of_its_end() {
    let trace = trace(async || {
        let calm = Options::new().name("calm").group(async |g| {
            let bad = g.spawn_blocking(|_| Done::Err("no disk"));
            bad.await.map(drop).map_err(|_| "it failed")
        });
        assert!(calm.await.is_err());
        let loud = unblock(|| panic!("on purpose"));
        assert!(AssertUnwindSafe(loud).catch_unwind().await.is_err());
    });
    let ends = trace.spans.iter();
    let ends = ends.filter(|seen| seen.get("kind") == "blocking");
    let ends: Vec<_> = ends.map(|seen| seen.get("outcome")).collect();
    assert_eq!(ends, ["failed", "panicked"]);
}

#[test]
fn a_destructor_that_panics_makes_its_child_panicked() {
    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let trace = trace(async || {
        let crew = Options::new().name("crew").group(async |g| {
            let loud = Loud;
            g.spawn_named("loud", async move {
                let _loud = loud;
                pending::<()>().await
            });
            checkpoint().await;
            g.cancel();
            pending::<Done>().await
        });
        assert!(AssertUnwindSafe(crew).catch_unwind().await.is_err());
    });
    assert_eq!(trace.outcome("loud"), ("panicked", ""));
    assert_eq!(trace.outcome("crew"), ("panicked", ""));
}

#[test]
fn what_is_cancelled_says_why() {
    let trace = trace(async || {
        let crew = Options::new().name("crew").group(async |g| {
            g.spawn_named("idle", pending::<()>());
            g.cancel_with("enough");
            pending::<Done>().await
        });
        assert!(crew.await.unwrap_err().is_cancelled());
        let late = Options::new().name("late").deadline(Instant::now());
        let late = late.scope(async |s| {
            s.spawn_named("inline", pending::<()>());
            pending::<Done>().await
        });
        assert!(late.await.unwrap_err().is_cancelled());
    });
    let enough = ("cancelled", "on request (by `crew`): enough");
    assert_eq!(trace.outcome("idle"), enough);
    assert_eq!(trace.outcome("crew"), enough);
    let late = ("cancelled", "the deadline has passed");
    assert_eq!(trace.outcome("inline"), late);
    assert_eq!(trace.outcome("late"), late);
}

#[test]
fn what_is_cancelled_from_above_says_why() {
    let trace = trace(async || {
        let outer = Options::new().name("outer").group(async |g| {
            g.spawn_named("child", async {
                let inner = Options::new().name("inner").group(async |g| {
                    g.spawn_named("grandchild", pending::<()>());
                    pending::<Result<(), Infallible>>().await
                });
                _ = inner.await;
            });
            sleep(Duration::from_secs(1)).await;
            g.cancel_with("enough");
            pending::<Done>().await
        });
        assert!(outer.await.is_err());
    });
    for name in ["outer", "child", "inner", "grandchild"] {
        assert_eq!(
            trace.outcome(name),
            ("cancelled", "on request (by `outer`): enough")
        );
    }
}

#[test]
fn a_dropped_group_and_its_children_were_cancelled() {
    let trace = trace(async || {
        let slow = Options::new().name("slow").group(async |g| {
            g.spawn_named("idle", pending::<()>());
            pending::<Done>().await
        });
        let around = Options::new().name("around").group(async |_| {
            let mut slow = Box::pin(slow);
            assert!(slow.as_mut().now_or_never().is_none());
            checkpoint().await;
            drop(slow);
            Done::Ok(())
        });
        around.await.unwrap();
    });
    let reason = "what opened it was dropped or polled outside of its place";
    assert_eq!(trace.outcome("slow"), ("cancelled", reason));
    assert_eq!(trace.outcome("idle"), ("cancelled", reason));
    assert_eq!(trace.outcome("around"), ("ok", ""));
}

#[test]
fn a_boundary_that_was_never_polled_has_no_span() {
    let trace = trace(async || {
        drop(Options::new().group(async |_| Done::Ok(())));
        drop(Options::new().scope(async |_| Done::Ok(())));
    });
    assert_eq!(trace.spans.len(), 0);
}

#[test]
fn a_child_that_comes_too_late_was_cancelled_and_not_polled() {
    let trace = trace(async || {
        let kept = Options::new().group(async |g| Ok::<_, Infallible>(g));
        let kept = kept.await.unwrap();
        drop(kept.spawn_named("late", async {}));
    });
    assert_eq!(trace.outcome("late"), ("cancelled", ""));
    // Only for the drop.
    assert_eq!(trace.span("late").enters, 1);
}

#[test]
fn a_future_that_try_spawn_gives_back_was_refused_and_works_elsewhere() {
    let trace = trace(async || {
        let crew = Options::new().limit(1).group(async |g| {
            let one = g.spawn_named("one", checkpoint());
            let refused = g.try_spawn(async { Ok(7) }).unwrap_err();
            one.await.unwrap();
            assert_eq!(refused.into_future().await, Done::Ok(()).map(|()| 7));
            Ok(())
        });
        crew.await.unwrap();
    });
    assert_eq!(trace.outcome("task"), ("refused", ""));
    assert_eq!(trace.span("task").enters, 0);
    assert_eq!(trace.outcome("one"), ("ok", ""));
}

#[test]
fn a_run_tells_of_its_end() {
    let trace = trace_here(|| {
        let named = |name: &str| Options::new().name(name);
        let good = named("good").run(async |_| Done::Ok(()));
        let bad = named("bad").run(async |_| Done::Err("no route"));
        let cut = named("cut").run(async |g| {
            g.cancel();
            pending::<Done>().await
        });
        assert!(good.is_ok() && bad.is_err() && cut.is_err());
        let loud =
            AssertUnwindSafe(|| named("loud").run(async |_| -> Done { panic!("on purpose") }));
        assert!(catch_unwind(loud).is_err());
    });
    assert_eq!(trace.outcome("good"), ("ok", ""));
    assert_eq!(trace.outcome("bad"), ("failed", ""));
    assert_eq!(trace.outcome("cut"), ("cancelled", "on request (by `cut`)"));
    assert_eq!(trace.outcome("loud"), ("panicked", ""));
}

#[test]
fn the_losers_of_a_race_were_cancelled() {
    let trace = trace(async || {
        let slow = sleep(Duration::from_secs(9)).map(|()| 2).boxed();
        let winner = race([async { 1 }.boxed(), slow]).await;
        assert_eq!(winner, Some(1));
    });
    let children = trace.spans.iter().filter(|seen| seen.span == "child");
    let mut ends: Vec<_> = children.map(|seen| seen.get("outcome")).collect();
    ends.sort_unstable();
    assert_eq!(ends, ["cancelled", "ok"]);
}

#[test]
fn a_simulation_that_ends_early_leaves_no_span_open() {
    let trace = trace_here(|| {
        let stuck = AssertUnwindSafe(|| {
            Sim::new(0).run(async {
                let crew = Options::new().name("crew").group(async |g| {
                    g.spawn_named("idle", pending::<()>());
                    pending::<Done>().await
                });
                _ = crew.await;
            });
        });
        assert!(catch_unwind(stuck).is_err());
    });
    assert_eq!(trace.outcome("idle").0, "cancelled");
    assert_eq!(trace.outcome("crew").0, "cancelled");
}

#[test]
fn nobody_listens_and_all_goes_on() {
    let outcome = run(async |g| {
        let one = g.spawn(async { Ok(1) });
        let cut = move_on_after(Duration::ZERO, pending::<()>()).await;
        assert_eq!(cut, None);
        one.await
    });
    assert_eq!(outcome.unwrap(), 1);
}
