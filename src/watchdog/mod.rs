//! Reports what makes a program slow or has it hang, while it runs (feature `watchdog`).
//!
//! | what goes wrong | who says so |
//! |---|---|
//! | a task blocks its thread: it computes, sleeps or waits without an `await` | [`watch`], [`log_stalls`] |
//! | an inline [`scope`](crate::scope()) has work to do, and nobody polls it | [`watch_starvation`], [`log_starvation`] |
//! | a group gets more and more children, which do not end | [`watch_growth`], [`log_growth`] |
//!
//! # Tasks that block their thread
//!
//! An executor can do nothing else on a thread while it polls a task. A task that computes for long,
//! sleeps with `std::thread::sleep` or waits for a blocking client holds up all others that would run
//! there. [`watch`] reports each such poll with the name of the task, where it was spawned, and how
//! long it took; and while it is still stuck, so that one that never ends is reported too.
//!
//! Watched are the polls of every child of a group, scope or supervisor, named or not, the bodies of
//! [`run`](crate::run()), and the futures of boundaries outside of any other. Not watched are blocking
//! closures, which may block, and tasks that were spawned elsewhere. Of nested polls, as those of
//! the children of a [`scope`](crate::scope()), the innermost that takes too long is reported alone.
//!
//! The clock is the real one, in a simulation too.
//!
//! ```
//! use headcount::{GroupError, run, watchdog};
//! use std::{convert::Infallible, sync::mpsc, time::Duration};
//!
//! fn main() -> Result<(), GroupError<Infallible>> {
//!     let (told, hear) = mpsc::channel();
//!     let _watchdog = watchdog::watch(Duration::from_millis(10), move |stall| {
//!         _ = told.send(stall.name().map(str::to_owned));
//!     });
//!     run(async |g| {
//!         g.spawn_named("report", async move {
//!             // Blocks its thread, until the watchdog has said so.
//!             assert_eq!(hear.recv().unwrap().as_deref(), Some("report"));
//!         });
//!         Ok(())
//!     })
//! }
//! ```
//!
//! # What it costs
//!
//! Without the feature nothing. With it, and nobody watching, a load for each poll of a task, and another
//! for that of a child in a scope. Each watch has a thread.
//!
//! - [`watch`]: a lock that hardly anybody else takes, a look at the clock and, for a child that has a
//!   name, a copy of it, for each poll; the thread wakes up four times in each threshold.
//! - [`watch_starvation`]: each child in a scope gets a waker of its own, which looks at the clock once for
//!   each poll; the thread looks at all such children four times in each threshold.
//! - [`watch_growth`]: nothing for polls and children; each look takes the lock of each boundary and of each
//!   child that has opened one, for a moment.

mod growth;
mod stalls;
mod starvation;

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

pub use growth::{Growth, log_growth, watch_growth};
pub use stalls::{Stall, log_stalls, watch};
pub use starvation::{Starvation, log_starvation, watch_starvation};

use crate::kernel::polls;

/// Watches, until it is dropped. Made by the functions of this [module](self).
#[derive(Debug)]
#[must_use = "dropped, it does not watch any more"]
pub struct Watchdog {
    watching: Option<Watching>,
    thread: Option<JoinHandle<()>>,
}

/// What goes on until the watchdog is dropped; its end is that of the thread.
#[derive(Debug)]
enum Watching {
    /// The number of who is told of polls.
    Polls(u64),
    /// Looks are taken as long as this is there.
    Looks { _until: Sender<()> },
}

impl Watchdog {
    fn new(watching: Watching, thread: JoinHandle<()>) -> Self {
        Watchdog {
            watching: Some(watching),
            thread: Some(thread),
        }
    }

    /// Takes a look each time when `pause` has passed, or at least the shortest one.
    fn looking(pause: Duration, mut look: impl FnMut() + Send + 'static) -> Self {
        let pause = pause.max(SHORTEST);
        let (until, over): (_, Receiver<()>) = channel();
        let thread = thread(move || {
            while over.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                look();
            }
        });
        Watchdog::new(Watching::Looks { _until: until }, thread)
    }
}

/// The shortest pause between looks: a thread that looks all the time would do nothing else.
const SHORTEST: Duration = Duration::from_millis(1);

/// The pause between looks for what takes as long as `threshold`.
fn pause(threshold: Duration) -> Duration {
    (threshold / 4).clamp(SHORTEST, Duration::from_secs(1))
}

fn thread(watch: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new()
        .name("headcount-watchdog".into())
        .spawn(watch)
        .expect("a watchdog needs a thread of its own")
}

impl Drop for Watchdog {
    /// Waits for a report that is going on, unless it is the report that drops this.
    fn drop(&mut self) {
        match self.watching.take() {
            // Takes the sender away, which ends the thread, as the drop of the other does.
            Some(Watching::Polls(number)) => polls::unwatch(number),
            Some(Watching::Looks { .. }) | None => {}
        }
        if let Some(thread) = self.thread.take() {
            if thread.thread().id() != thread::current().id() {
                // It does not panic: `report` is guarded.
                _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn there_is_a_pause_between_looks_however_short_it_is_to_be() {
        const LOOKS: u32 = 20;
        let (tell, heard) = channel();
        let begun = Instant::now();
        let watchdog = Watchdog::looking(Duration::from_nanos(1), move || _ = tell.send(()));
        assert_eq!(heard.iter().take(LOOKS as usize).count(), 20);
        assert!(begun.elapsed() >= SHORTEST * LOOKS);
        drop(watchdog);
    }
}
