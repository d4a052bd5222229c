//! The close of a boundary whose body is gone: what is below ends, what is owed runs, and what the body returned
//! is given, or not. And the deadline, which is looked at until then.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use super::{
    context,
    drive::{Outcome, Phase, guard},
    node::{Kind, Node, OWES},
    obligations::{Stage, poll_owed},
};
use crate::{cancel::CancelKind, runtime::Timer};

/// How a boundary stands when it is polled at its close.
pub(super) struct Closing {
    /// It is an orphan, or was polled where it does not belong: its value is dropped.
    pub(super) forbidden: bool,
    pub(super) in_place: bool,
    /// It is not in place, or was not in an earlier poll.
    pub(super) misplaced: bool,
    /// The body was pending, so the waker of the opener is stored.
    pub(super) waits: bool,
}

/// The poll of a boundary whose body is gone. Apart from `poll`, so that a deep nest of bodies
/// needs less stack.
pub(super) fn poll_closing<T>(
    node: &Arc<Node>,
    phase: &mut Phase<T>,
    timer: &mut Option<Timer>,
    how: Closing,
    cx: &mut Context<'_>,
) -> Poll<Outcome<T>> {
    if let Phase::Closing(value) = phase {
        if how.forbidden {
            guard(node, || *value = None);
        }
        if node.try_close_unused() {
            if how.waits {
                node.forget_opener();
            }
        } else {
            let drained = poll_drained(node, cx, || {
                // What was cancelled from above while somebody lived below has no value, and a
                // failure comes in its place. Dropped here, since it may hold guards.
                if node.is_doomed() || node.has_failed() {
                    guard(node, || *value = None);
                }
            });
            if drained.is_pending() {
                watch_deadline(node, timer, cx);
                return Poll::Pending;
            }
            node.depart();
        }
        // A real error is returned even if an ancestor is cancelled; everything else stays
        // pending until that ancestor drops the code around.
        if value.is_some() || node.has_failed() || !how.in_place || !parks(node) {
            let value = value.take();
            *phase = Phase::Done;
            return Poll::Ready(match value {
                Some(value) => Outcome::Value(value),
                None if how.misplaced => Outcome::Misplaced,
                None => Outcome::Dropped,
            });
        }
        *phase = Phase::Parked;
    }
    match phase {
        Phase::Parked => {
            // Whoever puts up its own shield now wakes it: it goes on then. (That of one around does not: this
            // one has departed.)
            node.register(cx.waker());
            if how.in_place && parks(node) {
                return Poll::Pending;
            }
            node.forget_opener();
            *phase = Phase::Done;
            Poll::Ready(match how.in_place {
                true => Outcome::Dropped,
                false => Outcome::Misplaced,
            })
        }
        _ => panic!("the future of a boundary was polled again after it had returned"),
    }
}

/// Is it cancelled from above, and what awaits it about to be dropped for that? Not if it is awaited inside
/// of a shield, or of a release, that has not been around when it was opened. And not by a thread that is
/// blocked, or the task of somebody else; there, what has no error for that parks all the same, since a task
/// can be dropped.
fn parks(node: &Node) -> bool {
    let foreign = node.kind == Kind::Cancel && context::is_foreign();
    let dropped = || {
        node.reason()
            .is_some_and(|reason| reason.kind == CancelKind::Dropped)
    };
    if foreign && (node.is_orphan() || dropped()) {
        // Its boundary has ended.
        return true;
    }
    let awaiter_goes = || foreign || context::is_about_to_be_dropped();
    node.kind != Kind::Run && node.is_cancelled_from_above() && awaiter_goes()
}

/// Looks at when the boundary has to be cancelled, and sees to it that the opener is woken then.
pub(super) fn watch_deadline(node: &Arc<Node>, timer: &mut Option<Timer>, cx: &mut Context<'_>) {
    while let Some(due) = node.due() {
        if timer.is_none() {
            // A deadline of zero, or one that has passed, needs no timer.
            let now = node.runtime().now();
            if due <= now {
                match node.expire(now) {
                    true => continue,
                    false => return,
                }
            }
        }
        let timer = timer.get_or_insert_with(|| node.runtime().timer());
        timer.set(due);
        if timer.poll(cx).is_pending() || !node.expire(node.runtime().now()) {
            return;
        }
    }
    if let Some(timer) = timer {
        timer.clear();
    }
}

/// Waits until nothing lives below the node, runs what is owed, and closes it. The body is gone by
/// now. `alone` is called when nothing else lives below.
pub(super) fn poll_drained(
    node: &Arc<Node>,
    cx: &mut Context<'_>,
    mut alone: impl FnMut(),
) -> Poll<()> {
    if node.has_ended() {
        return Poll::Ready(());
    }
    node.begin_to_drain(cx.waker());
    loop {
        if !node.is_alone() {
            let owes = node.has(OWES);
            let _ = poll_owed(node, Stage::Children, cx);
            if !owes || !node.is_alone() {
                // A scope whose children nobody polls any more ends without them. Looked at after
                // the waker was stored under the lock, under which the end was set.
                return match node.has_ended() {
                    true => {
                        node.forget_opener();
                        Poll::Ready(())
                    }
                    false => Poll::Pending,
                };
            }
        }
        alone();
        if node.owes() {
            node.begin_grace();
            ready!(poll_owed(node, Stage::Alone, cx));
            // One may have spawned into a group that was still open, or failed it.
            continue;
        }
        if node.try_close() {
            return Poll::Ready(());
        }
        if node.forget_releases() {
            continue;
        }
        if node.is_alone() {
            // A kept release is being polled elsewhere, or one has just arrived: either wakes.
            return Poll::Pending;
        }
    }
}
