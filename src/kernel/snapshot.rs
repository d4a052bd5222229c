//! A look at a boundary and everything below it, while it goes on.
//!
//! Invariants
//! 1. One lock at a time, and only for as long as it takes to copy lists of pointers: nobody is
//!    stopped, and no order of locks is added to those that there are.
//! 2. A boundary shows the children that were counted in it at one moment, under its lock, without
//!    those that have ended until they were looked at. So it never shows more than lived, a child
//!    always stands below its group, and one that is shown had not ended when it was looked at.
//! 3. What was looked at stays in memory meanwhile: nodes by their count, cells by a claim on the chunk.
//! 4. A worklist instead of recursion, so depth costs no stack.
//! 5. Who awaits whose handle is found by their wakers: the one that a cell has for its child, and the
//!    one that another has for who awaits it, lead to the same task. Nobody follows the addresses.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    cell::Cell,
    claims::Walk,
    node::{ABOVE, BLOCKS, CLOSING, Deadline, ENDED, Kind, Node, ORPHAN, OWN, POLLING, SHIELD},
    times::Times,
};
use crate::{
    handle::TaskId,
    runtime::Runtime,
    time::Instant,
    tree::{Cancelling, Children, Entry, EntryKind, EntryState},
};

/// Looks at the boundaries `roots` and everything below. Whoever is above another comes first.
pub(crate) fn take(roots: Vec<Arc<Node>>, runtime: &Runtime) -> Vec<Entry> {
    let mut look = Look {
        entries: Vec::new(),
        now: runtime.try_now(),
        tasks: HashMap::new(),
        awaited: Vec::new(),
    };
    let mut work = Vec::new();
    for root in roots {
        let place = Place {
            parent: None,
            child: look.find_child(&root),
        };
        work.push((root, place));
    }
    while let Some((node, place)) = work.pop() {
        look.visit(&node, place, &mut work);
    }
    look.find_awaiters();
    look.entries
}

/// Where an entry belongs.
#[derive(Clone, Copy)]
struct Place {
    parent: Option<usize>,
    /// The entry of the child whose node this is.
    child: Option<usize>,
}

/// What is read under the lock of a node.
struct Inner {
    subs: Vec<Arc<Node>>,
    chunks: Vec<Walk>,
    request: Option<(crate::CancelReason, Option<Instant>)>,
    deadline: Option<Instant>,
    stop: Option<Instant>,
    grace: Option<Instant>,
    limit: Option<(usize, usize)>,
    spawned: u64,
    peak: usize,
    age: Option<(Duration, Option<Duration>)>,
}

struct Look {
    entries: Vec<Entry>,
    now: Option<Instant>,
    /// Where the child is whom a waker wakes.
    tasks: HashMap<usize, usize>,
    /// Children whose handles are awaited, and whom that wakes.
    awaited: Vec<(TaskId, usize)>,
}

impl Look {
    fn visit(&mut self, node: &Arc<Node>, place: Place, work: &mut Vec<(Arc<Node>, Place)>) {
        let inner = node.look(self.now);
        let state = node.state.load(super::atomic::Ordering::Acquire);
        let index = match place.child {
            Some(child) => child,
            None => {
                self.entries.push(entry_of(node, place.parent));
                self.entries.len() - 1
            }
        };
        self.describe(index, node, state, &inner);
        // The wrappers of children whose executor has dropped them stand here alone; others are
        // found by their cells.
        let mut left: Vec<&Arc<Node>> = Vec::new();
        let parent = Some(index);
        let mut inside_runs = false;
        for sub in &inner.subs {
            match sub.kind {
                Kind::Wait => continue,
                Kind::Task if !sub.is_orphan() => continue,
                Kind::Task => left.push(sub),
                _ => inside_runs |= sub.is_inner() && sub.has(POLLING),
            }
            work.push((
                sub.clone(),
                Place {
                    parent,
                    child: None,
                },
            ));
        }
        if inside_runs && self.entries[index].state == EntryState::Waiting {
            self.entries[index].state = EntryState::Running;
        }
        let mut living = 0;
        let mut in_line = inner.limit.map_or(0, |(_, spawners)| spawners);
        let limited = inner.limit.is_some();
        for chunk in &inner.chunks {
            chunk.show_living(|id, cell, times| {
                living += 1;
                let made = cell.slot_node();
                let mut entry = child(parent, id, cell, made.as_ref(), node, limited);
                in_line += usize::from(entry.state == EntryState::Queued);
                self.show_times(&mut entry, times);
                self.entries.push(entry);
                let at = self.entries.len() - 1;
                let child = Some(at);
                self.note_wakes(id, cell, at);
                if let Some(made) =
                    made.filter(|made| !left.iter().any(|left| Arc::ptr_eq(left, made)))
                {
                    work.push((made, Place { parent, child }));
                }
            });
        }
        if node.kind.returns_errors() {
            self.entries[index].children = Some(Children {
                living,
                spawned: inner.spawned,
                peak: inner.peak,
                limit: inner.limit.map(|(max, _)| max),
                in_line,
            });
        }
    }

