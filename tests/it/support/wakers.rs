//! Wakers of foreign executors that do one odd thing each.

use std::{
    future::Future,
    pin::Pin,
    ptr::null,
    sync::{Arc, Mutex},
    task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker},
};

/// When it panics.
pub enum BadWaker {
    Cloned,
    Called,
    Dropped,
}

static CLONED: RawWakerVTable = RawWakerVTable::new(|_| panic!("cloned"), ignore, ignore, ignore);
static CALLED: RawWakerVTable = RawWakerVTable::new(
    |_| RawWaker::new(null(), &CALLED),
    |_| panic!("called"),
    |_| panic!("called"),
    ignore,
);
static DROPPED: RawWakerVTable = RawWakerVTable::new(
    |_| RawWaker::new(null(), &DROPPED),
    ignore,
    ignore,
    |_| panic!("dropped"),
);

fn ignore(_: *const ()) {}

impl BadWaker {
    pub fn poll<F: Future + Unpin>(&self, fut: &mut F) -> Poll<F::Output> {
        let table = match self {
            BadWaker::Cloned => &CLONED,
            BadWaker::Called => &CALLED,
            BadWaker::Dropped => &DROPPED,
        };
        // SAFETY: nothing is behind the pointer, and the functions may be called from anywhere.
        let waker = std::mem::ManuallyDrop::new(unsafe { Waker::new(null(), table) });
        Pin::new(fut).poll(&mut Context::from_waker(&waker))
    }
}

/// A task that its executor has left: its waker is the last to refer to it, and destroys it when it is called.
pub struct LeftTask(Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Wake for LeftTask {
    fn wake(self: Arc<Self>) {}
}

impl LeftTask {
    /// Polls it once, and leaves it.
    pub fn leave(fut: impl Future<Output = ()> + Send + 'static) {
        let task = Arc::new(LeftTask(Mutex::new(Box::pin(fut))));
        let waker = Waker::from(task.clone());
        let mut context = Context::from_waker(&waker);
        assert!(
            task.0
                .lock()
                .unwrap()
                .as_mut()
                .poll(&mut context)
                .is_pending()
        );
    }
}
