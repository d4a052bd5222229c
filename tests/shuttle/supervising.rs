//! Supervised children, and failures that nobody read.

use headcount::{Options, TaskError, checkpoint};

use crate::{
    engine::{block_on, explore, explore_all},
    ledger::Ledger,
};

/// Another thread drops the handle while the child fails: the boundary returns the failure.
#[test]
fn a_failure_whose_handle_goes_at_that_moment_is_told_once() {
    explore_all(2, || {
        let ledger = Ledger::new();
        let opening = Options::new()
            .on_suppressed(ledger.hook())
            .supervise(async |s| {
                let witness = ledger.clone();
                let handle =
                    s.spawn(ledger.child("fails", async move { Err::<(), u32>(witness.fails(1)) }));
                ledger.thread(move || drop(handle));
                Ok(())
            });
        let result = ledger.root(opening);
        ledger.told_by(&result);
        ledger.settle();
    });
}

/// One handle is read, by another thread, and one is carried out of the boundary and then dropped.
#[test]
fn a_failure_is_told_by_the_handle_or_by_the_boundary() {
    explore(|| {
        let ledger = Ledger::new();
        let opening = Options::new()
            .on_suppressed(ledger.hook())
            .supervise(async |s| {
                let child = |error| {
                    let witness = ledger.clone();
                    ledger.child("fails", async move {
                        checkpoint().await;
                        Err::<(), u32>(witness.fails(error))
                    })
                };
                let (read, kept, dropped) =
                    (s.spawn(child(1)), s.spawn(child(2)), s.spawn(child(3)));
                let witness = ledger.clone();
                ledger.thread(move || match block_on(read) {
                    Err(TaskError::Failed(error)) => witness.told(error),
                    other => witness.breaks(format!("{other:?}")),
                });
                ledger.thread(move || drop(dropped));
                Ok(kept)
            });
        let result = ledger.root(opening);
        ledger.told_by(&result);
        drop(result);
        ledger.settle();
    });
}
