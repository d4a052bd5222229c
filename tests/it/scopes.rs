//! Cancel scopes: requests, and who absorbs them.

use std::{future::pending, pin::pin, sync::mpsc::channel, task::Poll};

use headcount::{
    CancelKind, CancelScope, Options, checkpoint, group, is_cancelled, scope, time::sleep, timeout,
};

use crate::support::{
    FEW, Flag, Gate, Ledger, Oops, PollCount, Relay, SEEDS, block_on, done, ok, secs,
    shielded_sleep, sim, yield_now,
};

/// Case 14.
#[test]
fn a_cancelled_inner_scope_leaves_the_outer_one_alone() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let (outer, inner) = (CancelScope::new(), CancelScope::new());
        let outcome = outer.enter(async {
            let cut = inner.enter(async {
                let mark = ledger.mark("inner");
                sleep(secs(1)).await;
                inner.cancel_with("enough");
                assert!(is_cancelled());
                pending::<()>().await;
                mark.finish("resumed");
            });
            let cancelled = cut.await.unwrap_err();
            let reason = cancelled.reason().unwrap();
            assert_eq!(reason.kind, CancelKind::Explicit);
            assert_eq!(reason.message.as_deref(), Some("enough"));
            assert!(!is_cancelled());
            ledger.note("after");
            sleep(secs(2)).await;
            "value"
        });
        assert_eq!(outcome.await.unwrap(), "value");
        ledger.expect(&[(1000, "inner cut"), (1000, "after")]);
        assert!(inner.cancel_called() && inner.cancelled_caught());
        assert!(!outer.cancel_called() && !outer.cancelled_caught());
        assert!(outer.reason().is_none());
        assert_eq!(ledger.now(), 3000);
    });
}

/// Case 15, rule 21: with a deadline, and on request.
#[test]
fn an_outer_scope_that_ends_inside_an_inner_one_skips_the_code_between() {
    for explicit in [false, true] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let inner = CancelScope::with_timeout(secs(5));
            let outer = match explicit {
                true => CancelScope::new(),
                false => CancelScope::with_timeout(secs(1)),
            };
            let outcome = outer.enter(async {
                let cut = inner.enter(async {
                    sleep(secs(1)).await;
                    if explicit {
                        outer.cancel();
                    }
                    ledger.forever("inner").await;
                });
                let _ = cut.await;
                ledger.note("between");
            });
            let kind = outcome.await.unwrap_err().reason().unwrap().kind;
            match explicit {
                true => assert_eq!(kind, CancelKind::Explicit),
                false => assert_eq!(kind, CancelKind::Deadline),
            }
            ledger.expect(&[(1000, "inner cut")]);
            assert!(outer.cancel_called() && outer.cancelled_caught());
            assert!(!inner.cancelled_caught());
            assert_eq!(ledger.now(), 1000);
        });
    }
}

/// Case 16, rule 20.
#[test]
fn a_value_without_a_checkpoint_after_the_request_is_kept() {
    sim(SEEDS, || async {
        let cancel_scope = CancelScope::new();
        let outcome = cancel_scope.enter(async {
            checkpoint().await;
            assert!(!is_cancelled());
            cancel_scope.cancel();
            assert!(is_cancelled());
            // The end of an empty opening is no checkpoint either (rule 5).
            let one = group(async |_| ok(1)).await.unwrap();
            one + scope(async |_| ok(2)).await.unwrap()
        });
        assert_eq!(outcome.await.unwrap(), 3);
        assert!(cancel_scope.cancel_called());
        assert!(!cancel_scope.cancelled_caught());
        assert!(!is_cancelled());
        checkpoint().await;
    });
}

/// Case 17, rules 18 and 19.
#[test]
fn a_scope_cancelled_before_entry_runs_to_its_first_checkpoint() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let cancel_scope = CancelScope::new();
        cancel_scope.cancel_with("before entry");
        assert!(cancel_scope.cancel_called() && !cancel_scope.cancelled_caught());
        let outcome = cancel_scope.enter(async {
            assert!(is_cancelled());
            ledger.note("before the checkpoint");
            let _owned = ledger.mark("owned");
            checkpoint().await;
            ledger.note("never");
        });
        let cancelled = outcome.await.unwrap_err();
        let message = cancelled.reason().unwrap().message.clone();
        assert_eq!(message.as_deref(), Some("before entry"));
        assert!(cancel_scope.cancelled_caught());
        ledger.expect(&[(0, "before the checkpoint"), (0, "owned cut")]);

        let cancel_scope = CancelScope::new();
        cancel_scope.cancel();
        assert_eq!(cancel_scope.enter(async { 5 }).await.unwrap(), 5);
        assert!(cancel_scope.cancel_called() && !cancel_scope.cancelled_caught());
    });
}

