//! What a program did, as a picture (feature `timeline`).
//!
//! A [`Timeline`] writes down when each child lived and when it was polled, in the
//! [trace event format](https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU)
//! of Chrome. [Perfetto](https://ui.perfetto.dev) and `chrome://tracing` show it, and [`html`] makes a page
//! of it that needs neither of them, nor a network.
//!
//! ```
//! use headcount::{JoinError, run, timeline};
//!
//! # fn main() -> std::io::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let [json, page] = ["timeline.json", "timeline.html"].map(|name| folder.path().join(name));
//! let recording = timeline::record(std::fs::File::create(&json)?)?;
//! run(async |g| {
//!     g.spawn_named("answer", async { Ok(42) }).await.map(drop)
//! })
//! .map_err(std::io::Error::other)?;
//! recording.finish()?;
//!
//! timeline::html(std::fs::File::open(&json)?, std::fs::File::create(&page)?)?;
//! assert!(std::fs::read_to_string(&page)?.contains("answer"));
//! # Ok(())
//! # }
//! ```
//!
//! # What is in it
//!
//! - Each boundary is a *process*: its number is the `pid`, its `process_name` the kind, the name and the
//!   location.
//! - Each child is a complete slice (`X`) in a lane (`tid`) of its group, from when it was spawned until its
//!   future was dropped, with the outcome. Lanes are used again when a child has ended. The polls of a
//!   child are slices inside its own; so are those of the body in lane 0, whose slice is the boundary.
//! - Where a second thread is at work for a child, as that of a blocking closure while the child is polled,
//!   its slice has a lane of its own.
//! - Requests to cancel, deadlines and requests to stop are instant events (`i`) of the boundary.
//!
//! Times are those of the real clock, in a simulation too. Events are written as they come to their end, so
//! memory is needed for what lives only. A record of a program that was killed lacks its end and what
//! lived then; those who read the format accept it, and so does [`html`].
//!
//! It is made of the spans of the feature `tracing` (see [`traces`](crate::traces)), and costs each poll two
//! looks at the clock, a lock that all share, and about a hundred bytes. Spans of others take no lock.
//!
//! The output is written under that lock. It may use spans and the log as all code may; what it does itself is
//! not recorded. But it must not wait for the program, which may wait for the lock.

mod html;
mod lanes;
mod layer;
mod writer;

use std::{
    cell::Cell,
    fmt,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use tracing_subscriber::{Layer, filter::filter_fn, layer::SubscriberExt, registry};

pub use html::html;
use layer::Recorder;

use crate::panics;

type Shared = Arc<Mutex<Recorder>>;

thread_local! {
    /// Has this thread the lock of a recorder?
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Does this under the lock, under which the output is written too. That is anybody's code: what it does in
/// this thread comes to nothing here.
fn with_lock<R>(shared: &Shared, f: impl FnOnce(&mut Recorder) -> R) -> Option<R> {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            INSIDE.set(false);
        }
    }
    if INSIDE.replace(true) {
        return None;
    }
    let _leave = Leave;
    let mut recorder = shared.lock().unwrap_or_else(PoisonError::into_inner);
    Some(f(&mut recorder))
}

/// Ends a timeline.
fn finish(shared: &Shared) -> io::Result<()> {
    with_lock(shared, Recorder::finish).unwrap_or_else(|| {
        let error = "a timeline cannot be ended by what one is written to";
        Err(io::Error::other(error))
    })
}

/// Writes a timeline: a layer for a subscriber of the program's own.
///
/// It looks at the target `headcount` alone. If the subscriber has filters, they have to let `DEBUG` through
/// there.
///
/// ```
/// use headcount::{JoinError, testing::Sim, timeline::Timeline};
/// use tracing_subscriber::layer::SubscriberExt;
///
/// # fn main() -> std::io::Result<()> {
/// let (timeline, recording) = Timeline::new(tempfile::tempfile()?);
/// let subscriber = tracing_subscriber::registry().with(timeline); // and with others
/// tracing::subscriber::with_default(subscriber, || {
///     let group = headcount::group(async |g| g.spawn(async { Ok(42) }).await);
///     assert_eq!(Sim::new(0).run(group).unwrap(), 42);
/// });
/// recording.finish()
/// # }
/// ```
pub struct Timeline(Shared);

impl Timeline {
    /// A timeline that is written to `out`, and the guard that ends it.
    pub fn new(out: impl Write + Send + 'static) -> (Timeline, Recording) {
        let shared = Arc::new(Mutex::new(Recorder::new(Box::new(out))));
        (Timeline(shared.clone()), Recording(shared))
    }
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeline").finish_non_exhaustive()
    }
}

/// Records all that the program does from now on, when it has no subscriber of its own. The
/// [module](self) has an example.
///
/// # Errors
///
/// If the program has a global subscriber already: add a [`Timeline`] to that one.
pub fn record(out: impl Write + Send + 'static) -> io::Result<Recording> {
    let (timeline, recording) = Timeline::new(out);
    // So that spans of others cost nothing.
    let ours = filter_fn(|metadata| metadata.target() == "headcount");
    let subscriber = registry().with(timeline.with_filter(ours));
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
    Ok(recording)
}

/// A timeline that is being written. Dropped, it writes what lives as unfinished, and the end; so it is
/// complete also if a panic unwinds.
#[must_use = "dropping it ends the timeline"]
pub struct Recording(Shared);

impl Recording {
    /// Ends the timeline.
    ///
    /// # Errors
    ///
    /// The first error of writing, whenever that was.
    pub fn finish(self) -> io::Result<()> {
        finish(&self.0)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // The lock is given back first: the log may enter spans.
        if let Err(error) = finish(&self.0) {
            panics::log(
                log::Level::Warn,
                format_args!("the timeline is not complete: {error}"),
            );
        }
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").finish_non_exhaustive()
    }
}
