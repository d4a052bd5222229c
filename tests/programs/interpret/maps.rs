//! `map_concurrent`, and the code that reads it.

use std::{panic::resume_unwind, pin::Pin, thread};

use futures_util::{Stream, StreamExt};
use headcount::map_concurrent;

use super::Env;
use crate::programs::{
    grammar::{Block, Id, Map, second},
    ledger::{Event, Joined, Oops, Outcome, Tracked, Watched, caught, thrower},
};

type Output = (Id, Result<Tracked, Oops>);
type Outputs = Pin<Box<dyn Stream<Item = Output> + Send>>;

impl Env {
    pub(super) async fn map(&self, id: Id, map: &Map) -> Result<(), Oops> {
        let reading = Box::pin(self.at(id).read(map.clone()));
        drop(Watched::new(&self.ledger, id, reading).await?);
        Ok(())
    }

    async fn read(self, map: Map) -> Result<Tracked, Oops> {
        let mut reading = Reading {
            env: &self,
            outputs: Some(self.outputs(&map)),
            is_over: false,
        };
        let mut taken = 0;
        self.ledger.note(Event::Entered(second(self.unit)));
        while map.takes != Some(taken) {
            let Some((item, output)) = reading.next().await else {
                return Ok(self.ledger.output(self.unit));
            };
            taken += 1;
            let joined = match &output {
                Ok(_) => Joined::Value,
                Err(_) => Joined::Failed,
            };
            self.ledger.note(Event::Joined(item, joined));
            if let Err(error) = output.map(drop) {
                reading.leave();
                return Err(error);
            }
        }
        reading.leave();
        Ok(self.ledger.output(self.unit))
    }

    fn outputs(&self, map: &Map) -> Outputs {
        let items = map.items().map(|(id, block)| (id, block.clone()));
        let items: Vec<(Id, Block)> = items.collect();
        let (env, bomb) = (self.clone(), map.bomb);
        let outputs = map_concurrent(items, map.limit.into(), move |(id, block)| {
            let item = match bomb {
                false => env.at(id).watched(block),
                true => env.at(id).bomb(block),
            };
            async move { (id, item.await) }
        });
        match map.in_order {
            false => Box::pin(outputs),
            true => Box::pin(outputs.in_order()),
        }
    }
}

struct Reading<'a> {
    env: &'a Env,
    outputs: Option<Outputs>,
    /// By a panic, with which the stream is dropped.
    is_over: bool,
}

impl Reading<'_> {
    /// The next output; or the end of the stream, which is noted.
    async fn next(&mut self) -> Option<Output> {
        let (ledger, stream) = (&self.env.ledger, second(self.env.unit));
        match caught(self.outputs.as_mut()?.next()).await {
            Ok(Some(output)) => Some(output),
            Ok(None) => {
                ledger.note(Event::Returned(stream, Outcome::Value));
                self.outputs = None;
                None
            }
            Err(payload) => {
                let (by, payload) = thrower(payload);
                ledger.note(Event::Returned(stream, Outcome::Panicked(by)));
                self.is_over = true;
                resume_unwind(payload)
            }
        }
    }

    /// Drops the stream before its end.
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
