//! What a comparison is, and how it is measured.

use std::{iter, time::Instant};

/// Two ways to the same result.
pub struct Contest {
    pub name: &'static str,
    /// What the ratio is meant to be at most.
    pub at_most: Option<f64>,
    pub size: Size,
    pub ours: Side,
    pub theirs: Side,
}

/// What is called with how many children or futures to make.
#[derive(Clone, Copy)]
pub enum Side {
    /// How many milliseconds it takes is the result.
    Timed(fn(u64)),
    /// It gives the result, in this unit.
    Gives(&'static str, fn(u64) -> f64),
}

impl Side {
    fn measure(self, count: u64) -> f64 {
        match self {
            Side::Timed(work) => millis(|| work(count)),
            Side::Gives(_, result) => result(count),
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            Side::Timed(_) => "ms",
            Side::Gives(unit, _) => unit,
        }
    }
}

/// How many children or futures, measured by the count of the [`Effort`].
#[derive(Clone, Copy)]
pub enum Size {
    Full,
    Tenfold,
    Tenth,
}

/// How much to measure.
pub struct Effort {
    pub count: u64,
    pub warm_ups: usize,
    pub rounds: usize,
}

/// What the rounds of one contest gave, each list in rising order.
pub struct Measured {
    ratios: Vec<f64>,
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

impl Measured {
    /// Of lines with what both sides of a round gave.
    pub fn read(rounds: &str) -> Measured {
        let (mut ratios, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        for round in rounds.lines() {
            let sides: Vec<f64> = round.split(' ').flat_map(str::parse).collect();
            let [our, their] = sides[..] else {
                panic!("no round: {round}");
            };
            ratios.push(our / their);
            ours.push(our);
            theirs.push(their);
        }
        for list in [&mut ratios, &mut ours, &mut theirs] {
            list.sort_by(f64::total_cmp);
        }
        Measured {
            ratios,
            ours,
            theirs,
        }
    }

    pub fn ratio(&self) -> f64 {
        median(&self.ratios)
    }

    /// The lowest and the highest ratio.
    pub fn range(&self) -> (f64, f64) {
        (self.ratios[0], self.ratios[self.ratios.len() - 1])
    }

    pub fn ours(&self) -> f64 {
        median(&self.ours)
    }

    pub fn theirs(&self) -> f64 {
        median(&self.theirs)
    }
}

/// The middle of a sorted list of odd length.
fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// Ours, theirs, ours, theirs, and so on.
pub fn measure(contest: &Contest, effort: &Effort) -> impl Iterator<Item = (f64, f64)> {
    let count = match contest.size {
        Size::Full => effort.count,
        Size::Tenfold => effort.count * 10,
        Size::Tenth => effort.count / 10,
    };
    let round = move || (contest.ours.measure(count), contest.theirs.measure(count));
    let rounds = iter::repeat_with(round).take(effort.warm_ups + effort.rounds);
    rounds.skip(effort.warm_ups)
}

/// How many milliseconds `work` takes.
pub fn millis(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    since(start)
}

pub fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
