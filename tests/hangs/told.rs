//! The tree comes by itself: when a group closes for long, and when a grace ends. (`real_life` has it in
//! the report of the simulator, `tests/signals.rs` on a signal.)

use std::{
    convert::Infallible,
    future::{Future, pending},
};

use headcount::{Options, defer, testing::Sim, time::sleep};

use super::{SEEDS, line, logged::logged, secs};

/// What a program writes into the log under each schedule.
fn logs<Fut: Future<Output = ()> + Send + 'static>(program: fn() -> Fut) -> Vec<Vec<String>> {
    let logs = (0..SEEDS).map(|seed| logged(|| Sim::new(seed).run(program())));
    logs.collect()
}

/// The body ends after a second, the child after `n`.
async fn shop(n: u64) {
    let options = Options::new().name("shop").warn_when_closing(secs(5));
    let opened = options.group(async |g| {
        g.spawn_named("last customer", sleep(secs(n)));
        sleep(secs(1)).await;
        Ok::<_, Infallible>(())
    });
    opened.await.unwrap();
}

#[test]
fn a_group_that_closes_for_long_shows_who_is_left_and_again_after_twice_the_time() {
    for log in logs(|| shop(20)) {
        assert_eq!(log.len(), 2, "{log:?}");
        for (warning, time) in log.iter().zip(["5.0s", "10.0s"]) {
            let opened = "WARN the boundary `shop` opened at tests/hangs/told.rs:";
            assert!(warning.starts_with(opened), "{warning}");
            let closing = format!(" has been closing for {time} and still waits:\n");
            assert!(warning.contains(&closing), "{warning}");
            let group = line(warning, "group `shop`");
            assert!(group.contains("; 1 of 1 children left; "), "{group}");
            assert!(group.ends_with(&format!(", closing for {time}")), "{group}");
            let left = line(warning, "task `last customer` at tests/hangs/told.rs:");
            assert!(left.contains(": waiting; "), "{left}");
        }
    }
}

#[test]
fn a_group_that_closes_in_time_says_nothing() {
    for log in logs(|| shop(5)) {
        assert_eq!(log, [""; 0]);
    }
}

#[test]
fn a_grace_that_ends_shows_the_releases_that_it_cuts_once() {
    let program = || async {
        let options = Options::new().name("shop").grace(secs(3));
        let opened = options.group(async |_| {
            let _door = defer((), |()| pending::<()>());
            let _lights = defer((), |()| pending::<()>());
            let _alarm = defer((), |()| pending::<()>());
            Ok::<_, Infallible>(())
        });
        let error = opened.await.unwrap_err();
        assert_eq!(error.cleanup_failures().len(), 3);
    };
    for log in logs(program) {
        assert_eq!(log.len(), 1, "{log:?}");
        let cuts = " cuts releases that are left, as their grace has ended:\n";
        assert!(log[0].contains(cuts), "{log:?}");
        assert!(line(&log[0], "group `shop`").contains(": finalizing, its releases are cut"));
        // The one that is being released; the others have not begun.
        let release = line(&log[0], "release at tests/hangs/told.rs:");
        assert!(release.contains(": running"), "{release}");
    }
}

#[test]
fn a_shutdown_whose_grace_ends_shows_who_is_cancelled_once() {
    let program = || async {
        let opened = Options::new().name("shop").group(async |g| {
            for name in ["deaf", "hard of hearing"] {
                g.spawn_named(name, pending::<()>());
            }
            g.shutdown(secs(2));
            Ok::<_, Infallible>(())
        });
        // The body had returned its value.
        opened.await.unwrap();
    };
    for log in logs(program) {
        assert_eq!(log.len(), 1, "{log:?}");
        let cancels = " cancels what is left, as the grace of its shutdown has ended:\n";
        assert!(log[0].contains(cancels), "{log:?}");
        for name in ["deaf", "hard of hearing"] {
            let task = line(&log[0], &format!("task `{name}` at tests/hangs/told.rs:"));
            // The tree is from before the request.
            assert!(task.contains(": waiting; "), "{task}");
        }
    }
}
