//! The paths whose instructions are counted. Each runs in a process of its own, with one worker.

use std::{
    convert::Infallible,
    process,
    sync::{Arc, Barrier},
};

use async_std::task;

use crate::work::{group, inline, nested, parked, spawned, timeout, trivial, yields_once};

pub type Path = (&'static str, fn(u64));

pub const PATHS: &[Path] = &[
    ("spawn_only", spawn_only),
    ("spawn_join", group::spawn_join_trivial),
    ("spawn_join_handles", group::spawn_join_handles),
    ("yield_join", |n| group::spawn_join(n, yields_once)),
    ("run", group::run_spawn_join),
    ("park", park),
    ("park_and_cancel", |n| _ = parked::group_cancel(n)),
    ("scope", inline::scope),
    ("nested", nested::groups),
    ("timeout_ready", timeout::ours_ready),
    ("timeout_expired", timeout::ours_expired),
    ("timeout_yield", timeout::ours_yield),
    ("async_std_spawn_only", bare_spawn_only),
    ("async_std_spawn_join", spawned::bare_trivial),
    ("async_std_counted", spawned::counted),
    ("async_std_spawn_join_handles", spawned::bare_outputs),
    ("async_std_yield_join", |n| spawned::bare(n, yields_once)),
    ("async_std_park", bare_park),
    ("async_std_park_and_cancel", |n| {
        _ = parked::bare_cancel(n);
    }),
    ("async_std_nested", nested::bare),
    ("async_std_timeout_ready", timeout::theirs_ready),
    ("async_std_timeout_expired", timeout::theirs_expired),
    ("async_std_timeout_yield", timeout::theirs_yield),
    ("async_global_executor", spawned::global_executor),
    ("joinset", spawned::joinset),
    ("joinset_park_and_shutdown", |n| {
        _ = parked::joinset_shutdown(n);
    }),
    ("tasktracker", spawned::tasktracker),
    ("futures_unordered", inline::futures_unordered),
    ("moro", inline::moro),
];

pub fn run(name: &str, count: u64) {
    let path = PATHS.iter().find(|(path, _)| *path == name);
    path.expect("there is no such path").1(count);
}

/// Keeps the only worker from polling anything.
fn stall_the_worker() {
    let stalled = Arc::new(Barrier::new(2));
    let here = stalled.clone();
    task::spawn(async move {
        here.wait();
        // For ever: nobody else comes.
        here.wait();
    });
    stalled.wait();
}

/// Ends the process where a path ends. (A result, since that is what the body of a group returns.)
fn leave() -> Result<(), Infallible> {
    process::exit(0)
}

fn spawn_only(count: u64) {
    stall_the_worker();
    let outcome = task::block_on(headcount::group(async |g| {
        for n in 0..count {
            g.spawn(trivial(n));
        }
        leave()
    }));
    outcome.unwrap();
}

fn bare_spawn_only(count: u64) {
    stall_the_worker();
    let mut handles = Vec::with_capacity(count as usize);
    for n in 0..count {
        handles.push(task::spawn(trivial(n)));
    }
    process::exit(0);
}

fn park(count: u64) {
    let left = parked::group_of_parked(count, &Arc::default(), |_| leave());
    left.unwrap();
}

fn bare_park(count: u64) {
    let left = parked::bare_parked(count, &Arc::default(), async |_| leave());
    left.unwrap();
}
