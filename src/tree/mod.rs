//! The tree of what is running: every open boundary, every child, what it does, and why it waits.
//!
//! [`tree`] takes a snapshot at any time and from any thread, without stopping the program. When a
//! program hangs, it answers the one question there is, "who are we waiting for?":
//!
//! ```text
//! run at src/main.rs:12:5: closing; 2 of 120 children left
//! ├─ task `crawler` at src/main.rs:20:11: waiting
//! │  └─ group at src/crawl.rs:31:9: cancelling, the deadline has passed; 6 of 80 children left, at most 4 at a time, 2 in line
//! │     ├─ task at src/crawl.rs:40:15: waiting, cancelling (3 like this)
//! │     ├─ task `parse` at src/crawl.rs:44:15: blocking, cancelling
//! │     └─ task at src/crawl.rs:40:15: queued, cancelling (2 like this)
//! └─ task `log` at src/main.rs:25:11: waiting, daemon
//! ```
//!
//! # What it shows
//!
//! All boundaries that are open: `run`, `group` (those of `supervise` and of the functions that are built on
//! them too), `scope`, and cancel scopes and timeouts in which something was opened or deferred; all
//! children that have not ended; and releases that are running. A timeout around plain futures costs
//! nothing, and is not shown. In a simulation these are those of that simulation, else those on async-std.
//!
//! The snapshot is consistent where it matters: a child stands below its group, nobody is there twice, and
//! who is shown had not ended when it was looked at. As nothing is stopped, two boundaries are looked
//! at one after the other, not at the same moment.
//!
//! # Times
//!
//! Ages, numbers of polls and how long they took are kept only after [`record_times`]: the clock is too
//! slow to be read for each child that nobody looks at. In a simulation they are always there.

mod display;

use std::{panic::Location, sync::Arc, time::Duration};

use crate::{
    CancelReason, TaskId,
    boundary::Boundary,
    kernel::{context, node::Node, roots, snapshot, times},
    runtime::Runtime,
};

/// A snapshot of all boundaries and children. Made by [`tree`](fn@tree).
///
/// Displayed, it is an indented tree, equal siblings in one line; with `{:#}` in colours. Lines deeper than 64
/// levels are not indented further: they begin with their [depth](Entry::depth), as `(depth 65)`. Control characters
/// in names and reasons are escaped. With the feature
/// `serde` it is serialized as `{"summary": …, "entries": […]}`, in which each entry tells the index of
/// its `parent`; durations are seconds.
#[derive(Clone, Debug, Default)]
pub struct TaskTree {
    entries: Vec<Entry>,
}

/// A boundary, a child, or a release.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Entry {
    /// Where [`TaskTree::entries`] has the boundary or child around this one; `None` at the root.
    pub parent: Option<usize>,
    /// How many are around this one.
    pub depth: usize,
    /// What it is.
    pub kind: EntryKind,
    /// The identity of a child.
    pub task: Option<TaskId>,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Where it was spawned or opened.
    #[cfg_attr(feature = "serde", serde(serialize_with = "as_text"))]
    pub location: &'static Location<'static>,
    /// What it does.
    pub state: EntryState,
    /// Of a child: those whose handles it awaits. (A handle that it has polled and not dropped counts,
    /// also if it does something else meanwhile. One that a combinator polls with a waker of its own
    /// does not.)
    pub awaits: Vec<TaskId>,
    /// If a request to cancel is visible there.
    pub cancelling: Option<Cancelling>,
    /// Of a child: it serves the others, and is cancelled when they have ended.
    pub daemon: bool,
    /// Its opener was dropped or forgotten: the boundary around waits for what is below.
    pub orphaned: bool,
    /// Requests from above stop here.
    pub shielded: bool,
    /// Of a boundary that may have children.
    pub children: Option<Children>,
    /// Until its own deadline; zero if that has passed.
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
    pub deadline_in: Option<Duration>,
    /// Until a graceful stop becomes a request to cancel.
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
    pub stop_in: Option<Duration>,
    /// Until releases that have not ended are cut; see [`Options::grace`](crate::Options::grace).
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
    pub grace_ends_in: Option<Duration>,
    /// Since the spawn or the first poll; see [`record_times`].
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
    pub age: Option<Duration>,
    /// Since the body of the boundary ended; see [`record_times`].
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
    pub closing_for: Option<Duration>,
    /// How often a child was polled; see [`record_times`].
    pub polls: Option<u32>,
    /// How long all its polls took; see [`record_times`].
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
    pub busy: Option<Duration>,
    /// How long the poll takes that goes on; see [`record_times`].
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
    pub polling_for: Option<Duration>,
}

