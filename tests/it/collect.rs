//! Many futures at once: `gather`, `gather_settled`, `race`, `race_ok`, `wait`.

use std::{future::pending, pin::Pin, time::Duration};

use headcount::{
    ReturnWhen, TaskError, gather, gather_settled, group, race, race_ok, supervise, time::sleep,
    wait,
};

use crate::support::{
    Ledger, Named, Oops, PanicOnDrop, SEEDS, catch, done, message, millis, ok, secs, sim,
};

type Entrant<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Sleeps, then gives `value`; dropped earlier it notes so.
fn later<T: Send + 'static>(
    ledger: &Ledger,
    name: &'static str,
    after: Duration,
    value: T,
) -> Entrant<T> {
    let sleeper = ledger.sleeper(name, after);
    Box::pin(async move {
        sleeper.await;
        value
    })
}

/// Case 28.
#[test]
fn gather_gives_the_values_in_the_order_of_the_input() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let values = gather((1..=3).map(|n| async move {
            sleep(secs(4 - n)).await;
            ok(n)
        }));
        assert_eq!(values.await.unwrap(), [1, 2, 3]);
        assert_eq!(ledger.now(), 3_000);
    });
}

/// Case 28.
#[test]
fn gather_of_nothing_is_empty() {
    sim(SEEDS, || async {
        let none: [Entrant<Result<u8, Oops>>; 0] = [];
        assert_eq!(gather(none).await.unwrap(), [0; 0]);
        let none: [Entrant<Result<u8, Oops>>; 0] = [];
        assert!(gather_settled(none).await.is_empty());
    });
}

/// Case 28, rule 9.
#[test]
fn the_first_failure_of_a_gather_cancels_and_joins_the_rest() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let line = line!() + 1;
        let gathered = gather([
            later(&ledger, "good", secs(1), ok(1)),
            later(&ledger, "slow", secs(9), ok(2)),
            later(&ledger, "bad", secs(2), Err(Oops("bad"))),
        ]);
        let outcome = gathered.await;
        assert_eq!(outcome.names(), ["bad"]);
        let location = outcome.as_ref().unwrap_err().failures()[0].location();
        assert_eq!((location.file(), location.line()), (file!(), line));
        ledger.expect(&[
            (1_000, "good done"),
            (2_000, "bad done"),
            (2_000, "slow cut"),
        ]);
    });
}

/// Rule 14.
#[test]
fn a_panic_in_a_gather_resumes_after_all_have_ended() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let slow = later(&ledger, "slow", secs(9), done());
        let bad: Entrant<Result<(), Oops>> = Box::pin(async {
            sleep(secs(1)).await;
            panic!("boom")
        });
        let payload = catch(gather([slow, bad])).await.map(drop).unwrap_err();
        assert_eq!(message(&*payload), "boom");
        ledger.expect(&[(1_000, "slow cut")]);
    });
}

#[test]
fn gather_settled_gives_every_outcome_in_its_place() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let panics: Entrant<Result<u8, Oops>> = Box::pin(async { panic!("boom") });
        let settled = gather_settled([
            later(&ledger, "slow", secs(3), ok(1)),
            later(&ledger, "bad", secs(1), Err(Oops("bad"))),
            panics,
            later(&ledger, "good", secs(2), ok(2)),
        ]);
        let outcomes: Vec<_> = settled
            .await
            .into_iter()
            .map(|outcome| format!("{outcome:?}"))
            .collect();
        assert_eq!(
            outcomes,
            [
                "Ok(1)",
                "Err(Failed(Oops(\"bad\")))",
                "Err(Panicked(\"boom\"))",
                "Ok(2)"
            ]
        );
        assert_eq!(ledger.now(), 3_000);
    });
}

