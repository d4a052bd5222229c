//! Random programs as data.
//!
//! There are no loops, so every step is executed at most once, and its number names what it starts:
//! the child, the boundary, the release, the error. A step has two numbers, `id` and `second(id)`,
//! since some start two things.

use std::sync::Arc;

/// What names a step, and what it starts.
pub type Id = u32;

/// Milliseconds of virtual time.
pub type Ticks = u8;

/// The number of the root group, and of its body.
pub const ROOT: Id = 0;

/// The other thing that a step starts: the `run` in a blocking closure, the caller's side of a
/// `start`, the release of a `bracket`, the boundary of many, the time for which a block is aside.
pub fn second(id: Id) -> Id {
    id + 1
}

/// The step that a number belongs to.
pub fn first(id: Id) -> Id {
    id & !1
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Every duration has a fraction of its own, so that no two of them end at one instant.
    pub exact: bool,
    /// How the root group is opened, and its body.
    pub root: Open,
}

/// Code: steps one after the other, and what they leave behind is dropped at the end, the last first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block(pub Arc<Vec<Step>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub id: Id,
    pub act: Act,
}

/// Targets are counted outwards from where the step is: `up: 0` is the innermost group or scope
/// around. A number that is too large begins again from the inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Sleep(Ticks),
    /// One checkpoint.
    Yield,
    /// Returns an error.
    Fail,
    Panic,
    /// Owns something whose destructor panics.
    Bomb,
    /// Waits so long, or until the code is asked to stop.
    Heed(Ticks),
    /// Takes a guard.
    Defer(Release),
    /// Drops the newest guard of this block.
    Drop,
    /// Closes the newest guard of this block.
    Close,
    Open(Open),
    Timeout(Ticks, Block),
    Enter(Enter),
    Shield(Block),
    Bracket {
        acquire: Ticks,
        block: Block,
        release: Release,
    },
    /// Polls the block for so long, as a foreign combinator does, and drops it half-way.
    Race(Ticks, Block),
    /// The same, and forgets it half-way.
    Forget(Ticks, Block),
    /// The same, and leaves it aside for some time before it polls it again, to its end.
    Pause {
        after: Ticks,
        away: Ticks,
        block: Block,
    },
    Many(Many),
    /// One of many. (It has no other place.)
    Item(Block),
    Spawn(Spawn),
    Blocking(Blocking),
    Start(Start),
    /// Awaits the newest handle that this block keeps.
    Await,
    /// Cancels the child of the newest handle that this block keeps.
    CancelChild,
    /// Awaits the newest shared handle whose child does not wait for this code; cancels it before, or not.
    AwaitShared {
        cancel: bool,
    },
    CancelGroup {
        up: u8,
        thread: bool,
    },
    CancelScope {
        up: u8,
        thread: bool,
    },
    /// Moves the deadline of a scope to so long from now.
    Deadline {
        up: u8,
        after: Ticks,
    },
    Shutdown {
        up: u8,
        grace: Ticks,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    Group,
    Scope,
    Supervise,
}

/// A boundary with children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    pub opener: Opener,
    pub limit: Option<u8>,
    pub grace: Option<Ticks>,
    pub deadline: Option<Ticks>,
    pub block: Block,
    /// Its error becomes one of the code that awaits it.
    pub propagate: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enter {
    pub timeout: Option<Ticks>,
    pub shielded: bool,
    /// Cancelled before it is entered.
    pub early: bool,
    pub block: Block,
}

/// Many futures at once, whose outputs are read one after the other: all, or until they are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Many {
    pub way: All,
    /// They are dropped after so many outputs.
    pub takes: Option<u8>,
    /// The destructor of each output panics.
    pub bomb: bool,
    /// The items.
    pub block: Block,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum All {
    /// By `map_concurrent`. The error of an item is a value, with which the reading ends.
    Mapped { limit: u8, in_order: bool },
    /// By `as_completed`.
    Completed,
    /// By `gather_settled`.
    Settled,
    /// By `race`, which gives one output.
    Raced,
    /// By `gather`, which gives all outputs or the error of its group.
    Gathered,
    /// By `race_ok`, which gives one output or the errors of all.
    RacedOk,
}

impl All {
    /// The failure or panic of an item is its outcome, and touches no other.
    pub fn is_supervised(self) -> bool {
        matches!(self, All::Completed | All::Settled)
    }

