//! Handles against the ends of their children.

use std::future::pending;

use headcount::{checkpoint, group, race};

use crate::{
    engine::{block_on, explore, explore_all},
    ledger::Ledger,
};

/// Another thread drops the handle while the child stores its output: one of the two drops it.
#[test]
fn an_output_is_dropped_once_when_its_handle_goes_at_that_moment() {
    explore_all(2, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let witness = ledger.clone();
            let handle =
                g.spawn(ledger.child("child", async move { Ok::<_, u32>(witness.keep("output")) }));
            ledger.thread(move || drop(handle));
            Ok(())
        }));
        result.expect("nobody fails");
        ledger.settle();
    });
}

/// Another thread awaits the handle: it is told the end, whenever it begins to wait.
#[test]
fn who_awaits_a_handle_is_told_the_end() {
    explore_all(2, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let (handle, witness) = (
                g.spawn(ledger.child("child", async { Ok(7) })),
                ledger.clone(),
            );
            ledger.thread(move || match block_on(handle) {
                Ok(7) => {}
                other => witness.breaks(format!("{other:?}")),
            });
            Ok::<_, u32>(())
        }));
        result.expect("nobody fails");
        ledger.settle();
    });
}

/// Three handles in one group: the first is awaited by the body, the second dropped by a thread, the
/// third cancelled by another.
#[test]
fn handles_are_awaited_dropped_and_cancelled_at_once() {
    explore(|| {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let outputs = ledger.clone();
            let child = |name| {
                let outputs = outputs.clone();
                outputs.clone().child(name, async move {
                    checkpoint().await;
                    Ok::<_, u32>(outputs.keep("output"))
                })
            };
            let awaited = g.spawn(child("awaited"));
            let dropped = g.spawn(child("dropped"));
            let cancelled = g.spawn(child("cancelled"));
            ledger.thread(move || drop(dropped));
            let witness = ledger.clone();
            ledger.thread(move || {
                cancelled.cancel();
                match block_on(cancelled) {
                    Ok(_) => {}
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => witness.breaks(error.to_string()),
                }
            });
            let output = awaited.await;
            assert!(output.is_ok());
            Ok(())
        }));
        result.expect("nobody fails");
        ledger.settle();
    });
}

/// A handle that was kept past the end of its group has the output, and a sibling's says cancelled.
#[test]
fn a_handle_outlives_its_group() {
    explore(|| {
        let ledger = Ledger::new();
        let handles = ledger.root(group(async |g| {
            let witness = ledger.clone();
            let first =
                g.spawn(ledger.child("first", async move { Ok::<_, u32>(witness.keep("output")) }));
            let second = g.spawn(ledger.child("second", pending::<()>()));
            second.cancel();
            Ok((first, second))
        }));
        let (first, second) = handles.expect("nobody fails");
        ledger.thread(move || drop(first));
        let end = block_on(second);
        assert!(end.expect_err("it waits for ever").is_cancelled());
        ledger.settle();
    });
}

/// Two entrants arrive at once: one wins, and the output of the other is dropped.
#[test]
fn a_race_has_one_winner() {
    explore(|| {
        let ledger = Ledger::new();
        let entrants = ["one", "two"].map(|name| {
            let witness = ledger.clone();
            ledger.child(name, async move {
                checkpoint().await;
                witness.mark(name);
                witness.keep("output")
            })
        });
        let winner = ledger.root(race(entrants));
        assert!(winner.is_some());
        assert!(ledger.has("one") || ledger.has("two"));
        drop(winner);
        ledger.settle();
    });
}
