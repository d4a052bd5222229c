//! Programs for proptest, which makes those that fail smaller step by step.

use proptest::{
    prelude::RngCore,
    strategy::{NewTree, Strategy, ValueTree},
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};

use crate::programs::{
    generate::{self, Choose},
    grammar::Program,
    shrink::simpler,
};

/// A program and the seed of its schedule.
#[derive(Clone, Debug)]
pub struct Case {
    pub program: Program,
    pub seed: u64,
}

#[derive(Debug)]
pub struct Cases;

struct Random<'a>(&'a mut TestRng);

impl Choose for Random<'_> {
    fn below(&mut self, n: u32) -> u32 {
        self.0.next_u32() % n
    }
}

impl Strategy for Cases {
    type Tree = Shrinking;
    type Value = Case;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let rng = runner.rng();
        let program = generate::program(&mut Random(rng));
        let seed = rng.next_u32().into();
        let case = Case { program, seed };
        Ok(Shrinking {
            candidates: None,
            failing: case.clone(),
            current: case,
        })
    }
}

/// The program that this seed gives.
pub fn program_of(seed: u64) -> Program {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    generate::program(&mut Random(&mut rng))
}

/// Tries every simpler program in turn, and begins anew with the first that fails too.
pub struct Shrinking {
    failing: Case,
    current: Case,
    /// What is still to be tried.
    candidates: Option<std::vec::IntoIter<Program>>,
}

impl Shrinking {
    fn try_next(&mut self) -> bool {
        let candidates = self
            .candidates
            .get_or_insert_with(|| simpler(&self.failing.program).into_iter());
        let next = candidates.next();
        let found = next.is_some();
        self.current.program = next.unwrap_or_else(|| self.failing.program.clone());
        found
    }
}

impl ValueTree for Shrinking {
    type Value = Case;

    fn current(&self) -> Case {
        self.current.clone()
    }

    /// The current one fails.
    fn simplify(&mut self) -> bool {
        if self.failing.program != self.current.program {
            self.failing = self.current.clone();
            self.candidates = None;
        }
        self.try_next()
    }

    /// The current one passes.
    fn complicate(&mut self) -> bool {
        self.try_next()
    }
}
