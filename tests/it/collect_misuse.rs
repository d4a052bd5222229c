//! Collecting futures that are cancelled, dropped, or polled where they do not belong.

use std::{future::pending, pin::Pin};

use futures_util::StreamExt;
use headcount::{
    GroupError, Options, ReturnWhen, TaskError, as_completed, defer, gather, gather_settled, group,
    map_concurrent, race, race_ok, shield, supervise, time::sleep, timeout, wait,
};

use crate::support::{
    Ledger, Named, Oops, PanicOnDrop, SEEDS, catch, done, message, ok, poll_once, secs, sim,
};

fn forever(ledger: &Ledger) -> Pin<Box<dyn Future<Output = Result<(), Oops>> + Send>> {
    let entrant = ledger.forever("entrant");
    Box::pin(async move {
        entrant.await;
        done()
    })
}

/// Rule 21: the timeout absorbs, and the code that collects does not resume.
#[test]
fn collecting_under_a_timeout_joins_everybody_and_does_not_resume() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        assert!(timeout(secs(1), gather([forever(&ledger)])).await.is_err());
        assert!(timeout(secs(1), race([forever(&ledger)])).await.is_err());
        assert!(timeout(secs(1), race_ok([forever(&ledger)])).await.is_err());
        assert!(
            timeout(secs(1), gather_settled([forever(&ledger)]))
                .await
                .is_err()
        );
        ledger.expect(&[
            (1_000, "entrant cut"),
            (2_000, "entrant cut"),
            (3_000, "entrant cut"),
            (4_000, "entrant cut"),
        ]);
    });
}

/// Nobody was let in, so nobody has won, and no outcome is there; nor does the code go on.
#[test]
fn code_that_is_cancelled_already_gets_no_answer_from_futures_that_never_begin() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        for way in 0..6 {
            let ledger = ledger.clone();
            let cancelled = group(async move |g| {
                let around = g.clone();
                let child = g.spawn(async move {
                    around.cancel();
                    let futures = [async { ok(1) }];
                    match way {
                        0 => drop(race(futures).await),
                        1 => drop(race_ok(futures).await),
                        2 => drop(gather(futures).await),
                        3 => drop(gather_settled(futures).await),
                        4 => drop(as_completed(futures).next().await),
                        _ => drop(map_concurrent(futures, 1, |it| it).next().await),
                    }
                    ledger.note(format!("{way} went on"));
                    done()
                });
                drop(child.await);
                done()
            });
            assert!(cancelled.await.unwrap_err().is_cancelled());
        }
        ledger.expect(&[]);
    });
}

/// Rule 15: an outcome that nobody was given is not lost with who waited for the others.
#[test]
fn a_failure_that_a_dropped_gather_settled_had_not_given_climbs() {
    sim(SEEDS, || async {
        let error = group(async |_| {
            let failing = (0..2).map(|n| async move {
                sleep(secs(n * 60)).await;
                Err::<(), _>(Oops("early"))
            });
            assert!(timeout(secs(1), gather_settled(failing)).await.is_err());
            done()
        });
        let error = error.await.unwrap_err();
        assert_eq!(error.cleanup_failures().len(), 1);
        let text = error.cleanup_failures()[0].to_string();
        assert!(text.contains("early"), "{text}");
    });
}

/// Rule 8: what returns no `GroupError` panics with advice.
#[test]
fn a_race_polled_out_of_place_panics_with_advice() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let mut kept = Box::pin(race([forever(&ledger)]));
        assert!(timeout(secs(1), kept.as_mut()).await.is_err());
        let payload = catch(kept).await.map(drop).unwrap_err();
        assert!(message(&*payload).contains("`race`"));
        assert!(message(&*payload).contains("await it where"));
        let mut kept = Box::pin(gather_settled([forever(&ledger)]));
        assert!(timeout(secs(1), kept.as_mut()).await.is_err());
        let payload = catch(kept).await.map(drop).unwrap_err();
        assert!(message(&*payload).contains("`gather_settled`"));
        ledger.expect(&[(1_000, "entrant cut"), (2_000, "entrant cut")]);
    });
}

