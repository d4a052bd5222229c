//! Restart policies while their group is being shut down.

use headcount::{Restart, cancelled, group, time::sleep};

use crate::support::{Ledger, Oops, SEEDS, done, secs, sim};

#[test]
fn a_shutdown_lets_children_end_and_restarts_none() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let (polite, failed) = (ledger.clone(), ledger.clone());
        let outcome = group(async |g| {
            let kept = Restart::permanent()
                .backoff(secs(100), 1, secs(100))
                .child("polite", move || {
                    polite.note("start");
                    cancelled()
                })
                .child("waits for its restart", move || {
                    failed.note("start");
                    async { Err::<(), _>(Oops("once")) }
                });
            g.spawn(async { kept.run().await.map_err(|_| Oops("given up")) });
            sleep(secs(5)).await;
            g.shutdown(secs(60));
            done()
        });
        outcome.await.unwrap();
        assert_eq!(ledger.now(), 5_000);
        ledger.expect(&[(0, "start"), (0, "start")]);
    });
}

#[test]
fn a_failure_during_a_shutdown_is_returned_after_the_others_have_ended() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let log = ledger.clone();
        let outcome = group(async |g| {
            let kept = Restart::transient()
                .one_for_all()
                .child("fails", || async {
                    cancelled().await;
                    Err::<(), _>(Oops("late"))
                })
                .child("finishes", move || {
                    let log = log.clone();
                    async move {
                        cancelled().await;
                        sleep(secs(2)).await;
                        log.note("finished");
                        done()
                    }
                });
            let kept = g.spawn(async { Ok(kept.run().await) });
            sleep(secs(5)).await;
            g.shutdown(secs(60));
            kept.await
        });
        let error = outcome.await.unwrap().unwrap_err();
        assert_eq!(error.failures().len(), 1);
        assert_eq!(error.failures()[0].name(), Some("fails"));
        let error = error.into_first().unwrap();
        assert_eq!(error.error(), Some(&Oops("late")));
        assert!(!error.gave_up());
        ledger.expect(&[(7_000, "finished")]);
    });
}
