//! Failures of supervised children that nobody read: where they come out.

use std::sync::{Arc, Mutex};

use headcount::{Options, Suppressed, TaskError, group, supervise, time::sleep};

use crate::support::{
    Ledger, Named, Oops, PanicOnDrop, SEEDS, catch, done, ends_and_panics_later, message, millis,
    ok, poll_once, secs, sim, yield_now,
};

/// What a hook for suppressed failures was called with.
#[derive(Clone, Default)]
struct Hook(Arc<Mutex<Vec<String>>>);

impl Hook {
    fn options(&self) -> Options {
        let list = self.0.clone();
        Options::new().on_suppressed(move |suppressed: &Suppressed| {
            let kind = if suppressed.is_panic() {
                "panic"
            } else {
                "error"
            };
            let name = suppressed.name().unwrap_or("nobody");
            let line = format!("{name}: {kind}: {}", suppressed.text());
            list.lock().unwrap().push(line);
        })
    }

    fn seen(&self) -> Vec<String> {
        let mut seen = self.0.lock().unwrap().clone();
        seen.sort();
        seen
    }
}

/// Rule 15, with the handle dropped before the failure.
#[test]
fn a_failure_without_a_handle_is_returned_by_the_boundary() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let mut line = 0;
        let outcome = supervise(async |s| {
            line = line!() + 1;
            drop(s.spawn_named("fetch", ledger.failing("bad", secs(1))));
            drop(s.spawn(ledger.sleeper("sibling", secs(2))));
            ledger.sleeper("body", secs(3)).await;
            done()
        })
        .await;
        let error = outcome.unwrap_err();
        assert_eq!(error.failures().len(), 1);
        let failure = &error.failures()[0];
        assert_eq!(
            (failure.name(), failure.error()),
            (Some("fetch"), &Oops("bad"))
        );
        assert_eq!(
            (failure.location().file(), failure.location().line()),
            (file!(), line)
        );
        ledger.expect(&[
            (1000, "bad failed"),
            (2000, "sibling done"),
            (3000, "body done"),
        ]);
    });
}

/// Rule 15, with the handle dropped after the failure.
#[test]
fn a_failure_whose_handle_is_dropped_later_is_returned_by_the_boundary() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = supervise(async |s| {
            let handle = s.spawn(ledger.failing("bad", secs(1)));
            sleep(secs(2)).await;
            assert!(handle.is_finished());
            drop(handle);
            ledger.sleeper("body", secs(1)).await;
            done()
        })
        .await;
        assert_eq!(outcome.names(), ["bad"]);
        assert_eq!(ledger.now(), 3000);
    });
}

/// Rule 15.
#[test]
fn a_panic_without_a_handle_is_a_cleanup_failure_of_the_boundary() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = supervise(async |s| {
            drop(s.spawn_named("early", async { panic!("gone before") }));
            let late = s.spawn_named("late", async { panic!("gone {}", "after") });
            sleep(secs(1)).await;
            drop(late);
            drop(s.spawn_named("value", async { ok(PanicOnDrop("unread value")) }));
            ledger.sleeper("body", secs(1)).await;
            done()
        })
        .await;
        let error = outcome.unwrap_err();
        assert!(error.failures().is_empty() && !error.is_cancelled());
        let mut found: Vec<_> = error
            .cleanup_failures()
            .iter()
            .map(|f| (f.name().unwrap(), f.error().to_string()))
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                ("early", "gone before".to_owned()),
                ("late", "gone after".to_owned()),
                ("value", "unread value".to_owned()),
            ]
        );
        let shown = error.cleanup_failures()[0].to_string();
        assert!(shown.contains("panicked: "), "{shown}");
        assert_eq!(ledger.now(), 2000);
    });
}

/// Rule 15: told once.
#[test]
fn a_failure_that_was_read_is_not_returned_again() {
    sim(SEEDS, || async {
        let hook = Hook::default();
        let outcome = hook.options().supervise(async |s| {
            let failed = s.spawn(async { Err::<(), _>(Oops("a")) });
            let panicked = s.spawn(async { panic!("b") });
            assert!(failed.await.is_err());
            assert!(panicked.await.is_err());
            done()
        });
        outcome.await.unwrap();
        assert_eq!(hook.seen(), [""; 0]);
    });
}

/// Rule 15: the handle outlives the boundary.
#[test]
fn a_failure_whose_handle_is_dropped_after_the_end_goes_to_the_hook() {
    sim(SEEDS, || async {
        let hook = Hook::default();
        let kept = hook.options().supervise(async |s| {
            let failed = s.spawn_named("failed", async { Err::<(), _>(Oops("a")) });
            let panicked = s.spawn_named("panicked", async { panic!("b") });
            let read = s.spawn_named("read", async { Err::<(), _>(Oops("c")) });
            let fine = s.spawn_named("fine", async { ok(1) });
            let value = s.spawn_named("value", async { ok(PanicOnDrop("d")) });
            ok((failed, panicked, read, fine, value))
        });
        let (failed, panicked, read, fine, value) = kept.await.unwrap();
        sleep(secs(1)).await;
        assert_eq!(hook.seen(), [""; 0]);
        assert!(matches!(read.await, Err(TaskError::Failed(Oops("c")))));
        drop((failed, panicked, fine, value));
        assert_eq!(
            hook.seen(),
            [
                "failed: error: Oops(\"a\")",
                "panicked: panic: b",
                "value: panic: d"
            ]
        );
    });
}