/// Case 32, rule 18: the first reason sticks, whatever comes after it.
#[test]
fn the_first_of_several_reasons_sticks() {
    sim(SEEDS, || async {
        let cancel_scope = CancelScope::with_timeout(secs(2));
        let outcome = cancel_scope.enter(async {
            let work = group(async |g| {
                let (first, second) = (cancel_scope.clone(), cancel_scope.clone());
                g.spawn_named("first", async move {
                    sleep(secs(1)).await;
                    first.cancel_with("a");
                    second.cancel_with("b");
                    first.cancel();
                });
                // It is there until the deadline has passed too.
                shielded_sleep(secs(3)).await
            });
            work.await.unwrap();
            checkpoint().await;
        });
        let cancelled = outcome.await.unwrap_err();
        let kept = cancel_scope.reason().unwrap();
        for reason in [cancelled.reason().unwrap(), &kept] {
            assert_eq!(reason.kind, CancelKind::Explicit);
            assert_eq!(reason.message.as_deref(), Some("a"));
            assert_eq!(reason.by.as_deref(), Some("first"));
        }
        cancel_scope.cancel_with("c");
        let message = cancel_scope.reason().unwrap().message;
        assert_eq!(message.as_deref(), Some("a"));
        assert!(cancelled.to_string().contains("`first`"), "{cancelled}");
    });
}

/// Case 32: who has no name is told by its place, whatever it asks in, not by a name further out.
#[test]
fn the_reason_of_an_explicit_request_tells_where_an_unnamed_task_was_spawned() {
    sim(SEEDS, || async {
        let options = Options::new().name("further out");
        let outcome = options.group(async |g| {
            let line = line!() + 1;
            g.spawn(async move {
                let by = |scope: &CancelScope| scope.reason().unwrap().by.unwrap();
                let [direct, timed, inside] = [(); 3].map(|()| CancelScope::new());
                direct.cancel();
                timeout(secs(1), async { timed.cancel() }).await.unwrap();
                let inner = group(async |_| {
                    inside.cancel();
                    done()
                });
                inner.await.unwrap();
                for scope in [direct, timed, inside] {
                    let place = format!("{}:{line}:", file!());
                    assert!(by(&scope).starts_with(&place), "{}", by(&scope));
                }
            });
            done()
        });
        outcome.await.unwrap();
    });
}

/// Case 32: why the siblings were cancelled names the task that failed.
#[test]
fn the_reason_of_a_failure_names_the_failed_task() {
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            g.spawn_named("reader", async {
                sleep(secs(1)).await;
                Err::<(), _>(Oops("a"))
            });
            pending::<Result<(), Oops>>().await
        });
        let error = outcome.await.unwrap_err();
        let reason = error.reason().unwrap();
        assert_eq!(reason.kind, CancelKind::SiblingFailed);
        assert_eq!(reason.by.as_deref(), Some("reader"));

        let options = Options::new().name("opening");
        let outcome = options.group(async |_| Err::<(), _>(Oops("body"))).await;
        let error = outcome.unwrap_err();
        let reason = error.reason().unwrap();
        assert_eq!(reason.kind, CancelKind::BodyFailed);
        assert_eq!(reason.by.as_deref(), Some("opening"));
    });
}

/// Rule 18: the call returns at once, and whoever made it goes on to its own next checkpoint.
#[test]
fn cancelling_drops_nothing_inside_the_call() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let cancel_scope = CancelScope::new();
        let outcome = group(async |g| {
            let (inside, from_child) = (cancel_scope.clone(), cancel_scope.clone());
            let (child, body) = (ledger.forever("child"), ledger.forever("body"));
            let seen = ledger.clone();
            g.spawn(async move {
                let work = group(async move |g| {
                    g.spawn(child);
                    g.spawn(async move {
                        sleep(secs(1)).await;
                        from_child.cancel();
                        assert!(from_child.cancel_called() && is_cancelled());
                        seen.expect(&[]);
                        seen.note("called");
                    });
                    body.await;
                    done()
                });
                inside.enter(work).await.unwrap_err();
            });
            done()
        });
        outcome.await.unwrap();
        assert_eq!(ledger.count("called"), 1);
        ledger.expect_in_any_order(&[(1000, "called"), (1000, "child cut"), (1000, "body cut")]);
    });
}

/// Rule 19: a request is looked at before the future is polled, though it is ready by then.
#[test]
fn an_explicit_request_is_looked_at_before_polling() {
    sim(SEEDS, || async {
        let (gate, polls) = (Gate::default(), PollCount::default());
        let cancel_scope = CancelScope::new();
        let outcome = group(async |g| {
            let (opened, canceller) = (gate.clone(), cancel_scope.clone());
            g.spawn(async move {
                sleep(secs(1)).await;
                opened.open();
                canceller.cancel();
            });
            let entered = cancel_scope.enter(polls.of(gate.wait()));
            ok(entered.await.is_err())
        });
        assert!(outcome.await.unwrap());
        assert!(cancel_scope.cancelled_caught());
        assert_eq!(polls.get(), 1);
    });
}

