//! `compute`: a closure on rayon's threads, accounted for like any child.

use std::sync::mpsc::channel;

use futures_concurrency::future::Race;
use headcount::{compute, group, run, timeout};
use rayon::prelude::*;

use crate::support::{
    Flag, Ledger, SEEDS, block_on, catch, done, message, millis, ok, on_workers, secs, sim,
    spin_until, yield_now,
};

#[test]
fn compute_gives_the_value_of_its_closure_on_a_thread_of_rayon() {
    on_workers(
        "computes::compute_gives_the_value_of_its_closure_on_a_thread_of_rayon",
        || {
            let outcome = run(async |_| {
                let (here, sum) = compute(|_| {
                    let sum: u64 = (0..1000_u64).into_par_iter().sum();
                    (rayon::current_thread_index(), sum)
                })
                .await;
                assert!(here.is_some());
                ok(sum)
            });
            assert_eq!(outcome.unwrap(), 499_500);
        },
    );
}

#[test]
fn the_panic_of_a_computation_comes_out_with_its_payload() {
    sim(SEEDS / 10, || async {
        let payload = catch(compute(|_| panic!("computed"))).await;
        let payload: Result<(), _> = payload;
        assert_eq!(message(&*payload.unwrap_err()), "computed");
    });
    let payload: Result<(), _> = block_on(catch(compute(|_| panic!("on rayon"))));
    assert_eq!(message(&*payload.unwrap_err()), "on rayon");
}

/// The token tells it, and the timeout waits for it.
#[test]
fn a_timeout_waits_for_a_computation_which_its_token_tells_to_stop() {
    on_workers(
        "computes::a_timeout_waits_for_a_computation_which_its_token_tells_to_stop",
        || {
            let ended = Flag::default();
            let inside = ended.clone();
            // Long enough that it has begun: one that has not would be dropped, and not end.
            let (begun, has_begun) = channel();
            let outcome = run(async |_| {
                let computation = compute(move |token| {
                    begun.send(()).unwrap();
                    spin_until(|| token.is_cancelled());
                    inside.set();
                });
                let limited = timeout(millis(1), async {
                    let mut computation = Box::pin(computation);
                    assert!(
                        crate::support::poll_once(&mut computation)
                            .await
                            .is_pending()
                    );
                    has_begun.recv().unwrap();
                    computation.await;
                });
                assert!(limited.await.is_err());
                assert!(ended.is_set());
                done()
            });
            outcome.unwrap();
        },
    );
}

/// Dropped by a foreign race, the boundary around waits for it.
#[test]
fn a_computation_dropped_by_a_race_is_waited_for_by_the_boundary() {
    on_workers(
        "computes::a_computation_dropped_by_a_race_is_waited_for_by_the_boundary",
        || {
            for _ in 0..50 {
                let ended = Flag::default();
                let (begun, has_begun) = channel();
                let outcome = run(async |_| {
                    let inside = ended.clone();
                    let loser = compute(move |token| {
                        begun.send(()).unwrap();
                        spin_until(|| token.is_cancelled());
                        inside.set();
                    });
                    let winner = async {
                        while has_begun.try_recv().is_err() {
                            yield_now().await;
                        }
                    };
                    (loser, winner).race().await;
                    done()
                });
                outcome.unwrap();
                assert!(ended.is_set());
            }
        },
    );
}

/// In a simulation a seed replays computations too.
#[test]
fn a_computation_in_a_simulation_keeps_virtual_time() {
    sim(SEEDS / 10, || async {
        let outcome = group(async |g| {
            let children = (0..3).map(|n| g.spawn(async move { ok(compute(move |_| n).await) }));
            let mut sum = 0;
            for child in children.collect::<Vec<_>>() {
                sum += child.await.unwrap();
            }
            ok(sum)
        });
        assert_eq!(outcome.await.unwrap(), 3);
    });
}

/// Rules 10 and 17.
#[test]
fn a_failed_release_of_a_computation_climbs_and_the_value_is_given() {
    sim(SEEDS / 10, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let notes = ledger.clone();
            let value = compute(move |_| {
                drop(notes.deferred_failing("fails", secs(1)));
                7
            });
            assert_eq!(value.await, 7);
            done()
        });
        assert_eq!(outcome.await.unwrap_err().cleanup_failures().len(), 1);
        ledger.expect(&[(0, "fails releasing"), (1000, "fails released")]);
    });
}
