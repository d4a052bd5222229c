//! Simpler programs than a given one.

use super::grammar::{Act, All, Block, Ends, Fate, Open, Opener, Program, Step, Way};

/// Everything that is one change simpler, the largest changes first.
pub fn simpler(program: &Program) -> Vec<Program> {
    let mut found = Vec::new();
    let mut found_root = |root: Open| {
        let exact = program.exact;
        found.push(Program { exact, root }.numbered());
    };
    blocks(&program.root.block, &mut |block| {
        found_root(Open {
            block,
            ..program.root.clone()
        });
    });
    if program.root.deadline.is_some() {
        found_root(Open {
            deadline: None,
            ..program.root.clone()
        });
    }
    found
}

/// The simpler blocks: a step less, a step replaced by what is inside it, a step simpler.
fn blocks(block: &Block, found: &mut dyn FnMut(Block)) {
    let steps = block.steps();
    let replaced = |n: usize, by: Vec<Step>| {
        let mut block = block.clone();
        block.steps_mut().splice(n..=n, by);
        block
    };
    for n in 0..steps.len() {
        found(replaced(n, Vec::new()));
    }
    for (n, step) in steps.iter().enumerate() {
        if let Act::Many(many) = &step.act {
            let items = many.items().flat_map(|(_, block)| block.steps());
            found(replaced(n, items.cloned().collect()));
        } else if let Some(inside) = step.act.block() {
            found(replaced(n, inside.steps().to_vec()));
        }
    }
    for (n, step) in steps.iter().enumerate() {
        let changed = |act| replaced(n, vec![Step { id: step.id, act }]);
        if let Some(inside) = step.act.block() {
            blocks(inside, &mut |simpler| {
                let mut act = step.act.clone();
                if let Some(block) = act.block_mut() {
                    *block = simpler;
                    found(changed(act));
                }
            });
        }
        acts(&step.act, &mut |act| found(changed(act)));
    }
}

/// The same act with simpler settings.
fn acts(act: &Act, found: &mut dyn FnMut(Act)) {
    let mut try_change = |change: &dyn Fn(&mut Act)| {
        let mut changed = act.clone();
        change(&mut changed);
        if changed != *act {
            found(changed);
        }
    };
    try_change(&|act| {
        if let Act::Open(open) = act {
            open.limit = None;
        }
    });
    try_change(&|act| {
        if let Act::Open(open) = act {
            open.grace = None;
        }
    });
    try_change(&|act| {
        if let Act::Open(open) = act {
            open.deadline = None;
        }
    });
    try_change(&|act| match act {
        Act::Open(open) => open.opener = Opener::Group,
        Act::Spawn(spawn) => spawn.way = Way::Plain,
        Act::Enter(enter) => enter.early = false,
        Act::Many(many) => {
            if let All::Mapped { in_order, .. } = &mut many.way {
                *in_order = false;
            }
        }
        Act::Blocking(blocking) => blocking.run = None,
        Act::AwaitShared { cancel } => *cancel = false,
        Act::CancelGroup { thread, .. } | Act::CancelScope { thread, .. } => *thread = false,
        Act::Defer(release) | Act::Bracket { release, .. } => release.nested = false,
        _ => {}
    });
    try_change(&|act| match act {
        Act::Open(open) => open.propagate = false,
        Act::Spawn(spawn) => spawn.fate = Fate::Dropped,
        Act::Enter(enter) => enter.shielded = false,
        Act::Many(many) => many.takes = None,
        Act::Pause { away, .. } => *away = 1,
        Act::Blocking(blocking) => blocking.asks = 0,
        Act::Defer(release) | Act::Bracket { release, .. } => release.ends = Ends::Well,
        _ => {}
    });
    try_change(&|act| match act {
        Act::Spawn(spawn) => spawn.up = 0,
        Act::Start(start) => start.up = 0,
        Act::Blocking(blocking) => blocking.up = 0,
        Act::Enter(enter) => enter.timeout = None,
        Act::Many(many) => {
            if let All::Mapped { limit, .. } = &mut many.way {
                *limit = 1;
            }
        }
        Act::CancelGroup { up, .. }
        | Act::CancelScope { up, .. }
        | Act::Deadline { up, .. }
        | Act::Shutdown { up, .. } => *up = 0,
        Act::Defer(release) => release.takes = 1,
        Act::Bracket { acquire, .. } => *acquire = 1,
        _ => {}
    });
    try_change(&|act| match act {
        Act::Sleep(ticks) | Act::Heed(ticks) => *ticks = 1,
        Act::Timeout(ticks, _) | Act::Race(ticks, _) | Act::Forget(ticks, _) => *ticks = 1,
        Act::Pause { after, .. } => *after = 1,
        Act::Start(start) => start.sends_after = 0,
        Act::Spawn(spawn) => spawn.bomb = false,
        Act::Many(many) => many.bomb = false,
        _ => {}
    });
}
