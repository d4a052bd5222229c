//! Makes programs out of choices, wherever those come from.

use super::grammar::{
    Act, All, Block, Blocking, Ends, Enter, Fate, Many, Open, Opener, Program, Release, Spawn,
    Start, Ticks, Way,
};

/// A source of choices.
pub trait Choose {
    /// A number below `n`, which is not 0. One that has run dry says 0.
    fn below(&mut self, n: u32) -> u32;
}

/// What a program may consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Palette {
    /// Only that of which the reference knows every time.
    Known,
    /// And what makes the time of the end a matter of the schedule.
    All,
}

/// A program with numbered steps.
#[cfg(not(shuttle))]
pub fn program(source: &mut impl Choose) -> Program {
    made(source, 24, 5)
}

/// One with at most so many steps, and not deep.
#[cfg(shuttle)]
pub fn small(source: &mut impl Choose, steps: u32) -> Program {
    made(source, steps, 3)
}

fn made(source: &mut impl Choose, steps: u32, depth: u32) -> Program {
    let palette = match source.below(2) {
        0 => Palette::Known,
        _ => Palette::All,
    };
    let exact = palette == Palette::Known || source.below(4) == 0;
    let budget = 1 + source.below(steps);
    let mut maker = Maker {
        source,
        palette,
        budget,
    };
    let block = maker.block(depth);
    let mut program = Program::new(exact, block);
    if maker.one_in(6) {
        program.root.deadline = Some(maker.ticks());
    }
    program
}

struct Maker<'a, C> {
    source: &'a mut C,
    palette: Palette,
    budget: u32,
}

