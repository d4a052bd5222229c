//! The log is anybody's code: what it is told of goes on although it panics (rules 12, 14 and 17).

use std::future::pending;

use headcount::{defer, group, testing::Sim, time::sleep};

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