/// Rule 15: the boundary has ended when it has returned, not when its future is dropped.
#[test]
fn a_failure_dropped_beside_the_kept_future_of_the_opener_goes_to_the_hook() {
    sim(SEEDS, || async {
        let hook = Hook::default();
        let mut opener =
            Box::pin(hook.options().supervise(async |s| {
                ok(s.spawn_named("failed", async { Err::<(), _>(Oops("a")) }))
            }));
        drop(opener.as_mut().await.unwrap());
        assert_eq!(hook.seen(), ["failed: error: Oops(\"a\")"]);
        drop(opener);
        assert_eq!(hook.seen().len(), 1);
    });
}

/// Rules 10 and 15: the value of the body owned the handle, and is dropped for the error's sake.
#[test]
fn a_value_that_owns_handles_is_dropped_before_the_errors_are_counted() {
    sim(SEEDS, || async {
        let hook = Hook::default();
        let outcome = hook.options().supervise(async |s| {
            drop(s.spawn(async { Err::<(), _>(Oops("first")) }));
            let owned = s.spawn(async {
                sleep(secs(1)).await;
                Err::<(), _>(Oops("second"))
            });
            ok(owned)
        });
        assert_eq!(outcome.await.names(), ["first", "second"]);
        assert_eq!(hook.seen(), [""; 0]);
    });
}

/// Rules 10 and 14: the value has to go for the error's sake, and its destructor panics.
#[test]
fn a_value_that_panics_when_it_is_dropped_for_an_error_is_a_panic() {
    sim(SEEDS, || async {
        let hook = Hook::default();
        let outcome = hook.options().supervise(async |s| {
            drop(s.spawn_named("unread", async { Err::<(), _>(Oops("a")) }));
            ok(PanicOnDrop("value"))
        });
        let payload = catch(outcome).await.map(drop).unwrap_err();
        assert_eq!(message(&*payload), "value");
        assert_eq!(hook.seen(), ["unread: error: Oops(\"a\")"]);
    });
}

/// Rule 14: of two panics of one child the first is the handle's; of an error and a panic, the panic.
#[test]
fn what_the_destructor_of_a_child_adds_to_its_end_is_returned_by_the_boundary() {
    sim(SEEDS, || async {
        let outcome = supervise(async |s| {
            let twice = ends_and_panics_later(|| -> Result<(), Oops> { panic!("first") }, "second");
            match s.spawn_named("twice", twice).await {
                Err(TaskError::Panicked(payload)) => assert_eq!(message(&*payload), "first"),
                _ => panic!("the first panic was not its handle's"),
            }
            let failed = ends_and_panics_later(|| Err::<(), _>(Oops("error")), "panic");
            match s.spawn_named("failed", failed).await {
                Err(TaskError::Panicked(payload)) => assert_eq!(message(&*payload), "panic"),
                _ => panic!("the panic was not its handle's"),
            }
            done()
        });
        let outcome = outcome.await;
        assert_eq!(outcome.names(), ["error"]);
        let error = outcome.unwrap_err();
        let texts = error.cleanup_failures().iter();
        let texts: Vec<_> = texts.map(|f| f.error().to_string()).collect();
        assert_eq!(texts, ["second"]);
    });
}

/// Rules 10 and 15: the handles are locals of the body that fails.
#[test]
fn the_failures_of_body_and_unread_children_are_all_returned() {
    sim(SEEDS, || async {
        let outcome = supervise(async |s| {
            let unread = s.spawn(async { Err::<(), _>(Oops("child")) });
            sleep(secs(1)).await;
            Err::<(), _>(Oops(if unread.is_finished() {
                "body"
            } else {
                "early"
            }))
        });
        // In the order of recording: the locals of the body end before its error is out.
        assert_eq!(outcome.await.names(), ["child", "body"]);
    });
}

/// Rule 14: errors beside a panic.
#[test]
fn an_unread_failure_beside_the_panic_of_the_body_goes_to_the_hook() {
    sim(SEEDS, || async {
        let hook = Hook::default();
        let outcome = catch(hook.options().supervise(async |s| {
            drop(s.spawn_named("a", async { Err::<(), _>(Oops("a")) }));
            drop(s.spawn_named("b", async { panic!("b") }));
            sleep(secs(1)).await;
            if s.stats().spawned == 2 {
                panic!("body");
            }
            done()
        }));
        let payload = outcome.await.map(drop).unwrap_err();
        assert_eq!(message(&*payload), "body");
        assert_eq!(hook.seen(), ["a: error: Oops(\"a\")", "b: panic: b"]);
    });
}

