//! Groups and scopes: opened, and what they return.

use headcount::{CancelScope, Cancelled, GroupError, Options, time::Instant};

use super::{Env, returned_value};
use crate::programs::{
    grammar::{Enter, Id, Open, Opener, ROOT},
    homes::Opened,
    ledger::{Boxed, Event, Oops, Origin, Outcome, Place, Reason, Tracked, parse, returned},
};

impl Env {
    pub(super) async fn open(&self, id: Id, open: Open) -> Result<Tracked, GroupError<Oops>> {
        let limited = open.limit.is_some();
        let options = self.options(id, &open);
        let Open { opener, block, .. } = open;
        let env = self.clone();
        let body = move |opened| env.in_group(id, limited, opened).watched(block);
        let opening: Boxed<_> = match opener {
            Opener::Group => Box::pin(options.group(|g| body(Opened::Group(g)))),
            Opener::Scope => Box::pin(options.scope(|s| body(Opened::Scope(s)))),
            Opener::Supervise => Box::pin(options.supervise(|s| body(Opened::Supervise(s)))),
        };
        let outcome = |result: &Result<_, _>| self.outcome(id, result);
        returned(&self.ledger, id, opening, outcome).await
    }

    pub(super) fn options(&self, id: Id, open: &Open) -> Options {
        let mut options = Options::new();
        if let Some(limit) = open.limit {
            options = options.limit(limit.into());
        }
        if let Some(grace) = open.grace {
            options = options.grace(self.lasting(id, grace));
        }
        if let Some(deadline) = open.deadline {
            options = options.deadline(Instant::now() + self.lasting(id, deadline));
        }
        if id == ROOT {
            let env = self.clone();
            options = options.on_suppressed(move |left| env.report(left.text(), Place::Suppressed));
        }
        options
    }

    /// The real error of an inner group becomes one of this code, if it is to be handed on.
    pub(super) fn hand_on(
        &self,
        id: Id,
        result: Result<Tracked, GroupError<Oops>>,
        propagate: bool,
    ) -> Result<(), Oops> {
        match result {
            Err(error) if propagate && !error.is_cancelled() => Err(Oops(id)),
            _ => Ok(()),
        }
    }

    pub(super) fn outcome<T>(&self, id: Id, result: &Result<T, GroupError<Oops>>) -> Outcome {
        let Err(error) = result else {
            return Outcome::Value;
        };
        for failure in error.failures() {
            let origin = Origin::Error(failure.error().0);
            let place = Place::Failures(id);
            self.ledger.note(Event::Reported(origin, place));
        }
        for failure in error.cleanup_failures() {
            self.report(&failure.error().to_string(), Place::Cleanups(id));
        }
        let reason = error.reason().map(Reason::of);
        self.ledger.note(Event::Because(id, reason));
        let (failures, cleanups) = (error.failures().len(), error.cleanup_failures().len());
        match error.is_cancelled() {
            true => Outcome::SaysCancelled(failures, cleanups),
            false => Outcome::Failed(failures, cleanups),
        }
    }

    pub(super) fn report(&self, text: &str, place: Place) {
        let origin = parse(text).unwrap_or_else(|| panic!("whose is this: {text}"));
        self.ledger.note(Event::Reported(origin, place));
    }

    pub(super) async fn enter(&self, id: Id, enter: &Enter) -> Result<(), Oops> {
        let scope = match enter.timeout {
            Some(ticks) => CancelScope::with_timeout(self.lasting(id, ticks)),
            None => CancelScope::new(),
        };
        if enter.shielded {
            scope.shield(true);
        }
        if enter.early {
            self.ledger.note(Event::Requested(id, id));
            scope.cancel_with(id.to_string());
        }
        let mut env = self.at(id);
        env.scopes.push((id, scope.clone()));
        let entered = scope.enter(env.watched(enter.block.clone()));
        let outcome = |result: &Result<_, Cancelled>| {
            let reason = scope.reason();
            if let Err(error) = result {
                // What the error says is what the scope says.
                let (one, other) = (error.reason(), reason.as_ref());
                assert_eq!(one.map(|it| it.kind), other.map(|it| it.kind));
            }
            let reason = reason.as_ref().map(Reason::of);
            self.ledger.note(Event::Because(id, reason));
            if scope.cancelled_caught() {
                self.ledger.note(Event::Caught(id));
            }
            match result {
                Ok(result) => returned_value(result),
                Err(_) => Outcome::Cancelled,
            }
        };
        match returned(&self.ledger, id, entered, outcome).await {
            Ok(result) => result.map(drop),
            Err(_) => Ok(()),
        }
    }
}
