//! Blocking closures against requests to cancel.

use headcount::{checkpoint, group};

use crate::{
    engine::{block_on, explore},
    ledger::Ledger,
};

/// A closure that looks at its token, and one that does not: both have returned in the end, or never
/// began.
#[test]
fn a_group_waits_for_its_closures() {
    explore(|| {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let (handle, asks, works) = (g.clone(), ledger.clone(), ledger.clone());
            g.spawn_blocking(move |token| {
                asks.run("asks", || while !token.is_cancelled() {});
            });
            let captured = ledger.keep("captured");
            let output = g.spawn_blocking(move |_| {
                let _captured = captured;
                works.run("works", || Ok::<_, u32>(works.keep("output")))
            });
            ledger.thread(move || handle.cancel());
            ledger.thread(move || drop(output));
            checkpoint().await;
            Ok::<_, u32>(())
        }));
        if let Err(error) = result {
            assert!(error.is_cancelled());
        }
        ledger.settle();
    });
}

/// The handle cancels the closure while a thread comes for it.
#[test]
fn a_closure_runs_or_is_dropped_unrun() {
    explore(|| {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let (captured, witness) = (ledger.keep("captured"), ledger.clone());
            let handle = g.spawn_blocking(move |_| {
                let _captured = captured;
                witness.run("runs", || witness.mark("ran"));
            });
            let witness = ledger.clone();
            ledger.thread(move || {
                handle.cancel();
                let outcome = block_on(handle);
                if outcome.is_ok() && !witness.has("ran") {
                    witness.breaks("a value of a closure that did not run".to_owned());
                }
            });
            Ok::<_, u32>(())
        }));
        result.expect("nobody fails");
        ledger.settle();
    });
}
