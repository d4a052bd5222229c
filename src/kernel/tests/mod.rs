//! Models of the kernel's protocols, one file each: loom runs every interleaving of their threads,
//! and every value that a load may see, up to a bound on preemptions. `ci/loom.sh` runs them.
//!
//! A model is a small program over the crate's own types. Whatever stands before its first `thread`
//! is set up by one thread and costs nothing. Each file says what must hold; beside what it asserts,
//! every model fails
//!
//! - if a wake-up is lost, since then nobody can go on (loom calls it a deadlock);
//! - if a cell's output, a chunk's group or a [`Trace`] is read while another thread may write it;
//! - if a node or a chunk is leaked, or a chunk freed while another thread may still look at it;
//! - if anything panics, even where the kernel would catch it.
//!
//! No limit ends a model early: it is checked completely, or not at all.

mod adoption;
mod blocking;
mod cancel;
mod close;
mod crosswise;
mod deadline;
mod failures;
mod inbox;
mod join;
mod last_child;
mod limit;
mod link;
mod obligations;
mod shield;
mod snapshot;
mod start;
mod supervised;
mod tasks;
mod watch;

use std::{
    cell::Cell,
    future::poll_fn,
    panic,
    pin::Pin,
    sync::{
        Arc, Once,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
    time::Instant,
};

use loom::{cell::UnsafeCell, model::Builder, thread::JoinHandle};

use super::atomic::Lock;
use crate::runtime::models::Task;

thread_local! {
    /// What the model on this thread is called, and its number of iterations so far.
    static RUNNING: Cell<Option<(&'static str, usize)>> = const { Cell::new(None) };
    static THREADS: Cell<usize> = const { Cell::new(0) };
}

/// How many preemptions are tried; `None` is without bound.
#[derive(Clone, Copy)]
struct Bound {
    /// In each run of the checks.
    usual: Option<usize>,
    /// With `HEADCOUNT_MODELS=deep`.
    deep: Option<usize>,
}

const fn bound(usual: usize, deep: usize) -> Bound {
    Bound {
        usual: Some(usual),
        deep: Some(deep),
    }
}

/// Checks a model, and prints how large it was.
fn check<F: Fn() + Send + Sync + 'static>(bound: Bound, model: F) {
    static HOOK: Once = Once::new();
    HOOK.call_once(end_with_the_first_panic);
    let name = std::any::type_name::<F>();
    let name = name.trim_end_matches("::{{closure}}");
    let name = name.rsplit_once("::tests::").map_or(name, |(_, name)| name);

    let mut builder = Builder::new();
    // Whatever the environment says: what is cut short would look like a success.
    builder.max_duration = None;
    builder.max_permutations = None;
    builder.max_branches = 60_000;
    builder.max_threads = 5;
    let deep = std::env::var("HEADCOUNT_MODELS").is_ok_and(|size| size == "deep");
    builder.preemption_bound = if deep { bound.deep } else { bound.usual };
    let preemptions = builder.preemption_bound;

    THREADS.set(0);
    let iterations = Arc::new(AtomicUsize::new(0));
    let counter = iterations.clone();
    let start = Instant::now();
    builder.check(move || {
        let iteration = counter.fetch_add(1, Ordering::Relaxed) + 1;
        RUNNING.set(Some((name, iteration)));
        model();
    });
    RUNNING.set(None);
    let (iterations, threads) = (iterations.load(Ordering::Relaxed), THREADS.get());
    assert!(threads >= iterations, "{name} started no threads");
    println!(
        "model {name}: {} preemptions, {iterations} iterations, {} threads, {:.1} s",
        preemptions.map_or("any number of".into(), |bound| format!("up to {bound}")),
        1 + threads / iterations,
        start.elapsed().as_secs_f32(),
    );
}

/// The kernel catches panics of wakers, futures and destructors, and would hide those of loom and of
/// assertions. (What models throw on purpose they throw with `resume_unwind`, which calls no hook.)
fn end_with_the_first_panic() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        default(info);
        if let Some((name, iteration)) = RUNNING.get() {
            eprintln!("model {name} failed in iteration {iteration}");
            std::process::abort();
        }
    }));
}

/// A thread of the model.
fn thread<T: 'static>(f: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    THREADS.set(THREADS.get() + 1);
    loom::thread::spawn(f)
}

/// The output of a thread of the model.
fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("panics end the process")
}

/// How a body gives something to the model, before there is a second thread.
struct Out<T>(Arc<Lock<Option<T>>>);

impl<T> Out<T> {
    fn new() -> Self {
        Out(Arc::new(Lock::new(None)))
    }

    fn put(&self, value: T) {
        *self.0.lock() = Some(value);
    }

    fn take(&self) -> T {
        self.0.lock().take().expect("the body has been polled")
    }
}

impl<T> Clone for Out<T> {
    fn clone(&self) -> Self {
        Out(self.0.clone())
    }
}

/// Polls a task for the first time, which does not end there.
fn begin<T>(mut task: Task<T>) -> Task<T> {
    assert!(task.poll().is_pending());
    task
}

/// The same inside of a body.
async fn half_way<F: Future>(future: &mut Pin<Box<F>>) {
    let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending()));
    assert!(polled.await);
}

/// Something that is waited for.
#[derive(Clone, Default)]
struct Event(Arc<Lock<(bool, Option<Waker>)>>);

impl Event {
    fn set(&self) {
        let waker = {
            let mut state = self.0.lock();
            state.0 = true;
            state.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    async fn wait(self) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if state.0 {
                return Poll::Ready(());
            }
            state.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// A number that is changed without any synchronization: who looks at it must come after those who
/// changed it, or the model fails.
#[derive(Clone)]
struct Trace(Arc<UnsafeCell<usize>>);

// SAFETY: loom checks that accesses are ordered; that is what it is for.
unsafe impl Send for Trace {}
// SAFETY: as above.
unsafe impl Sync for Trace {}

impl Trace {
    #[expect(clippy::arc_with_non_send_sync, reason = "loom checks it, see above")]
    fn new() -> Self {
        Trace(Arc::new(UnsafeCell::new(0)))
    }

    fn leave(&self) {
        // SAFETY: loom ends the model if somebody else looks at the same time.
        self.0.with_mut(|count| unsafe { *count += 1 });
    }

    fn count(&self) -> usize {
        // SAFETY: as in `leave`.
        self.0.with(|count| unsafe { *count })
    }

    /// Leaves its trace when it is dropped.
    fn guard(&self) -> Guard {
        Guard(self.clone())
    }
}

struct Guard(Trace);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.leave();
    }
}
