//! Daemon children (rule 25).

use std::future::pending;

use headcount::{checkpoint, shield, time::sleep, timeout};

use super::{limited, open};
use crate::support::{
    Census, Ledger, Named, Oops, PollCount, SEEDS, catch, done, message, ok, secs, sim,
};

/// Rule 25: cancelled once the body and all ordinary children have ended, and waited for.
#[test]
fn daemons_are_cancelled_when_body_and_ordinary_children_have_ended() {
    for (body, child) in [(1, 2), (2, 1), (0, 3), (3, 0)] {
        sim(SEEDS / 2, move || async move {
            let ledger = Ledger::open();
            let outcome = open(async |g| {
                for name in ["d", "e"] {
                    g.spawn_daemon(ledger.forever(name));
                }
                if child > 0 {
                    g.spawn(sleep(secs(child)));
                }
                if body > 0 {
                    sleep(secs(body)).await;
                }
                ok("value")
            })
            .await;
            assert_eq!(outcome.unwrap(), "value");
            let end = 1000 * body.max(child);
            ledger.expect_in_any_order(&[(end, "d cut"), (end, "e cut")]);
            assert_eq!(ledger.now(), end);
        });
    }
}

/// Rule 25: daemons alone keep nothing open; those that no poll has reached are never polled.
#[test]
fn daemons_alone_keep_nothing_open() {
    sim(SEEDS, || async {
        let (ledger, polls) = (Ledger::open(), PollCount::default());
        let outcome = open(async |g| {
            g.spawn_daemon(ledger.forever("daemon"));
            let unpolled = g.spawn_daemon(polls.of(pending::<()>()));
            unpolled.cancel();
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(0, "daemon cut")]);
        assert_eq!(polls.get(), 0);
    });
}

/// Rule 25: a daemon may end on its own, and has a value like any other.
#[test]
fn a_daemon_may_end_by_itself() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            let early = g.spawn_daemon(async {
                sleep(secs(1)).await;
                ok(5)
            });
            g.spawn_daemon(ledger.forever("late"));
            assert_eq!(early.await.unwrap(), 5);
            sleep(secs(1)).await;
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(2000, "late cut")]);
    });
}

/// Rules 11, 13 and 25: its end on duty is a cancellation, for its handle and for nobody else.
#[test]
fn the_handle_of_a_dismissed_daemon_says_cancelled() {
    sim(SEEDS, || async {
        let handle = open(async |g| ok(g.spawn_daemon(pending::<()>()))).await;
        let handle = handle.unwrap();
        assert!(handle.is_finished());
        assert!(handle.await.unwrap_err().is_cancelled());
    });
}

/// Rule 25: the failure of a daemon is a failure.
#[test]
fn the_failure_of_a_daemon_is_a_failure() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            g.spawn_daemon(ledger.failing("daemon", secs(1)));
            g.spawn(ledger.forever("child"));
            g.spawn_daemon(ledger.forever("other daemon"));
            ledger.forever("body").await;
            done()
        })
        .await;
        assert_eq!(outcome.names(), ["daemon"]);
        ledger.expect_in_any_order(&[
            (1000, "daemon failed"),
            (1000, "child cut"),
            (1000, "other daemon cut"),
            (1000, "body cut"),
        ]);
    });
}

/// Rules 14 and 25: its panic is a panic, also when it is dismissed.
#[test]
fn the_panic_of_a_daemon_is_a_panic() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = catch(open(async |g| {
            g.spawn_daemon(async {
                sleep(secs(1)).await;
                panic!("on duty");
            });
            g.spawn(ledger.forever("child"));
            done()
        }));
        assert_eq!(message(&*outcome.await.unwrap_err()), "on duty");
        ledger.expect(&[(1000, "child cut")]);
        let dismissed = catch(open(async |g| {
            g.spawn_daemon(crate::support::drops_later_panicking("dismissed"));
            checkpoint().await;
            sleep(secs(1)).await;
            done()
        }));
        assert_eq!(message(&*dismissed.await.unwrap_err()), "dismissed");
    });
}

/// Rules 2 and 25: ordinary children that a daemon spawns keep the opening open, and the daemon on
/// duty with it.
#[test]
fn a_daemon_spawns_ordinary_children() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            let (spawner, late) = (g.clone(), ledger.sleeper("late", secs(3)));
            let mark = ledger.mark("daemon");
            g.spawn_daemon(async move {
                let _mark = mark;
                sleep(secs(1)).await;
                spawner.spawn(late);
                pending::<()>().await;
            });
            sleep(secs(2)).await;
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(4000, "late done"), (4000, "daemon cut")]);
    });
}

