//! Rule 30 at the edges: `started` sent by others or too late, callers and targets that are gone.

use std::{
    future::pending,
    sync::{Arc, Mutex, mpsc::channel},
};

use futures_concurrency::future::Join;
use headcount::{
    GroupError, Options, Scope, Started, TaskGroup, cancelled, checkpoint, group, run, scope,
    time::sleep,
};

use crate::support::{
    Boxed, Ledger, Named, Oops, PanicOnDrop, SEEDS, catch, done, ends_and_panics_later, message,
    ok, on_workers, poll_once, secs, sim, yield_now,
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

/// The same in a scope, whose children do not keep their caller's boundary open: it has ended.
#[test]
fn the_early_failure_of_an_inline_child_that_drops_its_caller_is_returned_by_the_scope() {
    sim(SEEDS, || async {
        let outcome = scope(async |s: Scope<'static, Oops>| {
            let caller: Arc<Mutex<Option<Boxed<()>>>> = Arc::default();
            let (target, inside) = (s.clone(), caller.clone());
            let mut start: Boxed<()> = Box::pin(async move {
                let start = target.start(async move |_started: Started<()>| {
                    drop(inside.lock().unwrap().take().unwrap());
                    Err::<(), _>(Oops("early"))
                });
                let _ = start.await;
            });
            assert!(poll_once(&mut start).await.is_pending());
            *caller.lock().unwrap() = Some(start);
            sleep(secs(1)).await;
            assert!(caller.lock().unwrap().is_none());
            done()
        });
        let error = outcome.await.unwrap_err();
        assert!(error.failures().is_empty());
        let texts = error.cleanup_failures().iter();
        let texts: Vec<_> = texts.map(|f| f.error().to_string()).collect();
        assert_eq!(texts, ["Oops(\"early\")"]);
    });
}

/// Rules 14 and 30: the destructors of what a child leaves before it has started. Of its end and a
/// panic in the destructor of its future the caller has the first, and the hook the other.
#[test]
fn a_destructor_that_panics_at_an_early_end_is_told_to_the_caller_or_the_hook() {
    sim(SEEDS, || async {
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let hears = heard.clone();
        let options = Options::new().on_suppressed(move |suppressed| {
            hears.lock().unwrap().push(suppressed.text().to_owned());
        });
        let outcome = options.group(async |g: Group| {
            let value = g.start(async |_: Started<()>| ok(PanicOnDrop("value")));
            let payload = catch(value).await.map(drop).unwrap_err();
            assert_eq!(message(&*payload), "value");

            let quiet = g.start(|_: Started<()>| ends_and_panics_later(done, "future"));
            let payload = catch(quiet).await.map(drop).unwrap_err();
            assert_eq!(message(&*payload), "future");
            assert!(heard.lock().unwrap().is_empty());

            let failing = || Err::<(), _>(Oops("early"));
            let failed = g.start(|_: Started<()>| ends_and_panics_later(failing, "after it"));
            let error = failed.await.unwrap_err();
            assert_eq!(error.into_error(), Some(Oops("early")));
            assert_eq!(*heard.lock().unwrap(), ["after it"]);

            let panicking = || -> Result<(), Oops> { panic!("first") };
            let twice = g.start(|_: Started<()>| ends_and_panics_later(panicking, "second"));
            let payload = catch(twice).await.map(drop).unwrap_err();
            assert_eq!(message(&*payload), "first");
            assert_eq!(*heard.lock().unwrap(), ["after it", "second"]);
            done()
        });
        outcome.await.unwrap();
    });
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