    /// The entry of the child whose node this is, made where a look begins with it: it shows what other
    /// looks show of the child, whose node may be younger.
    fn find_child(&mut self, node: &Arc<Node>) -> Option<usize> {
        if node.kind != Kind::Task {
            return None;
        }
        let group = node.parent()?;
        let inner = group.look(self.now);
        let mut found = None;
        for chunk in &inner.chunks {
            chunk.show_living(|id, cell, times| {
                let made = cell.slot_node();
                if found.is_none() && made.as_ref().is_some_and(|made| Arc::ptr_eq(made, node)) {
                    let mut entry = child(None, id, cell, Some(node), group, inner.limit.is_some());
                    self.show_times(&mut entry, times);
                    self.entries.push(entry);
                    let at = self.entries.len() - 1;
                    self.note_wakes(id, cell, at);
                    found = Some(at);
                }
            });
        }
        found
    }

    fn show_times(&self, entry: &mut Entry, times: Option<&Times>) {
        if let (Some(times), Some(now)) = (times, self.now) {
            let seen = times.see(now);
            entry.age = Some(seen.age);
            entry.polls = Some(seen.polls);
            entry.busy = Some(seen.busy);
            entry.polling_for = seen.poll;
        }
    }

    fn note_wakes(&mut self, id: u64, cell: &Cell, at: usize) {
        let (wakes, tells) = cell.wakes();
        if wakes != 0 {
            self.tasks.insert(wakes, at);
        }
        if tells != 0 {
            self.awaited.push((TaskId(id), tells));
        }
    }

    /// Notes with each child whose handles it awaits.
    fn find_awaiters(&mut self) {
        for (awaited, tells) in &self.awaited {
            if let Some(&at) = self.tasks.get(tells) {
                self.entries[at].awaits.push(*awaited);
            }
        }
    }

    /// What a node shows of its boundary, or of the child that it belongs to.
    fn describe(&mut self, index: usize, node: &Arc<Node>, state: u32, inner: &Inner) {
        let now = self.now;
        let entry = &mut self.entries[index];
        let releases = inner.subs.iter().any(|sub| sub.kind == Kind::Release);
        if state & BLOCKS != 0 {
            entry.state = EntryState::Blocking;
        } else if state & CLOSING != 0 {
            entry.state = match releases {
                true => EntryState::Finalizing,
                false => EntryState::Closing,
            };
        } else if entry.task.is_none() {
            entry.state = match state & POLLING != 0 {
                true => EntryState::Running,
                false => EntryState::Waiting,
            };
        }
        let left = |at: Option<Instant>| Some(at?.duration_since(now?));
        entry.deadline_in = left(inner.deadline);
        entry.stop_in = left(inner.stop);
        entry.grace_ends_in = left(inner.grace);
        entry.orphaned = state & (ORPHAN | ENDED) == ORPHAN;
        entry.shielded = state & SHIELD != 0 && node.kind == Kind::Cancel;
        if let Some((reason, at)) = &inner.request {
            entry.cancelling = Some(Cancelling {
                reason: Some(reason.clone()),
                since: at.and_then(|at| Some(now?.duration_since(at))),
            });
        } else if entry.cancelling.is_none() && node.kind != Kind::Release && shows_request(state) {
            entry.cancelling = Some(Cancelling::default());
        }
        if let Some((age, closing)) = inner.age {
            entry.age = entry.age.or(Some(age));
            entry.closing_for = closing;
        }
    }
}

/// A child as its cell shows it.
fn child(
    parent: Option<usize>,
    id: u64,
    cell: &Cell,
    made: Option<&Arc<Node>>,
    group: &Node,
    limited: bool,
) -> Entry {
    let info = cell.info();
    let mut entry = Entry::new(parent, EntryKind::Task, info.name(), info.location());
    entry.task = Some(TaskId(id));
    entry.daemon = cell.is_daemon();
    entry.state = match () {
        () if cell.is_running() => EntryState::Running,
        () if limited && !cell.is_admitted() => EntryState::Queued,
        () if cell.has_paused() => EntryState::Waiting,
        () => EntryState::Ready,
    };
    let cancelled = cell.is_cancelled();
    if cancelled || made.map_or_else(|| group.is_cancelled(), |node| node.is_cancelled()) {
        entry.cancelling = Some(Cancelling::default());
    }
    entry
}

/// Is a request visible, as far as the flags tell?
fn shows_request(state: u32) -> bool {
    match state & SHIELD != 0 {
        true => state & OWN != 0,
        false => state & (OWN | ABOVE) != 0,
    }
}

fn entry_of(node: &Node, parent: Option<usize>) -> Entry {
    let kind = match node.kind {
        Kind::Run => EntryKind::Run,
        Kind::Group => EntryKind::Group,
        Kind::Scope => EntryKind::Scope,
        Kind::Cancel => EntryKind::CancelScope,
        Kind::Task | Kind::Wait => EntryKind::Task,
        Kind::Release => EntryKind::Release,
        Kind::Start => EntryKind::Start,
    };
    Entry::new(parent, kind, node.name.as_deref(), node.location)
}

impl Node {
    fn look(&self, now: Option<Instant>) -> Inner {
        let mut inside = self.inside.lock();
        let (spawned, _, peak) = inside.ledger.totals(&self.count);
        Inner {
            subs: inside.subs.iter().map(|(_, sub)| sub.clone()).collect(),
            chunks: inside.ledger.roster.chunks(),
            request: inside
                .request
                .as_ref()
                .map(|request| (request.reason.clone(), request.at)),
            deadline: match inside.deadline {
                Some(Deadline::At(at)) => Some(at),
                Some(Deadline::After(_)) | None => None,
            },
            stop: inside.stop_at,
            grace: inside.grace_end,
            limit: inside.ledger.limit(),
            spawned,
            peak,
            age: inside
                .times
                .as_ref()
                .zip(now)
                .map(|(times, now)| times.see(now)),
        }
    }
}