/// Rule 18: from threads that know nothing of any runtime, many at once.
#[test]
fn threads_cancel_a_scope_and_one_of_them_is_the_reason() {
    for _ in 0..50 {
        let cancel_scope = CancelScope::new();
        let (entered, wait) = channel::<()>();
        let threads: Vec<_> = ["a", "b", "c"]
            .map(|name| {
                let canceller = cancel_scope.clone();
                let (begin, begun) = channel::<()>();
                let thread = std::thread::spawn(move || {
                    begun.recv().unwrap_err();
                    canceller.cancel_with(name);
                    canceller.reason().unwrap().message.unwrap()
                });
                (begin, thread)
            })
            .into();
        let outcome = block_on(cancel_scope.enter(async {
            entered.send(()).unwrap();
            let (begins, threads): (Vec<_>, Vec<_>) = threads.into_iter().unzip();
            drop(begins);
            let seen = threads.into_iter().map(|thread| thread.join().unwrap());
            let seen: Vec<_> = seen.collect();
            assert!(seen.iter().all(|message| *message == seen[0]), "{seen:?}");
            checkpoint().await;
            entered.send(()).unwrap();
        }));
        assert!(outcome.is_err() && cancel_scope.cancelled_caught());
        assert_eq!(wait.try_iter().count(), 1, "it entered and did not go on");
    }
}

/// Rule 18: the waker of a task that sleeps on a real thread is told.
#[test]
fn a_thread_wakes_the_scope_that_it_cancels() {
    for _ in 0..50 {
        let cancel_scope = CancelScope::new();
        let canceller = cancel_scope.clone();
        let (entered, wait) = channel::<()>();
        let thread = std::thread::spawn(move || {
            wait.recv().unwrap();
            canceller.cancel();
        });
        let outcome = block_on(cancel_scope.enter(async {
            entered.send(()).unwrap();
            pending::<()>().await;
        }));
        outcome.unwrap_err();
        thread.join().unwrap();
    }
}

/// However long its body and its children have each other to wait for.
#[test]
fn a_scope_with_always_something_to_do_lets_others_run() {
    sim(SEEDS / 10, || async {
        let outcome = group(async |g| {
            let others = Flag::default();
            let inside = others.clone();
            g.spawn(async move { inside.set() });
            let busy = scope(async |s| {
                let mut turns = 0;
                while !others.is_set() {
                    s.spawn(async {}).await.unwrap();
                    turns += 1;
                    assert!(turns < 10_000, "nobody else runs");
                }
                done()
            });
            busy.await.map_err(|_| Oops("busy"))
        });
        outcome.await.unwrap();
    });
}

#[test]
fn a_reason_says_in_words_why_by_whom_and_what_was_said() {
    let scope = CancelScope::default();
    scope.cancel();
    let mut reason = scope.reason().unwrap();
    for (kind, words) in [
        (CancelKind::Explicit, "on request"),
        (CancelKind::Deadline, "the deadline has passed"),
        (CancelKind::SiblingFailed, "a child failed"),
        (CancelKind::BodyFailed, "the body failed"),
        (
            CancelKind::Dropped,
            "what opened it was dropped or polled outside of its place",
        ),
        (CancelKind::Shutdown, "the grace of the shutdown has ended"),
    ] {
        reason.kind = kind;
        assert_eq!(reason.to_string(), words);
    }
    (reason.by, reason.message) = (Some("fetch".into()), Some("too late".into()));
    reason.kind = CancelKind::Explicit;
    assert_eq!(reason.to_string(), "on request (by `fetch`): too late");
}

/// The handle may be kept for long, and the task that entered ends. So it is if the scope has nothing
/// below and if it has, and if it is cancelled, by its handle or from outside.
#[test]
fn a_scope_kept_past_its_end_keeps_no_waker_of_who_entered_it() {
    sim(FEW, || async {
        for (below, cancelled) in [
            (false, None),
            (true, None),
            (false, Some(false)),
            (true, Some(false)),
            (false, Some(true)),
            (true, Some(true)),
        ] {
            let relay = Relay::here().await;
            let (outer, inner) = (CancelScope::new(), CancelScope::new());
            let mut entered = pin!(outer.enter(inner.enter(async {
                let _guard = below.then(|| headcount::defer((), async |()| yield_now().await));
                yield_now().await;
                match cancelled {
                    Some(true) => outer.cancel(),
                    Some(false) => inner.cancel(),
                    None => {}
                }
                yield_now().await;
            })));
            let idle = relay.kept();
            let outcome = loop {
                match relay.poll(&mut entered) {
                    Poll::Ready(outcome) => break outcome,
                    Poll::Pending => yield_now().await,
                }
            };
            let cut = outcome.map_or(Some(true), |inner| inner.map_or(Some(false), |()| None));
            assert_eq!(cut, cancelled);
            assert_eq!(relay.kept(), idle, "{below}, {cancelled:?}");
        }
    });
}
