//! Tests of the simulator, through the runtime seam.

mod blocked;
mod checkpoints;
mod closures;
mod ending;
mod orphans;
mod schedule;
mod sequencer;
mod usage;

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::kernel::context;
use crate::runtime::Label;
use crate::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

#[track_caller]
fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    let label = Label {
        name: None,
        location: Location::caller(),
    };
    context::runtime().spawn(|| label, || future);
}

#[track_caller]
fn spawn_blocking(job: impl FnOnce() + Send + 'static) {
    let label = Label {
        name: Some("closure"),
        location: Location::caller(),
    };
    context::runtime().spawn_blocking(label, job);
}

fn checkpoint() -> impl Future<Output = ()> {
    sleep(Duration::ZERO)
}

/// A question of a closure to its token.
fn ask() {
    context::runtime().blocking_checkpoint();
}

fn message(payload: &(dyn Any + Send)) -> String {
    match payload.downcast_ref::<String>() {
        Some(message) => message.clone(),
        None => (*payload.downcast_ref::<&str>().expect("a text")).to_owned(),
    }
}

/// The text with which the simulation fails.
fn failure<T>(run: impl FnOnce() -> T) -> String {
    let payload = catch_unwind(AssertUnwindSafe(run)).err();
    message(&*payload.expect("the simulation fails"))
}

/// Counts when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    fn push(&self, entry: String) {
        self.0.lock().unwrap().push(entry);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}
