//! Supervised children: whom their ends touch, and what their handles say.

use std::{
    future::{pending, poll_fn},
    panic::resume_unwind,
    task::Poll,
};

use headcount::{
    CancelKind, CancelScope, Options, SupervisedHandle, Supervisor, TaskError, group, scope,
    shield, supervise, time::sleep, timeout,
};

use crate::support::{
    Ledger, Named, Oops, PanicOnDrop, PollCount, SEEDS, catch, done, drops_later_panicking,
    message, millis, ok, poll_once, secs, sim,
};

/// The text of a panic, or a panic.
#[track_caller]
fn panicked<T>(outcome: Result<T, TaskError<Oops>>) -> String {
    match outcome {
        Err(TaskError::Panicked(payload)) => message(&*payload).to_owned(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it has a value"),
    }
}

/// Case 26, rule 15.
#[test]
fn a_supervised_failure_touches_neither_siblings_nor_body() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = supervise(async |s| {
            let bad = s.spawn(ledger.failing("bad", secs(1)));
            let good = s.spawn(ledger.sleeper("good", secs(2)));
            ledger.sleeper("body", secs(3)).await;
            assert!(matches!(bad.await, Err(TaskError::Failed(Oops("bad")))));
            good.await.unwrap();
            ok("value")
        })
        .await;
        assert_eq!(outcome.unwrap(), "value");
        ledger.expect(&[
            (1000, "bad failed"),
            (2000, "good done"),
            (3000, "body done"),
        ]);
    });
}

/// Case 26.
#[test]
fn a_failed_body_cancels_and_joins_the_supervised_children() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = supervise(async |s| {
            let children: Vec<_> = ["a", "b"]
                .map(|name| s.spawn(ledger.forever(name)))
                .into_iter()
                .collect();
            ledger.failing("body", secs(1)).await?;
            ok(children)
        })
        .await;
        assert_eq!(outcome.names(), ["body"]);
        ledger.expect_in_any_order(&[(1000, "body failed"), (1000, "a cut"), (1000, "b cut")]);
    });
}

/// Rule 15: with the payload as it was.
#[test]
fn a_supervised_panic_belongs_to_its_handle() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = supervise(async |s| {
            let bad = s.spawn(async {
                sleep(secs(1)).await;
                resume_unwind(Box::new(7_u8));
            });
            let good = s.spawn(ledger.sleeper("good", secs(2)));
            let Err(TaskError::Panicked(payload)) = bad.await else {
                panic!("it has a value");
            };
            assert_eq!(*payload.downcast::<u8>().unwrap(), 7);
            assert_eq!(ledger.now(), 1000);
            good.await.unwrap();
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(ledger.now(), 2000);
    });
}

/// Rule 15: outer cancellation cancels everybody.
#[test]
fn a_timeout_around_a_supervisor_cancels_and_joins_everybody() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let supervised = supervise(async |s| {
            let child = s.spawn(ledger.forever("child"));
            ledger.forever("body").await;
            child.await.map_err(|_| Oops("never"))
        });
        assert!(timeout(secs(1), supervised).await.is_err());
        ledger.expect_in_any_order(&[(1000, "child cut"), (1000, "body cut")]);
    });
}

/// Rules 12 and 15: a failure that nobody read is a real error, and beats the timeout.
#[test]
fn an_unread_failure_beats_an_outer_cancellation() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let supervised = supervise(async |s| {
            let _unread = s.spawn(ledger.failing("bad", secs(1)));
            ledger.forever("body").await;
            done()
        });
        let outcome = timeout(secs(2), supervised).await;
        assert_eq!(outcome.expect("not timed out").names(), ["bad"]);
        ledger.expect(&[(1000, "bad failed"), (2000, "body cut")]);
    });
}

