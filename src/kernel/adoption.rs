//! Adoption: what a dropped or forgotten boundary leaves unfinished becomes its parent's.
//!
//! A boundary whose opener is gone is an *orphan*. It stays in its parent's list, cancelled, until
//! nothing lives below it; whoever takes the last thing away settles it: what it still holds
//! (panics, errors) moves to the nearest live ancestor, and it leaves the list. Its parent does not
//! return before its list is empty. The numbered invariants are in `kernel/README.md`.

use std::{sync::Arc, task::Waker};

use super::{
    atomic::Ordering,
    claims::Walk,
    inherited::bequeath,
    ledger::Closed,
    line::Stand,
    node::{CLOSING, ENDED, FAILED, HANDED, Inside, Kind, LINKED, Node, ORPHAN, USED},
    obligations::hand_over,
    threads::{self, Event},
};
use crate::runtime::Runtime;

impl Node {
    /// Marks this boundary as an orphan, and keeps its typed failures until it has ended; false if it
    /// is one already. In one step: the last child may settle the orphan as soon as it sees the mark,
    /// and has to find what is kept.
    fn become_orphan(&self) -> bool {
        let mut inside = self.inside.lock();
        if self.raise(ORPHAN) & ORPHAN != 0 {
            return false;
        }
        if !self.has(ENDED) {
            threads::count(Event::Adopted);
            inside.inherited.keep_typed();
        }
        true
    }

    /// Ends the boundary if nothing lives below it. The opener calls this at its close.
    pub(crate) fn try_close(&self) -> bool {
        let mut inside = self.inside.lock();
        if !inside.subs.is_empty() || inside.owes() || self.count.living() > 0 {
            return false;
        }
        let closed = inside.ledger.close();
        self.raise(ENDED);
        let at_end = inside.at_end.take();
        // A handle may be kept for long, and is to keep nothing of who has opened.
        let opener = inside.opener.take();
        // If it was orphaned in the poll that ends it here, nobody settles it: what was kept for
        // that refers to the book, and the book to this node.
        let kept = inside.inherited.take_typed();
        drop(inside);
        drop((kept, opener));
        closed.into_iter().for_each(Closed::tell);
        at_end.into_iter().for_each(AtEnd::come);
        true
    }

    /// Ends a cancel scope that nothing was ever linked to and that nothing is owed to, in one step
    /// and without the lock: who links or owes raises `USED` and looks at `ENDED` in one step too.
    /// (Boundaries of other kinds are linked themselves, from their first poll on.)
    pub(super) fn try_close_unused(&self) -> bool {
        const IN_USE: u32 = USED | LINKED | ORPHAN | FAILED;
        let unused = |state: u32| (state & IN_USE == 0).then_some(state | ENDED);
        let order = Ordering::AcqRel;
        self.state
            .fetch_update(order, Ordering::Acquire, unused)
            .is_ok()
    }

    /// Takes a closed boundary out of its parent's list.
    pub(crate) fn depart(&self) {
        if let Some(parent) = self.unlink() {
            parent.something_left();
        }
    }

    /// The same for a spawned child, which counts out next. Its opener is not woken for this, but by the
    /// last that counts out: it would look through all that is linked for each of them.
    pub(super) fn depart_uncounted(&self) {
        if let Some(parent) = self.unlink() {
            // For the inline children of an orphan nobody counts.
            if parent.raise(0) & ORPHAN != 0 {
                settle(parent);
            }
        }
    }

    /// Something below has ended: tells who waits for that. A closing opener raised its flag
    /// before it looked, so either it saw what is below without this one, or it is woken.
    ///
    /// The flags are read by a read-modify-write. A child counts out without the lock, and then
    /// looks for `ORPHAN`; who orphans raises that, and then looks at the count. With a plain load
    /// here, the child could take the flags from before `ORPHAN`, and the other, in `settle`, the
    /// count from before the child left: then the child would wake an opener that is gone, and
    /// nobody would ever settle the orphan. As it is, the two changes of the flags have an order: if
    /// this one comes second it sees `ORPHAN`, and if it comes first its release carries the count.
    pub(crate) fn something_left(self: &Arc<Self>) {
        let state = self.raise(0);
        if state & ORPHAN != 0 {
            settle(self.clone());
        } else if state & CLOSING != 0 {
            self.wake_opener();
        }
    }