/// Rule 25: the last ordinary child spawns a daemon in its last poll.
#[test]
fn a_daemon_spawned_by_the_last_child_at_its_end_is_dismissed() {
    sim(SEEDS, || async {
        let (ledger, census) = (Ledger::open(), Census::default());
        let outcome = open(async |g| {
            let (spawner, tracked) = (g.clone(), census.tracked());
            g.spawn(async move {
                sleep(secs(1)).await;
                spawner.spawn_daemon(async move {
                    pending::<()>().await;
                    drop(tracked);
                });
            });
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!((census.living(), ledger.now()), (0, 1000));
    });
}

/// Rule 25: a daemon that is dismissed spawns one more of its kind from its destructor.
#[test]
fn a_daemon_spawned_during_the_dismissal_is_dismissed_too() {
    sim(SEEDS, || async {
        let census = Census::default();
        let outcome = open(async |g| {
            let (spawner, tracked) = (g.clone(), census.tracked());
            let last = OnDrop(Some(move || {
                spawner.spawn_daemon(async move {
                    pending::<()>().await;
                    drop(tracked);
                });
            }));
            g.spawn_daemon(async move {
                let _last = last;
                pending::<()>().await;
            });
            sleep(secs(1)).await;
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!((census.born(), census.living()), (1, 0));
    });
}

struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

/// Rules 3 and 25: a daemon takes a place under a limit, and one that waits in line is dismissed
/// unpolled.
#[test]
fn a_daemon_counts_under_a_limit() {
    sim(SEEDS, || async {
        let (ledger, polls) = (Ledger::open(), PollCount::default());
        let outcome = limited(2, async |g| {
            g.spawn_daemon(ledger.forever("daemon"));
            for name in ["a", "b"] {
                g.spawn(ledger.sleeper(name, secs(1)));
            }
            g.spawn_daemon(polls.of(ledger.forever("first in line after b")));
            g.spawn_daemon(polls.of(ledger.forever("behind")));
            let refused = g.try_spawn(async {}).expect_err("both places are taken");
            assert!(refused.is_full());
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(ledger.count("daemon cut"), 1);
        assert!(polls.get() <= 1, "only one place was left for them");
        assert_eq!(ledger.count("first in line after b cut"), 1);
        assert_eq!(ledger.count("behind cut"), 1);
        assert_eq!(ledger.now(), 2000);
    });
}

/// Rules 22 and 25: a shielded daemon is waited for.
#[test]
fn a_shielded_daemon_finishes_its_section() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            let sleeper = ledger.sleeper("section", secs(3));
            let rest = ledger.forever("rest");
            g.spawn_daemon(async {
                shield(sleeper).await;
                rest.await;
            });
            sleep(secs(1)).await;
            ok("value")
        })
        .await;
        assert_eq!(outcome.unwrap(), "value");
        ledger.expect(&[(3000, "section done"), (3000, "rest cut")]);
        assert_eq!(ledger.now(), 3000);
    });
}

/// Rule 25: once the daemons have been told to end, a new one is told at once.
#[test]
fn a_daemon_that_comes_when_only_daemons_are_left_is_never_polled() {
    sim(SEEDS, || async {
        let (ledger, polls) = (Ledger::open(), PollCount::default());
        let outcome = open(async |g| {
            let (spawner, late) = (g.clone(), polls.of(ledger.forever("late")));
            g.spawn_daemon(shield(async move {
                sleep(secs(3)).await;
                spawner.spawn_daemon(late);
                sleep(secs(2)).await;
            }));
            sleep(secs(1)).await;
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(polls.get(), 0);
        ledger.expect(&[(3000, "late cut")]);
        assert_eq!(ledger.now(), 5000);
    });
}

/// Rule 25: nobody has been told yet, though the body has ended.
#[test]
fn a_daemon_that_comes_beside_another_while_an_ordinary_child_lives_serves_it() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            g.spawn_daemon(ledger.forever("early"));
            let (spawner, late) = (g.clone(), ledger.forever("late"));
            g.spawn(async move {
                sleep(secs(1)).await;
                spawner.spawn_daemon(late);
                sleep(secs(1)).await;
                done()
            });
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect_in_any_order(&[(2000, "early cut"), (2000, "late cut")]);
    });
}

/// Rule 25: what a daemon has opened is dismissed with it.
#[test]
fn what_a_daemon_has_opened_ends_before_it() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |g| {
            let (leaf, mark) = (ledger.forever("leaf"), ledger.mark("daemon"));
            g.spawn_daemon(async move {
                let inner = open(async move |inner| {
                    inner.spawn(leaf);
                    done()
                });
                let inner = inner.await;
                mark.finish("resumed");
                inner.map_err(|_| Oops("inner"))
            });
            sleep(secs(1)).await;
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(1000, "leaf cut"), (1000, "daemon cut")]);
    });
}

/// Rule 25: before its time, a request from above cancels a daemon like anybody else.
#[test]
fn a_daemon_is_cancelled_from_above_like_any_child() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = timeout(
            secs(1),
            open(async |g| {
                g.spawn_daemon(ledger.forever("daemon"));
                g.spawn(ledger.forever("child"));
                done()
            }),
        );
        assert!(outcome.await.is_err());
        ledger.expect_in_any_order(&[(1000, "daemon cut"), (1000, "child cut")]);
    });
}
