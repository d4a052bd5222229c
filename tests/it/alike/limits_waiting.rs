//! `spawn_when_free`: waiting for a place under a limit.

use std::{
    future::{pending, poll_fn},
    pin::pin,
    sync::{Mutex, mpsc::channel},
    task::Poll,
};

use headcount::time::sleep;

use super::{limited, open};
use crate::support::{Ledger, Oops, PollCount, SEEDS, done, ok, poll_once, secs, sim};

/// Rule 3.
#[test]
fn spawn_when_free_waits_for_a_place() {
    sim(SEEDS, || async {
        let (ledger, polls) = (Ledger::open(), PollCount::default());
        let outcome = limited(1, async |g| {
            g.spawn(ledger.sleeper("first", secs(2)));
            let mut waiting = pin!(g.spawn_when_free(polls.of(ledger.sleeper("second", secs(1)))));
            assert!(poll_once(&mut waiting).await.is_pending());
            sleep(secs(1)).await;
            assert_eq!(polls.get(), 0);
            let handle = waiting.await;
            assert_eq!(ledger.now(), 2000);
            handle.await.unwrap();
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(2000, "first done"), (3000, "second done")]);
    });
}

/// Rule 3: with a place it waits for nothing.
#[test]
fn spawn_when_free_with_a_free_place_is_ready_at_once() {
    sim(SEEDS, || async {
        for limit in [1, 7] {
            let outcome = limited(limit, async |g| {
                let mut spawning = pin!(g.spawn_when_free(async { ok(1) }));
                let Poll::Ready(handle) = poll_once(&mut spawning).await else {
                    panic!("the place is free");
                };
                ok(handle.await.unwrap())
            });
            assert_eq!(outcome.await.unwrap(), 1);
        }
        let unlimited = open(async |g| ok(g.spawn_when_free(async { ok(2) }).await.await.unwrap()));
        assert_eq!(unlimited.await.unwrap(), 2);
    });
}

/// Rule 3: cancel safety; neither the place nor the turn of others is lost.
#[test]
fn spawn_when_free_dropped_while_it_waits_takes_no_place() {
    sim(SEEDS, || async {
        let (ledger, polls) = (Ledger::open(), PollCount::default());
        let outcome = limited(1, async |g| {
            g.spawn(ledger.sleeper("first", secs(2)));
            let mut given_up = Box::pin(g.spawn_when_free(polls.of(ledger.forever("given up"))));
            let mut patient = Box::pin(g.spawn_when_free(ledger.sleeper("patient", secs(1))));
            assert!(poll_once(&mut given_up).await.is_pending());
            assert!(poll_once(&mut patient).await.is_pending());
            sleep(secs(1)).await;
            drop(given_up);
            ledger.note("dropped");
            patient.await;
            assert_eq!(ledger.now(), 2000);
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(polls.get(), 0);
        ledger.expect(&[
            (1000, "given up cut"),
            (1000, "dropped"),
            (2000, "first done"),
            (3000, "patient done"),
        ]);
    });
}

/// Rule 3: the place was freed for a waiter that is dropped before it looks; the next one gets it.
#[test]
fn a_place_offered_to_a_waiter_that_is_dropped_goes_to_the_next() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = limited(1, async |g| {
            g.spawn(ledger.sleeper("first", secs(1)));
            let mut unlucky = Box::pin(g.spawn_when_free(ledger.forever("unlucky")));
            let mut next = Box::pin(g.spawn_when_free(ledger.sleeper("next", secs(1))));
            assert!(poll_once(&mut unlucky).await.is_pending());
            assert!(poll_once(&mut next).await.is_pending());
            sleep(secs(3)).await;
            drop(unlucky);
            next.await;
            assert_eq!(ledger.now(), 3000);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (1000, "first done"),
            (3000, "unlucky cut"),
            (4000, "next done"),
        ]);
    });
}

/// Rule 3: the place that was freed for the first is refused to both, though a child lives on.
#[test]
fn nobody_waits_for_a_place_in_a_cancelled_opening() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = limited(2, async |g| {
            g.spawn(ledger.forever("stays"));
            g.spawn(ledger.sleeper("ends", secs(1)));
            let mut waiters =
                ["first", "second"].map(|name| Box::pin(g.spawn_when_free(ledger.forever(name))));
            for waiter in &mut waiters {
                assert!(poll_once(waiter).await.is_pending());
            }
            sleep(secs(2)).await;
            g.cancel();
            for waiter in &mut waiters {
                let Poll::Ready(handle) = poll_once(waiter).await else {
                    panic!("it waits");
                };
                assert!(handle.is_finished());
            }
            done()
        })
        .await;
        outcome.unwrap();
    });
}

/// Rule 3: the only place is free, but offered to the first, when the opening closes.
#[test]
fn the_close_of_an_opening_wakes_all_who_wait_for_a_place() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = open(async |outer| {
            let (send, receive) = channel();
            outer.spawn(async move {
                limited(1, async move |g| {
                    g.spawn(sleep(secs(2)));
                    send.send(g).unwrap();
                    done()
                })
                .await
                .unwrap();
            });
            sleep(secs(1)).await;
            let inner = receive.recv().unwrap();
            for _ in 0..2 {
                let (inner, ledger) = (inner.clone(), ledger.clone());
                outer.spawn(async move {
                    inner.spawn_when_free(sleep(secs(1))).await;
                    ledger.note("returned");
                });
            }
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(ledger.count("returned"), 2);
    });
}

/// Rule 3: somebody outside waits for a place while the opening is cancelled.
#[test]
fn spawn_when_free_gives_a_cancelled_handle_if_the_opening_closes_meanwhile() {
    sim(SEEDS, || async {
        let (ledger, polls) = (Ledger::open(), PollCount::default());
        let waiting = Mutex::new(None);
        let mut inner = Box::pin(limited(1, async |g| {
            g.spawn(ledger.forever("occupant"));
            let (g, queue) = (g.clone(), g);
            let child = polls.of(ledger.forever("child"));
            *waiting.lock().unwrap() =
                Some(Box::pin(
                    async move { [queue.spawn_when_free(child).await] },
                ));
            sleep(secs(1)).await;
            g.cancel();
            pending::<Result<(), Oops>>().await
        }));
        // The waiter is polled beside the opening, so it may hear of the request before the end.
        let (mut waiter, mut given) = (None, None);
        let outcome = poll_fn(|cx| {
            let poll = inner.as_mut().poll(cx);
            waiter = waiter.take().or_else(|| waiting.lock().unwrap().take());
            if given.is_none() {
                if let Poll::Ready(handle) = waiter.as_mut().unwrap().as_mut().poll(cx) {
                    given = Some(handle);
                }
            }
            poll
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!(ledger.now(), 1000);
        let [handle] = match given {
            Some(handle) => handle,
            None => waiter.unwrap().await,
        };
        assert!(handle.await.unwrap_err().is_cancelled());
        assert_eq!(polls.get(), 0);
        ledger.expect_in_any_order(&[(1000, "child cut"), (1000, "occupant cut")]);
    });
}
