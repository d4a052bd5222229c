//! Rule 30 at the edges: `started` sent by others or too late, callers and targets that are gone.

use std::{
    future::pending,
    sync::{Mutex, mpsc::channel},
};

use futures_concurrency::future::Join;
use headcount::{GroupError, Started, TaskGroup, cancelled, checkpoint, group, run, time::sleep};

use crate::support::{
    Ledger, Named, Oops, SEEDS, catch, done, message, ok, on_workers, poll_once, secs, sim,
    yield_now,
};

type Group = TaskGroup<'static, Oops>;

/// `started` is a value: another task, or a thread, may say it.
#[test]
fn started_may_be_sent_from_another_task_or_a_thread() {
    sim(SEEDS / 10, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let helper = g.clone();
            let value = g.start(async move |started: Started<&str>| {
                helper.spawn(async move {
                    sleep(secs(1)).await;
                    started.send("task");
                });
                sleep(secs(3)).await;
            });
            assert_eq!(value.await.unwrap(), "task");
            assert_eq!(ledger.now(), 1000);
            let helper = g.clone();
            let value = g.start(async move |started: Started<&str>| {
                let threads = helper.spawn_blocking(move |_| {
                    std::thread::spawn(move || started.send("thread"))
                        .join()
                        .unwrap();
                });
                threads.await.unwrap();
            });
            assert_eq!(value.await.unwrap(), "thread");
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(ledger.now(), 3000);
    });
}

/// Sent by another task after the child has ended: that is too late, and the value is dropped.
#[test]
fn started_that_is_sent_after_the_child_has_ended_starts_nothing() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let (give, take) = channel();
            let start = g.start(async move |started: Started<_>| give.send(started).unwrap());
            let mark = ledger.mark("value");
            assert!(start.await.err().unwrap().is_never_started());
            take.recv().unwrap().send(mark);
            ledger.note("sent");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(0, "value cut"), (0, "sent")]);
    });
}

/// Rules 12 and 30: the caller is gone when the child fails; the error climbs from the caller.
#[test]
fn the_early_failure_of_a_child_whose_caller_is_gone_climbs_from_the_caller() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |outer: Group| {
            let middle = group(async |_| {
                let child = ledger.clone();
                let start = outer.start(async move |_started: Started<()>| {
                    // Shielded, so that it fails though it is cancelled with its caller.
                    headcount::shield(child.failing("child", secs(3))).await
                });
                let mut start = Box::pin(start);
                assert!(poll_once(&mut start).await.is_pending());
                sleep(secs(1)).await;
                drop(start);
                done()
            });
            let middle: Result<(), GroupError<Oops>> = middle.await;
            let error = middle.unwrap_err();
            assert_eq!(
                (error.failures().len(), error.cleanup_failures().len()),
                (0, 1)
            );
            ledger.note("middle ended");
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(3000, "child failed"), (3000, "middle ended")]);
    });
}

/// Rule 12: the child has failed, and the caller is dropped before it is polled to hear of it.
#[test]
fn an_early_failure_that_the_caller_never_heard_of_climbs_when_the_start_is_dropped() {
    for panics in [false, true] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |outer: Group| {
                let middle = group(async |_| {
                    let child = ledger.clone();
                    let start = outer.start(async move |_started: Started<()>| {
                        child.failing("child", secs(1)).await?;
                        done()
                    });
                    let loud =
                        outer.start(async move |_started: Started<()>| -> Result<(), Oops> {
                            sleep(secs(1)).await;
                            panic!("loud")
                        });
                    let (mut start, mut loud) = (Box::pin(start), Box::pin(loud));
                    assert!(poll_once(&mut start).await.is_pending());
                    if panics {
                        assert!(poll_once(&mut loud).await.is_pending());
                    }
                    sleep(secs(2)).await;
                    drop((start, loud));
                    done()
                });
                match (catch(middle).await, panics) {
                    (Ok(outcome), false) => {
                        let error = outcome.unwrap_err();
                        assert_eq!(error.failures().len(), 0);
                        assert_eq!(error.cleanup_failures().len(), 1);
                    }
                    (Err(payload), true) => assert_eq!(message(&*payload), "loud"),
                    _ => panic!("lost"),
                }
                done()
            })
            .await;
            outcome.unwrap();
            ledger.expect(&[(1000, "child failed")]);
        });
    }
}

