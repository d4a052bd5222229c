//! The log is anybody's code: what it is told of goes on although it panics (rules 12, 14 and 17).

use std::{fmt, future::pending};

use headcount::{Restart, defer, group, shield, testing::Sim, time::sleep};

use super::restarts::Runs;
use crate::support::{
    Census, Oops, PANICS, catch, done, drops_later_panicking, logged, message, poll_once, secs,
};

/// Runs a program that writes one line, which has this text.
fn panics_in_the_log<Fut>(program: fn() -> Fut, text: &str)
where
    Fut: Future<Output = ()> + Send + 'static,
{
    PANICS.set(true);
    for seed in 0..50 {
        let lines = logged(|| Sim::new(seed).run(program()));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(text), "{lines:?}");
    }
    PANICS.set(false);
}

#[test]
fn a_second_panic_that_panics_in_the_log_leaves_the_first_to_the_opener() {
    let program = || async {
        let outcome = catch(group(async |g| {
            g.spawn(drops_later_panicking("second"));
            sleep(secs(1)).await;
            panic!("first");
            #[allow(unreachable_code)]
            done()
        }));
        assert_eq!(message(&*outcome.await.unwrap_err()), "first");
    };
    panics_in_the_log(program, "second");
}

#[test]
fn the_children_of_a_group_that_is_dropped_outside_of_any_boundary_end_though_the_log_panics() {
    let program = || async {
        let census = Census::default();
        let tracked = census.tracked();
        let mut opening = Box::pin(group(async |g| {
            g.spawn(async move {
                let _tracked = tracked;
                pending::<()>().await
            });
            pending::<Result<(), Oops>>().await
        }));
        assert!(poll_once(&mut opening).await.is_pending());
        drop(opening);
        sleep(secs(1)).await;
        assert_eq!((census.born(), census.living()), (1, 0));
    };
    panics_in_the_log(program, "end detached");
}

#[test]
fn a_guard_that_is_dropped_outside_of_any_boundary_is_released_though_the_log_panics() {
    let program = || async {
        let census = Census::default();
        let tracked = census.tracked();
        drop(defer(tracked, |tracked| async move {
            sleep(secs(1)).await;
            drop(tracked);
            Ok::<_, Oops>(())
        }));
        sleep(secs(2)).await;
        assert_eq!((census.born(), census.living()), (1, 0));
    };
    panics_in_the_log(program, "released detached");
}

#[test]
fn a_child_is_restarted_though_the_log_panics() {
    let program = || async {
        let runs = Runs::default();
        let kept = Restart::transient().child("flaky", move || {
            let run = runs.next();
            async move { if run == 0 { Err(Oops("once")) } else { Ok(()) } }
        });
        kept.run().await.unwrap();
    };
    panics_in_the_log(
        program,
        "child `flaky` failed: Oops(\"once\"); restarting in 0ns",
    );
}

/// An error that panics when it is shown, and when it is dropped.
struct Hostile;

impl fmt::Debug for Hostile {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("shown")
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        // A second one would abort the test.
        if !std::thread::panicking() {
            panic!("dropped")
        }
    }
}

/// So are its siblings, which fail as it does.
#[test]
fn a_child_is_restarted_though_its_error_panics() {
    for (one_for_all, count) in [(false, 2), (true, 4)] {
        for seed in 0..50 {
            let program = async move {
                let mut policy = Restart::transient().intensity(2, secs(60));
                if one_for_all {
                    policy = policy.one_for_all();
                }
                let factory = |lasts| {
                    let runs = Runs::default();
                    move || {
                        let run = runs.next();
                        async move {
                            shield(sleep(lasts)).await;
                            if run == 0 { Err(Hostile) } else { Ok(()) }
                        }
                    }
                };
                let mut kept = policy.child("flaky", factory(secs(1)));
                if one_for_all {
                    kept = kept.child("sibling", factory(secs(2)));
                }
                assert!(kept.run().await.is_ok());
            };
            let lines = logged(|| Sim::new(seed).run(program));
            assert_eq!(lines.len(), count, "{lines:?}");
            let told =
                "child `flaky` failed: an error that panicked when shown: shown; restarting ";
            assert!(lines[0].contains(told), "{lines:?}");
            assert!(lines[count - 1].contains("panicked: dropped"), "{lines:?}");
        }
    }
}