    /// The body is gone. From now on a request from above while somebody lives below takes its value,
    /// and whoever takes away the last thing below wakes the opener. What is still linked inside is
    /// treated as dropped: the future that would poll it is forgotten, or kept where it does not belong.
    pub(super) fn begin_to_drain(&self, waker: &Waker) {
        let (old, daemons, left) = {
            let mut inside = self.inside.lock();
            inside.note_closing(|| self.with_runtime(Runtime::now));
            self.raise(CLOSING);
            self.doom_if_cancelled();
            let old = inside.register(waker);
            inside.ledger.settle_peak(&self.count);
            let daemons = inside.ledger.wait(&self.count);
            (old, daemons, inline_among(self, &inside, false))
        };
        drop(old);
        daemons
            .iter()
            .flatten()
            .for_each(|chunk| chunk.cancel_daemons());
        left.into_iter().for_each(orphan);
    }

    /// Does nothing live below but releases?
    pub(super) fn is_alone(&self) -> bool {
        let inside = self.inside.lock();
        self.count.living() == 0 && is_alone(&inside)
    }

    /// When nothing is owed any more: releases that are still with a `close` are forgotten, or
    /// kept where they do not belong. True if there was one.
    pub(super) fn forget_releases(&self) -> bool {
        let forgotten = {
            let inside = self.inside.lock();
            match inside.owes() {
                true => Vec::new(),
                false => forgotten_releases(&inside),
            }
        };
        let any = !forgotten.is_empty();
        forgotten.into_iter().for_each(Node::forget_release);
        any
    }
}

fn is_alone(inside: &Inside) -> bool {
    let mut subs = inside.subs.iter();
    subs.all(|(_, sub)| sub.kind == Kind::Release)
}

/// The releases that nobody but a `close` has.
fn forgotten_releases(inside: &Inside) -> Vec<Arc<Node>> {
    let subs = inside.subs.iter().map(|(_, sub)| sub);
    subs.filter(|sub| sub.kind == Kind::Release && !sub.has(HANDED))
        .cloned()
        .collect()
}

/// The linked boundaries that are polled by the opener's own task. Inline children count as such
/// once the scope that polls them is gone.
pub(super) fn inline_subs(node: &Node, gone: bool) -> Vec<Arc<Node>> {
    inline_among(node, &node.inside.lock(), gone)
}

fn inline_among(node: &Node, inside: &Inside, gone: bool) -> Vec<Arc<Node>> {
    let subs = inside.subs.iter().map(|(_, sub)| sub);
    let inline = |sub: &&Arc<Node>| match sub.kind {
        Kind::Task => gone && node.kind == Kind::Scope,
        // Polled by whoever has it, not by the body; or by the thread that it blocks.
        Kind::Release | Kind::Run => false,
        _ => true,
    };
    subs.filter(inline)
        .filter(|sub| !sub.is_orphan())
        .cloned()
        .collect()
}

/// The opener of a boundary is gone, and so is what its parent polled there.
pub(crate) fn orphan(node: Arc<Node>) {
    node.leave_inner();
    orphan_all(node);
}

/// Marks a boundary, and what it polled inside, as left without an opener.
pub(super) fn orphan_all(start: Arc<Node>) {
    let mut work = vec![start];
    while let Some(node) = work.pop() {
        if !node.become_orphan() {
            continue;
        }
        node.cut_off();
        // Its body is gone, or never runs again: a shield there protects nobody.
        node.deactivate();
        node.wait_for_children();
        work.extend(inline_subs(&node, true));
        // What it has begun to release goes on, half done, with somebody who polls it.
        for obligation in node.take_begun() {
            hand_over(node.parent().cloned(), &node.runtime(), obligation);
        }
        lose_inline_children(&node);
        settle(node);
    }
}

