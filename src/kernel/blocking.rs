//! A blocking closure as the future of a child.
//!
//! Invariants
//! 1. The closure is in the slot until a thread begins it or the child takes it back; whoever takes
//!    it out, under the lock, decides. One that was taken back is never run. A thread that comes
//!    while the child is cancelled does not begin it.
//! 2. While the closure may run, the child's node holds its future: a cancelled child waits for it.
//!    If the child is destroyed all the same (a simulation that ends early), the closure counts in
//!    its group until it has ended.
//! 3. When the child goes on, the closure and all it captured are gone, and the slot holds nothing:
//!    the thread that ran it has no more than an empty slot in its hands.

use std::{
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::{
    atomic::Lock,
    context::{self, Frame},
    node::Node,
};
use crate::{
    panics::{self, Payload},
    runtime::{Label, Runtime},
};

/// What a blocking closure polls to learn that it should stop.
///
/// Nothing can stop a thread from outside: a closure that ignores its token runs to its end, and its
/// group waits for it.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// headcount::run(async |g| {
///     g.spawn_blocking(|token| {
///         while !token.is_cancelled() {
///             std::thread::yield_now(); // a slice of work
///         }
///     });
///     headcount::checkpoint().await;
///     g.cancel();
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct BlockingToken {
    node: Arc<Node>,
    runtime: Runtime,
}

impl BlockingToken {
    /// Has somebody asked this closure's task to stop?
    pub fn is_cancelled(&self) -> bool {
        self.runtime.blocking_checkpoint();
        self.node.is_cancelled()
    }

    /// Has the group, or one around it, been asked to come to an end? See
    /// [`TaskGroup::shutdown`](crate::TaskGroup::shutdown).
    pub fn is_shutting_down(&self) -> bool {
        self.runtime.blocking_checkpoint();
        self.node.is_shutting_down()
    }
}

impl std::fmt::Debug for BlockingToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cancelled = self.node.is_cancelled();
        f.debug_struct("BlockingToken")
            .field("cancelled", &cancelled)
            .finish()
    }
}

type Closure<'env, T> = Box<dyn FnOnce(BlockingToken) -> T + Send + 'env>;

struct Slot<'env, T> {
    closure: Option<Closure<'env, T>>,
    result: Option<Result<T, Payload>>,
    waker: Option<Waker>,
    /// A thread came while a request was visible, and left the closure in the slot.
    refused: bool,
    /// The child was destroyed while the closure runs, which now counts for itself in this group.
    abandoned: Option<Arc<Node>>,
}

type Job<'env, T> = Arc<Lock<Slot<'env, T>>>;

/// Whose threads run a closure.
#[derive(Clone, Copy)]
pub(crate) enum Pool {
    /// The runtime's, of which there are many, for closures that wait.
    Blocking,
    /// Rayon's, one for each core, for closures that compute.
    #[cfg(all(feature = "rayon", not(loom)))]
    Computing,
}

/// Runs a closure on a thread; the future of a spawned child.
pub(crate) struct Blocking<'env, T> {
    pool: Pool,
    job: Job<'env, T>,
    /// The closure after a request to cancel; dropped with this future, or submitted again.
    taken_back: Option<Closure<'env, T>>,
    submitted: bool,
    /// The node that holds this future while the closure may run.
    held: Option<Arc<Node>>,
}