    /// The error of an item belongs to somebody. (Else it is a value, or one of a race.)
    pub fn has_failures(self) -> bool {
        self.is_supervised() || self == All::Gathered
    }

    pub fn is_race(self) -> bool {
        matches!(self, All::Raced | All::RacedOk)
    }

    /// It returns a `GroupError` if it has no output.
    pub fn has_group_error(self) -> bool {
        matches!(self, All::Gathered | All::RacedOk)
    }
}

impl Many {
    pub fn items(&self) -> impl Iterator<Item = (Id, &Block)> {
        self.block
            .steps()
            .iter()
            .filter_map(|step| match &step.act {
                Act::Item(block) => Some((step.id, block)),
                _ => None,
            })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    pub takes: Ticks,
    pub ends: Ends,
    /// It opens a group, whose child takes the time.
    pub nested: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    Well,
    Failing,
    Panicking,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spawn {
    pub up: u8,
    pub way: Way,
    pub block: Block,
    pub fate: Fate,
    /// The destructor of its output panics.
    pub bomb: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Plain,
    Named,
    Daemon,
    Try,
    WhenFree,
}

/// What becomes of a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Dropped,
    /// Until the end of the block, if it is not awaited before.
    Kept,
    Leaked,
    /// It is where all code finds it.
    Shared,
}

/// A blocking closure: it asks its token so often, and then calls `run` if it has a block for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocking {
    pub up: u8,
    pub asks: u8,
    pub run: Option<Block>,
    pub fate: Fate,
}

/// A child that says that it has started after so many steps of its block, if it has so many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    pub up: u8,
    pub sends_after: u8,
    pub block: Block,
}

/// The block inside an act, by whichever kind of reference there is to the act.
macro_rules! inside {
    ($act:ident, $as_ref:ident) => {
        match $act {
            Act::Open(Open { block, .. })
            | Act::Timeout(_, block)
            | Act::Enter(Enter { block, .. })
            | Act::Shield(block)
            | Act::Bracket { block, .. }
            | Act::Race(_, block)
            | Act::Forget(_, block)
            | Act::Pause { block, .. }
            | Act::Many(Many { block, .. })
            | Act::Item(block)
            | Act::Spawn(Spawn { block, .. })
            | Act::Start(Start { block, .. }) => Some(block),
            Act::Blocking(blocking) => blocking.run.$as_ref(),
            _ => None,
        }
    };
}

impl Act {
    /// The block inside.
    pub fn block(&self) -> Option<&Block> {
        inside!(self, as_ref)
    }

    pub fn block_mut(&mut self) -> Option<&mut Block> {
        inside!(self, as_mut)
    }
}

impl Block {
    pub fn of(acts: Vec<Act>) -> Self {
        let steps = acts.into_iter().map(|act| Step { id: 0, act });
        Block(Arc::new(steps.collect()))
    }

    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    pub fn steps_mut(&mut self) -> &mut Vec<Step> {
        Arc::make_mut(&mut self.0)
    }

    fn number(&mut self, next: &mut Id) {
        for step in self.steps_mut() {
            *next += 2;
            step.id = *next;
            if let Some(block) = step.act.block_mut() {
                block.number(next);
            }
        }
    }

    /// Is there such a step in it?
    pub fn has(&self, is: &dyn Fn(&Act) -> bool) -> bool {
        let has =
            |step: &Step| is(&step.act) || step.act.block().is_some_and(|block| block.has(is));
        self.steps().iter().any(has)
    }

    /// How far the number of the last step in it is from that of what it is the block of.
    pub fn last(&self) -> Id {
        2 * self.count() as Id
    }

    pub fn count(&self) -> usize {
        let inside = |step: &Step| 1 + step.act.block().map_or(0, Block::count);
        self.steps().iter().map(inside).sum()
    }
}

impl Program {
    /// A program whose root is a plain group; its steps get their numbers here.
    pub fn new(exact: bool, block: Block) -> Self {
        let root = Open {
            opener: Opener::Group,
            limit: None,
            grace: None,
            deadline: None,
            block,
            propagate: false,
        };
        Program { exact, root }.numbered()
    }

    /// Gives every step its number, in the order of the text.
    pub fn numbered(mut self) -> Self {
        let mut next = ROOT;
        self.root.block.number(&mut next);
        self
    }
}