/// Rules 12 and 15: the boundary is gone before the failure, so it climbs.
#[test]
fn an_unread_failure_of_a_dropped_supervisor_climbs_to_the_parent() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let mut inner = Box::pin(supervise(async |s| {
                drop(s.spawn(ledger.failing("before", secs(1))));
                let _local = s.spawn(ledger.failing("held", secs(1)));
                drop(s.spawn(async {
                    let _guard = PanicOnDrop("orphan");
                    sleep(secs(9)).await;
                }));
                ledger.forever("body").await;
                done()
            }));
            assert!(poll_once(&mut inner).await.is_pending());
            sleep(secs(2)).await;
            drop(inner);
            done()
        })
        .await;
        let error: headcount::GroupError<Oops> = outcome.unwrap_err();
        assert!(error.failures().is_empty());
        let mut texts: Vec<_> = error
            .cleanup_failures()
            .iter()
            .map(|f| f.error().to_string())
            .collect();
        texts.sort();
        assert_eq!(texts, ["Oops(\"before\")", "Oops(\"held\")", "orphan"]);
    });
}

/// Rule 15: the handle outlives a boundary that was dropped; the hook may be its own, or one around.
#[test]
fn a_handle_kept_past_a_dropped_supervisor_loses_nothing() {
    for own in [false, true] {
        sim(SEEDS, move || async move {
            let hook = Hook::default();
            let (outer, inner) = match own {
                true => (Options::new(), hook.options()),
                false => (hook.options(), Options::new()),
            };
            let outcome = outer.group(async |_| {
                let mut kept = Vec::new();
                let mut inner = Box::pin(inner.supervise(async |s| {
                    for name in ["read", "dropped"] {
                        kept.push(s.spawn_named(name, async move { Err::<(), _>(Oops(name)) }));
                    }
                    std::future::pending::<()>().await;
                    done()
                }));
                assert!(poll_once(&mut inner).await.is_pending());
                sleep(secs(1)).await;
                drop(inner);
                sleep(secs(1)).await;
                drop(kept.pop());
                assert_eq!(hook.seen(), ["dropped: error: Oops(\"dropped\")"]);
                assert!(matches!(
                    kept.pop().unwrap().await,
                    Err(TaskError::Failed(Oops("read")))
                ));
                done()
            });
            outcome.await.unwrap();
            assert_eq!(hook.seen().len(), 1);
        });
    }
}

/// Rule 15: handle drops, child ends and the boundary's end in every order that the seeds give.
#[test]
fn every_supervised_failure_comes_out_exactly_once() {
    const CHILDREN: usize = 8;
    sim(SEEDS, || async {
        let hook = Hook::default();
        let read = Arc::new(Mutex::new(0));
        let outcome = hook.options().group(async |g| {
            let boundary = hook.options().supervise(async |s| {
                for n in 0..CHILDREN {
                    let handle = s.spawn(async move {
                        yield_now().await;
                        if n % 2 == 0 {
                            Err(Oops("x"))
                        } else {
                            panic!("x")
                        }
                    });
                    let handle: headcount::SupervisedHandle<(), Oops> = handle;
                    let read = read.clone();
                    g.spawn(async move {
                        for _ in 0..n / 2 {
                            yield_now().await;
                        }
                        if n % 3 == 0 {
                            assert!(handle.await.is_err());
                            *read.lock().unwrap() += 1;
                        }
                    });
                }
                sleep(millis(1)).await;
                done()
            });
            let returned = match boundary.await {
                Ok(()) => 0,
                Err(error) => error.failures().len() + error.cleanup_failures().len(),
            };
            ok(returned)
        });
        let returned = outcome.await.unwrap();
        let read = *read.lock().unwrap();
        assert_eq!(returned + read + hook.seen().len(), CHILDREN);
        assert_eq!(read, 3);
    });
}

/// Rules 14 and 15: neither `Debug` nor the destructor keeps it from the hook.
#[test]
fn an_error_that_can_be_neither_shown_nor_dropped_reaches_the_hook() {
    struct Hostile;

    impl std::fmt::Debug for Hostile {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no words for it")
        }
    }

    impl Drop for Hostile {
        fn drop(&mut self) {
            panic!("it sticks")
        }
    }

    sim(SEEDS, || async {
        let hook = Hook::default();
        let options = hook.options();
        let outcome = options.supervise(async |s| {
            let handle = s.spawn_named("hostile", async {
                sleep(secs(1)).await;
                Err::<(), _>(Hostile)
            });
            sleep(secs(2)).await;
            Ok(handle)
        });
        drop(outcome.await.unwrap());
        let told = "hostile: error: an error that panicked when shown: no words for it";
        assert_eq!(hook.seen(), [told]);
    });
}
