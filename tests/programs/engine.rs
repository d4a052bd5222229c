//! Runs a program, and asks the oracle.

use std::panic::{AssertUnwindSafe, catch_unwind};

use headcount::testing::Sim;

use super::{
    grammar::{Act, Block, Fate, Program, Way},
    interpret::{Pace, execute},
    ledger::{Entry, Ledger},
    oracle::complaints,
};

/// Under the simulator, with the schedule of that seed: what is wrong.
pub fn simulate(program: &Program, seed: u64) -> Result<(), String> {
    let wrong = |what: String| Err(format!("seed {seed}: {what}"));
    match catch_unwind(AssertUnwindSafe(|| simulated(program, seed))) {
        Ok(entries) => match complaints(program, &entries, Pace::Virtual) {
            None => Ok(()),
            Some(what) => wrong(what),
        },
        // A deadlock, or a panic that nobody threw.
        Err(payload) => {
            let text = payload.downcast_ref::<String>().cloned();
            let text = text.or_else(|| payload.downcast_ref::<&str>().map(|s| s.to_string()));
            let text = text.unwrap_or_default();
            let block = &program.root.block;
            let in_line = text.contains(" in line") && forgets_a_spawner(block);
            let lost = text.contains(": deadlock at ") && awaits_a_lost_child(block);
            match in_line || lost {
                true => Ok(()),
                false => wrong(text),
            }
        }
    }
}

/// A place that was granted to a forgotten spawner is free when the code that forgot it has ended: it may
/// wait for ever if it waits for a place itself, or for who stands in line, as `spawn_when_free` says.
fn forgets_a_spawner(block: &Block) -> bool {
    block.has(&|act| match act {
        Act::Forget(_, inside) => {
            inside.has(&|act| matches!(act, Act::Spawn(spawn) if spawn.way == Way::WhenFree))
        }
        _ => false,
    })
}

/// The handle of an inline child whose scope is forgotten says so when the code that forgot it has ended: who
/// has to end before waits for ever, as `scope` says.
fn awaits_a_lost_child(block: &Block) -> bool {
    let shares = |act: &Act| matches!(act, Act::Spawn(spawn) if spawn.fate == Fate::Shared);
    let forgets = |act: &Act| matches!(act, Act::Forget(_, inside) if inside.has(&shares));
    block.has(&forgets) && block.has(&|act| matches!(act, Act::AwaitShared { .. }))
}

/// What happens in that schedule.
pub fn simulated(program: &Program, seed: u64) -> Vec<Entry> {
    /// Of one instant; programs have no loops.
    const STEPS: u64 = 1_000_000;
    let program = program.clone();
    let ledger = Sim::new(seed).max_steps(STEPS).run(async move {
        let ledger = Ledger::open();
        execute(program, Pace::Virtual, ledger.clone()).await;
        ledger
    });
    ledger.entries()
}

/// On async-std: the ledger, to be looked at again later.
pub fn on_threads(program: &Program) -> Ledger {
    let ledger = Ledger::open();
    let program = program.clone();
    async_std::task::block_on(execute(program, Pace::Hurried, ledger.clone()));
    ledger
}