/// Rule 13.
#[test]
fn a_supervised_child_is_cancelled_alone_by_its_handle() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = supervise(async |s| {
            let one = s.spawn_named("one", ledger.forever("one"));
            let other = s.spawn(ledger.sleeper("other", secs(2)));
            assert_ne!(one.id(), other.id());
            assert_eq!((one.name(), other.name()), (Some("one"), None));
            sleep(secs(1)).await;
            assert!(!one.is_finished());
            one.cancel();
            match one.await {
                Err(TaskError::Cancelled(reason)) => assert_eq!(reason.kind, CancelKind::Explicit),
                other => panic!("{other:?}"),
            }
            ledger.expect(&[(1000, "one cut")]);
            other.await.unwrap();
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(ledger.now(), 2000);
    });
}

/// Case 32: the first reason, which was the supervisor's.
#[test]
fn a_handle_tells_why_its_child_was_cancelled() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let mut kept = None;
        let outcome = supervise(async |s| {
            let child = s.spawn(ledger.forever("child"));
            s.cancel_with("no time");
            assert!(s.is_cancelled());
            child.cancel();
            kept = Some(child);
            pending::<()>().await;
            done()
        })
        .await;
        let error = outcome.unwrap_err();
        assert!(error.is_cancelled());
        match kept.unwrap().await {
            Err(TaskError::Cancelled(reason)) => {
                assert_eq!(reason.message.as_deref(), Some("no time"));
            }
            other => panic!("{other:?}"),
        }
    });
}

/// Rule 22: what is asked outside of a shield is not why its handle cancelled the child inside.
#[test]
fn a_request_outside_of_a_shield_is_not_the_reason_of_a_child_inside() {
    sim(SEEDS, || async {
        let outside = CancelScope::new();
        outside.cancel_with("outside");
        let entered = outside.enter(shield(supervise(async |s| {
            let child = s.spawn(pending::<()>());
            child.cancel();
            match child.await {
                Err(TaskError::Cancelled(reason)) => assert_eq!(reason.message, None),
                _ => panic!("it was cancelled"),
            }
            done()
        })));
        entered.await.unwrap().unwrap();
    });
}

/// Case 4 and rule 4.
#[test]
fn a_child_spawned_after_the_end_of_its_supervisor_is_never_polled() {
    sim(SEEDS, || async {
        let (ledger, polls) = (Ledger::open(), PollCount::default());
        let supervisor: Supervisor<Oops> = supervise(async |s| ok(s)).await.unwrap();
        let late = supervisor.spawn(polls.of(ledger.forever("late")));
        ledger.expect(&[(0, "late cut")]);
        assert!(late.is_finished());
        assert!(matches!(late.await, Err(TaskError::Cancelled(_))));
        assert_eq!(polls.get(), 0);
    });
}

/// Rule 15: panics of destructors.
#[test]
fn a_supervised_child_whose_destructor_panics_has_panicked() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = supervise(async |s| {
            let sibling = s.spawn(ledger.sleeper("sibling", secs(2)));
            let cut = s.spawn(drops_later_panicking("while it is cut"));
            let ended = {
                let guard = PanicOnDrop("after its value");
                s.spawn(poll_fn(move |_| {
                    let _owned = &guard;
                    Poll::Ready(ok(PanicOnDrop("the value too")))
                }))
            };
            sleep(secs(1)).await;
            cut.cancel();
            assert_eq!(panicked(cut.await), "while it is cut");
            assert_eq!(panicked(ended.await), "after its value");
            sibling.await.unwrap();
            done()
        })
        .await;
        let error = outcome.unwrap_err();
        assert!(error.failures().is_empty());
        let texts: Vec<_> = error.cleanup_failures().iter().collect();
        assert_eq!(texts.len(), 1, "the handle could not carry the second");
        assert_eq!(texts[0].error().to_string(), "the value too");
        assert_eq!(ledger.now(), 2000);
    });
}

/// Rules 9 and 15: a panicking body is no supervised child.
#[test]
fn the_panic_of_a_supervising_body_resumes_after_its_children_have_ended() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = catch(supervise(async |s| {
            let _child = s.spawn(ledger.forever("child"));
            sleep(secs(1)).await;
            if s.stats().living == 1 {
                panic!("body");
            }
            done()
        }))
        .await;
        assert_eq!(message(&*outcome.map(drop).unwrap_err()), "body");
        ledger.expect(&[(1000, "child cut")]);
    });
}