/// Rule 2: the target has ended; nothing runs and the start says so.
#[test]
fn a_start_into_a_group_that_has_ended_or_is_cancelled_is_refused() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |outer: Group| {
            let ended: Group = group(async |g| ok(g)).await.unwrap();
            let cancelled = group(async |g| {
                let (target, caller) = (g.clone(), ledger.clone());
                outer.spawn(async move {
                    sleep(secs(1)).await;
                    for target in [ended, target] {
                        let note = caller.clone();
                        let start = async move |_: Started<()>| note.note("never");
                        assert!(target.start(start).await.unwrap_err().is_cancelled());
                        caller.note("refused");
                    }
                });
                // It lives on for its child.
                g.spawn(headcount::shield(sleep(secs(5))));
                checkpoint().await;
                g.cancel();
                done()
            });
            let _ = cancelled.await;
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[(1000, "refused"), (1000, "refused")]);
    });
}

/// A target that fails, or is shut down, while a child is starting: cut, or asked, like its others.
#[test]
fn a_starting_child_is_cut_when_its_target_fails_and_asked_when_it_shuts_down() {
    for fails in [true, false] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |g| {
                let other = g.clone();
                g.spawn(async move {
                    sleep(secs(1)).await;
                    match fails {
                        true => return Err(Oops("sibling")),
                        false => other.shutdown(secs(9)),
                    }
                    done()
                });
                let child = ledger.clone();
                let start = g.start(async move |started: Started<()>| {
                    let mark = child.mark("child");
                    cancelled().await;
                    checkpoint().await;
                    started.send(());
                    mark.finish("asked");
                });
                start.await.map_err(|_| Oops("start"))
            })
            .await;
            match fails {
                true => {
                    assert_eq!(outcome.names(), ["sibling"]);
                    ledger.expect(&[(1000, "child cut")]);
                }
                false => {
                    outcome.unwrap();
                    ledger.expect(&[(1000, "child asked")]);
                }
            }
        });
    }
}

/// The caller and the target are cancelled together, and each waits for the other's child: no
/// deadlock, whoever is first.
#[test]
fn two_groups_that_start_children_in_each_other_end_when_both_are_cancelled() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |outer| {
            let meet: Mutex<Vec<Group>> = Mutex::default();
            let side = async || {
                let outcome = group(async |g: Group| {
                    meet.lock().unwrap().push(g.clone());
                    while meet.lock().unwrap().len() < 2 {
                        yield_now().await;
                    }
                    let both = meet.lock().unwrap().clone();
                    let starts = both.into_iter().map(|target| {
                        let child = ledger.clone();
                        Box::pin(async move {
                            let start = target.start(async move |_s: Started<()>| {
                                let _guard = child.deferred("guard", secs(1));
                                pending::<()>().await;
                            });
                            start.await.map_err(|_| Oops("start"))
                        })
                    });
                    let starts: Vec<_> = starts.collect();
                    starts.join().await;
                    done()
                });
                let _ = outcome.await;
            };
            let canceller = async {
                sleep(secs(1)).await;
                outer.cancel();
            };
            (side(), side(), canceller).join().await;
            done()
        })
        .await;
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!(ledger.count("guard released"), 4);
        assert_eq!(ledger.now(), 2000);
    });
}

/// The same on real threads: values come out, cancelled callers take their children along.
#[test]
fn starts_race_with_cancellations_on_real_threads() {
    on_workers(
        "starts_edges::starts_race_with_cancellations_on_real_threads",
        || {
            for round in 0..200 {
                let outcome = run(async |g| {
                    for n in 0..8 {
                        let target = g.clone();
                        g.spawn(async move {
                            let start = target.start(async move |started: Started<u64>| {
                                for _ in 0..n {
                                    yield_now().await;
                                }
                                started.send(n);
                                cancelled().await;
                            });
                            if let Ok(value) = start.await {
                                assert_eq!(value, n);
                            }
                        });
                    }
                    for _ in 0..round % 10 {
                        yield_now().await;
                    }
                    g.cancel();
                    done()
                });
                outcome.unwrap();
            }
        },
    );
}
