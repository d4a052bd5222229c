//! What a child returned and nobody reads goes after what lives below the child: that may be part of it (rule 21).

use std::{
    future::{Future, pending},
    pin::Pin,
};

use headcount::{Deferred, group, race, race_ok, shield, supervise, time::sleep};

use crate::support::{Ledger, Oops, SEEDS, done, millis, ok, poll_once, secs, sim};

/// A child gives the guard of a folder after a second, and leaves work below it that needs one more.
fn gives_a_folder(
    ledger: &Ledger,
) -> Pin<Box<dyn Future<Output = Result<Deferred<Ledger>, Oops>> + Send>> {
    let ledger = ledger.clone();
    Box::pin(async move {
        let folder = ledger.deferred("folder", secs(0));
        let work = ledger.clone();
        let mut inner = Box::pin(group(async move |g| {
            drop(g.spawn(async move {
                shield(sleep(secs(2))).await;
                work.note("work ended");
                done()
            }));
            pending::<Result<(), Oops>>().await
        }));
        assert!(poll_once(&mut inner).await.is_pending());
        sleep(secs(1)).await;
        drop(inner);
        Ok(folder)
    })
}

const IN_ORDER: [(u64, &str); 3] = [
    (2_000, "work ended"),
    (2_000, "folder releasing"),
    (2_000, "folder released"),
];

#[test]
fn the_output_of_a_supervised_child_waits_for_what_lives_below_it() {
    sim(SEEDS, || async {
        for when in [0, 500, 1_500] {
            let ledger = Ledger::open();
            let outcome = supervise(async |s| {
                let handle = s.spawn(gives_a_folder(&ledger));
                sleep(millis(when)).await;
                drop(handle);
                done()
            });
            outcome.await.unwrap();
            ledger.expect(&IN_ORDER);
        }
    });
}

#[test]
fn the_output_of_who_comes_too_late_in_a_race_waits_for_what_lives_below() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let quick = ledger.clone();
            let quick = async move {
                shield(sleep(millis(900))).await;
                ok(quick.deferred("winner", secs(0)))
            };
            let late = gives_a_folder(&ledger);
            let late = Box::pin(shield(late)) as Pin<Box<dyn Future<Output = _> + Send>>;
            let winner = race_ok([Box::pin(quick), late]).await.unwrap();
            ledger.note("returned");
            drop(winner.into_inner());
            done()
        });
        outcome.await.unwrap();
        let mut expected = IN_ORDER.to_vec();
        expected.push((2_000, "returned"));
        ledger.expect(&expected);
    });
}

#[test]
fn the_winner_of_a_race_that_is_dropped_waits_for_what_lives_below() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut dropped = Box::pin(race([gives_a_folder(&ledger)]));
            assert!(poll_once(&mut dropped).await.is_pending());
            sleep(millis(1_500)).await;
            drop(dropped);
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&IN_ORDER);
    });
}
