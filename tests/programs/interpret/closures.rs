//! Blocking closures, and `run` in them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::Env;
use crate::programs::{
    grammar::{Block, Blocking, Id, second},
    homes::{Handle, Home, Kept, Opened, Stack},
    ledger::{Ending, Event, Ledger, Oops, Outcome, thrower},
};

impl Env {
    pub(super) fn block(&self, id: Id, blocking: &Blocking, stack: &mut Stack) {
        let outwards = (0..self.homes.len()).map(|n| self.home(blocking.up.wrapping_add(n as u8)));
        let Some((home, group)) = outwards.into_iter().find_map(Home::parallel) else {
            return;
        };
        let (env, asks) = (self.child(id, home), blocking.asks);
        let (closure, run) = (Closure::new(&self.ledger, id), blocking.run.clone());
        let handle = group.spawn_blocking(move |token| {
            let closure = closure;
            closure.0.note(Event::Polled(id));
            for _ in 0..asks {
                token.is_cancelled();
            }
            let result = match run {
                Some(block) => env.run(block),
                None => Ok(()),
            };
            closure.0.note(Event::Ready(
                id,
                match &result {
                    Ok(()) => Ending::Value,
                    Err(Oops(id)) => Ending::Error(*id),
                },
            ));
            result.map(|()| closure.0.output(id))
        });
        self.ledger.note(Event::Spawned(id));
        let mut kept = Kept::new(id, home, Handle::Join(handle));
        if let Some(block) = &blocking.run {
            kept = kept.of(block);
        }
        self.keep(id, kept, blocking.fate, stack);
    }

    /// Calls `run` on this thread, which may be blocked.
    pub(super) fn run(self, block: Block) -> Result<(), Oops> {
        let (closure, id, env) = (self.unit, second(self.unit), self.clone());
        let called = catch_unwind(AssertUnwindSafe(|| {
            headcount::run(|g| env.in_group(id, false, Opened::Group(g)).watched(block))
        }));
        match called {
            Ok(result) => {
                let outcome = self.outcome(id, &result);
                self.ledger.note(Event::Returned(id, outcome));
                self.hand_on(closure, result, true)
            }
            Err(payload) => {
                let (by, payload) = thrower(payload);
                let panicked = Outcome::Panicked(by);
                self.ledger.note(Event::Returned(id, panicked));
                self.ledger.note(Event::Ready(closure, Ending::Panic(by)));
                resume_unwind(payload)
            }
        }
    }
}

/// A blocking closure's life, as `Watched` for code.
struct Closure(Ledger, Id);

impl Closure {
    fn new(ledger: &Ledger, id: Id) -> Self {
        ledger.note(Event::Made(id));
        Closure(ledger.clone(), id)
    }
}

impl Drop for Closure {
    fn drop(&mut self) {
        self.0.note(Event::Dropping(self.1));
        self.0.note(Event::Dropped(self.1));
    }
}