/// What an [`Entry`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum EntryKind {
    /// A call of [`run`](crate::run()).
    Run,
    /// A [`group`](crate::group()), also one that another function opened, as [`supervise`](crate::supervise()).
    Group,
    /// A [`scope`](crate::scope()).
    Scope,
    /// A [`CancelScope`](crate::CancelScope), timeout or shield.
    CancelScope,
    /// A child.
    Task,
    /// A release that runs; see [`defer`](crate::defer).
    Release,
    /// A call of `start` whose child has not started. The child itself stands below its group.
    Start,
}

/// What an [`Entry`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum EntryState {
    /// A child that waits for a place under the [limit](crate::Options::limit), and was never polled.
    Queued,
    /// A child that has never been pending, and is not polled now: it waits for a thread.
    Ready,
    /// It is being polled.
    Running,
    /// Its code awaits something.
    Waiting,
    /// A child whose closure is on a thread, or waits for one.
    Blocking,
    /// Its code has ended, and something below has not.
    Closing,
    /// Its code has ended, and it waits for a release.
    Finalizing,
}

/// That, why, and since when something is cancelled.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Cancelling {
    /// Why, if the request was made here. Else it was made further out, where it stands, or through the
    /// handle of a child that has nothing below.
    pub reason: Option<CancelReason>,
    /// Since when, if the request was made here.
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
    pub since: Option<Duration>,
}

/// The children of a boundary, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Children {
    /// Those that have not ended. Each has an entry.
    pub living: usize,
    /// Those that were ever let in.
    pub spawned: u64,
    /// The most that lived at a time; see [`GroupStats::peak`](crate::GroupStats::peak).
    pub peak: usize,
    /// How many may be polled at a time.
    pub limit: Option<usize>,
    /// Who waits for a place: queued children, and spawners in `spawn_when_free`.
    pub in_line: usize,
}

impl Entry {
    pub(crate) fn new(
        parent: Option<usize>,
        kind: EntryKind,
        name: Option<&str>,
        location: &'static Location<'static>,
    ) -> Self {
        Entry {
            parent,
            depth: 0,
            kind,
            task: None,
            name: name.map(str::to_owned),
            location,
            state: EntryState::Waiting,
            awaits: Vec::new(),
            cancelling: None,
            daemon: false,
            orphaned: false,
            shielded: false,
            children: None,
            deadline_in: None,
            stop_in: None,
            grace_ends_in: None,
            age: None,
            closing_for: None,
            polls: None,
            busy: None,
            polling_for: None,
        }
    }
}

/// The tree of everything that runs now, on the runtime of the code that asks.
///
/// It can be called anywhere: in a task, in a thread of one's own, in a handler of a debugging command.
/// It takes a lock for each boundary, for a moment, and costs time and memory in proportion to the number of
/// entries.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// use headcount::{Options, checkpoint, tree};
///
/// Options::new().name("server").run(async |g| {
///     let listener = g.spawn_named("listener", std::future::pending::<()>());
///     let tree = tree();
///     println!("{tree}");
///     let listener_entry = tree.find("listener").unwrap();
///     let server = &tree.entries()[listener_entry.parent.unwrap()];
///     assert_eq!(server.name.as_deref(), Some("server"));
///     listener.cancel();
///     Ok(())
/// })
/// # }
/// ```
pub fn tree() -> TaskTree {
    let runtime = context::runtime();
    TaskTree::of(roots::of(&runtime), &runtime)
}