impl<C: Choose> Maker<'_, C> {
    fn below(&mut self, n: u32) -> u32 {
        self.source.below(n)
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == n - 1
    }

    fn up(&mut self) -> u8 {
        [0, 0, 0, 0, 1, 1, 2, 3][self.below(8) as usize]
    }

    fn ticks(&mut self) -> Ticks {
        [1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 10, 15][self.below(12) as usize]
    }

    fn maybe_ticks(&mut self, n: u32) -> Option<Ticks> {
        self.one_in(n).then(|| self.ticks())
    }

    fn block(&mut self, depth: u32) -> Block {
        let mut acts = Vec::new();
        let wanted = 1 + self.below(5);
        for _ in 0..wanted {
            if self.budget == 0 {
                break;
            }
            self.budget -= 1;
            let act = match self.palette {
                Palette::Known => self.known(depth),
                Palette::All => self.any(depth),
            };
            // What happens at one instant depends on the schedule; a sleep between makes it known.
            let sleeps = self.palette == Palette::Known && !self.one_in(5);
            if sleeps && !matches!(act, Act::Sleep(_)) {
                acts.push(Act::Sleep(self.ticks()));
            }
            acts.push(act);
        }
        Block::of(acts)
    }

    /// Anything.
    fn any(&mut self, depth: u32) -> Act {
        match self.below(30) {
            0 if depth > 0 => Act::Race(self.ticks(), self.block(depth - 1)),
            1 if depth > 0 => Act::Forget(self.ticks(), self.block(depth - 1)),
            2 if depth > 0 => Act::Start(Start {
                up: self.up(),
                sends_after: self.below(5) as u8,
                block: self.block(depth - 1),
            }),
            3 => Act::Blocking(Blocking {
                up: self.up(),
                asks: self.below(3) as u8,
                run: (depth > 0 && self.one_in(3)).then(|| self.block(depth - 1)),
                fate: self.fate(),
            }),
            4 => Act::Bomb,
            5 => Act::Heed(self.ticks()),
            16 if depth > 0 => Act::Many(self.many(depth - 1)),
            17..=20 => Act::AwaitShared {
                cancel: self.one_in(4),
            },
            21 if depth > 0 => Act::Pause {
                after: self.ticks(),
                away: self.ticks(),
                block: self.block(depth - 1),
            },
            _ => self.known(depth),
        }
    }

    /// Something of which the reference knows the time.
    fn known(&mut self, depth: u32) -> Act {
        if depth == 0 {
            return self.leaf();
        }
        match self.below(30) {
            0..=2 => Act::Open(self.open(depth - 1)),
            3 => Act::Timeout(self.ticks(), self.block(depth - 1)),
            4 => Act::Enter(Enter {
                timeout: self.maybe_ticks(2),
                shielded: self.one_in(4),
                early: self.one_in(8),
                block: self.block(depth - 1),
            }),
            5 => Act::Shield(self.block(depth - 1)),
            6 => Act::Bracket {
                acquire: self.ticks(),
                block: self.block(depth - 1),
                release: self.release(),
            },
            7..=15 => Act::Spawn(self.spawn(depth - 1)),
            _ => self.leaf(),
        }
    }

    fn leaf(&mut self) -> Act {
        match self.below(24) {
            0..=6 => Act::Sleep(self.ticks()),
            7..=8 => Act::Yield,
            9..=10 => Act::Fail,
            11 => Act::Panic,
            12..=14 => Act::Defer(self.release()),
            15 => Act::Drop,
            16 => Act::Close,
            17..=18 => Act::Await,
            19 => Act::CancelChild,
            20 => Act::CancelGroup {
                up: self.up(),
                thread: self.one_in(20),
            },
            21 => Act::CancelScope {
                up: self.up(),
                thread: self.one_in(20),
            },
            22 => Act::Deadline {
                up: self.up(),
                after: self.ticks(),
            },
            _ => Act::Shutdown {
                up: self.up(),
                grace: self.ticks(),
            },
        }
    }

    fn many(&mut self, depth: u32) -> Many {
        let mut items = Vec::new();
        for _ in 0..=self.below(6) {
            if self.budget == 0 {
                break;
            }
            self.budget -= 1;
            // One that is ready at once may share a task.
            let block = match self.below(3) {
                0 => Block::default(),
                _ => self.block(depth),
            };
            items.push(Act::Item(block));
        }
        let way = match self.below(11) {
            0..=3 => All::Mapped {
                limit: 1 + self.below(4) as u8,
                in_order: self.one_in(3),
            },
            4..=5 => All::Completed,
            6 => All::Settled,
            7 => All::Raced,
            8..=9 => All::Gathered,
            _ => All::RacedOk,
        };
        // Of what was given at once, a panic would lose the rest.
        let at_once = way == All::Settled;
        Many {
            way,
            takes: (!at_once && self.one_in(4)).then(|| self.below(4) as u8),
            bomb: !at_once && self.one_in(10),
            block: Block::of(items),
        }
    }

    fn open(&mut self, depth: u32) -> Open {
        let all = self.palette == Palette::All;
        Open {
            opener: [
                Opener::Group,
                Opener::Group,
                Opener::Scope,
                Opener::Supervise,
            ][self.below(4) as usize],
            limit: (all && self.one_in(4)).then(|| 1 + self.below(3) as u8),
            grace: if all { self.maybe_ticks(5) } else { None },
            deadline: self.maybe_ticks(6),
            propagate: self.one_in(2),
            block: self.block(depth),
        }
    }

    fn spawn(&mut self, depth: u32) -> Spawn {
        let way = match self.below(10) {
            0..=5 => Way::Plain,
            6 => Way::Named,
            7..=8 => Way::Daemon,
            _ if self.palette == Palette::Known => Way::Try,
            _ => [Way::Try, Way::WhenFree][self.below(2) as usize],
        };
        Spawn {
            up: self.up(),
            way,
            fate: self.fate(),
            bomb: self.palette == Palette::All && self.one_in(20),
            block: self.block(depth),
        }
    }

    fn fate(&mut self) -> Fate {
        let shared = match self.palette {
            Palette::Known => 0,
            Palette::All => 8,
        };
        match self.below(20 + shared) {
            0..=8 => Fate::Dropped,
            9..=18 => Fate::Kept,
            19 => Fate::Leaked,
            _ => Fate::Shared,
        }
    }

    fn release(&mut self) -> Release {
        Release {
            takes: self.ticks(),
            ends: match self.below(8) {
                0..=5 => Ends::Well,
                6 => Ends::Failing,
                _ => Ends::Panicking,
            },
            nested: self.one_in(6),
        }
    }
}
