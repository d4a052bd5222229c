//! Rule 24 with deadlines, requests, daemons, blocking closures, and at the edges.

use std::future::pending;

use headcount::{
    CancelKind, Options, cancelled, checkpoint, group, is_cancelled, is_shutting_down, scope,
    shield,
    time::{Instant, sleep},
    timeout,
};

use crate::support::{
    Ledger, Named, Oops, PollCount, SEEDS, block_on, done, ok, on_workers, secs, sim, spin_until,
};

/// The token of a blocking closure tells the question from the request.
#[test]
fn the_token_of_a_blocking_closure_shows_a_shutdown_and_later_the_cancellation() {
    sim(SEEDS / 10, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let note = ledger.clone();
            g.spawn_blocking(move |token| {
                assert!(!token.is_shutting_down());
                spin_until(|| token.is_shutting_down());
                assert!(!token.is_cancelled());
                note.note("asked");
            });
            sleep(secs(1)).await;
            g.shutdown(secs(60));
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(ledger.count("asked"), 1);
        assert!(ledger.now() < 61_000);
    });
}

#[test]
fn a_blocking_closure_and_a_task_hear_of_a_shutdown_on_real_threads() {
    on_workers(
        "shutdowns_nested::a_blocking_closure_and_a_task_hear_of_a_shutdown_on_real_threads",
        || {
            for _ in 0..50 {
                let outcome = block_on(group(async |g| {
                    for _ in 0..4 {
                        g.spawn(cancelled());
                        g.spawn_blocking(|token| {
                            spin_until(|| token.is_shutting_down());
                            assert!(!token.is_cancelled());
                        });
                    }
                    checkpoint().await;
                    g.shutdown(secs(1000));
                    assert!(!g.is_cancelled());
                    done()
                }));
                outcome.unwrap();
            }
        },
    );
}

/// Rule 25: daemons are asked like the others, and need not hear: they are cancelled with the last
/// ordinary child, within the grace.
#[test]
fn a_daemon_is_cancelled_when_the_last_child_has_heard_the_question() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let (asked, worker) = (ledger.clone(), ledger.clone());
            g.spawn_daemon(ledger.forever("deaf daemon"));
            g.spawn_daemon(async move {
                cancelled().await;
                asked.note("daemon asked");
            });
            g.spawn(async move {
                cancelled().await;
                worker.sleeper("worker", secs(2)).await;
            });
            sleep(secs(1)).await;
            g.shutdown(secs(30));
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (1000, "daemon asked"),
            (3000, "worker done"),
            (3000, "deaf daemon cut"),
        ]);
    });
}

/// One call a second, `None` for a request. The earlier end binds, in either order.
#[test]
fn the_earliest_of_several_shutdowns_and_requests_binds() {
    for (calls, end, kind) in [
        (&[Some(9), Some(3)][..], 5, CancelKind::Shutdown),
        (&[Some(3), Some(9)], 4, CancelKind::Shutdown),
        (&[Some(9), None], 2, CancelKind::Explicit),
        (&[None, Some(9)], 1, CancelKind::Explicit),
        (&[Some(0)], 1, CancelKind::Shutdown),
    ] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |g| {
                g.spawn(ledger.forever("stubborn"));
                let caller = g.clone();
                g.spawn(shield(async move {
                    for &call in calls {
                        sleep(secs(1)).await;
                        match call {
                            Some(grace) => caller.shutdown(secs(grace)),
                            None => caller.cancel(),
                        }
                    }
                }));
                pending::<Result<(), Oops>>().await
            })
            .await;
            let error = outcome.unwrap_err();
            assert!(error.is_cancelled());
            assert_eq!(error.reason().unwrap().kind, kind);
            ledger.expect(&[(end * 1000, "stubborn cut")]);
        });
    }
}

/// Asked after its body has ended, a group asks its children all the same, and the value is kept.
#[test]
fn a_shutdown_after_the_body_has_ended_asks_the_children() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let (asker, hears) = (g.clone(), ledger.clone());
            g.spawn(async move {
                sleep(secs(2)).await;
                asker.shutdown(secs(3));
            });
            g.spawn(async move {
                cancelled().await;
                hears.note("heard");
            });
            g.spawn(ledger.forever("deaf"));
            ok(7)
        })
        .await;
        // Its own request comes after the value: that is kept.
        assert_eq!(outcome.unwrap(), 7);
        ledger.expect(&[(2000, "heard"), (5000, "deaf cut")]);
    });
}

/// A handle that is kept past the end asks nobody.
#[test]
fn a_shutdown_after_the_end_does_nothing() {
    sim(SEEDS, || async {
        let kept = group(async |g| ok(g)).await.unwrap();
        kept.shutdown(secs(1));
        sleep(secs(5)).await;
    });
}