impl<'env, T: Send + 'env> Blocking<'env, T> {
    pub(crate) fn new(pool: Pool, closure: impl FnOnce(BlockingToken) -> T + Send + 'env) -> Self {
        Blocking {
            pool,
            job: Arc::new(Lock::new(Slot {
                closure: Some(Box::new(closure)),
                result: None,
                waker: None,
                refused: false,
                abandoned: None,
            })),
            taken_back: None,
            submitted: false,
            held: None,
        }
    }

    /// Queues the closure for a thread.
    fn submit(&mut self) {
        if std::mem::replace(&mut self.submitted, true) {
            return;
        }
        let node = context::node().expect("a blocking child is polled inside its own frame");
        let runtime = context::runtime();
        let token = BlockingToken {
            node: node.clone(),
            runtime: runtime.clone(),
        };
        node.hold();
        let job = self.job.clone();
        let work: Box<dyn FnOnce() + Send + 'env> = Box::new(move || work(&job, token));
        // SAFETY: only the lifetime changes. The child does not end before the closure was taken
        // back or has been run and dropped (invariant 2), and afterwards the work holds nothing
        // that borrows (invariant 3); and the boundary of the child outlives it (`spawn`).
        let work = unsafe {
            std::mem::transmute::<Box<dyn FnOnce() + Send + 'env>, Box<dyn FnOnce() + Send>>(work)
        };
        let label = Label {
            name: node.name.as_deref(),
            location: node.location,
        };
        match self.pool {
            Pool::Blocking => runtime.spawn_blocking(label, work),
            #[cfg(all(feature = "rayon", not(loom)))]
            Pool::Computing => runtime.compute(label, work),
        }
        self.held = Some(node);
    }

    fn release(&mut self) {
        if let Some(node) = self.held.take() {
            node.release();
        }
    }
}

/// What a thread does for a job.
fn work<T>(job: &Lock<Slot<'_, T>>, token: BlockingToken) {
    let node = token.node.clone();
    let closure = {
        let mut slot = job.lock();
        if slot.closure.is_some() && node.is_cancelled() {
            slot.refused = true;
            let waker = slot.waker.take();
            drop(slot);
            waker.into_iter().for_each(panics::wake);
            return;
        }
        slot.closure.take()
    };
    let Some(closure) = closure else {
        return;
    };
    let result = Frame::Blocking(&node).catch(|| closure(token));
    let (waker, abandoned) = {
        let mut slot = job.lock();
        slot.result = Some(result);
        (slot.waker.take(), slot.abandoned.take())
    };
    if let Some(group) = abandoned {
        let result = job.lock().result.take();
        panics::guard("what an abandoned closure returned", || drop(result));
        group.closure_left();
    } else if let Some(waker) = waker {
        panics::wake(waker);
    }
}

impl<'env, T: Send + 'env> Future for Blocking<'env, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let cancelled = context::is_cancelled();
        if let Some(closure) = self.taken_back.take_if(|_| !cancelled) {
            // A shield has come between: the request does not count here any more.
            self.job.lock().closure = Some(closure);
            self.submitted = false;
        }
        let waker = Some(cx.waker().clone());
        let (result, closure, refused, _old) = {
            let mut slot = self.job.lock();
            let old = std::mem::replace(&mut slot.waker, waker);
            let closure = slot.closure.take_if(|_| cancelled);
            // Unless another thread, from before it was submitted anew, has begun it meanwhile.
            let unbegun = closure.is_some() || slot.closure.is_some();
            let refused = std::mem::take(&mut slot.refused) && unbegun;
            (slot.result.take(), closure, refused, old)
        };
        if result.is_some() || closure.is_some() || refused {
            self.release();
        }
        if refused {
            // Unless it was taken back just now: the request that the thread saw is not visible
            // any more.
            self.submitted = false;
        }
        if closure.is_some() {
            self.taken_back = closure;
        } else if self.taken_back.is_none() && result.is_none() {
            // With a result there is nothing to submit: a thread from before has run what was put
            // back just now.
            self.submit();
        }
        match result {
            Some(Ok(value)) => Poll::Ready(value),
            Some(Err(payload)) if panics::is_interrupt(&payload) => {
                // It ends as a task that is cancelled does: whoever polls this drops it now, also if a
                // shield has come between since.
                context::with_cell(|cell| cell.cancel());
                Poll::Pending
            }
            Some(Err(payload)) => resume_unwind(payload),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for Blocking<'_, T> {
    fn drop(&mut self) {
        let left = {
            let mut slot = self.job.lock();
            let runs = self.held.is_some() && slot.closure.is_none() && slot.result.is_none();
            if let (true, Some(group)) = (runs, self.held.as_ref().and_then(|node| node.parent())) {
                group.closure_stays();
                slot.abandoned = Some(group.clone());
            }
            // A result that nobody came for goes with the child too (invariant 3): the thread that
            // brought it may still hold the slot.
            (slot.closure.take(), slot.result.take())
        };
        if let Some(node) = self.held.take() {
            node.release();
        }
        drop(left);
    }
}

