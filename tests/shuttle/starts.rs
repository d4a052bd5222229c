//! `start` against the ends of its source and its target.

use std::{
    future::{Future, pending, poll_fn},
    task::Poll,
};

use headcount::{CancelScope, Started, checkpoint, group};

use crate::{engine::explore_all, ledger::Ledger};

/// Who is cancelled by another thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cancelled {
    Source,
    Target,
}

fn program(cancelled: Cancelled) {
    let ledger = Ledger::new();
    let result = ledger.root(group(async |target| {
        let source = CancelScope::new();
        let (to_cancel, handle, canceller) = (source.clone(), target.clone(), ledger.clone());
        ledger.thread(move || {
            match cancelled {
                Cancelled::Source => to_cancel.cancel(),
                Cancelled::Target => handle.cancel(),
            }
            canceller.mark("cancelled");
        });
        let witness = ledger.clone();
        let child = |started: Started<_>| {
            let inside = witness.clone();
            witness.child("child", async move {
                checkpoint().await;
                let late = inside.has("cancelled");
                started.send(inside.keep("value"));
                checkpoint().await;
                if late {
                    inside.breaks("a child of a cancelled caller went on".to_owned());
                }
                inside.mark("the child went on");
                Ok::<_, u32>(())
            })
        };
        let outcome = source.enter(target.start(child)).await;
        match outcome {
            Ok(Ok(_value)) => ledger.mark("started"),
            Ok(Err(error)) => assert!(error.is_cancelled()),
            Err(_) => assert!(cancelled == Cancelled::Source, "the source was cancelled"),
        }
        Ok::<_, u32>(())
    }));
    match (cancelled, result) {
        (Cancelled::Target, Err(error)) => assert!(error.is_cancelled()),
        (_, result) => result.expect("nobody fails"),
    }
    if cancelled == Cancelled::Source {
        // One that has started is the target's; a value that arrived too late does not start it.
        let (started, went_on) = (ledger.has("started"), ledger.has("the child went on"));
        assert!(
            went_on || !started,
            "cancelled with its source though it had started"
        );
    }
    ledger.settle();
}

#[test]
fn a_child_belongs_to_its_source_until_it_has_started() {
    explore_all(1, || program(Cancelled::Source));
}

#[test]
fn a_starting_child_goes_with_its_target() {
    explore_all(1, || program(Cancelled::Target));
}

/// The future of `start` is dropped half-way while the child starts.
#[test]
fn a_dropped_start_leaves_nobody() {
    explore_all(1, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |target| {
            let witness = ledger.clone();
            let child = |started: Started<_>| {
                let inside = witness.clone();
                witness.child("child", async move {
                    let _guard = inside.defer("guard");
                    checkpoint().await;
                    started.send(inside.keep("value"));
                    Ok::<_, u32>(())
                })
            };
            let mut start = Box::pin(target.start(child));
            let mut left = 2;
            let polled = poll_fn(|cx| {
                left -= 1;
                match start.as_mut().poll(cx) {
                    Poll::Pending if left > 0 => Poll::Pending,
                    other => Poll::Ready(other.is_ready()),
                }
            });
            let witness = ledger.clone();
            target.spawn(ledger.child("sibling", async move {
                checkpoint().await;
                witness.mark("sibling");
            }));
            polled.await;
            drop(start);
            Ok::<_, u32>(())
        }));
        result.expect("nobody fails");
        ledger.settle();
    });
}

/// A child fails before it has started, while its caller is cancelled: the error is told once.
#[test]
fn an_early_failure_is_told_once() {
    explore_all(1, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |source| {
            let (handle, witness) = (source.clone(), ledger.clone());
            ledger.thread(move || handle.cancel());
            let child = |_started: Started<()>| {
                let inside = witness.clone();
                witness.child("child", async move {
                    checkpoint().await;
                    Err::<(), u32>(inside.fails(1))
                })
            };
            if let Err(error) = source.start(child).await {
                if let Some(error) = error.into_error() {
                    ledger.told(error);
                }
            }
            pending::<Result<(), u32>>().await
        }));
        ledger.told_by(&result);
        ledger.settle();
    });
}
