//! Who is left when a future has ended.
//!
//! Invariants:
//! 1. A region is one call of `assert_no_orphans`. While code runs that belongs to it, the region is
//!    the current one of the thread; on every other path the one before is restored.
//! 2. A task or closure belongs for its life to the region in which it was spawned. So what tasks
//!    spawn in turn belongs to the region of the first, or to one further in.

use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::Location;
use std::sync::Arc;

use super::inside::simulation;
use super::report;
use super::state::{Core, Work};

/// Awaits `future`, and asserts that when it has ended nothing lives that was started inside it.
///
/// It knows every task and every blocking closure of the simulation, and in whose code it was
/// spawned. So it finds what a boundary inside cannot prevent:
///
/// - a child that `future` spawned into a group *further out*: a session that leaves a task in the
///   group of its server;
/// - a `group` that was dropped or forgotten with no boundary around, whose children or releases go
///   on for nobody.
///
/// If something inside is dropped half-way and a boundary around `future` waits for it, it is alive
/// when `future` ends, and this says so. Put a boundary inside where that is not meant.
///
/// # What it does not see
///
/// It sees what the simulation runs, and that is what is spawned through headcount. A bare
/// `async_std::task::spawn` runs on async-std's own threads, a `std::thread::spawn` on its own, and
/// neither is listed anywhere. What their threads spawn into a group is not told to be of this
/// future. For these, count something that they own: see the [guide](crate::testing::guide).
///
/// Nothing is asserted if the future is dropped before it ends, or panics.
///
/// # Panics
///
/// If somebody is left, with the list: name, place of the spawn, and what it does. Outside of a
/// simulation, where nobody can be listed.
///
/// # Cancel safety
///
/// As `future`.
///
/// ```
/// use headcount::{JoinError, group, testing::{assert_no_orphans, explore}, time::sleep, timeout};
/// use std::time::Duration;
///
/// async fn application() {
///     let crowd = group(async |g| {
///         for _ in 0..10 {
///             g.spawn(sleep(Duration::from_secs(3600)));
///         }
///         Ok::<_, JoinError>(())
///     });
///     assert!(timeout(Duration::from_secs(1), crowd).await.is_err());
/// }
///
/// explore(0..20, || assert_no_orphans(application()));
/// ```
///
/// ```should_panic
/// # use headcount::{group, testing::{Sim, assert_no_orphans}, time::sleep};
/// # use std::{convert::Infallible, time::Duration};
/// Sim::new(0).run(async {
///     let outcome = group(async |server| {
///         assert_no_orphans(async {
///             // In the list: `ticker`, spawned at src/.., can run
///             server.spawn_named("ticker", sleep(Duration::from_secs(60)));
///         })
///         .await;
///         Ok::<_, Infallible>(())
///     });
///     outcome.await.unwrap();
/// });
/// ```
#[track_caller]
pub fn assert_no_orphans<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let place = Location::caller();
    async move {
        let core = simulation("assert_no_orphans");
        let region = Some(Arc::new(Region { around: current() }));
        let mut future = Box::pin(future);
        let output = poll_fn(|cx| within(&region, || future.as_mut().poll(cx))).await;
        within(&region, || drop(future));
        if let Some(left) = region.and_then(|region| core.left_in(&region)) {
            panic!("headcount::testing::assert_no_orphans at {place}: {left}");
        }
        output
    }
}

/// The inside of one call.
pub(super) struct Region {
    around: Option<Arc<Region>>,
}

impl Region {
    fn has(&self, inner: Option<&Arc<Region>>) -> bool {
        let mut next = inner;
        while let Some(region) = next {
            if std::ptr::eq(&**region, self) {
                return true;
            }
            next = region.around.as_ref();
        }
        false
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Region>>> = const { RefCell::new(None) };
}

/// The region of the code that runs now on this thread.
pub(super) fn current() -> Option<Arc<Region>> {
    CURRENT
        .try_with(|current| current.borrow().clone())
        .unwrap_or(None)
}

/// Runs `f` in this region.
pub(super) fn within<R>(region: &Option<Arc<Region>>, f: impl FnOnce() -> R) -> R {
    let _restore = Restore(replace(region.clone()));
    f()
}

fn replace(region: Option<Arc<Region>>) -> Option<Arc<Region>> {
    CURRENT
        .try_with(|current| current.replace(region))
        .unwrap_or(None)
}

struct Restore(Option<Arc<Region>>);

impl Drop for Restore {
    fn drop(&mut self) {
        replace(self.0.take());
    }
}

impl Core {
    /// The list of those who belong to the region and have not ended, if there are any.
    fn left_in(&self, region: &Region) -> Option<String> {
        let state = self.lock();
        // A closure that has not begun is run by a child, who is listed. The child may have taken the
        // closure back and ended: then only the empty place in the queue is left.
        let left = state.entities.iter().filter(|(_, entity)| {
            region.has(entity.region.as_ref()) && !matches!(entity.work, Work::Job(_))
        });
        report::orphans(self.seed, state.clock.now(), left)
    }
}