/// Rule 16.
#[test]
fn a_race_gives_the_first_to_end_and_joins_the_losers() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let below = {
            let ledger = ledger.clone();
            Box::pin(async move {
                let inner = group(async |g| {
                    g.spawn(ledger.forever("grandchild"));
                    done()
                });
                inner.await.names().pop().unwrap_or("below")
            })
        };
        let winner = race([
            later(&ledger, "slow", secs(9), "slow"),
            below as Entrant<_>,
            later(&ledger, "quick", secs(1), "quick"),
        ]);
        assert_eq!(winner.await, Some("quick"));
        ledger.expect_in_any_order(&[
            (1_000, "quick done"),
            (1_000, "slow cut"),
            (1_000, "grandchild cut"),
        ]);
    });
}

/// Rule 16: whatever it is.
#[test]
fn a_race_is_won_by_a_failure_too() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let winner = race([
            later(&ledger, "good", secs(2), ok(1)),
            later(&ledger, "bad", secs(1), Err(Oops("bad"))),
        ]);
        assert_eq!(winner.await, Some(Err(Oops("bad"))));
        assert_eq!(ledger.now(), 1_000);
    });
}

/// Rule 16: entrants that end at one instant give one winner, and the others' outputs are dropped.
#[test]
fn a_race_has_one_winner_and_none_without_entrants() {
    sim(SEEDS, || async {
        let none: [Entrant<u8>; 0] = [];
        assert_eq!(race(none).await, None);
        let census = crate::support::Census::default();
        let entrants: Vec<_> = (0..5)
            .map(|n| {
                let tracked = census.tracked();
                async move {
                    sleep(secs(1)).await;
                    (n, tracked)
                }
            })
            .collect();
        let (winner, tracked) = race(entrants).await.unwrap();
        assert!(winner < 5);
        assert_eq!(census.living(), 1);
        drop(tracked);
    });
}

/// Rule 14: the panic of a loser's destructor is not lost.
#[test]
fn a_race_resumes_the_panic_of_a_loser() {
    sim(SEEDS, || async {
        let loser: Entrant<u8> = Box::pin(async {
            let _guard = PanicOnDrop("loser");
            pending().await
        });
        let winner: Entrant<u8> = Box::pin(async {
            sleep(secs(1)).await;
            1
        });
        let payload = catch(race([loser, winner])).await.map(drop).unwrap_err();
        assert_eq!(message(&*payload), "loser");
    });
}

/// Case 27, rule 16.
#[test]
fn race_ok_gives_the_first_success_and_joins_the_losers() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let winner = race_ok([
            later(&ledger, "bad", millis(200), Err(Oops("bad"))),
            later(&ledger, "good", millis(500), ok("good")),
            later(&ledger, "late", secs(1), ok("late")),
        ]);
        assert_eq!(winner.await.unwrap(), "good");
        ledger.expect(&[(200, "bad done"), (500, "good done"), (500, "late cut")]);
    });
}

/// Case 27, rule 16.
#[test]
fn race_ok_gives_all_the_errors_if_all_fail() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let line = line!() + 1;
        let race = race_ok::<_, _, (), _>([
            later(&ledger, "b", secs(2), Err(Oops("b"))),
            later(&ledger, "a", secs(1), Err(Oops("a"))),
        ]);
        let outcome = race.await;
        assert_eq!(outcome.names(), ["a", "b"]);
        let location = outcome.as_ref().unwrap_err().failures()[1].location();
        assert_eq!((location.file(), location.line()), (file!(), line));
        assert_eq!(ledger.now(), 2_000);
    });
}

/// Case 27.
#[test]
fn race_ok_without_entrants_is_an_error_without_failures() {
    sim(SEEDS, || async {
        let none: [Entrant<Result<u8, Oops>>; 0] = [];
        let error = race_ok(none).await.unwrap_err();
        assert!(error.failures().is_empty() && error.cleanup_failures().is_empty());
        assert!(error.to_string().contains("without entrants"), "{error}");
    });
}

/// Rule 14.
#[test]
fn the_panic_of_an_entrant_resumes_in_race_ok() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let bad: Entrant<Result<u8, Oops>> = Box::pin(async { panic!("boom") });
        let good = later(&ledger, "good", secs(1), ok(1));
        let payload = catch(race_ok([bad, good])).await.map(drop).unwrap_err();
        assert_eq!(message(&*payload), "boom");
        ledger.expect(&[(0, "good cut")]);
    });
}

