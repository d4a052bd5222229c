//! Rule 23: `bracket` acquires, uses, and has released when it returns.

use std::pin::Pin;

use futures_concurrency::future::Race;
use headcount::{Deferred, bracket, group, time::sleep, timeout};

use crate::support::{Ledger, Oops, SEEDS, catch, done, message, millis, ok, poll_for, secs, sim};

/// Acquires in `acquire`, uses with `use_`, and releases in a second.
async fn bracketed<T, F: Future<Output = Result<T, Oops>>>(
    ledger: &Ledger,
    acquire: std::time::Duration,
    use_: impl FnOnce(Deferred<Ledger>) -> F,
) -> Result<T, Oops> {
    let acquired = async {
        let mark = ledger.mark("acquire");
        sleep(acquire).await;
        mark.finish("done");
        ok(ledger.clone())
    };
    bracket(acquired, use_, async |ledger: Ledger| {
        ledger.note("releasing");
        sleep(secs(1)).await;
        ledger.note("released");
    })
    .await
}

/// Value, error and panic of the use come out, after the release.
#[test]
fn the_release_has_run_when_a_bracket_returns_however_the_use_ended() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let value = bracketed(&ledger, secs(1), async |_guard| ok(7)).await;
            assert_eq!(value, Ok(7));
            ledger.note("value");
            let error = bracketed(&ledger, secs(1), async |_guard| Err::<(), _>(Oops("use"))).await;
            assert_eq!(error, Err(Oops("use")));
            ledger.note("error");
            let panic = bracketed(&ledger, secs(1), async |_guard| -> Result<(), Oops> {
                panic!("use")
            });
            assert_eq!(message(&*catch(panic).await.unwrap_err()), "use");
            ledger.note("panic");
            done()
        })
        .await;
        outcome.unwrap();
        let mut expected = Vec::new();
        for (round, end) in (0..).zip(["value", "error", "panic"]) {
            let begin = round * 2000;
            expected.extend([
                (begin + 1000, "acquire done"),
                (begin + 1000, "releasing"),
                (begin + 2000, "released"),
                (begin + 2000, end),
            ]);
        }
        ledger.expect(&expected);
    });
}

/// What was not acquired is not released, and a failed release goes to the group around.
#[test]
fn a_failed_acquire_releases_nothing_and_a_failed_release_climbs() {
    sim(SEEDS, || async {
        let outcome = group(async |_| {
            let failed = bracket(
                async { Err::<(), _>(Oops("acquire")) },
                async |_| ok(()),
                async |()| unreachable!("nothing was acquired"),
            );
            assert_eq!(failed.await, Err(Oops("acquire")));
            let used = bracket(
                async { ok(()) },
                async |_guard| ok(5),
                async |()| Err::<(), _>("release"),
            );
            assert_eq!(used.await, Ok(5));
            done()
        })
        .await;
        let error = outcome.unwrap_err();
        let texts: Vec<_> = error
            .cleanup_failures()
            .iter()
            .map(|f| f.error().to_string())
            .collect();
        assert_eq!(texts, ["release"]);
    });
}

/// Cancelled while it acquires, uses or releases: the acquire ends, the use is cut, the release ends, once,
/// and all of that before the code around is gone.
#[test]
fn a_cancelled_bracket_releases_exactly_once_before_the_code_around_is_dropped() {
    for at in [1000, 3000, 4500] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = timeout(millis(at), async {
                let _around = ledger.mark("around");
                let use_ = async |_guard| {
                    ledger.sleeper("use", secs(2)).await;
                    done()
                };
                let used = bracketed(&ledger, secs(2), use_).await;
                used.unwrap();
                sleep(secs(60)).await;
            });
            assert!(outcome.await.is_err());
            match at {
                1000 => ledger.expect(&[
                    (2000, "acquire done"),
                    (2000, "use cut"),
                    (2000, "releasing"),
                    (3000, "released"),
                    (3000, "around cut"),
                ]),
                3000 => ledger.expect(&[
                    (2000, "acquire done"),
                    (3000, "use cut"),
                    (3000, "releasing"),
                    (4000, "released"),
                    (4000, "around cut"),
                ]),
                _ => ledger.expect(&[
                    (2000, "acquire done"),
                    (4000, "use done"),
                    (4000, "releasing"),
                    (5000, "released"),
                    (5000, "around cut"),
                ]),
            }
        });
    }
}

/// Dropped by a foreign combinator: while it acquires nothing is owed; while it uses, the boundary
/// around releases.
#[test]
fn a_bracket_that_is_dropped_half_way_leaves_its_release_to_the_boundary_around() {
    for (at, events) in [
        (1, &[(1000, "acquire cut"), (5000, "body ends")][..]),
        (
            3,
            &[
                (2000, "acquire done"),
                (3000, "releasing"),
                (4000, "released"),
                (5000, "body ends"),
            ],
        ),
    ] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |_| {
                let used = bracketed(&ledger, secs(2), async |_guard| {
                    sleep(secs(9)).await;
                    ok("used")
                });
                let winner = async {
                    sleep(secs(at)).await;
                    ok("winner")
                };
                assert_eq!((used, winner).race().await, Ok("winner"));
                sleep(secs(5 - at)).await;
                ledger.note("body ends");
                done()
            })
            .await;
            outcome.unwrap();
            ledger.expect(events);
        });
    }
}

/// The use may close by hand, or give the guard away: then whoever drops it releases.
#[test]
fn the_guard_of_a_bracket_may_be_closed_or_given_away() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let closed = bracketed(&ledger, secs(0), async |guard| {
                guard.close().await.unwrap();
                ledger.note("closed");
                done()
            });
            closed.await.unwrap();
            let guard = bracketed(&ledger, secs(0), async |guard| ok(guard))
                .await
                .unwrap();
            ledger.note("given away");
            sleep(secs(1)).await;
            drop(guard);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (0, "acquire done"),
            (0, "releasing"),
            (1000, "released"),
            (1000, "closed"),
            (1000, "acquire done"),
            (1000, "given away"),
            (2000, "releasing"),
            (3000, "released"),
        ]);
    });
}

/// Rule 8: forgotten, it is accounted for as any boundary; what its memory owns is not released.
#[test]
fn a_forgotten_bracket_holds_nobody_up() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut used: Pin<Box<dyn Future<Output = Result<(), Oops>> + Send>> = {
                let ledger = ledger.clone();
                Box::pin(async move {
                    bracketed(&ledger, secs(0), async |_guard| {
                        drop(ledger.deferred("handed over", secs(3)));
                        sleep(secs(60)).await;
                        done()
                    })
                    .await
                })
            };
            assert!(poll_for(&mut used, secs(1)).await.is_pending());
            std::mem::forget(used);
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(ledger.count("handed over released"), 1);
        assert!(!ledger.contains("releasing"));
    });
}
