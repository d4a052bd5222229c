//! Polls that block their thread are reported. They block until the watchdog has said so, so no time is
//! guessed; a threshold of an hour stands for "never".

use std::{
    convert::Infallible,
    pin::pin,
    sync::{
        Barrier,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use headcount::{
    Options, checkpoint, group, run, scope, supervise, timeout,
    watchdog::{Stall, Watchdog, watch},
};

use crate::support::block_on;

const SOON: Duration = Duration::from_millis(2);

/// How long a test waits for a watchdog that is broken.
const LIMIT: Duration = Duration::from_secs(20);

/// A watchdog of which a test sees that it ends.
struct Dog(Option<Watchdog>);

impl Drop for Dog {
    fn drop(&mut self) {
        let watchdog = self.0.take();
        let (tell, ended) = channel();
        thread::spawn(move || {
            drop(watchdog);
            _ = tell.send(());
        });
        let ended = ended.recv_timeout(LIMIT);
        assert!(
            ended.is_ok() || thread::panicking(),
            "its thread does not end"
        );
    }
}

/// The watchdogs of other tests see the polls of this one: each looks for the tasks of its own.
fn watch_named(prefix: &'static str) -> (Dog, Receiver<Stall>) {
    watch_if(move |stall| stall.name().is_some_and(|name| name.starts_with(prefix)))
}

fn watch_if(mine: impl Fn(&Stall) -> bool + Send + 'static) -> (Dog, Receiver<Stall>) {
    let (tell, heard) = channel();
    let watchdog = watch(SOON, move |stall| {
        if mine(stall) {
            _ = tell.send(stall.clone());
        }
    });
    (Dog(Some(watchdog)), heard)
}

/// Is it a task without a name, of that line?
fn is_here(stall: &Stall, line: u32) -> bool {
    let place = stall.location();
    place.file() == file!() && place.line() == line && stall.name().is_none()
}

/// Blocks its thread until the watchdog has reported somebody.
fn block(heard: &Receiver<Stall>) -> Stall {
    find(heard, |_| true)
}

/// The first report of that kind, for which it blocks its thread.
fn find(heard: &Receiver<Stall>, mut wanted: impl FnMut(&Stall) -> bool) -> Stall {
    let end = Instant::now() + LIMIT;
    loop {
        let rest = end.saturating_duration_since(Instant::now());
        let stall = heard.recv_timeout(rest).expect("a report");
        if wanted(&stall) {
            return stall;
        }
    }
}

#[test]
fn a_named_child_is_reported_while_it_is_stuck_and_when_it_is_over() {
    let (watchdog, heard) = watch_named("stuck named");
    let line = line!() + 2;
    let (stuck, heard) = run(async |g| {
        let child = g.spawn_named("stuck named", async {
            let stuck = block(&heard);
            assert!(!stuck.is_over());
            Ok::<_, headcount::JoinError>((stuck, heard))
        });
        child.await
    })
    .unwrap();
    assert_eq!(stuck.name(), Some("stuck named"));
    assert!(stuck.location().file().ends_with("watchdogs.rs"));
    assert_eq!(stuck.location().line(), line);
    assert!(stuck.duration() >= SOON && !stuck.is_known());
    // The group may return a little before the poll of its child does.
    let over = block(&heard);
    assert!(over.is_over() && over.is_known());
    assert!(over.duration() >= stuck.duration());
    drop(watchdog);
    assert_eq!(
        heard.iter().count(),
        0,
        "each stall is reported once, and its end"
    );
}

#[test]
fn a_child_without_a_name_is_reported_by_its_place() {
    let line = line!() + 3;
    let (_watchdog, heard) = watch_if(move |stall| is_here(stall, line));
    run(async |g| {
        g.spawn(async move { assert_eq!(block(&heard).location().line(), line) });
        Ok::<_, Infallible>(())
    })
    .unwrap();
}

#[test]
fn the_body_of_a_run_is_reported() {
    let (_watchdog, heard) = watch_named("stuck body");
    Options::new()
        .name("stuck body")
        .run(async |_| {
            assert_eq!(block(&heard).name(), Some("stuck body"));
            Ok::<_, Infallible>(())
        })
        .unwrap();
}

#[test]
fn the_body_of_a_run_in_a_blocking_closure_is_reported() {
    let (_watchdog, heard) = watch_named("in a closure");
    run(async |g| {
        let child = g.spawn_blocking(move |_| {
            let opening = Options::new().name("in a closure").run(async |_| {
                assert_eq!(block(&heard).name(), Some("in a closure"));
                Ok::<_, Infallible>(())
            });
            opening.unwrap();
            Ok(())
        });
        child.await
    })
    .unwrap();
}

#[test]
fn a_group_outside_of_any_boundary_is_reported() {
    let (_watchdog, heard) = watch_named("stuck bare");
    let opening = Options::new().name("stuck bare").group(async |_| {
        assert_eq!(block(&heard).name(), Some("stuck bare"));
        Ok::<_, Infallible>(())
    });
    block_on(opening).unwrap();
}

#[test]
fn a_timeout_outside_of_any_boundary_is_reported_by_its_place() {
    let line = line!() + 2;
    let (_watchdog, heard) = watch_if(move |stall| is_here(stall, line));
    let blocks = timeout(LIMIT, async { block(&heard) });
    assert!(!block_on(blocks).unwrap().is_over());
}

/// The poll is that of the child.
#[test]
fn a_child_that_blocks_in_a_timeout_is_reported_by_its_name() {
    let (_watchdog, heard) = watch_named("stuck timed");
    run(async |g| {
        g.spawn_named("stuck timed", async move {
            drop(timeout(LIMIT, async move { block(&heard) }).await);
        });
        Ok::<_, Infallible>(())
    })
    .unwrap();
}

#[test]
fn a_supervised_child_is_reported() {
    let (_watchdog, heard) = watch_named("stuck supervised");
    run(async |_| {
        supervise(async |s| {
            let child = s.spawn_named("stuck supervised", async move { Ok(block(&heard)) });
            child.await.map(drop).map_err(|_| "it ended")
        })
        .await
        .map_err(|error| error.to_string())
    })
    .unwrap();
}

#[test]
fn of_a_child_in_a_scope_and_the_task_around_it_the_child_is_blamed_alone() {
    let (watchdog, heard) = watch_named("stuck nested");
    let (heard, before, unblocked) = run(async |g| {
        let around = g.spawn_named("stuck nested around", async move {
            let opened = scope(async |s| {
                let inside = s.spawn_named("stuck nested inside", async move {
                    // The task around may be late by itself before this begins, if the machine is slow.
                    let mut before = 0;
                    let stuck = find(&heard, |stall| {
                        before += usize::from(stall.name() == Some("stuck nested around"));
                        stall.name() == Some("stuck nested inside")
                    });
                    assert!(!stuck.is_over());
                    Ok::<_, headcount::JoinError>((heard, before, Instant::now()))
                });
                inside.await
            });
            Ok::<_, headcount::JoinError>(opened.await.unwrap())
        });
        around.await
    })
    .unwrap();
    let mut late = Vec::new();
    find(&heard, |stall| {
        let is_inside = stall.name() == Some("stuck nested inside");
        if !is_inside {
            late.push(stall.clone());
        }
        is_inside && stall.is_over()
    });
    drop(watchdog);
    let after = unblocked.elapsed();
    // If it was reported before, so is its end. Otherwise it may be late by itself afterwards too.
    for stall in late.into_iter().chain(&heard).skip(before) {
        assert!(stall.duration() <= after, "{stall}, {after:?}");
    }
}

/// Each has polled before the other blocks, so both are known by then.
#[test]
fn two_threads_that_are_stuck_at_once_are_both_reported() {
    let (_watchdog, heard) = watch_named("one of two");
    let (both_poll, both_heard) = (&Barrier::new(2), &Barrier::new(3));
    thread::scope(|threads| {
        for name in ["one of two", "one of two others"] {
            threads.spawn(move || {
                block_on(group(async |_| {
                    both_poll.wait();
                    Ok::<_, Infallible>(())
                }))
                .unwrap();
                let opening = Options::new().name(name).group(async |_| {
                    both_heard.wait();
                    Ok::<_, Infallible>(())
                });
                block_on(opening).unwrap();
            });
        }
        let first = heard.recv_timeout(LIMIT);
        let second = heard.recv_timeout(LIMIT);
        // Before anything is asserted, so that a failure leaves nobody waiting.
        both_heard.wait();
        let (first, second) = (first.expect("a report"), second.expect("a second report"));
        assert!(!first.is_over() && !second.is_over());
        assert_ne!(first.name(), second.name());
    });
}

#[test]
fn a_watchdog_that_ends_leaves_the_others_watching() {
    let (watchdog, _) = watch_named("stuck nobody");
    let (_other, heard) = watch_named("still watched");
    drop(watchdog);
    run(async |g| {
        g.spawn_named("still watched", async move { drop(block(&heard)) });
        Ok::<_, Infallible>(())
    })
    .unwrap();
}

#[test]
fn a_destructor_that_blocks_is_reported() {
    struct Blocks(Receiver<Stall>);
    impl Drop for Blocks {
        fn drop(&mut self) {
            assert_eq!(block(&self.0).name(), Some("stuck destructor"));
        }
    }
    let (_watchdog, heard) = watch_named("stuck destructor");
    run(async |g| {
        let child = g.spawn_named("stuck destructor", async {
            let _blocks = Blocks(heard);
            std::future::pending::<()>().await;
        });
        checkpoint().await;
        child.cancel();
        assert!(child.await.is_err());
        Ok::<_, Infallible>(())
    })
    .unwrap();
}

#[test]
fn nothing_below_the_threshold_is_reported() {
    let (tell, heard) = channel::<()>();
    let patient = Dog(Some(watch(Duration::from_secs(3600), move |_| {
        _ = tell.send(());
    })));
    let (_watchdog, soon) = watch_named("stuck patient");
    run(async |g| {
        // Longer than another watchdog allows.
        g.spawn_named("stuck patient", async move { drop(block(&soon)) });
        Ok::<_, Infallible>(())
    })
    .unwrap();
    drop(patient);
    assert!(heard.recv().is_err());
}

#[test]
fn a_report_that_panics_does_not_end_the_watch() {
    let (tell, heard) = channel::<()>();
    let _watchdog = Dog(Some(watch(SOON, move |stall| {
        if stall.name() == Some("stuck panicking") {
            _ = tell.send(());
            panic!("in a report");
        }
    })));
    run(async |g| {
        g.spawn_named("stuck panicking", async move {
            heard.recv_timeout(LIMIT).expect("the first report");
            checkpoint().await;
            // That of the end of the first poll has panicked too, or comes now.
            heard.recv_timeout(LIMIT).expect("a second report");
        });
        Ok::<_, Infallible>(())
    })
    .unwrap();
}

#[test]
fn a_report_may_drop_its_own_watchdog() {
    let (give, take) = channel::<Watchdog>();
    let (tell, heard): (Sender<()>, _) = channel();
    let watchdog = watch(SOON, move |stall| {
        if stall.name() == Some("stuck drops") {
            drop(take.try_recv());
            _ = tell.send(());
        }
    });
    give.send(watchdog).unwrap();
    let heard = run(async |g| {
        let child = g.spawn_named("stuck drops", async move {
            heard.recv_timeout(LIMIT).expect("a report");
            Ok::<_, headcount::JoinError>(heard)
        });
        child.await
    })
    .unwrap();
    let ended = heard.recv_timeout(LIMIT);
    assert_eq!(
        ended,
        Err(RecvTimeoutError::Disconnected),
        "its thread ends"
    );
}

#[test]
#[should_panic(expected = "would report every poll")]
fn a_threshold_of_zero_is_refused() {
    drop(watch(Duration::ZERO, |_| ()));
}

#[test]
fn a_stall_says_who_where_and_how_long() {
    let (_watchdog, heard) = watch_named("stuck says");
    let text = run(async |g| {
        let child = g.spawn_named("stuck says", async move {
            Ok::<_, headcount::JoinError>(block(&heard).to_string())
        });
        child.await
    })
    .unwrap();
    assert!(
        text.starts_with("task `stuck says` (tests/it/watchdogs.rs:"),
        "{text}"
    );
    assert!(text.contains(") blocks its thread for "), "{text}");
}

#[test]
fn polls_are_watched_in_a_simulation_too() {
    let (_watchdog, heard) = watch_named("stuck simulated");
    headcount::testing::Sim::new(0).run(async {
        let opening = pin!(group(async |g| {
            g.spawn_named("stuck simulated", async move { drop(block(&heard)) });
            Ok::<_, Infallible>(())
        }));
        opening.await.unwrap();
    });
}
