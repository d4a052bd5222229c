//! The list of who waits where.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Weak;
use std::time::Duration;

use super::schedule::{ALL_STEPS, Stuck};
use super::state::{Core, Entity, MAIN, Parked, State, Work};
use crate::{plain::Plain, tree::TaskTree};

/// So many different lines at most; a simulation of a hundred thousand tasks must stay readable.
const LINES: usize = 100;

pub(super) fn stuck(core: &Core, state: &State, stuck: Stuck, tree: &TaskTree) -> String {
    let seed = core.seed;
    let now = state.clock.now();
    let mut text = match stuck {
        Stuck::Deadlock => format!(
            "headcount::testing::Sim: deadlock at {now:?} of virtual time, seed {seed}: nothing \
             can run and no timer is set. Who waits:\n"
        ),
        Stuck::Livelock => format!(
            "headcount::testing::Sim: no end after {} steps at {now:?} of virtual time, seed \
             {seed}: something runs again and again and time does not move (`Sim::max_steps` sets \
             the bound). Who is left:\n",
            core.max_steps
        ),
        Stuck::Endless => format!(
            "headcount::testing::Sim: no end after {} steps in all, at {now:?} of virtual time, \
             seed {seed}: time moves, but something runs for ever (`Sim::max_steps` sets a tenth \
             of the bound). Who is left:\n",
            core.max_steps.saturating_mul(ALL_STEPS)
        ),
    };
    list(&mut text, state.entities.iter());
    for sequence in state.sequences.iter().filter_map(Weak::upgrade) {
        if let Some(report) = sequence.report() {
            text.push_str(&report);
            text.push('\n');
        }
    }
    if !tree.is_empty() {
        let _ = writeln!(text, "The tree of boundaries and tasks:\n{tree}");
    }
    if stuck == Stuck::Deadlock {
        text.push_str("A task that waits for real I/O or for another thread shows up here too.\n");
    }
    let _ = write!(text, "Replay with Sim::new({seed}).");
    text
}

/// Who is left when a future has ended, if anybody is.
pub(super) fn orphans<'a>(
    seed: u64,
    now: Duration,
    left: impl Iterator<Item = (&'a u64, &'a Entity)>,
) -> Option<String> {
    let mut lines = String::new();
    let count = list(&mut lines, left);
    (count > 0).then(|| {
        format!(
            "the future has ended, at {now:?} of virtual time, seed {seed}, and {count} that were \
             started inside it have not. Who is left:\n{lines}"
        )
    })
}

/// Writes a line for each, and tells how many there are.
fn list<'a>(text: &mut String, entities: impl Iterator<Item = (&'a u64, &'a Entity)>) -> usize {
    let mut all = 0;
    // Equal lines are counted, in the order in which they first appear.
    let mut lines: Vec<(String, usize)> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    for (&id, entity) in entities {
        all += 1;
        let line = line(id, entity);
        match index.get(&line) {
            Some(&at) => lines[at].1 += 1,
            None => {
                index.insert(line.clone(), lines.len());
                lines.push((line, 1));
            }
        }
    }
    for (line, count) in lines.iter().take(LINES) {
        text.push_str("  ");
        if *count > 1 {
            let _ = write!(text, "{count} × ");
        }
        text.push_str(line);
        text.push('\n');
    }
    if lines.len() > LINES {
        let rest: usize = lines[LINES..].iter().map(|(_, count)| count).sum();
        let _ = writeln!(text, "  … and {rest} more");
    }
    all
}

fn line(id: u64, entity: &Entity) -> String {
    let name = match &entity.name {
        Some(name) => format!("`{}`", Plain(name)),
        None if id == MAIN => "the main future".to_owned(),
        None => "task".to_owned(),
    };
    let state = match &entity.work {
        Work::Task(_) if entity.queued => "can run",
        Work::Task(_) => "waits",
        Work::Job(_) => "is a blocking closure that has not begun",
        Work::Closure(closure) => match closure.parked {
            Parked::BlockOn => "is a blocking closure, waiting in a nested `run`",
            Parked::Checkpoint | Parked::No | Parked::Ended => {
                "is a blocking closure, asking its token"
            }
        },
    };
    let verb = if id == MAIN { "started" } else { "spawned" };
    format!("{name}, {verb} at {}, {state}", entity.location)
}