/// Rule 8: what returns one, says cancelled.
#[test]
fn a_gather_polled_out_of_place_says_cancelled() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let mut kept = Box::pin(gather([forever(&ledger)]));
        assert!(timeout(secs(1), kept.as_mut()).await.is_err());
        assert!(kept.await.unwrap_err().is_cancelled());
        let mut kept = Box::pin(race_ok([forever(&ledger)]));
        assert!(timeout(secs(1), kept.as_mut()).await.is_err());
        assert!(kept.await.unwrap_err().is_cancelled());
        assert_eq!(ledger.now(), 2_000);
    });
}

/// Rule 12: what a hidden group cannot return climbs, and the value is kept.
#[test]
fn an_error_left_below_an_entrant_climbs_past_a_race() {
    sim(SEEDS, || async {
        let outcome = group(async |_| {
            let leaves_an_error = || {
                Box::pin(async {
                    let mut inner = Box::pin(group(async |g| {
                        g.spawn(async { Err::<(), _>(Oops("left")) });
                        sleep(secs(9)).await;
                        Ok(())
                    }));
                    while poll_once(&mut inner).await.is_ready() {}
                    std::mem::forget(inner);
                    sleep(secs(1)).await;
                    ok("value")
                })
            };
            assert_eq!(race([leaves_an_error()]).await, Some(ok("value")));
            let settled = gather_settled([leaves_an_error()]).await;
            assert_eq!(*settled[0].as_ref().unwrap(), "value");
            let error = race_ok([leaves_an_error()]).await.unwrap_err();
            assert_eq!(error.cleanup_failures().len(), 1);
            done()
        })
        .await;
        let error = outcome.unwrap_err();
        let left: Vec<_> = error
            .cleanup_failures()
            .iter()
            .map(|f| f.error().to_string())
            .collect();
        assert_eq!(left, ["Oops(\"left\")", "Oops(\"left\")"]);
    });
}

/// Rule 13: it gives way to the panic, and is not lost.
#[test]
fn a_failed_release_beside_a_winner_that_panics_when_dropped_climbs() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let error = group(async |_| {
            let ledger = ledger.clone();
            let entrant = async move {
                let _guard = ledger.deferred_failing("guard", secs(1));
                ok(PanicOnDrop("winner"))
            };
            let payload = catch(race_ok([entrant])).await.map(drop).unwrap_err();
            assert_eq!(message(&*payload), "winner");
            done()
        });
        let error = error.await.unwrap_err();
        let left = error.cleanup_failures();
        assert_eq!(left.len(), 1);
        assert!(left[0].to_string().contains("guard"), "{}", left[0]);
    });
}

/// Nothing is taken before `wait` returns.
#[test]
fn a_dropped_wait_loses_no_failure() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = Options::new()
            .name("supervisor")
            .supervise(async |s| {
                let handles = vec![
                    s.spawn(ledger.failing("bad", secs(1))),
                    s.spawn(ledger.failing("worse", secs(3))),
                ];
                let waiting = wait(handles, ReturnWhen::AllCompleted);
                assert!(timeout(secs(2), waiting).await.is_err());
                done()
            })
            .await;
        assert_eq!(outcome.names(), ["bad", "worse"]);
    });
}

#[test]
fn a_handle_given_to_wait_twice_panics_with_the_reason() {
    sim(SEEDS, || async {
        let outcome = supervise(async |s| {
            let mut handle = s.spawn(async { ok(1) });
            assert_eq!((&mut handle).await.unwrap(), 1);
            let again = catch(wait(vec![handle], ReturnWhen::AllCompleted)).await;
            let payload = again.map(drop).unwrap_err();
            assert!(message(&*payload).contains("used again"));
            done()
        });
        outcome.await.unwrap();
    });
}

