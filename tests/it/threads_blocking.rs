//! Blocking children, failures and timeouts on real threads.

use std::{future::pending, sync::mpsc::channel};

use headcount::{Options, group, run, timeout};

use crate::support::{
    Census, Flag, Named, Oops, block_on, done, millis, ok, on_workers, secs, spin_until,
};

/// Case 8 and rule 10 in parallel: both fail, in either order.
#[test]
fn the_failures_of_the_body_and_of_a_child_are_both_kept_on_real_threads() {
    on_workers(
        "threads_blocking::the_failures_of_the_body_and_of_a_child_are_both_kept_on_real_threads",
        || {
            for _ in 0..1000 {
                let (begun, has_begun) = channel();
                let outcome = run(async |r| {
                    r.spawn(async move {
                        begun.send(()).unwrap();
                        Err::<(), _>(Oops("child"))
                    });
                    has_begun.recv().unwrap();
                    Err::<(), _>(Oops("body"))
                });
                let mut names = outcome.names();
                names.sort_unstable();
                assert_eq!(names, ["body", "child"]);
            }
        },
    );
}

/// Rule 12: begun in the first poll, which every deadline spares, the closure fails when it is
/// cancelled; the timeout returns that.
#[test]
fn a_timeout_returns_the_error_that_came_out_of_its_cancellation_on_real_threads() {
    on_workers(
        "threads_blocking::a_timeout_returns_the_error_that_came_out_of_its_cancellation_on_real_threads",
        || {
            let (begun, has_begun) = channel();
            let outcome = block_on(timeout(
                millis(1),
                group(async |g| {
                    g.spawn_blocking(move |token| {
                        begun.send(()).unwrap();
                        spin_until(|| token.is_cancelled());
                        Err::<(), _>(Oops("blocking"))
                    });
                    has_begun.recv().unwrap();
                    pending::<Result<(), Oops>>().await
                }),
            ));
            assert_eq!(outcome.unwrap().names(), ["blocking"]);
        },
    );
}

/// Rule 31: the running one is waited for, the queued one is dropped unrun.
#[test]
fn a_group_waits_for_a_running_blocking_child_and_drops_a_queued_one() {
    on_workers(
        "threads_blocking::a_group_waits_for_a_running_blocking_child_and_drops_a_queued_one",
        || {
            for _ in 0..50 {
                let (ended, ran, census) = (Flag::default(), Flag::default(), Census::default());
                let (begun, has_begun) = channel();
                let outcome = block_on(Options::new().limit(1).group(async |g| {
                    let (ended, ran, tracked) = (ended.clone(), ran.clone(), census.tracked());
                    g.spawn_blocking(move |token| {
                        begun.send(()).unwrap();
                        spin_until(|| token.is_cancelled());
                        ended.set();
                    });
                    let queued = g.spawn_blocking(move |_| {
                        ran.set();
                        drop(tracked);
                    });
                    has_begun.recv().unwrap();
                    g.cancel();
                    ok(queued)
                }));
                assert!(ended.is_set());
                assert!(!ran.is_set());
                assert_eq!(census.living(), 0);
                let queued = outcome.unwrap();
                assert!(block_on(queued).unwrap_err().is_cancelled());
            }
        },
    );
}

/// Case 21 with real clocks: nothing is asserted of how long it takes.
#[test]
fn a_real_timeout_ends_the_children_before_it_reports() {
    on_workers(
        "threads_blocking::a_real_timeout_ends_the_children_before_it_reports",
        || {
            let census = Census::default();
            let outcome = block_on(timeout(
                millis(20),
                group(async |g| {
                    for _ in 0..100 {
                        let tracked = census.tracked();
                        g.spawn(async move {
                            headcount::time::sleep(secs(3600)).await;
                            drop(tracked);
                        });
                    }
                    done()
                }),
            ));
            assert!(outcome.is_err());
            assert_eq!((census.born(), census.living()), (100, 0));
        },
    );
}
