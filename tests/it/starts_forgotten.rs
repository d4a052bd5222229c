//! Rules 12 and 30: what the child of a forgotten `start` says before it has started is not lost.

use std::{
    future::{pending, poll_fn},
    mem,
    sync::{Arc, Mutex},
};

use headcount::{GroupError, Started, TaskGroup, group, scope, time::sleep};

use crate::support::{Ledger, Oops, Relay, SEEDS, catch, done, poll_once, secs, sim};

type Group = TaskGroup<'static, Oops>;

/// Forgotten before and after the failure.
#[test]
fn the_error_of_a_forgotten_start_climbs_to_the_callers_boundary() {
    for at in [1, 3] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |outer: Group| {
                let middle = group(async |_| {
                    let child = ledger.clone();
                    let start = outer.start(async move |_started: Started<()>| {
                        child.failing("child", secs(1)).await
                    });
                    let mut start = Box::pin(start);
                    assert!(poll_once(&mut start).await.is_pending());
                    if at == 3 {
                        sleep(secs(2)).await;
                    }
                    mem::forget(start);
                    if at == 1 {
                        sleep(secs(2)).await;
                    }
                    done()
                });
                let middle: Result<(), GroupError<Oops>> = middle.await;
                assert_eq!(
                    middle
                        .expect_err("the failure is lost")
                        .cleanup_failures()
                        .len(),
                    1,
                    "{at}"
                );
                done()
            })
            .await;
            outcome.unwrap();
        });
    }
}

/// The same with a panic.
#[test]
fn the_panic_of_a_forgotten_start_resumes_in_the_callers_boundary() {
    sim(SEEDS, move || async move {
        let outcome = group(async |outer: Group| {
            let middle = group(async |_| {
                let start = outer.start(async move |_started: Started<()>| -> Result<(), Oops> {
                    sleep(secs(1)).await;
                    panic!("p")
                });
                let mut start = Box::pin(start);
                assert!(poll_once(&mut start).await.is_pending());
                mem::forget(start);
                sleep(secs(2)).await;
                done()
            });
            assert!(catch(middle).await.is_err(), "the panic is lost");
            done()
        })
        .await;
        outcome.unwrap();
    });
}

/// A start into a forgotten scope gives up, and keeps nothing of its caller: not even the waker.
#[test]
fn a_start_that_gives_up_lets_go_of_its_callers_waker() {
    sim(SEEDS, || async {
        let slot = Arc::<Mutex<Option<Relay>>>::default();
        let outcome = group(async |outer: Group| {
            let mut lost = Box::pin(scope(async |s| {
                let slot = slot.clone();
                outer.spawn(async move {
                    let relay = Relay::here().await;
                    let start = s.start(async |_started: Started<()>| pending::<()>().await);
                    let mut start = Box::pin(start);
                    let start = poll_fn(|_| relay.poll(&mut start));
                    assert!(start.await.unwrap_err().is_cancelled());
                    *slot.lock().unwrap() = Some(relay);
                });
                pending::<Result<(), Oops>>().await
            }));
            assert!(poll_once(&mut lost).await.is_pending());
            sleep(secs(1)).await;
            mem::forget(lost);
            done()
        });
        outcome.await.unwrap();
        assert_eq!(slot.lock().unwrap().take().unwrap().kept(), 0);
    });
}
