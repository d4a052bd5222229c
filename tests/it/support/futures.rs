//! Hand-made futures that do one odd thing each.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

/// Returns `Pending` once, having asked to be polled again.
pub fn yield_now() -> impl Future<Output = ()> + Send {
    let mut yielded = false;
    poll_fn(move |cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// Polls `fut` exactly once, as the current task.
pub async fn poll_once<F: Future + Unpin>(fut: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *fut).poll(cx))).await
}

/// Polls `fut` as the current task for so long, as a foreign combinator would, and leaves it half-way.
pub async fn poll_for<F: Future + Unpin>(fut: &mut F, dur: Duration) -> Poll<F::Output> {
    let mut timer = Box::pin(headcount::time::sleep(dur));
    poll_fn(|cx| match Pin::new(&mut *fut).poll(cx) {
        Poll::Ready(value) => Poll::Ready(Poll::Ready(value)),
        Poll::Pending => timer.as_mut().poll(cx).map(|()| Poll::Pending),
    })
    .await
}

/// Awaits `fut` and gives back the payload if it panics.
pub async fn catch<F: Future>(fut: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut fut = Box::pin(fut);
    poll_fn(
        move |cx| match catch_unwind(AssertUnwindSafe(|| fut.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(payload) => Poll::Ready(Err(payload)),
        },
    )
    .await
}

/// Polls with wakers of its own, which wake the task that made it, and counts those that are kept.
#[derive(Clone)]
pub struct Relay(Arc<Relayed>);

struct Relayed(Waker);

impl Wake for Relayed {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
    }
}

impl Relay {
    pub async fn here() -> Self {
        poll_fn(|cx| Poll::Ready(Relay(Arc::new(Relayed(cx.waker().clone()))))).await
    }

    pub fn poll<F: Future + Unpin>(&self, fut: &mut F) -> Poll<F::Output> {
        let waker = Waker::from(self.0.clone());
        Pin::new(fut).poll(&mut Context::from_waker(&waker))
    }

    /// How many wakers are kept, with the clones of this.
    pub fn kept(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

/// How often a future was polled.
#[derive(Clone, Default)]
pub struct PollCount(Arc<AtomicUsize>);

impl PollCount {
    pub fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Counts the polls of `fut`.
    pub fn of<F: Future>(&self, fut: F) -> CountPolls<F> {
        CountPolls {
            fut: Box::pin(fut),
            count: self.clone(),
        }
    }
}

/// Counts its polls.
pub struct CountPolls<F> {
    fut: Pin<Box<F>>,
    count: PollCount,
}

impl<F: Future> Future for CountPolls<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.count.0.fetch_add(1, Ordering::SeqCst);
        self.fut.as_mut().poll(cx)
    }
}

/// A value whose destructor panics with its text.
#[derive(Debug)]
pub struct PanicOnDrop(pub &'static str);

impl Drop for PanicOnDrop {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

/// A future that never ends and whose destructor panics.
pub async fn drops_later_panicking(text: &'static str) {
    let _guard = PanicOnDrop(text);
    std::future::pending::<()>().await;
}

/// A future that ends at once as `end` does, and whose destructor panics all the same.
pub fn ends_and_panics_later<T>(
    end: impl FnOnce() -> T,
    text: &'static str,
) -> impl Future<Output = T> {
    let (owned, mut end) = (PanicOnDrop(text), Some(end));
    poll_fn(move |_| {
        let _ = &owned;
        Poll::Ready(end.take().expect("polled once")())
    })
}

/// Closed until somebody opens it, from any thread.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<GateState>>);

#[derive(Default)]
struct GateState {
    open: bool,
    waiting: Vec<Waker>,
}

impl Gate {
    pub fn open(&self) {
        let waiting = {
            let mut state = self.0.lock().unwrap();
            state.open = true;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Waits until the gate is open.
    pub fn wait(&self) -> impl Future<Output = ()> + Send + 'static {
        let gate = self.clone();
        poll_fn(move |cx| {
            let mut state = gate.0.lock().unwrap();
            if state.open {
                return Poll::Ready(());
            }
            state.waiting.push(cx.waker().clone());
            Poll::Pending
        })
    }

    /// Wakes whoever waits, without opening: a spurious wake.
    pub fn rattle(&self) {
        let waiting = std::mem::take(&mut self.0.lock().unwrap().waiting);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// How many wakers are kept.
    pub fn waiting(&self) -> usize {
        self.0.lock().unwrap().waiting.len()
    }
}
