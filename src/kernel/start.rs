//! The handshake of `start`: to whom a child belongs before it has started, and after.
//!
//! The child is a child of its target from the first moment on, and counts there. What belongs to
//! the caller until it has started is what it says (errors, panics) and who may cancel it. So
//! nothing moves in the tree: the gate says who answers.
//!
//! Invariants
//! 1. The gate leaves `Waiting` once: to `Started` if the caller was not cancelled before, to
//!    `Doomed` if the caller was cancelled or is gone, to `Ended` with the end of the child's
//!    future. Only a doomed child is cancelled on behalf of the caller, so one that has started is
//!    not.
//! 2. While the gate is `Waiting` or `Doomed`, the child counts in the caller's boundary too (unless
//!    it runs inline, as memory of its scope's future): that one does not end before. If the child
//!    ends without having started, it counts until what it left below itself has ended too.
//! 3. The gate refers to the caller's boundary until it is settled, and the boundary to the gate:
//!    whoever settles breaks this circle.

use std::{
    fmt,
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use pin_project_lite::pin_project;

use super::{
    adoption::AtEnd,
    atomic::{Lock, MutexGuard},
    claims::{CellRef, Hold},
    context,
    info::Info,
    node::Node,
    requests::propagate,
};
use crate::{
    cancel::{CancelKind, CancelReason},
    carry::Luggage,
    error::{CleanupFailure, IntoOutcome},
    panics::{self, Panic, Payload},
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The child belongs to the caller.
    Waiting,
    /// And is cancelled with it.
    Doomed,
    /// It lives under its target.
    Started,
    /// Its future is gone, and it had not started.
    Ended,
}

struct State {
    phase: Phase,
    /// The caller's boundary, until the gate is settled.
    caller: Option<Arc<Node>>,
    counted: bool,
    child: Option<Hold>,
    waker: Option<Waker>,
}

/// Between the caller of `start` and the child.
pub(crate) struct Gate(Lock<State>);

impl Gate {
    /// `counted`: the child runs on the runtime, and the boundary `caller` can wait for it.
    pub(crate) fn new(caller: &Arc<Node>, counted: bool) -> Arc<Self> {
        if counted {
            caller.closure_stays();
        }
        let gate = Arc::new(Gate(Lock::new(State {
            phase: Phase::Waiting,
            caller: Some(caller.clone()),
            counted,
            child: None,
            waker: None,
        })));
        caller.guard_gate(gate.clone());
        gate
    }

    /// The child has been spawned. A request that came before the gate stood, or before it knew the
    /// child, is caught up with: who requests later finds both. Called by who spawned the child, and
    /// by the child before its future is polled, since it may run before the call that spawns it has
    /// returned. False if the child is cancelled now, on behalf of its caller.
    pub(crate) fn introduce(&self, child: &CellRef) -> bool {
        let (caller, doomed) = {
            let mut state = self.0.lock();
            if state.phase == Phase::Waiting {
                state.child = Some(Hold::new(child));
            }
            (state.caller.clone(), state.phase == Phase::Doomed)
        };
        if doomed {
            child.cancel();
        } else if caller.is_some_and(|caller| caller.is_cancelled()) {
            if let Some(child) = self.doom() {
                propagate(child);
            }
        } else {
            return true;
        }
        false
    }

    pub(crate) fn phase(&self) -> Phase {
        self.0.lock().phase
    }

    /// For who waits for the start; the caller looks at the phase afterwards.
    pub(crate) fn register(&self, waker: &Waker) {
        let old = self.0.lock().waker.replace(waker.clone());
        drop(old);
    }

    /// The child has started; false if it is too late for that.
    pub(crate) fn open(&self) -> bool {
        let mut state = self.0.lock();
        let cancelled = state.caller.as_ref().is_none_or(|node| node.is_cancelled());
        if state.phase != Phase::Waiting || cancelled {
            return false;
        }
        state.phase = Phase::Started;
        self.settle(state, None);
        true
    }

    /// The child's future is gone, and it can start no more. Gives the caller's boundary, which is
    /// held open until `end`, or nothing if the child had started.
    fn close(&self) -> Option<Arc<Node>> {
        let mut state = self.0.lock();
        if state.phase == Phase::Started {
            return None;
        }
        state.phase = Phase::Ended;
        state.caller.clone()
    }

    /// After `close`, or if there never was a future.
    pub(crate) fn end(&self) {
        let mut state = self.0.lock();
        state.phase = Phase::Ended;
        self.settle(state, context::task_node());
    }

    /// For the caller, to whom the handle has said that the child has ended; false if it had started.
    /// Without consequence, unless the child is one of a forgotten scope, which ends no more.
    pub(crate) fn give_up(&self) -> bool {
        let mut state = self.0.lock();
        if state.phase == Phase::Started {
            return false;
        }
        state.phase = Phase::Ended;
        self.settle(state, None);
        true
    }

    /// `drains`: what the child leaves, which the caller waits for.
    fn settle(&self, mut state: MutexGuard<'_, State>, drains: Option<Arc<Node>>) {
        let (caller, waker) = (state.caller.take(), state.waker.take());
        let (child, counted) = (state.child.take(), state.counted);
        drop(state);
        drop(child);
        if let Some(caller) = caller {
            match (counted, drains) {
                (false, _) => {}
                (true, Some(child)) => child.count_in_until_end(caller),
                (true, None) => caller.closure_left(),
            }
        }
        if let Some(waker) = waker {
            panics::wake(waker);
        }
    }

    /// The caller is cancelled, or gone: so is a child that has not started. Gives the node of the
    /// child if the caller has to propagate that: chains of starts must not recurse.
    #[must_use]
    pub(super) fn doom(&self) -> Option<Arc<Node>> {
        let child = {
            let mut state = self.0.lock();
            if state.phase != Phase::Waiting {
                return None;
            }
            state.phase = Phase::Doomed;
            state.child.clone()
        };
        child?.record_cancel()
    }
}

impl Node {
    fn guard_gate(&self, gate: Arc<Gate>) {
        self.inside.lock().gate = Some(gate);
    }

    /// The node of a child that ended early counts in the caller's boundary, until it has drained. It has
    /// not begun to: the child's future is dropped just now.
    fn count_in_until_end(&self, caller: Arc<Node>) {
        debug_assert!(!self.has_ended(), "a child's node outlives its future");
        self.inside.lock().at_end = Some(AtEnd::CountOut(caller));
    }
}

/// Where the caller finds the error of a child that failed before it had started. (A panic is
/// recorded in the caller's boundary, which resumes it.)
pub(crate) struct Early<E>(Arc<Lock<Option<E>>>);

impl<E> Clone for Early<E> {
    fn clone(&self) -> Self {
        Early(self.0.clone())
    }
}

impl<E> Early<E> {
    pub(crate) fn new() -> Self {
        Early(Arc::new(Lock::new(None)))
    }

    pub(crate) fn take(&self) -> Option<E> {
        self.0.lock().take()
    }
}

enum End<E> {
    Quiet,
    Failed(E),
    Panicked(Payload),
}

pin_project! {
    /// The future of a starting child: keeps what it says from the target until it has started.
    pub(crate) struct Starting<F, E>
    where
        E: fmt::Debug,
    {
        gate: Arc<Gate>,
        early: Early<E>,
        info: Info,
        introduced: bool,
        // In here, and not around, so that its span tells of an early failure.
        luggage: Luggage,
        #[pin]
        future: Option<F>,
    }

    impl<F, E> PinnedDrop for Starting<F, E>
    where
        E: fmt::Debug,
    {
        fn drop(this: Pin<&mut Self>) {
            this.abandon();
        }
    }
}

impl<F, E: fmt::Debug> Starting<F, E> {
    pub(crate) fn new(
        gate: Arc<Gate>,
        early: Early<E>,
        info: Info,
        luggage: Luggage,
        future: F,
    ) -> Self {
        Starting {
            gate,
            early,
            info,
            introduced: false,
            luggage,
            future: Some(future),
        }
    }

    fn abandon(self: Pin<&mut Self>) {
        let mut this = self.project();
        if this.future.is_none() {
            return;
        }
        let end = match panics::catch(|| this.luggage.inside(|| this.future.set(None))) {
            Ok(()) => End::Quiet,
            Err(payload) => End::Panicked(payload),
        };
        if let End::Panicked(payload) = finish(this.gate, this.early, this.info, end) {
            resume_unwind(payload);
        }
    }
}

/// The child's future is gone. Leaves its end to the caller; gives it back if the child had
/// started, for the target.
fn finish<E: fmt::Debug>(gate: &Gate, early: &Early<E>, info: &Info, end: End<E>) -> End<E> {
    let Some(caller) = gate.close() else {
        return end;
    };
    match end {
        End::Quiet => {}
        End::Failed(error) => {
            // As a text, too: if the caller's future is gone, that is what climbs.
            caller.hold_unread(CleanupFailure::of_unread(info.clone(), &error));
            *early.0.lock() = Some(error);
        }
        End::Panicked(payload) => {
            let panic = panic_of(info, payload);
            let reason = CancelReason::failure(CancelKind::SiblingFailed, panic.describe());
            caller.record_panic(panic, reason);
        }
    }
    gate.end();
    End::Quiet
}

fn panic_of(info: &Info, payload: Payload) -> Panic {
    Panic {
        payload,
        name: info.name().map(Box::from),
        location: info.location(),
    }
}

impl<F, E> Future for Starting<F, E>
where
    F: Future,
    F::Output: IntoOutcome<E>,
    E: fmt::Debug,
{
    type Output = Result<(), E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if !std::mem::replace(this.introduced, true) {
            let gate = &*this.gate;
            if context::with_cell(|cell| gate.introduce(cell)) == Some(false) {
                // Not polled now: the request that this saw drops it.
                return Poll::Pending;
            }
        }
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let polled = panics::catch(|| this.luggage.poll(|| future.poll(cx)));
        let end = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(value))) => match panics::catch(|| drop(value)) {
                Ok(()) => End::Quiet,
                Err(payload) => End::Panicked(payload),
            },
            Ok(Poll::Ready(Err(error))) => End::Failed(error),
            Err(payload) => End::Panicked(payload),
        };
        let dropped = panics::catch(|| this.luggage.inside(|| this.future.set(None)));
        let end = match (end, dropped) {
            (End::Quiet, Err(payload)) => End::Panicked(payload),
            (first, Err(payload)) => {
                if let Some(node) = context::node() {
                    node.suppress(panic_of(this.info, payload).into());
                }
                first
            }
            (end, Ok(())) => end,
        };
        match finish(this.gate, this.early, this.info, end) {
            End::Quiet => Poll::Ready(Ok(())),
            End::Failed(error) => Poll::Ready(Err(error)),
            End::Panicked(payload) => resume_unwind(payload),
        }
    }
}
