//! Rule 30 under limits, nested in itself, with guards, and into a scope.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, mpsc::channel},
    task::{Context, Wake, Waker},
};

use headcount::{
    CancelScope, Options, Started, TaskGroup, cancelled, checkpoint, group, scope, time::sleep,
    timeout,
};

use crate::support::{Ledger, Oops, SEEDS, catch, done, poll_once, secs, sim};

type Group = TaskGroup<'static, Oops>;

/// A starting child takes its place in line like any other.
#[test]
fn a_start_under_a_limit_waits_for_its_place() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = Options::new().limit(1).group(async |g| {
            g.spawn(ledger.sleeper("first", secs(2)));
            let child = ledger.clone();
            let value = g.start(async move |started: Started<u64>| {
                child.note("starts");
                sleep(secs(1)).await;
                started.send(7);
                sleep(secs(1)).await;
            });
            assert_eq!(value.await.unwrap(), 7);
            ledger.note("started");
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(2000, "first done"), (2000, "starts"), (3000, "started")]);
        assert_eq!(ledger.now(), 4000);
    });
}

/// Cancelled while it is in line, it is never polled, and what it captured is released.
#[test]
fn a_start_that_is_cancelled_in_line_is_never_polled() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = Options::new().limit(1).group(async |g| {
            g.spawn(ledger.sleeper("first", secs(9)));
            let (note, guard) = (ledger.clone(), ledger.deferred("captured", secs(1)));
            let start = timeout(
                secs(2),
                g.start(move |_started: Started<()>| async move {
                    note.note("never");
                    drop(guard);
                }),
            );
            assert!(start.await.is_err());
            ledger.note("timed out");
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[
            (2000, "captured releasing"),
            (3000, "captured released"),
            (3000, "timed out"),
            (9000, "first done"),
        ]);
    });
}

type Chain = Pin<Box<dyn Future<Output = Result<u64, Oops>> + Send>>;

/// Starts a child that starts a child, so deep; each sends when the one below it has.
fn chain(g: Group, depth: u64, ledger: Ledger, failing: bool) -> Chain {
    let target = g.clone();
    Box::pin(async move {
        let started = target.start(move |started: Started<u64>| async move {
            let mark = ledger.mark("link");
            sleep(secs(1)).await;
            let below = match depth {
                0 if failing => return Err(Oops("deepest")),
                0 => 0,
                _ => chain(g, depth - 1, ledger, failing).await?,
            };
            started.send(below + 1);
            sleep(secs(10)).await;
            mark.finish("done");
            done()
        });
        let value = started.await;
        value.map_err(|error| error.into_error().unwrap_or(Oops("no error of its own")))
    })
}

/// A child that starts children itself, three deep: the values come up, all live on.
#[test]
fn starts_three_deep_give_their_values_upwards() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            assert_eq!(chain(g, 2, ledger.clone(), false).await, Ok(3));
            assert_eq!(ledger.now(), 3000);
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(13_000, "link done"); 3]);
    });
}

/// The error of the deepest goes from caller to caller, and the group goes on.
#[test]
fn the_error_of_a_start_three_deep_reaches_the_first_caller_only() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.spawn(ledger.sleeper("sibling", secs(9)));
            assert_eq!(
                chain(g, 2, ledger.clone(), true).await,
                Err(Oops("deepest"))
            );
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(ledger.count("link cut"), 3);
        assert!(ledger.contains("sibling done"));
    });
}

/// The cancellation of the first caller goes through the whole chain, and through nothing else.
#[test]
fn a_cancelled_caller_takes_the_whole_chain_of_starts_with_it() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.spawn(ledger.sleeper("sibling", secs(9)));
            // In the third link: none has sent.
            assert!(
                timeout(secs(2), chain(g, 5, ledger.clone(), false))
                    .await
                    .is_err()
            );
            assert_eq!(ledger.now(), 2000);
            done()
        })
        .await;
        outcome.unwrap();
        assert!((2..=3).contains(&ledger.count("link cut")));
        assert!(ledger.contains("sibling done"));
    });
}

/// Failing early, the child has released what it owned, and joined what it spawned below itself,
/// before its caller hears of it.
#[test]
fn a_child_that_fails_early_has_released_its_guards_before_the_caller_goes_on() {
    for panics in [false, true] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |g| {
                let child = ledger.clone();
                let start = g.start(async move |_started: Started<()>| {
                    let _guard = child.deferred("guard", secs(2));
                    sleep(secs(1)).await;
                    match panics {
                        true => panic!("early"),
                        false => Err::<(), _>(Oops("early")),
                    }
                });
                let outcome = catch(start).await;
                match panics {
                    true => drop(outcome.map(|_| ()).unwrap_err()),
                    false => assert_eq!(
                        outcome.ok().unwrap().unwrap_err().into_error(),
                        Some(Oops("early"))
                    ),
                }
                ledger.note("caller goes on");
                done()
            })
            .await;
            outcome.unwrap();
            ledger.expect(&[
                (1000, "guard releasing"),
                (3000, "guard released"),
                (3000, "caller goes on"),
            ]);
        });
    }
}