/// From now on keeps the times that a [`TaskTree`] shows, or from now on does not: ages, numbers of polls,
/// and how long they took. They are known of what begins while this is on.
///
/// It costs a look at the clock for each child and two for each of its polls, and some 32 bytes a
/// child. [`Options::dump_on`](crate::Options::dump_on) switches it on.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// headcount::record_times(true);
/// headcount::run(async |g| {
///     g.spawn_named("job", async { /* … */ });
///     let tree = headcount::tree();
///     assert!(tree.entries()[0].age.is_some());
///     Ok(())
/// })
/// # }
/// ```
pub fn record_times(on: bool) {
    times::record(on);
}

impl Boundary {
    /// The [`tree`](crate::tree()) of this boundary and what is below.
    pub fn tree(&self) -> TaskTree {
        TaskTree::below(self.node())
    }
}

impl TaskTree {
    pub(crate) fn below(node: &Arc<Node>) -> Self {
        TaskTree::of(vec![node.clone()], &node.runtime())
    }

    #[cfg(feature = "testing")]
    pub(crate) fn of_runtime(runtime: &Runtime) -> Self {
        TaskTree::of(roots::of(runtime), runtime)
    }

    fn of(roots: Vec<Arc<Node>>, runtime: &Runtime) -> Self {
        TaskTree {
            entries: in_order(snapshot::take(roots, runtime)),
        }
    }

    /// All entries, in the order in which they are displayed: whoever is below another comes after it.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Is nothing running?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first entry with this name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.name.as_deref() == Some(name))
    }

    /// Prints it to the standard error, in colours if that is a terminal and `NO_COLOR` is not set.
    pub fn print(&self) {
        use std::io::{IsTerminal, Write, stderr};
        // At once: the standard error has no buffer, and others wait for it.
        let text = match stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
        {
            true => format!("{self:#}\n"),
            false => format!("{self}\n"),
        };
        // Nobody can be told that the standard error is gone.
        _ = stderr().write_all(text.as_bytes());
    }
}

/// Puts each entry after the one around it: boundaries first, then children by their age.
fn in_order(entries: Vec<Entry>) -> Vec<Entry> {
    let mut below = vec![Vec::new(); entries.len()];
    let mut next = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        match entry.parent {
            Some(parent) => below[parent].push(index),
            None => next.push((index, None, 0)),
        }
    }
    let mut entries: Vec<_> = entries.into_iter().map(Some).collect();
    let mut ordered = Vec::with_capacity(entries.len());
    while let Some((index, parent, depth)) = next.pop() {
        let Some(mut entry) = entries[index].take() else {
            continue;
        };
        let mut below = std::mem::take(&mut below[index]);
        let task = |&index: &usize| entries[index].as_ref().and_then(|entry| entry.task);
        below.sort_by_key(task);
        let here = ordered.len();
        next.extend(
            below
                .into_iter()
                .rev()
                .map(|index| (index, Some(here), depth + 1)),
        );
        (entry.parent, entry.depth) = (parent, depth);
        ordered.push(entry);
    }
    ordered
}

#[cfg(feature = "serde")]
impl serde::Serialize for TaskTree {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut tree = serializer.serialize_struct("TaskTree", 2)?;
        tree.serialize_field("summary", &self.summary())?;
        tree.serialize_field("entries", &self.entries)?;
        tree.end()
    }
}

#[cfg(feature = "serde")]
fn as_text<S: serde::Serializer>(
    location: &&'static Location<'static>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(location)
}

#[cfg(feature = "serde")]
fn in_seconds<S: serde::Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    use serde::Serialize;
    duration
        .map(|duration| duration.as_secs_f64())
        .serialize(serializer)
}
