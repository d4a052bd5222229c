//! What is deferred is released: when, in which order, and before whom.

use headcount::{
    GroupError, JoinError, Options, bracket, checkpoint, defer, group, scope, shield, time::sleep,
    timeout,
};

use crate::support::{Ledger, Oops, SEEDS, done, ok, poll_once, secs, sim};

/// Case 5.
#[test]
fn the_release_of_a_cancelled_child_runs_before_its_group_returns() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let sleeper = ledger.clone();
            g.spawn(async move {
                let _guard = sleeper.deferred("sleeper", secs(2));
                sleeper.forever("sleep").await;
            });
            g.spawn(ledger.failing("failing", secs(1)));
            done()
        })
        .await;
        assert_eq!(outcome.unwrap_err().failures().len(), 1);
        ledger.expect(&[
            (1000, "failing failed"),
            (1000, "sleep cut"),
            (1000, "sleeper releasing"),
            (3000, "sleeper released"),
        ]);
    });
}

/// Case 21, rule 27.
#[test]
fn a_timeout_waits_for_the_release_before_it_reports() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(1), async {
            let _guard = ledger.deferred("guard", secs(2));
            sleep(secs(10)).await;
        })
        .await;
        assert!(outcome.is_err());
        ledger.expect(&[(1000, "guard releasing"), (3000, "guard released")]);
    });
}

/// Case 31, rules 17 and 23.
#[test]
fn three_releases_run_in_series_the_last_taken_first_though_two_fail() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let _one = ledger.deferred("one", secs(1));
            let _two = ledger.deferred_failing("two", secs(1));
            let _three = ledger.deferred_failing("three", secs(1));
            checkpoint().await;
            Err::<(), _>(Oops("body"))
        })
        .await;
        let error = outcome.unwrap_err();
        assert_eq!(error.first(), Some(&Oops("body")));
        let texts: Vec<_> = error
            .cleanup_failures()
            .iter()
            .map(|f| f.error().to_string())
            .collect();
        assert_eq!(texts, ["three", "two"]);
        ledger.expect(&[
            (0, "three releasing"),
            (1000, "three released"),
            (1000, "two releasing"),
            (2000, "two released"),
            (2000, "one releasing"),
            (3000, "one released"),
        ]);
    });
}

/// Case 33, rule 23: adopted.
#[test]
fn the_parent_of_a_dropped_group_returns_after_the_releases_of_its_children() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut inner = Box::pin(group(async |g| {
                let child = ledger.clone();
                let _body = ledger.deferred("body", secs(2));
                g.spawn(async move {
                    let _guard = child.deferred("child", secs(2));
                    sleep(secs(10)).await;
                });
                sleep(secs(10)).await;
                done()
            }));
            assert!(poll_once(&mut inner).await.is_pending());
            sleep(secs(1)).await;
            drop(inner);
            ledger.note("dropped");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (1000, "dropped"),
            (1000, "child releasing"),
            (3000, "child released"),
            (3000, "body releasing"),
            (5000, "body released"),
        ]);
    });
}

/// Rule 23: what is dropped at the end waits for the children, which may use it.
#[test]
fn what_the_body_defers_is_released_after_its_children_have_ended() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let _guard = ledger.deferred("guard", secs(1));
            g.spawn(ledger.sleeper("child", secs(5)));
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (5000, "child done"),
            (5000, "guard releasing"),
            (6000, "guard released"),
        ]);
    });
}

/// Case 42, rule 23.
#[test]
fn what_is_dropped_in_a_loop_is_released_alongside_it() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = scope(async |_| {
            for _ in 0..3 {
                drop(ledger.deferred("connection", secs(1)));
                sleep(secs(2)).await;
            }
            ledger.note("body ends");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (0, "connection releasing"),
            (1000, "connection released"),
            (2000, "connection releasing"),
            (3000, "connection released"),
            (4000, "connection releasing"),
            (5000, "connection released"),
            (6000, "body ends"),
        ]);
    });
}

/// Rule 13.
#[test]
fn a_handle_resolves_after_the_releases_of_its_task() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let child = ledger.clone();
            let handle = g.spawn(async move {
                let _guard = child.deferred("guard", secs(2));
                Ok(1)
            });
            assert_eq!(handle.await?, 1);
            ledger.note("joined");
            Ok::<_, JoinError>(())
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (0, "guard releasing"),
            (2000, "guard released"),
            (2000, "joined"),
        ]);
    });
}

/// Case 30, rule 4.
#[test]
fn a_child_spawned_into_a_cancelled_group_releases_what_it_captured() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.cancel();
            let guard = ledger.deferred("captured", secs(2));
            g.spawn(async move { drop(guard) });
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(0, "captured releasing"), (2000, "captured released")]);
    });
}

/// Rule 23: a half-run `close` is handed on and ends once.
#[test]
fn a_close_that_is_cut_half_way_is_finished_by_the_boundary() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(secs(1), async {
            let guard = ledger.deferred("guard", secs(3));
            guard.close().await.unwrap();
            ledger.note("never");
        })
        .await;
        assert!(outcome.is_err());
        ledger.expect(&[(0, "guard releasing"), (3000, "guard released")]);
    });
}

/// Rule 23: the same when a foreign combinator drops the boundary of the `close`.
#[test]
fn a_release_in_progress_moves_to_the_parent_of_a_dropped_boundary() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut inner = Box::pin(group(async |_| {
                drop(ledger.deferred("guard", secs(5)));
                sleep(secs(10)).await;
                done()
            }));
            assert!(poll_once(&mut inner).await.is_pending());
            sleep(secs(1)).await;
            drop(inner);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(0, "guard releasing"), (5000, "guard released")]);
    });
}

/// Rules 17 and 23: the grace.
#[test]
fn a_grace_cuts_the_releases_that_take_longer() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome: Result<(), GroupError<Oops>> = Options::new()
            .grace(secs(3))
            .group(async |g| {
                let child = ledger.clone();
                g.spawn(async move {
                    let _slow = child.deferred("slow", secs(60));
                    let _quick = child.deferred("quick", secs(2));
                    sleep(secs(10)).await;
                });
                sleep(secs(1)).await;
                Err(Oops("body"))
            })
            .await;
        let error = outcome.unwrap_err();
        assert_eq!(error.cleanup_failures().len(), 1);
        assert_eq!(ledger.now(), 4000);
        ledger.expect(&[
            (1000, "quick releasing"),
            (3000, "quick released"),
            (3000, "slow releasing"),
        ]);
    });
}

/// Rule 23.
#[test]
fn a_bracket_releases_what_was_acquired_while_it_was_cancelled() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(
            secs(1),
            bracket(
                async {
                    sleep(secs(2)).await;
                    ledger.note("acquired");
                    ok(ledger.clone())
                },
                async |_| {
                    sleep(secs(1)).await;
                    ledger.note("never");
                    done()
                },
                async |ledger: Ledger| {
                    shield(sleep(secs(1))).await;
                    ledger.note("released");
                },
            ),
        )
        .await;
        assert!(outcome.is_err());
        ledger.expect(&[(2000, "acquired"), (3000, "released")]);
    });
}

/// Rule 17: alone it makes an error, a panic too.
#[test]
fn a_release_that_panics_makes_the_result_an_error() {
    sim(SEEDS, || async {
        let outcome = group(async |_| {
            let _guard = defer((), |()| async { panic!("release") });
            ok(5)
        })
        .await;
        let error = outcome.unwrap_err();
        assert!(!error.is_cancelled());
        assert_eq!(
            error.cleanup_failures()[0].error().to_string(),
            "panicked: release"
        );
    });
}
