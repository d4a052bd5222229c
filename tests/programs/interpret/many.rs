//! Many futures at once, and the code that reads their outputs.

use std::{future::ready, panic::resume_unwind, pin::Pin, thread};

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use headcount::{
    GroupError, TaskError, as_completed, gather, gather_settled, map_concurrent, race, race_ok,
};

use super::Env;
use crate::programs::{
    grammar::{All, Block, Id, Many, second},
    ledger::{
        Event, Joined, Ledger, Oops, Origin, Outcome, Place, Tracked, Watched, caught, thrower,
    },
};

/// Of which item, and how it ended.
type Output = (Id, Result<Tracked, TaskError<Oops>>);
type Outputs = Pin<Box<dyn Stream<Item = Result<Output, GroupError<Oops>>> + Send>>;

impl Env {
    pub(super) async fn many(&self, id: Id, many: &Many) -> Result<(), Oops> {
        let reading = Box::pin(self.at(id).read(many.clone()));
        drop(Watched::new(&self.ledger, id, reading).await?);
        Ok(())
    }

    async fn read(self, many: Many) -> Result<Tracked, Oops> {
        let mut reading = Reading {
            env: &self,
            outputs: Some(self.outputs(&many)),
            is_over: false,
        };
        let mut taken = 0;
        self.ledger.note(Event::Entered(second(self.unit)));
        while many.takes != Some(taken) {
            let Some(output) = reading.next().await else {
                return Ok(self.ledger.output(self.unit));
            };
            taken += 1;
            if let Err(error) = self.given(many.way, output) {
                reading.leave();
                return Err(error);
            }
        }
        reading.leave();
        Ok(self.ledger.output(self.unit))
    }

    /// Notes an output and drops it; or gives the error that is a value.
    fn given(&self, way: All, (item, output): Output) -> Result<(), Oops> {
        let joined = |joined| self.ledger.note(Event::Joined(item, joined));
        let reported = |origin| {
            self.ledger
                .note(Event::Reported(origin, Place::Handle(item)))
        };
        match output {
            Ok(output) => {
                joined(Joined::Value);
                drop(output);
            }
            Err(TaskError::Failed(error)) => {
                joined(Joined::Failed);
                if !way.is_supervised() {
                    return Err(error);
                }
                reported(Origin::Error(error.0));
            }
            Err(TaskError::Panicked(payload)) => {
                joined(Joined::Panicked);
                reported(Origin::Panic(thrower(payload).0));
            }
            Err(TaskError::Cancelled(reason)) => {
                panic!("nobody cancels one of many: {reason:?}")
            }
        }
        Ok(())
    }

    fn outputs(&self, many: &Many) -> Outputs {
        let items = many.items().map(|(id, block)| (id, block.clone()));
        let items: Vec<(Id, Block)> = items.collect();
        let ids: Vec<Id> = items.iter().map(|(id, _)| *id).collect();
        let (env, bomb) = (self.clone(), many.bomb);
        let item = move |id, block| match bomb {
            false => env.at(id).watched(block),
            true => env.at(id).bomb(block),
        };
        let with_error = |(id, result): (Id, Result<_, _>)| (id, result.map_err(TaskError::Failed));
        match many.way {
            All::Mapped { limit, in_order } => {
                let outputs = map_concurrent(items, limit.into(), move |(id, block)| {
                    let item = item(id, block);
                    async move { with_error((id, item.await)) }
                });
                match in_order {
                    false => Box::pin(outputs.map(Ok)),
                    true => Box::pin(outputs.in_order().map(Ok)),
                }
            }
            All::Raced => {
                let items = items.into_iter().map(move |(id, block)| {
                    let item = item(id, block);
                    async move { with_error((id, item.await)) }
                });
                Box::pin(stream::once(race(items)).filter_map(ready).map(Ok))
            }
            All::Completed | All::Settled | All::Gathered | All::RacedOk => {
                let items = items.into_iter().map(move |(id, block)| {
                    let item = item(id, block);
                    async move { item.await.map(|output| (id, output)) }
                });
                let ledger = self.ledger.clone();
                let outcome = move |outcome| Ok(outcome_of(&ids, &ledger, outcome));
                let value = |(id, output)| (id, Ok(output));
                match many.way {
                    All::Settled => {
                        let settled = stream::once(gather_settled(items));
                        Box::pin(settled.flat_map(stream::iter).map(outcome))
                    }
                    All::Gathered => {
                        let gathered = stream::once(gather(items));
                        let gathered = gathered.map_ok(|values| stream::iter(values).map(Ok));
                        Box::pin(gathered.try_flatten().map_ok(value))
                    }
                    All::RacedOk => Box::pin(stream::once(race_ok(items)).map_ok(value)),
                    _ => Box::pin(as_completed(items).map(outcome)),
                }
            }
        }
    }
}

/// Steps are numbered in the order of the text, so whose failure it is can be seen.
fn outcome_of(
    items: &[Id],
    ledger: &Ledger,
    outcome: Result<(Id, Tracked), TaskError<Oops>>,
) -> Output {
    let whose = |by: Id| {
        let item = items.iter().rfind(|item| **item <= by);
        *item.expect("the step of an item")
    };
    match outcome {
        Ok((item, output)) => (item, Ok(output)),
        Err(TaskError::Failed(error)) => (whose(error.0), Err(TaskError::Failed(error))),
        Err(TaskError::Panicked(payload)) => {
            let (by, payload) = thrower(payload);
            // The output of another child may be dangerous to drop.
            let by = ledger.finder(by).unwrap_or(by);
            (whose(by), Err(TaskError::Panicked(payload)))
        }
        Err(error) => (items[0], Err(error)),
    }
}

struct Reading<'a> {
    env: &'a Env,
    outputs: Option<Outputs>,
    /// By a panic, with which the outputs are dropped.
    is_over: bool,
}

impl Reading<'_> {
    /// The next output; or their end, which is noted.
    async fn next(&mut self) -> Option<Output> {
        let (ledger, many) = (&self.env.ledger, second(self.env.unit));
        match caught(self.outputs.as_mut()?.next()).await {
            Ok(Some(Ok(output))) => Some(output),
            Ok(end) => {
                let ended = end.map_or(Ok(()), |end| end.map(drop));
                let outcome = self.env.outcome(many, &ended);
                ledger.note(Event::Returned(many, outcome));
                self.outputs = None;
                None
            }
            Err(payload) => {
                let (by, payload) = thrower(payload);
                ledger.note(Event::Returned(many, Outcome::Panicked(by)));
                self.is_over = true;
                resume_unwind(payload)
            }
        }
    }

    /// Drops the outputs before their end.
    fn leave(&mut self) {
        let (ledger, id) = (&self.env.ledger, self.env.unit);
        if let Some(outputs) = self.outputs.take() {
            ledger.note(Event::Lost(id));
            drop(outputs);
            ledger.note(Event::LostDone(id));
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if thread::panicking() && !self.is_over {
            self.leave();
        }
    }
}
