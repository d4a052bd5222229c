//! Obligations: the async releases that a boundary owes before it may end.
//!
//! Invariants
//! 1. A release is a boundary of its own (`Kind::Release`): shielded, and no part of what its parent
//!    polls inside its body, so it keeps nobody's body alive. It is linked from its first poll on.
//! 2. A release is in exactly one place: with the `close` that its owner awaits, in the list of one
//!    node, or in the hands of the one poll that took it out and puts it back. Who holds it when
//!    its boundary is gone hands it on; only the memory of a forgotten `close` can take it away,
//!    and then its boundary reports that. `HANDED` says that it is not, or no longer, with a
//!    `close`; whoever raises it, the drop of the `close` or that report, decides.
//! 3. A node does not end while its list holds one (`OWES` tells without the lock). After the end,
//!    set under the same lock, a release climbs to the nearest ancestor that has not ended.
//! 4. One after the other: first those that have begun, then the *eager* ones, which were there when
//!    the body returned `Pending` or come from a boundary that is gone, and then the others, those
//!    of a tear-down, which wait for the children that may use what they release.
//! 5. A release that has begun stays under the boundary in which it began, whoever polls it: only
//!    there it is in place. If that boundary is an orphan, the nearest live ancestor polls it.

use std::{
    collections::VecDeque,
    future::Future,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use log::Level;

use super::{
    context::{self, Frame},
    drive::{Drive, Outcome},
    node::{ENDED, HANDED, Inside, Kind, Node, ORPHAN, OWES, Plan, USED},
    threads::{self, Event},
};
use crate::{
    cancel::CancelKind,
    error::{BoxError, CleanupFailure},
    panics::{self, Panic},
    runtime::{Label, Runtime},
};

/// What a release comes to.
pub(crate) type Released = Result<(), BoxError>;

/// How a release ended.
pub(crate) enum End {
    Returned(Released),
    Panicked(Panic),
    /// It was dropped before its end, for this reason.
    Cut(BoxError),
}

/// One release, begun or not.
pub(crate) struct Obligation {
    node: Arc<Node>,
    future: Pin<Box<dyn Future<Output = Outcome<Released>> + Send>>,
    eager: bool,
}

impl Obligation {
    pub(crate) fn new(
        location: &'static Location<'static>,
        release: impl Future<Output = Released> + Send + 'static,
    ) -> Self {
        let node = Node::new(Kind::Release, location, Plan::default());
        Obligation {
            future: Box::pin(Drive::new(node.clone(), release)),
            node,
            eager: false,
        }
    }

    /// Makes it eager: what it had to wait for has ended.
    pub(super) fn hurry(&mut self) {
        self.eager = true;
    }

    fn has_begun(&self) -> bool {
        self.node.is_placed()
    }

    /// Polls the release under the boundary where it began, or here if it has not.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let future = self.future.as_mut();
        let polled = match self.node.parent() {
            Some(parent) => Frame::Node(parent).catch(|| future.poll(cx)),
            None => Ok(future.poll(cx)),
        };
        let outcome = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => outcome,
            Err(payload) => std::panic::resume_unwind(payload),
        };
        threads::count(Event::Finalized);
        Poll::Ready(match (self.node.take_panic(), outcome) {
            (Some(panic), _) => End::Panicked(panic),
            (None, Outcome::Value(released)) => End::Returned(released),
            (None, Outcome::Dropped | Outcome::Misplaced) => End::Cut(self.why_cut().into()),
        })
    }

    /// Polls a release that nobody awaits: what goes wrong climbs.
    fn poll_unattended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx).map(|end| {
            let error: BoxError = match end {
                End::Returned(Ok(())) => return,
                End::Returned(Err(error)) => error,
                End::Panicked(panic) => panic.into_error(),
                End::Cut(error) => error,
            };
            self.report(error);
        })
    }

    fn why_cut(&self) -> &'static str {
        match self.node.reason().map(|reason| reason.kind) {
            Some(CancelKind::Shutdown) => {
                "the release was cut: the grace of a boundary around had ended"
            }
            _ => {
                "the release was cut: its `close` was kept until the boundary in which it began had ended"
            }
        }
    }

    fn report(&self, error: BoxError) {
        let name = self.node.task_name().map(String::into_boxed_str);
        let failure = CleanupFailure::of_release(name, self.node.location, error);
        self.node.record_cleanup(failure);
    }
}