/// Rule 15: the panic loses no failure.
#[test]
fn a_wait_that_panics_has_taken_no_outcome() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = supervise(async |s| {
            let failing = s.spawn_named("failing", ledger.failing("bad", secs(1)));
            let mut spent = s.spawn(async { done() });
            (&mut spent).await.unwrap();
            sleep(secs(2)).await;
            let waiting = wait(vec![failing, spent], ReturnWhen::AllCompleted);
            let payload = catch(waiting).await.map(drop).unwrap_err();
            assert!(message(&*payload).contains("used again"));
            done()
        })
        .await;
        assert_eq!(outcome.names(), ["bad"]);
    });
}

/// Rule 18: what a map does to end its workers is not why its items end.
#[test]
fn below_a_map_that_is_out_of_time_the_reason_is_the_deadline() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let witness = ledger.clone();
        let items = map_concurrent([true, false], 2, move |waits| {
            let witness = witness.clone();
            async move {
                if waits {
                    pending::<()>().await;
                }
                let told = supervise(async |s| {
                    let child = s.spawn(pending::<Result<(), Oops>>());
                    let why = shield(child).await.unwrap_err();
                    let TaskError::Cancelled(reason) = why else {
                        panic!("{why}");
                    };
                    witness.note(format!("{:?}", reason.kind));
                    done()
                });
                drop(told.await);
            }
        });
        assert!(timeout(secs(2), items.count()).await.is_err());
        ledger.expect(&[(2_000, "Deadline")]);
    });
}

/// Rule 14: it gives way to the panic, and is not lost.
#[test]
fn an_error_beside_the_panic_of_another_entrant_climbs() {
    sim(SEEDS, || async {
        let outcome = group(async |_| {
            let entrants = (1..=2).map(|n| async move {
                sleep(secs(n)).await;
                match n {
                    1 => Err::<(), _>(Oops("one")),
                    _ => panic!("two"),
                }
            });
            let payload = catch(race_ok(entrants)).await.map(drop).unwrap_err();
            assert_eq!(message(&*payload), "two");
            done()
        });
        let error = outcome.await.unwrap_err();
        assert_eq!(error.cleanup_failures().len(), 1);
        assert!(error.cleanup_failures()[0].to_string().contains("one"));
    });
}

/// Rule 12: it is lost before it is cancelled, and so has real errors to return; or they climb.
#[test]
fn a_race_that_all_have_lost_loses_no_error_when_it_is_cancelled_or_dropped() {
    sim(SEEDS, || async {
        fn lost() -> impl Future<Output = Result<(), GroupError<Oops>>> {
            race_ok((1..=2).map(|n| async move {
                let _guard = defer((), async move |()| sleep(secs(5)).await);
                sleep(secs(n)).await;
                Err(Oops(if n == 1 { "one" } else { "two" }))
            }))
        }
        let error = timeout(secs(3), lost()).await.unwrap().unwrap_err();
        assert_eq!(Err::<(), _>(error).names(), ["one", "two"]);
        let outcome = group(async |_| {
            let mut dropped = Box::pin(lost());
            assert!(poll_once(&mut dropped).await.is_pending());
            sleep(secs(3)).await;
            drop(dropped);
            done()
        });
        assert_eq!(outcome.await.unwrap_err().cleanup_failures().len(), 2);
    });
}

/// One that may still be won has lost nothing that matters.
#[test]
fn an_open_race_that_is_dropped_fails_nobody() {
    sim(SEEDS, || async {
        let outcome = group(async |_| {
            let entrants = (0..2).map(|n| async move {
                sleep(secs(n * 60)).await;
                Err::<(), _>(Oops("early"))
            });
            assert!(timeout(secs(1), race_ok(entrants)).await.is_err());
            done()
        });
        outcome.await.unwrap();
    });
}
