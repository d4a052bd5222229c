//! Subscribers are anybody's code.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use headcount::{Boundary, JoinHandle, checkpoint, group, run, testing::Sim, timeout};
use tracing::{Event, Subscriber, span::Id, subscriber};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// Panics when a boundary is entered for the time with this number.
#[derive(Clone)]
struct Panicking {
    enters: Arc<AtomicUsize>,
    at: usize,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Panicking {
    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if context
            .metadata(id)
            .is_some_and(|span| span.name() == "boundary")
        {
            let number = self.enters.fetch_add(1, Ordering::SeqCst);
            assert_ne!(number, self.at, "entered for the last time");
        }
    }
}

/// Fails with what it borrows, and counts how often that was dropped.
#[derive(Debug)]
struct Loan<'a>(&'a AtomicUsize);

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Gives how often boundaries were entered, and how often the error was dropped when `run` was left.
fn run_with_a_panic_at(at: usize) -> (usize, usize) {
    let enters = Arc::default();
    let layer = Panicking { enters, at };
    let enters = layer.enters.clone();
    let dropped = AtomicUsize::new(0);
    let kept = Mutex::new(None);
    subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            run(async |g| {
                drop(g.spawn(async { Err::<(), _>(Loan(&dropped)) }));
                // So it is all over when its first poll returns.
                while g.stats().living > 0 {
                    thread::yield_now();
                }
                *kept.lock().unwrap() = Some(g);
                Ok(())
            })
        }));
        assert_eq!(outcome.is_err(), at != usize::MAX);
        drop(outcome);
    });
    (
        enters.load(Ordering::SeqCst),
        dropped.load(Ordering::SeqCst),
    )
}

/// Rule 14: also if it is the subscriber that has `run` unwind, and though a handle is kept.
#[test]
fn the_errors_of_a_run_are_dropped_before_a_panic_of_a_subscriber_leaves_it() {
    let (enters, dropped) = run_with_a_panic_at(usize::MAX);
    assert_eq!(dropped, 1);
    let last = enters - 1;
    assert_eq!(run_with_a_panic_at(last), (enters, 1));
}

/// Asks where it is whenever it is told of something.
#[derive(Clone, Default)]
struct Curious(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Curious {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        if Boundary::current().is_some() {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// The boundary of a timeout, and that of the child around, are made when the code inside asks for them;
/// and then the request that the child has got already is told.
#[test]
fn a_subscriber_may_ask_for_the_boundary_that_is_being_made() {
    let curious = Curious::default();
    let subscriber = tracing_subscriber::registry().with(curious.clone());
    let program = async {
        let own: Arc<Mutex<Option<JoinHandle<()>>>> = Arc::default();
        let outcome = group(async |g| {
            let handle = own.clone();
            *own.lock().unwrap() = Some(g.spawn(async move {
                handle.lock().unwrap().as_ref().unwrap().cancel();
                let asks = async {
                    assert!(Boundary::current().is_some());
                    checkpoint().await;
                };
                _ = timeout(std::time::Duration::from_secs(1), asks).await;
            }));
            Ok::<_, ()>(())
        });
        outcome.await.unwrap();
    };
    subscriber::with_default(subscriber, || Sim::new(0).run(program));
    assert_eq!(curious.0.load(Ordering::SeqCst), 1);
}