/// A deadline before the end of the grace cuts as a deadline; one after it comes too late.
#[test]
fn a_deadline_and_a_grace_each_bind_when_they_come_first() {
    for (deadline, grace, end, kind) in [
        (3, 9, 3, CancelKind::Deadline),
        (9, 3, 4, CancelKind::Shutdown),
    ] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let options = Options::new().deadline(Instant::now() + secs(deadline));
            let outcome = options.group(async |g| {
                sleep(secs(1)).await;
                g.shutdown(secs(grace));
                ledger.forever("body").await;
                done()
            });
            let error = outcome.await.unwrap_err();
            assert_eq!(error.reason().unwrap().kind, kind);
            ledger.expect(&[(end * 1000, "body cut")]);
        });
    }
}

/// A timeout around is over first or not at all, whatever is asked inside.
#[test]
fn a_timeout_around_a_group_that_shuts_down_reports_its_own_expiry_only() {
    for (after, over) in [(2, true), (9, false)] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = timeout(
                secs(after),
                group(async |g| {
                    g.shutdown(secs(5));
                    g.spawn(ledger.forever("child"));
                    done()
                }),
            );
            assert_eq!(outcome.await.is_err(), over);
            ledger.expect(&[(if over { 2000 } else { 5000 }, "child cut")]);
        });
    }
}

/// The question passes every kind of boundary, in both directions of time: what is opened later
/// finds itself asked.
#[test]
fn what_is_opened_or_spawned_during_a_shutdown_is_asked_too() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.shutdown(secs(9));
            let inner = scope(async |s| {
                assert!(is_shutting_down() && s.is_shutting_down() && !is_cancelled());
                let child = ledger.clone();
                s.spawn(async move {
                    timeout(secs(5), cancelled()).await.unwrap();
                    child.note("inline child asked");
                });
                done()
            });
            inner.await.unwrap();
            let child = ledger.clone();
            g.spawn(async move {
                sleep(secs(1)).await;
                cancelled().await;
                child.note("child asked");
            });
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(0, "inline child asked"), (1000, "child asked")]);
    });
}

/// A failure during a shutdown is a failure; it cancels the rest before the grace is over.
#[test]
fn a_child_that_fails_during_a_shutdown_fails_its_group() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let child = ledger.clone();
            g.spawn(async move {
                cancelled().await;
                child.failing("child", secs(1)).await
            });
            g.spawn(ledger.forever("deaf"));
            sleep(secs(1)).await;
            g.shutdown(secs(9));
            done()
        })
        .await;
        assert_eq!(outcome.names(), ["child"]);
        ledger.expect(&[(2000, "child failed"), (2000, "deaf cut")]);
    });
}

/// Only what is below is asked.
#[test]
fn a_shutdown_asks_nobody_outside() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let outside = ledger.clone();
            g.spawn(async move {
                assert!(timeout(secs(3), cancelled()).await.is_err());
                outside.note("never asked");
            });
            let inner = group(async |inner| {
                inner.shutdown(secs(1));
                assert!(is_shutting_down());
                cancelled().await;
                done()
            });
            inner.await.unwrap();
            assert!(!is_shutting_down() && !g.is_shutting_down());
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(3000, "never asked")]);
    });
}

/// The grace of a shutdown is for the tasks, that of the options, after it, for the releases; whether
/// the group itself is shut down or one around it.
#[test]
fn the_grace_of_releases_begins_when_that_of_the_shutdown_has_ended() {
    for above in [false, true] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |outer| {
                let options = Options::new().grace(secs(2));
                let graced = options.group(async |g| {
                    let child = ledger.clone();
                    g.spawn(async move {
                        let _guard = child.deferred("guard", secs(60));
                        child.forever("child").await;
                    });
                    sleep(secs(1)).await;
                    match above {
                        true => outer.shutdown(secs(3)),
                        false => g.shutdown(secs(3)),
                    }
                    done()
                });
                assert_eq!(graced.await.unwrap_err().cleanup_failures().len(), 1);
                ledger.note("told");
                done()
            });
            outcome.await.unwrap();
            ledger.expect(&[
                (4000, "child cut"),
                (4000, "guard releasing"),
                (6000, "told"),
            ]);
        });
    }
}

/// Asked once more, those further down hear nothing new, and are left alone.
#[test]
fn a_second_shutdown_wakes_nobody_below_an_inner_group() {
    sim(SEEDS, || async {
        let polls = PollCount::default();
        let outcome = group(async |g| {
            let sleeper = polls.of(sleep(secs(5)));
            g.spawn(async {
                let inner = group(async |inner| {
                    inner.spawn(sleeper);
                    done()
                });
                inner.await.map_err(|_| Oops("inner"))
            });
            for _ in 0..3 {
                sleep(secs(1)).await;
                g.shutdown(secs(9));
            }
            done()
        });
        outcome.await.unwrap();
        // At its begin, when it was asked, and at its end.
        assert_eq!(polls.get(), 3);
    });
}