/// Nobody polls the inline children of an orphan again, and if it was forgotten, nobody drops them. Who
/// awaits them is told at once: that may be what the end of the orphan waits for. If a poll goes on,
/// its end sees to it.
fn lose_inline_children(node: &Node) {
    if node.kind == Kind::Scope && !node.is_being_polled() {
        let chunks = node.with_roster(|roster| roster.chunks());
        chunks.iter().for_each(Walk::lose_all);
    }
}

/// What the end of a node is the end of, besides what is below it.
pub(super) enum AtEnd {
    /// Of a child that ended before it had started: it counts in that boundary; see `start`.
    CountOut(Arc<Node>),
    /// Of a spawner's wait: it stands in line there.
    LeaveLine(Stand),
}

impl AtEnd {
    fn come(self) {
        match self {
            AtEnd::CountOut(caller) => caller.closure_left(),
            AtEnd::LeaveLine(stand) => stand.leave(),
        }
    }
}

/// What the poll of an orphan has opened inside, if it was orphaned meanwhile, is left as the rest
/// was.
pub(super) fn orphaned_poll_ends(node: Arc<Node>) {
    inline_subs(&node, true).into_iter().for_each(orphan_all);
    for child in inline_orphans(&node) {
        inline_subs(&child, true).into_iter().for_each(orphan_all);
        settle(child);
    }
    lose_inline_children(&node);
    settle(node);
}

/// The inline children of a scope whose nodes were orphaned with it.
fn inline_orphans(node: &Node) -> Vec<Arc<Node>> {
    if node.kind != Kind::Scope {
        return Vec::new();
    }
    let inside = node.inside.lock();
    let subs = inside.subs.iter().map(|(_, sub)| sub);
    subs.filter(|sub| sub.kind == Kind::Task && sub.is_orphan())
        .cloned()
        .collect()
}

/// Does a poll go on that may open something in this orphan? That of a scope covers those of its
/// inline children, and its end settles them if it was orphaned meanwhile. (Not those of one that has ended,
/// which lists nobody.)
fn may_be_polled(node: &Node) -> bool {
    let inline = |scope: &&Arc<Node>| node.kind == Kind::Task && scope.kind == Kind::Scope;
    let covers =
        |scope: &Arc<Node>| scope.is_orphan() && !scope.has_ended() && scope.is_being_polled();
    node.is_being_polled() || node.parent().filter(inline).is_some_and(covers)
}

/// Ends an orphan below which nothing lives any more, and then its parent if that is one too.
fn settle(mut node: Arc<Node>) {
    loop {
        let (closed, opener, estate, owed, at_end) = {
            let mut inside = node.inside.lock();
            // The inline children of a scope are its own memory and end with it.
            let living = node.kind != Kind::Scope && node.count.living() > 0;
            if node.has(ENDED) || may_be_polled(&node) || living {
                return;
            }
            if !inside.subs.is_empty() {
                // Those who hold a `close` have ended, so its memory is forgotten or out of place.
                let left = match is_alone(&inside) {
                    true => forgotten_releases(&inside),
                    false => Vec::new(),
                };
                drop(inside);
                if left.is_empty() {
                    return;
                }
                left.into_iter().for_each(Node::forget_release);
                continue;
            }
            let closed = inside.ledger.close();
            // Somebody may poll it all the same, where it does not belong any more.
            let opener = inside.opener.take();
            node.raise(ENDED);
            let owed = inside.owed.take();
            let estate = inside.inherited.leave();
            (closed, opener, estate, owed, inside.at_end.take())
        };
        closed.into_iter().for_each(Closed::tell);
        opener.into_iter().for_each(crate::panics::wake);
        // Before the parent can end without it.
        bequeath(&node, estate, owed);
        at_end.into_iter().for_each(AtEnd::come);
        match node.unlink() {
            Some(parent) if parent.is_orphan() => node = parent,
            Some(parent) => return parent.something_left(),
            None => return,
        }
    }
}
