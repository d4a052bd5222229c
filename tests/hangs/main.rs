//! Programs that hang, and what says why: the tree, in each of the ways in which one gets it, and the
//! watchdogs. `docs/debugging.md` tells the same stories.
#![cfg(not(any(loom, shuttle)))]

#[path = "../it/support/logged.rs"]
mod logged;
#[path = "../it/support/workers.rs"]
mod workers;

mod growing;
mod real_life;
mod starving;
mod told;

use std::{
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use headcount::watchdog::Watchdog;

/// Under how many schedules of the simulator each program hangs.
const SEEDS: u64 = 20;

/// How many dumps a test on real threads takes at most until it gives up.
const DUMPS: usize = 1_000_000;

/// How long a test waits for a watchdog that is broken.
const LIMIT: Duration = Duration::from_secs(20);

/// How long something has to go on for the watchdogs here.
const SOON: Duration = Duration::from_millis(2);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The one line of `tree` that begins so, after what draws the tree.
#[track_caller]
fn line<'a>(tree: &'a str, begin: &str) -> &'a str {
    let bare = |line: &'a str| line.trim_start_matches(['│', '├', '└', '─', ' ']);
    let mut lines = tree.lines().map(bare).filter(|l| l.starts_with(begin));
    match (lines.next(), lines.next()) {
        (Some(line), None) => line,
        _ => panic!("not one line that begins with `{begin}` in\n{tree}"),
    }
}

/// A watchdog of which a test sees that it ends.
struct Dog(Option<Watchdog>);

impl Drop for Dog {
    fn drop(&mut self) {
        let watchdog = self.0.take();
        let (tell, ended) = channel();
        thread::spawn(move || {
            drop(watchdog);
            _ = tell.send(());
        });
        let ended = ended.recv_timeout(LIMIT);
        assert!(
            ended.is_ok() || thread::panicking(),
            "its thread does not end"
        );
    }
}

/// Blocks its thread until a watchdog has reported something.
fn block<T>(heard: &Receiver<T>) -> T {
    heard.recv_timeout(LIMIT).expect("a report")
}
