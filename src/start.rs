//! `start`: a child that gets ready before the caller goes on.

use std::{
    fmt,
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use futures_util::FutureExt;

use crate::{
    carry::Luggage,
    error::{IntoOutcome, NotStarted, StartError},
    handle::JoinHandle,
    kernel::{
        cell::End,
        context,
        drive::{Drive, Outcome},
        info::Info,
        node::{Kind, Node, Plan},
        start::{Early, Gate, Phase, Starting},
    },
    panics,
};

/// What a starting child is given, to say that it is ready. See
/// [`TaskGroup::start`](crate::TaskGroup::start).
pub struct Started<V> {
    value: Arc<Mutex<Option<V>>>,
    gate: Arc<Gate>,
}

impl<V> Started<V> {
    /// The child is ready; `value` goes to the caller of `start`. From now on the child belongs to
    /// its group.
    ///
    /// If the caller was cancelled before, or is gone, `value` is dropped, and the child is
    /// cancelled.
    pub fn send(self, value: V) {
        *lock(&self.value) = Some(value);
        if !self.gate.open() {
            let refused = lock(&self.value).take();
            drop(refused);
        }
    }
}

impl<V> fmt::Debug for Started<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The future of `start`. `counted`: the child runs on the runtime.
pub(crate) fn start<V, E, O, F, Fut, S>(
    info: Info,
    counted: bool,
    child: F,
    pack: impl FnOnce(&Info) -> Luggage,
    spawn: S,
) -> impl Future<Output = Result<V, StartError<E>>>
where
    E: fmt::Debug,
    F: FnOnce(Started<V>) -> Fut,
    Fut: Future<Output = O>,
    O: IntoOutcome<E>,
    S: FnOnce(Starting<Fut, E>) -> JoinHandle<()>,
{
    let node = Node::new(Kind::Start, info.location(), Plan::default());
    let caller = node.clone();
    let body = async move {
        let gate = Gate::new(&caller, counted);
        let value = Arc::new(Mutex::new(None));
        let started = Started {
            value: value.clone(),
            gate: gate.clone(),
        };
        let early = Early::new();
        let future = match panics::catch(|| child(started)) {
            Ok(future) => future,
            Err(payload) => {
                // There is no future whose end would settle the gate.
                gate.end();
                resume_unwind(payload)
            }
        };
        let luggage = pack(&info);
        let future = Starting::new(gate.clone(), early.clone(), info.clone(), luggage, future);
        let handle = spawn(future);
        gate.introduce(handle.claim().cell());
        let wait = Wait {
            caller,
            gate,
            early,
            handle,
        };
        wait.await.map(|()| lock(&value).take())
    };
    Drive::new(node.clone(), body).map(move |outcome| {
        node.resume_panic();
        match outcome {
            Outcome::Value(Ok(Some(value))) => Ok(value),
            Outcome::Value(Err(error)) => Err(error),
            Outcome::Value(Ok(None)) | Outcome::Dropped | Outcome::Misplaced => {
                Err(StartError(NotStarted::Cancelled))
            }
        }
    })
}

/// Waits until the child has started, or ended before that.
struct Wait<E> {
    caller: Arc<Node>,
    gate: Arc<Gate>,
    early: Early<E>,
    handle: JoinHandle<()>,
}

impl<E> Future for Wait<E> {
    type Output = Result<(), StartError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.gate.register(cx.waker());
        if self.gate.phase() == Phase::Started {
            return Poll::Ready(Ok(()));
        }
        let end = ready!(self.handle.claim().poll_any_end(cx));
        if !self.gate.give_up() {
            return Poll::Ready(Ok(()));
        }
        let why = match self.early.take() {
            Some(error) => NotStarted::Failed(error),
            None if end == End::Value => NotStarted::Never,
            None => NotStarted::Cancelled,
        };
        if context::is_cancelled() && !matches!(why, NotStarted::Failed(_)) {
            // The code that awaits this is cancelled too, and does not go on.
            self.caller.doom();
        }
        Poll::Ready(Err(StartError(why)))
    }
}