/// An inline scope as the target, from inside and from a task further in.
#[test]
fn a_scope_is_a_target_for_its_own_children() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = scope(async |s| {
            let (inside, child) = (s.clone(), ledger.clone());
            let caller = s.spawn(async move {
                let value = inside.start(async move |started: Started<u64>| {
                    sleep(secs(1)).await;
                    started.send(3);
                    child.sleeper("child", secs(5)).await;
                });
                value.await.map_err(|_| Oops("start"))
            });
            assert_eq!(caller.await.unwrap(), 3);
            assert_eq!(ledger.now(), 1000);
            let failed = s.start(async |_started: Started<()>| {
                sleep(secs(1)).await;
                Err::<(), _>(Oops("early"))
            });
            assert_eq!(failed.await.unwrap_err().into_error(), Some(Oops("early")));
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(6000, "child done")]);
    });
}

/// Rules 21 and 30: the code that awaits a start outlives the child's releases, and the caller is
/// joined with it.
#[test]
fn a_cancelled_caller_is_dropped_after_the_releases_of_its_starting_child() {
    for by_handle in [false, true] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |g: Group| {
                let (target, note) = (g.clone(), ledger.clone());
                let caller = g.spawn(async move {
                    let _around = note.mark("around");
                    let inside = async {
                        let child = note.clone();
                        let start = target.start(async move |_started: Started<()>| {
                            let _guard = child.deferred("child", secs(2));
                            child.forever("start").await;
                        });
                        let _ = start.await;
                    };
                    match by_handle {
                        true => inside.await,
                        false => drop(timeout(secs(1), inside).await),
                    }
                });
                sleep(secs(1)).await;
                if by_handle {
                    caller.cancel();
                }
                assert_eq!(caller.await.is_err(), by_handle);
                ledger.note("joined");
                done()
            })
            .await;
            outcome.unwrap();
            ledger.expect(&[
                (1000, "start cut"),
                (1000, "child releasing"),
                (3000, "child released"),
                (3000, "around cut"),
                (3000, "joined"),
            ]);
        });
    }
}

/// Rules 12 and 30: the child cancels its caller and fails in one poll; the error comes out.
#[test]
fn an_early_error_beats_the_cancellation_of_the_caller() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g: Group| {
            let source = CancelScope::new();
            let inside = source.clone();
            let entered = source.enter(async {
                let start = g.start(async move |_started: Started<()>| {
                    sleep(secs(1)).await;
                    inside.cancel();
                    Err::<(), _>(Oops("early"))
                });
                assert_eq!(start.await.unwrap_err().into_error(), Some(Oops("early")));
                ledger.note("told");
                checkpoint().await;
                ledger.note("never");
            });
            assert!(entered.await.is_err());
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(1000, "told")]);
    });
}

/// A child says `started` while the request is on its way to its caller, as a thread might: too late,
/// and it ends with its caller.
#[test]
fn a_child_that_starts_while_its_caller_is_being_cancelled_is_too_late() {
    struct StartsOnWake(Mutex<Option<Started<()>>>);

    impl Wake for StartsOnWake {
        fn wake(self: Arc<Self>) {
            if let Some(started) = self.0.lock().unwrap().take() {
                started.send(());
            }
        }
    }

    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |target| {
            let middle = group(async |caller| {
                let (give, take) = channel();
                let child = ledger.forever("child");
                let mut start = Box::pin(target.start(async move |started| {
                    give.send(started).unwrap();
                    child.await;
                }));
                assert!(poll_once(&mut start).await.is_pending());
                sleep(secs(1)).await;
                // Behind the start in the list of the caller, and so before it on the way of a request.
                let starts = StartsOnWake(Mutex::new(Some(take.recv().unwrap())));
                let waker = Waker::from(Arc::new(starts));
                let mut wait = Box::pin(cancelled());
                let wait = wait.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(wait.is_pending());
                caller.cancel();
                start.await.map_err(|_| Oops("start"))
            });
            assert!(middle.await.unwrap_err().is_cancelled());
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(1000, "child cut")]);
    });
}