/// A boundary, to remember where something was taken.
#[derive(Clone)]
pub(crate) struct Home {
    node: Option<Arc<Node>>,
    runtime: Runtime,
}

impl Home {
    /// The boundary is linked, so that it drains before the code around it is dropped (rule 21).
    pub(crate) fn here() -> Self {
        let node = context::node();
        if let Some(node) = &node {
            node.link();
        }
        Home {
            node,
            runtime: context::runtime(),
        }
    }

    /// Hands a release to the boundary of the code that runs now, or else to this one, or else to
    /// the runtime.
    pub(crate) fn take_over(&self, obligation: Obligation) {
        if obligation.node.raise(HANDED) & HANDED != 0 {
            // Its boundary has ended, and has reported that this was not finished.
            return super::drive::guard(&obligation.node.clone(), || drop(obligation));
        }
        if let Some(parent) = obligation.node.parent() {
            // One that has begun goes back to where it began, if it was carried away from there:
            // that boundary waits for it in any case.
            if !context::is_under(parent) {
                return hand_over(Some(parent.clone()), &self.runtime, obligation);
            }
        }
        let here = context::node();
        if here.is_none() {
            let by = match &self.node {
                Some(_) => "by the boundary in which it was taken, or one around that",
                None => "detached, and nobody waits for that",
            };
            let location = obligation.node.location;
            panics::log(
                Level::Warn,
                format_args!(
                    "what was deferred at {location} was dropped outside of any boundary; it is \
                     released {by}"
                ),
            );
        }
        let start = here.or_else(|| self.node.clone());
        hand_over(start, &self.runtime, obligation);
    }
}

/// Gives a release to the nearest boundary, from `start` on outwards, that has not ended.
pub(super) fn hand_over(start: Option<Arc<Node>>, runtime: &Runtime, mut obligation: Obligation) {
    let mut next = start;
    while let Some(node) = next {
        // So that the boundaries around find what is owed here.
        node.link();
        obligation = match node.owe(obligation) {
            // (If it is an orphan, who takes away the last thing below finds this too.)
            None => return node.wake_opener(),
            Some(mut refused) => {
                refused.hurry();
                refused
            }
        };
        next = node.parent().cloned();
    }
    let label = Label {
        name: None,
        location: obligation.node.location,
    };
    let detached = std::future::poll_fn(move |cx| obligation.poll_unattended(cx));
    panics::guard("spawning a detached release", || {
        runtime.spawn(|| label, || detached);
    });
}

/// The releases that a node owes, each list in the order of arrival; see invariant 4.
#[derive(Default)]
pub(super) struct Owed {
    begun: VecDeque<Obligation>,
    eager: VecDeque<Obligation>,
    /// Those of a tear-down.
    waiting: VecDeque<Obligation>,
}

impl Owed {
    fn push(&mut self, obligation: Obligation) {
        let list = match obligation.eager {
            _ if obligation.has_begun() => &mut self.begun,
            true => &mut self.eager,
            false => &mut self.waiting,
        };
        list.push_back(obligation);
    }

    fn next(&mut self, stage: Stage) -> Option<Obligation> {
        if stage == Stage::Body {
            self.eager.append(&mut self.waiting);
        }
        let next = self.begun.pop_front().or_else(|| self.eager.pop_front());
        match stage {
            Stage::Body | Stage::Children => next,
            Stage::Alone => next.or_else(|| self.waiting.pop_front()),
        }
    }

