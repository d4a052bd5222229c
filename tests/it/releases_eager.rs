//! Rule 23: what is dropped while the body still runs is released alongside it.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use headcount::{CancelScope, checkpoint, defer, group, scope, shield, time::sleep, timeout};

use crate::support::{Ledger, Oops, SEEDS, done, ok, secs, sim, yield_now};

/// Counts what was acquired and is not yet released.
#[derive(Clone, Default)]
struct Open(Arc<(AtomicUsize, AtomicUsize)>);

impl Open {
    /// A connection whose release takes `yields` turns.
    fn connect(&self, yields: usize) -> headcount::Deferred<Open> {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        defer(self.clone(), move |open| async move {
            for _ in 0..yields {
                checkpoint().await;
            }
            open.0.0.fetch_sub(1, Ordering::SeqCst);
        })
    }

    fn now(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    fn peak(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

/// Case 42, in a body, in a child, and in a timeout.
#[test]
fn of_ten_thousand_deferred_connections_at_most_a_few_are_open() {
    sim(3, || async {
        let (body, child, inside) = (Open::default(), Open::default(), Open::default());
        let (in_child, in_timeout) = (child.clone(), inside.clone());
        let outcome = group(async |g| {
            g.spawn(async move {
                for _ in 0..10_000 {
                    drop(in_child.connect(0));
                    checkpoint().await;
                }
            });
            g.spawn(async move {
                let all = timeout(secs(1), async {
                    for _ in 0..10_000 {
                        drop(in_timeout.connect(0));
                        checkpoint().await;
                    }
                });
                all.await.unwrap();
            });
            for _ in 0..10_000 {
                let connection = body.connect(1);
                checkpoint().await;
                drop(connection);
                sleep(secs(1)).await;
            }
            ok(body.peak())
        });
        let peak = outcome.await.unwrap();
        for (peak, open) in [
            (peak, &body),
            (child.peak(), &child),
            (inside.peak(), &inside),
        ] {
            assert!(peak <= 3, "{peak} were open at once");
            assert_eq!(open.now(), 0);
        }
    });
}

/// Not before the next `Pending`, and then without holding the body up.
#[test]
fn an_eager_release_begins_at_the_next_checkpoint_and_runs_beside_the_body() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            drop(ledger.deferred("one", secs(2)));
            drop(ledger.deferred("two", secs(2)));
            ledger.note("no checkpoint yet");
            sleep(secs(1)).await;
            ledger.note("body runs");
            sleep(secs(2)).await;
            ledger.note("body ends");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (0, "no checkpoint yet"),
            (0, "one releasing"),
            (1000, "body runs"),
            (2000, "one released"),
            (2000, "two releasing"),
            (3000, "body ends"),
            (4000, "two released"),
        ]);
    });
}

/// Begun beside the body, it goes on beside the children; what was dropped later waits for them.
#[test]
fn an_eager_release_does_not_wait_for_the_children_once_the_body_has_ended() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.spawn(ledger.sleeper("child", secs(10)));
            let _late = ledger.deferred("late", secs(1));
            drop(ledger.deferred("one", secs(2)));
            drop(ledger.deferred("two", secs(2)));
            sleep(secs(1)).await;
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (0, "one releasing"),
            (2000, "one released"),
            (2000, "two releasing"),
            (4000, "two released"),
            (10_000, "child done"),
            (10_000, "late releasing"),
            (11_000, "late released"),
        ]);
    });
}

/// The body of any boundary, and that of a child.
#[test]
fn a_release_runs_alongside_the_body_of_every_kind_of_boundary() {
    async fn body(ledger: &Ledger) {
        drop(ledger.deferred("guard", secs(1)));
        sleep(secs(5)).await;
        ledger.note("body ends");
    }
    for kind in 0..5 {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            match kind {
                0 => scope(async |_| {
                    body(&ledger).await;
                    done()
                })
                .await
                .unwrap(),
                1 => timeout(secs(9), body(&ledger)).await.unwrap(),
                2 => CancelScope::new().enter(body(&ledger)).await.unwrap(),
                3 => shield(body(&ledger)).await,
                _ => {
                    let child = ledger.clone();
                    group(async |g| {
                        g.spawn(async move { body(&child).await });
                        done()
                    })
                    .await
                    .unwrap();
                }
            }
            ledger.expect(&[
                (0, "guard releasing"),
                (1000, "guard released"),
                (5000, "body ends"),
            ]);
        });
    }
}

/// The body is cut while the release runs: the release is not.
#[test]
fn an_eager_release_goes_on_when_the_body_is_cut() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.spawn(async {
                sleep(secs(1)).await;
                Err::<(), _>(Oops("child"))
            });
            drop(ledger.deferred("guard", secs(5)));
            ledger.forever("body").await;
            done()
        })
        .await;
        assert_eq!(outcome.unwrap_err().into_first(), Some(Oops("child")));
        ledger.expect(&[
            (0, "guard releasing"),
            (1000, "body cut"),
            (5000, "guard released"),
        ]);
    });
}

/// A failed release is no failure of a child: nobody is cancelled, and the body's value is lost only
/// at the end.
#[test]
fn an_eager_release_that_fails_cancels_nobody() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.spawn(ledger.sleeper("child", secs(5)));
            drop(ledger.deferred_failing("failing", secs(1)));
            drop(ledger.deferred_panicking("panicking", secs(1)));
            ledger.sleeper("body", secs(4)).await;
            done()
        })
        .await;
        assert_eq!(outcome.unwrap_err().cleanup_failures().len(), 2);
        assert!(ledger.contains("body done") && ledger.contains("child done"));
    });
}

/// The release runs in the boundary that it cancels.
#[test]
fn a_body_that_is_cancelled_by_its_release_leaves_in_order() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let (group, note) = (g.clone(), ledger.clone());
            drop(defer((), move |()| async move {
                sleep(secs(1)).await;
                group.cancel();
                checkpoint().await;
                note.note("release goes on");
            }));
            ledger.forever("body").await;
            pending::<Result<(), Oops>>().await
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        ledger.expect(&[(1000, "body cut"), (1000, "release goes on")]);
    });
}

/// Rule 23: many releases at once cost linear time, those of a tear-down and those beside the body.
#[test]
fn fifty_thousand_releases_are_no_burden() {
    for rest in [0, 1] {
        sim(1, move || async move {
            let ended = Arc::new(AtomicUsize::new(0));
            let outcome = group(async |_| {
                let guards = (0..50_000).map(|_| {
                    defer(ended.clone(), |ended| async move {
                        yield_now().await;
                        ended.fetch_add(1, Ordering::SeqCst);
                    })
                });
                drop(guards.collect::<Vec<_>>());
                sleep(secs(rest)).await;
                done()
            });
            outcome.await.unwrap();
            assert_eq!(ended.load(Ordering::SeqCst), 50_000);
        });
    }
}