#[cfg(all(test, feature = "async-std", not(loom)))]
mod tests {
    use std::{
        panic::Location,
        task::{RawWaker, RawWakerVTable},
    };

    use super::*;
    use crate::kernel::node::{Kind, OWN, Plan, SHIELD};

    fn node(kind: Kind, parent: Option<Arc<Node>>) -> Arc<Node> {
        let node = Node::new(kind, Location::caller(), Plan::default());
        node.settle_at(parent, Runtime::default_runtime());
        node
    }

    /// A waker in the shape of a thread that comes for the job while the child makes a copy of it.
    struct Thread {
        job: Job<'static, i32>,
        node: Arc<Node>,
    }

    impl Thread {
        const NOTHING: unsafe fn(*const ()) = |_| ();
        const TABLE: RawWakerVTable = RawWakerVTable::new(
            Thread::come,
            Thread::NOTHING,
            Thread::NOTHING,
            Thread::NOTHING,
        );

        /// # Safety
        ///
        /// `this` points at a living `Thread`.
        unsafe fn come(this: *const ()) -> RawWaker {
            // SAFETY: as the caller promises.
            let this = unsafe { &*this.cast::<Thread>() };
            let token = BlockingToken {
                node: this.node.clone(),
                runtime: Runtime::default_runtime(),
            };
            work(&this.job, token);
            RawWaker::new(Waker::noop().data(), Waker::noop().vtable())
        }
    }

    /// The request that a thread saw is not visible any more when the child looks.
    #[test]
    fn a_closure_is_submitted_again_if_a_thread_refused_it_and_not_before() {
        let around = node(Kind::Cancel, None);
        let shield = node(Kind::Cancel, Some(around.clone()));
        let child = node(Kind::Task, Some(shield.clone()));
        let mut blocking = Blocking::new(Pool::Blocking, |_| 7);
        blocking.submitted = true;
        let job = blocking.job.clone();
        let mut is_submitted_again = || {
            let mut cx = Context::from_waker(Waker::noop());
            let polled = Frame::Node(&child).catch(|| Pin::new(&mut blocking).poll(&mut cx));
            assert!(matches!(polled, Ok(Poll::Pending)));
            blocking.held.is_some()
        };
        assert!(!is_submitted_again(), "the thread is on its way");
        around.raise(OWN);
        let token = BlockingToken {
            node: child.clone(),
            runtime: Runtime::default_runtime(),
        };
        work(&job, token);
        assert!(job.lock().closure.is_some());
        shield.raise(SHIELD);
        assert!(is_submitted_again());
    }

    /// A shield has come between, so the child puts the closure back; before it looks for a result,
    /// a thread that was asked before the request runs the closure.
    #[test]
    fn a_closure_that_ran_as_it_was_put_back_is_not_submitted_again() {
        let group = node(Kind::Group, None);
        let child = node(Kind::Task, Some(group.clone()));
        let mut blocking = Blocking::new(Pool::Blocking, |_| 7);
        blocking.submitted = true;
        blocking.taken_back = blocking.job.lock().closure.take();
        let thread = Thread {
            job: blocking.job.clone(),
            node: child.clone(),
        };
        // SAFETY: the functions ask for a `Thread`. It lives longer than the waker, of which every copy
        // is one that does nothing, and it is `Sync`.
        let waker = unsafe { Waker::new(std::ptr::from_ref(&thread).cast(), &Thread::TABLE) };
        let mut cx = Context::from_waker(&waker);
        let polled = Frame::Node(&child).catch(|| Pin::new(&mut blocking).poll(&mut cx));
        assert!(matches!(polled, Ok(Poll::Ready(7))));
        drop(blocking);
        assert!(!child.has_inner(), "the child is held for nothing");
        assert_eq!(group.stats().1, 0, "the group waits for nobody");
    }
}