    fn is_empty(&self) -> bool {
        self.begun.is_empty() && self.eager.is_empty() && self.waiting.is_empty()
    }

    /// All of them, for the heir of a boundary that has ended.
    pub(super) fn into_all(self) -> impl Iterator<Item = Obligation> {
        let lists = [self.begun, self.eager, self.waiting];
        lists.into_iter().flatten()
    }
}

impl Inside {
    pub(super) fn owes(&self) -> bool {
        self.owed.as_ref().is_some_and(|owed| !owed.is_empty())
    }
}

impl Node {
    /// Takes a release, or gives it back if this boundary has ended. One that has begun cannot
    /// stay with an orphan, which polls nothing.
    fn owe(&self, obligation: Obligation) -> Option<Obligation> {
        let mut inside = self.inside.lock();
        let state = self.raise(USED);
        if state & ENDED != 0 || (obligation.has_begun() && state & ORPHAN != 0) {
            return Some(obligation);
        }
        inside.owed.get_or_insert_default().push(obligation);
        self.raise(OWES);
        None
    }

    /// Takes out the next release that may run; see invariant 4.
    fn next_owed(&self, stage: Stage) -> Option<Obligation> {
        self.inside.lock().owed.as_mut()?.next(stage)
    }

    pub(super) fn owes(&self) -> bool {
        self.has(OWES) && self.inside.lock().owes()
    }

    /// Puts back one that goes on; gives it back if this boundary has been orphaned meanwhile.
    fn put_back(&self, obligation: Obligation) -> Option<Obligation> {
        let mut inside = self.inside.lock();
        if self.has(ORPHAN) {
            return Some(obligation);
        }
        let owed = inside.owed.get_or_insert_default();
        owed.begun.push_front(obligation);
        None
    }

    /// The releases that have begun, for somebody who can poll them. Called once `ORPHAN` is set:
    /// who adds one under the lock afterwards sees that.
    pub(super) fn take_begun(&self) -> VecDeque<Obligation> {
        let mut inside = self.inside.lock();
        let begun = inside
            .owed
            .as_mut()
            .map(|owed| std::mem::take(&mut owed.begun));
        begun.unwrap_or_default()
    }

    /// The `close` of this release was forgotten, or is kept aside, while the boundary in which it
    /// began ends: its memory has the release, and nobody can finish it.
    pub(super) fn forget_release(self: Arc<Self>) {
        if self.raise(HANDED) & HANDED != 0 {
            // It has been dropped just now.
            return;
        }
        let name = self.task_name().map(String::into_boxed_str);
        let error = "the future of `close` was neither awaited to its end nor dropped";
        self.record_cleanup(CleanupFailure::of_release(
            name,
            self.location,
            error.into(),
        ));
        super::adoption::orphan(self);
    }
}

/// How far a boundary is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its body has just returned `Pending`.
    Body,
    /// Its body is gone, and something lives below.
    Children,
    /// Nothing else lives below.
    Alone,
}

/// Runs what is owed, as far as it may run; the opener of `node` calls this. Ready when nothing is
/// left that may run now.
pub(super) fn poll_owed(node: &Arc<Node>, stage: Stage, cx: &mut Context<'_>) -> Poll<()> {
    if !node.has(OWES) {
        return Poll::Ready(());
    }
    while let Some(mut obligation) = node.next_owed(stage) {
        let polled = Frame::Node(node).catch(|| obligation.poll_unattended(cx));
        match polled {
            Ok(Poll::Pending) => {
                if let Some(obligation) = node.put_back(obligation) {
                    hand_over(node.parent().cloned(), &node.runtime(), obligation);
                }
                return Poll::Pending;
            }
            Ok(Poll::Ready(())) => {}
            Err(payload) => super::drive::record_panic(node, payload),
        }
        super::drive::guard(node, || drop(obligation));
    }
    Poll::Ready(())
}
