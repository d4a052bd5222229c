//! What nobody is left to return goes to the log, with name and place (rules 12 and 14).

use std::{future::pending, sync::Mutex};

use headcount::{Options, group, testing::Sim, time::sleep};

use crate::support::{Oops, catch, done, drops_later_panicking, logged, message, poll_once, secs};

const SEEDS: u64 = 50;

/// What a simulation writes into the log.
fn lines<Fut: Future<Output = ()> + Send + 'static>(program: fn() -> Fut) -> Vec<Vec<String>> {
    let lines = (0..SEEDS).map(|seed| logged(|| Sim::new(seed).run(program())));
    lines.collect()
}

/// The one line of each run, which is an error that names this task and its place here.
#[track_caller]
fn expect_one_error(lines: Vec<Vec<String>>, name: &str, text: &str) {
    for lines in lines {
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in ["ERROR", name, "tests/it/logs.rs:", text] {
            assert!(lines[0].contains(part), "{lines:?}");
        }
    }
}

/// Rule 14: without a hook, a second panic is an error in the log.
#[test]
fn without_a_hook_a_second_panic_is_logged_with_name_and_place() {
    let lines = lines(|| async {
        let outcome = catch(group(async |g| {
            g.spawn_named("second task", drops_later_panicking("second"));
            sleep(secs(1)).await;
            panic!("first");
            #[allow(unreachable_code)]
            done()
        }));
        assert_eq!(message(&*outcome.await.unwrap_err()), "first");
    });
    expect_one_error(lines, "`second task`", "second");
}

/// Rule 14: and so is an error beside a panic.
#[test]
fn without_a_hook_an_error_beside_a_panic_is_logged_with_name_and_place() {
    let lines = lines(|| async {
        let outcome = catch(group(async |g| {
            g.spawn_named("fails", async {
                sleep(secs(1)).await;
                Err::<(), _>(Oops("beside"))
            });
            drops_later_panicking("of the body").await;
            done()
        }));
        assert_eq!(message(&*outcome.await.unwrap_err()), "of the body");
    });
    expect_one_error(lines, "`fails`", "Oops(\"beside\")");
}

/// Rule 14: the log gets nothing if nothing is suppressed, or if there is a hook.
#[test]
fn nothing_is_logged_that_is_returned_or_told_to_a_hook() {
    static TOLD: Mutex<usize> = Mutex::new(0);
    let lines = lines(|| async {
        let outcome = group(async |g| {
            g.spawn(async { Err::<(), _>(Oops("a")) });
            Err::<(), _>(Oops("b"))
        });
        outcome.await.unwrap_err();
        let options = Options::new().on_suppressed(|_| *TOLD.lock().unwrap() += 1);
        let outcome = catch(options.group(async |g| {
            g.spawn(drops_later_panicking("second"));
            sleep(secs(1)).await;
            panic!("first");
            #[allow(unreachable_code)]
            done()
        }));
        assert_eq!(message(&*outcome.await.unwrap_err()), "first");
    });
    assert_eq!(lines, vec![Vec::<String>::new(); SEEDS as usize]);
    assert_eq!(*TOLD.lock().unwrap(), SEEDS as usize);
}

/// Rule 14: a hook's own panic is in the log.
#[test]
fn the_panic_of_a_hook_is_logged() {
    let lines = lines(|| async {
        let options = Options::new().on_suppressed(|_| panic!("of the hook"));
        let outcome = catch(options.group(async |g| {
            g.spawn(drops_later_panicking("second"));
            sleep(secs(1)).await;
            panic!("first");
            #[allow(unreachable_code)]
            done()
        }));
        assert_eq!(message(&*outcome.await.unwrap_err()), "first");
    });
    for lines in lines {
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with("ERROR") && lines[0].contains("of the hook"),
            "{lines:?}"
        );
    }
}

/// Rule 12: a group dropped outside of any boundary says so, and its error goes to the log.
#[test]
fn a_group_dropped_outside_of_any_boundary_leaves_its_failure_in_the_log() {
    let lines = lines(|| async {
        let mut dropped = Box::pin(group(async |g| {
            g.spawn_named("fails", async {
                sleep(secs(1)).await;
                Err::<(), _>(Oops("a"))
            });
            g.spawn(pending::<()>());
            done()
        }));
        assert!(poll_once(&mut dropped).await.is_pending());
        sleep(secs(2)).await;
        drop(dropped);
        sleep(secs(1)).await;
    });
    for lines in lines {
        let failure = lines.iter().find(|line| line.contains("Oops(\"a\")"));
        let failure = failure.unwrap_or_else(|| panic!("{lines:?}"));
        assert!(
            failure.starts_with("ERROR") && failure.contains("`fails`"),
            "{failure}"
        );
    }
}

/// The residual window of a group without a boundary around: its living children are told of.
#[test]
fn a_group_dropped_outside_of_any_boundary_warns_of_its_living_children() {
    let lines = lines(|| async {
        let mut dropped = Box::pin(group(async |g| {
            for _ in 0..3 {
                g.spawn(pending::<()>());
            }
            done()
        }));
        assert!(poll_once(&mut dropped).await.is_pending());
        sleep(secs(1)).await;
        drop(dropped);
        sleep(secs(1)).await;
    });
    for lines in lines {
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("WARN"), "{lines:?}");
        assert!(lines[0].contains("3 cancelled children"), "{lines:?}");
        assert!(lines[0].contains("tests/it/logs.rs:"), "{lines:?}");
    }
}

/// There is nothing to warn of without living children, nor if a boundary around waits for them.
#[test]
fn a_group_that_leaves_nobody_behind_is_dropped_without_a_word() {
    let lines = lines(|| async {
        let mut alone = Box::pin(group(async |_| {
            pending::<()>().await;
            done()
        }));
        assert!(poll_once(&mut alone).await.is_pending());
        drop(alone);
        let outcome = group(async |_| {
            let mut inside = Box::pin(group(async |g| {
                g.spawn(pending::<()>());
                done()
            }));
            assert!(poll_once(&mut inside).await.is_pending());
            drop(inside);
            done()
        });
        outcome.await.unwrap();
    });
    assert_eq!(lines, vec![Vec::<String>::new(); SEEDS as usize]);
}