/// Rule 13: a handle that resolves means that everything below the child has ended.
#[test]
fn a_supervised_handle_resolves_after_what_its_child_left_below() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = supervise(async |s| {
            let child = {
                let ledger = ledger.clone();
                s.spawn(async move {
                    let mut inner = Box::pin(group(async |g| {
                        g.spawn(ledger.forever("grandchild"));
                        ledger.forever("inner body").await;
                        done()
                    }));
                    assert!(poll_once(&mut inner).await.is_pending());
                    sleep(secs(1)).await;
                    std::mem::forget(inner);
                    Err::<(), _>(Oops("child"))
                })
            };
            assert!(matches!(child.await, Err(TaskError::Failed(Oops("child")))));
            ledger.expect(&[(1000, "grandchild cut")]);
            done()
        })
        .await;
        outcome.unwrap();
    });
}

/// Rule 3.
#[test]
fn a_limit_holds_for_supervised_children() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = Options::new()
            .name("few")
            .limit(1)
            .supervise(async |s| {
                let handles: Vec<_> = ["a", "b", "c"]
                    .map(|name| s.spawn(ledger.failing(name, secs(1))))
                    .into_iter()
                    .collect();
                for handle in handles {
                    assert!(handle.await.is_err());
                }
                done()
            })
            .await;
        outcome.unwrap();
        ledger.expect(&[(1000, "a failed"), (2000, "b failed"), (3000, "c failed")]);
    });
}

#[test]
fn a_task_error_says_how_the_task_ended() {
    sim(SEEDS, || async {
        let outcome = supervise(async |s| {
            let failed = s.spawn(async { Err::<(), _>(Oops("a")) });
            let panicked = s.spawn(async { panic!("b") });
            let cancelled = s.spawn(pending::<()>());
            cancelled.cancel();
            let failed = failed.await.unwrap_err();
            assert_eq!(failed.to_string(), "the task failed: oops: a");
            assert_eq!(format!("{failed:?}"), "Failed(Oops(\"a\"))");
            assert_eq!(failed.into_error(), Some(Oops("a")));
            let panicked = match panicked.await {
                Err(error) => error,
                Ok(_) => unreachable!(),
            };
            assert_eq!(panicked.to_string(), "the task panicked: b");
            assert_eq!(format!("{panicked:?}"), "Panicked(\"b\")");
            assert_eq!(panicked.into_error(), None);
            let cancelled = cancelled.await.unwrap_err();
            assert_eq!(cancelled.to_string(), "the task was cancelled: on request");
            done()
        });
        outcome.await.unwrap();
    });
}

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn a_supervisor_is_send_inside_spawned_tasks() {
    fn is_sync<T: Send + Sync>(_: &T) {}
    sim(SEEDS, || async {
        let outcome = assert_send(supervise(async |s| {
            let handle = s.spawn(assert_send(async {
                let inner = assert_send(supervise(async |s| {
                    let child = s.spawn(async { ok(std::cell::Cell::new(1)) });
                    is_sync(&child);
                    sleep(millis(1)).await;
                    child.await.map_err(|_| Oops("inner"))
                }));
                inner.await.map_err(|_| Oops("middle"))
            }));
            let value = handle.await.map_err(|_| Oops("outer"))?;
            let in_scope = scope(async |s| {
                let nested = supervise(async |s| s.spawn(async {}).await.map_err(|_| Oops("x")));
                s.spawn(async { nested.await.map_err(|_| Oops("nested")) });
                done()
            });
            in_scope.await.map_err(|_| Oops("scope"))?;
            ok(value.get())
        }))
        .await;
        assert_eq!(outcome.unwrap(), 1);
    });
}

/// Handles need no bounds on what they give.
#[test]
fn a_handle_can_be_kept_in_a_generic_type() {
    struct Keeps<T, E>(Option<SupervisedHandle<T, E>>);
    sim(SEEDS, || async {
        let outcome = supervise(async |s| {
            let mut keeps = Keeps(Some(s.spawn(async { ok(3) })));
            ok(keeps.0.take().unwrap().await.unwrap())
        });
        assert_eq!(outcome.await.unwrap(), 3);
    });
}
