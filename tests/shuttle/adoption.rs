//! Boundaries whose futures are dropped half-way, or kept from ever being polled again.

use std::{
    future::{Future, pending, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex},
    task::Poll,
};

use headcount::{GroupError, Options, checkpoint, defer, group};

use crate::{
    engine::{explore, explore_all},
    ledger::Ledger,
};

type Opening = Pin<Box<dyn Future<Output = Result<(), GroupError<u32>>> + Send>>;

/// Polls an opening once, and leaves it. Its children may have been so fast that it has returned.
async fn once(ledger: &Ledger, opening: &mut Opening) {
    let polled = poll_fn(|cx| Poll::Ready(opening.as_mut().poll(cx))).await;
    if let Poll::Ready(result) = polled {
        ledger.told_by(&result);
    }
}

/// An inner group of one child that waits for ever and owes a release, and one that may fail.
fn inner(ledger: &Ledger) -> Opening {
    let ledger = ledger.clone();
    Box::pin(group(async move |g| {
        let witness = ledger.clone();
        g.spawn(ledger.child("owes", async move {
            let _guard = witness.defer("release");
            pending::<()>().await
        }));
        let witness = ledger.clone();
        g.spawn(ledger.child("fails", async move { Err::<(), u32>(witness.fails(1)) }));
        pending().await
    }))
}

/// The code around drops it while its children run: the boundary around waits for them and for
/// what they owe, and tells the failure of one.
#[test]
fn a_dropped_group_is_adopted_with_everything_it_owes() {
    explore_all(1, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |_| {
            let mut inner = inner(&ledger);
            once(&ledger, &mut inner).await;
            checkpoint().await;
            drop(inner);
            Ok::<_, u32>(())
        }));
        ledger.told_by(&result);
        ledger.settle();
    });
}

/// The body around goes on, and waits for what the dropped group owes.
#[test]
fn what_a_dropped_group_owes_is_released_before_the_end_of_the_group_around() {
    explore_all(1, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |_| {
            let witness = ledger.clone();
            let mut inner: Opening = Box::pin(group(async move |g| {
                let releases = async |witness: Ledger| witness.mark("released");
                let _guard = defer(witness.clone(), releases);
                g.spawn(witness.child("child", pending::<()>()));
                pending().await
            }));
            once(&ledger, &mut inner).await;
            drop(inner);
            ledger.until("released").await;
            Ok::<_, u32>(())
        }));
        result.expect("nobody fails");
        ledger.settle();
    });
}

/// Nobody polls it any more, and nobody drops it before all is over.
#[test]
fn a_forgotten_group_is_adopted_at_the_end() {
    explore_all(1, || {
        let ledger = Ledger::new();
        let kept = Arc::new(Mutex::new(None));
        let keeps = kept.clone();
        let result = ledger.root(group(async |_| {
            let mut inner = inner(&ledger);
            once(&ledger, &mut inner).await;
            *keeps.lock().unwrap() = Some(inner);
            Ok::<_, u32>(())
        }));
        ledger.told_by(&result);
        let kept = kept.lock().unwrap().take();
        drop(kept);
        ledger.settle();
    });
}

/// The opener is dropped by another task than the one that polled it, while its last child ends.
#[test]
fn a_last_child_and_a_drop_at_once_leave_no_orphan() {
    explore_all(2, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |_| {
            let witness = ledger.clone();
            let mut inner: Opening = Box::pin(group(async move |g| {
                g.spawn(witness.child("child", async {}));
                pending::<Result<(), u32>>().await
            }));
            once(&ledger, &mut inner).await;
            drop(inner);
            Ok::<_, u32>(())
        }));
        result.expect("nobody fails");
        ledger.settle();
    });
}

/// A chain of two is dropped while another thread cancels the boundary around it.
#[test]
fn a_dropped_chain_and_a_request_at_once_leave_nobody() {
    explore(|| {
        let ledger = Ledger::new();
        let opening = Options::new()
            .on_suppressed(ledger.hook())
            .group(async |g| {
                let (handle, witness) = (g.clone(), ledger.clone());
                ledger.thread(move || handle.cancel());
                let mut middle: Opening = Box::pin(group(async move |_| {
                    inner(&witness).await.map_err(|error| {
                        let failures = error.failures().iter();
                        failures.for_each(|failure| witness.told(*failure.error()));
                        witness.fails(2)
                    })
                }));
                once(&ledger, &mut middle).await;
                checkpoint().await;
                drop(middle);
                Ok::<(), u32>(())
            });
        let result = ledger.root(opening);
        ledger.told_by(&result);
        ledger.settle();
    });
}
