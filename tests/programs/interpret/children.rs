//! Children and their handles.

use super::Env;
use crate::programs::{
    grammar::{Block, Fate, Id, Spawn, Start, second},
    homes::{Kept, Missing, Stack, Token},
    ledger::{Event, Joined, Oops, Origin, Outcome, Place, Tracked, Watched, returned, thrower},
};

impl Env {
    /// The code of a child whose output is dangerous to drop.
    pub(super) fn bomb(self, block: Block) -> Watched<Tracked> {
        let (ledger, unit) = (self.ledger.clone(), self.unit);
        let code = self.code(block, None);
        let armed = ledger.clone();
        let code = async move {
            drop(code.await?);
            Ok(armed.bomb(unit))
        };
        Watched::new(&ledger, unit, Box::pin(code))
    }

    pub(super) async fn spawn(&self, id: Id, spawn: &Spawn, stack: &mut Stack) {
        let home = self.home(spawn.up).clone();
        let (env, block) = (self.child(id, &home), spawn.block.clone());
        let child = match spawn.bomb {
            false => env.watched(block),
            true => env.bomb(block),
        };
        let may_wait = !(home.limited && self.holds);
        let kept = home.spawn(id, spawn.way, child, may_wait).await;
        self.ledger.note(Event::Spawned(id));
        if let Some(kept) = kept {
            self.keep(id, kept.of(&spawn.block), spawn.fate, stack);
        }
    }

    pub(super) fn keep(&self, id: Id, kept: Kept, fate: Fate, stack: &mut Stack) {
        match fate {
            Fate::Dropped => drop(kept),
            Fate::Kept => stack.handle(kept),
            Fate::Leaked => {
                self.ledger.note(Event::Leaked(id));
                std::mem::forget(kept);
            }
            Fate::Shared => {
                self.ledger.note(Event::Shared(id));
                self.shared.lock().unwrap().push(kept);
            }
        }
    }

    pub(super) async fn join_shared(&self, id: Id, cancel: bool) {
        let found = {
            let mut shared = self.shared.lock().unwrap();
            // Who holds a place may wait for nobody who waits for one.
            let fits = |kept: &Kept| !self.holds && kept.may_be_awaited_by(id);
            let newest = shared.iter().rposition(fits);
            newest.map(|at| shared.remove(at))
        };
        let Some(kept) = found else {
            return;
        };
        self.ledger.note(Event::Found(kept.id, id));
        if cancel {
            self.ledger.note(Event::Requested(kept.id, id));
            kept.cancel();
        }
        self.join(kept).await;
    }

    pub(super) async fn join(&self, kept: Kept) {
        let id = kept.id;
        let joined = match kept.wait().await {
            Ok(_) => Joined::Value,
            Err(Missing::Cancelled(reason)) => {
                if reason.is_some() {
                    self.ledger.note(Event::Because(id, reason));
                }
                Joined::Cancelled
            }
            Err(Missing::Failed(error)) => {
                if let Some(Oops(error)) = error {
                    let (origin, place) = (Origin::Error(error), Place::Handle(id));
                    self.ledger.note(Event::Reported(origin, place));
                }
                Joined::Failed
            }
            Err(Missing::Panicked(payload)) => {
                if let Some(payload) = payload {
                    let (origin, place) = (Origin::Panic(thrower(payload).0), Place::Handle(id));
                    self.ledger.note(Event::Reported(origin, place));
                }
                Joined::Panicked
            }
        };
        self.ledger.note(Event::Joined(id, joined));
    }

    pub(super) async fn start(&self, id: Id, start: &Start) {
        let home = self.home(start.up).clone();
        let env = self.child(id, &home);
        let (block, after) = (start.block.clone(), usize::from(start.sends_after));
        if home.limited && self.holds {
            return;
        }
        let child = move |started| {
            let (ledger, unit) = (env.ledger.clone(), env.unit);
            Watched::new(&ledger, unit, env.code(block, Some((started, after))))
        };
        let Some(starting) = home.start(child) else {
            return;
        };
        let outcome = |result: &Result<Token, _>| match result {
            Ok(_) => Outcome::Value,
            Err(_) => Outcome::NotStarted,
        };
        let result = returned(&self.ledger, second(id), starting, outcome).await;
        if let Some(Oops(error)) = result.err().and_then(|error| error.into_error()) {
            let (origin, place) = (Origin::Error(error), Place::Start(id));
            self.ledger.note(Event::Reported(origin, place));
        }
    }
}
