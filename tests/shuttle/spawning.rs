//! Spawning against the end of the group.

use headcount::{checkpoint, group, scope};

use crate::{
    engine::{block_on, explore, explore_all},
    ledger::Ledger,
};

/// Another thread spawns while the group comes to its end: the child is let in and waited for, or
/// it is dropped unpolled and its handle says so.
#[test]
fn a_child_from_another_thread_slips_through_no_close() {
    explore_all(2, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let (handle, witness) = (g.clone(), ledger.clone());
            let child = ledger.child("child", {
                let witness = ledger.clone();
                async move { witness.mark("ran") }
            });
            ledger.thread(move || {
                let outcome = block_on(handle.spawn(child));
                if outcome.is_ok() != witness.has("ran") {
                    witness.breaks(format!("ran, and yet {outcome:?}, or the other way round"));
                }
            });
            Ok::<_, u32>(())
        }));
        result.expect("nobody fails");
        ledger.settle();
    });
}

/// The last child spawns a sibling as it ends, and the body is gone.
#[test]
fn a_group_is_open_as_long_as_a_child_can_spawn() {
    explore_all(2, || {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let (siblings, witness) = (g.clone(), ledger.clone());
            g.spawn(ledger.child("first", async move {
                let second = witness.clone();
                siblings.spawn(witness.child("second", async move {
                    checkpoint().await;
                    second.mark("second ran");
                }));
            }));
            Ok::<_, u32>(())
        }));
        result.expect("nobody fails");
        assert!(ledger.has("second ran"));
        ledger.settle();
    });
}

/// The children of a scope are polled by its opener, which may be about to stop looking when another
/// thread brings one. Nothing but that child wakes the opener.
#[test]
fn a_scope_finds_the_child_that_another_thread_brings() {
    explore_all(2, || {
        let ledger = Ledger::new();
        let result = ledger.root(scope(async |s| {
            let (handle, witness) = (s.clone(), ledger.clone());
            ledger.thread(move || {
                let child = |name| witness.child(name, std::future::ready(Ok::<_, u32>(7)));
                drop(handle.spawn(child("first")));
                let outcome = block_on(handle.spawn(child("second")));
                if outcome.is_err() {
                    witness.breaks(format!("{outcome:?}"));
                }
                witness.mark("the thread is done");
            });
            ledger.until("the thread is done").await;
            Ok(())
        }));
        result.expect("nobody fails");
        ledger.settle();
    });
}

/// A daemon that is spawned while the daemons are told to go is told, too.
#[test]
fn daemons_go_when_the_others_have_gone() {
    explore(|| {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            g.spawn_daemon(ledger.child("daemon", std::future::pending::<()>()));
            let (siblings, witness) = (g.clone(), ledger.clone());
            g.spawn(ledger.child("child", async move {
                checkpoint().await;
                let late = witness.child("late daemon", std::future::pending::<()>());
                siblings.spawn_daemon(late);
            }));
            Ok::<_, u32>(())
        }));
        result.expect("nobody fails");
        ledger.settle();
    });
}