#[test]
fn wait_returns_at_the_first_end_the_first_failure_or_the_last_end() {
    sim(SEEDS, || async {
        for (until, at, finished) in [
            (ReturnWhen::FirstCompleted, 1_000, 1),
            (ReturnWhen::FirstFailed, 2_000, 2),
            (ReturnWhen::AllCompleted, 3_000, 3),
        ] {
            let ledger = Ledger::open();
            let outcome = supervise(async |s| {
                let handles = vec![
                    s.spawn(later(&ledger, "slow", secs(3), ok("slow"))),
                    s.spawn(later(&ledger, "bad", secs(2), Err(Oops("bad")))),
                    s.spawn(later(&ledger, "quick", secs(1), ok("quick"))),
                ];
                let (done, pending) = wait(handles, until).await;
                assert_eq!((ledger.now(), done.len()), (at, finished));
                assert_eq!(pending.len(), 3 - finished);
                let expected = [
                    "Ok(\"slow\")",
                    "Err(Failed(Oops(\"bad\")))",
                    "Ok(\"quick\")",
                ];
                let done: Vec<_> = done.iter().map(|d| format!("{d:?}")).collect();
                assert_eq!(done, expected[3 - finished..]);
                let rest = wait(pending, ReturnWhen::AllCompleted).await;
                assert_eq!((ledger.now(), rest.1.len()), (3_000, 0));
                ok(rest.0.len())
            });
            assert_eq!(outcome.await.unwrap(), 3 - finished);
        }
    });
}

/// Rule 11: a cancelled child has not failed.
#[test]
fn wait_for_a_failure_is_not_ended_by_a_cancelled_child() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = supervise(async |s| {
            let cancelled = s.spawn(ledger.forever("cancelled"));
            let bad = s.spawn(ledger.failing("bad", secs(1)));
            let slow = s.spawn(ledger.sleeper("slow", secs(2)));
            cancelled.cancel();
            let (done, pending) = wait(vec![cancelled, bad, slow], ReturnWhen::FirstFailed).await;
            assert!(matches!(done[0], Err(TaskError::Cancelled(_))));
            assert!(matches!(done[1], Err(TaskError::Failed(Oops("bad")))));
            assert_eq!((pending.len(), ledger.now()), (1, 1_000));
            done_waiting(pending).await;
            ok(())
        });
        outcome.await.unwrap();
        assert_eq!(ledger.now(), 2_000);
    });
}

async fn done_waiting(handles: Vec<headcount::SupervisedHandle<(), Oops>>) {
    let (done, pending) = wait(handles, ReturnWhen::AllCompleted).await;
    assert_eq!((done.len(), pending.len()), (1, 0));
    let (done, pending) = wait(pending, ReturnWhen::FirstCompleted).await;
    assert_eq!((done.len(), pending.len()), (0, 0), "nobody to wait for");
}

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn collecting_is_send_inside_spawned_tasks() {
    sim(SEEDS, || async {
        let outcome = assert_send(group(async |g| {
            g.spawn(assert_send(async {
                let one = || async { ok(std::cell::Cell::new(1)) };
                let values = gather([one(), one()]).await.map_err(|_| Oops("gather"))?;
                assert_eq!(values.len(), 2);
                assert_eq!(gather_settled([one(), one()]).await.len(), 2);
                assert!(race([one(), one()]).await.is_some());
                race_ok([one(), one()]).await.map_err(|_| Oops("race_ok"))?;
                let waited = supervise(async |s| {
                    let handles = vec![s.spawn(one())];
                    ok(wait(handles, ReturnWhen::FirstFailed).await.0.len())
                });
                assert_eq!(waited.await.map_err(|_| Oops("wait"))?, 1);
                done()
            }));
            done()
        }))
        .await;
        outcome.unwrap();
    });
}
