//! The seam between the crate and what runs its tasks.
//!
//! Everything that the crate wants from a runtime goes through [`Runtime`]: spawning, blocking
//! closures, the clock, timers, and blocking a thread on a future. Only the file `async_std.rs`
//! beside this one names async-std, and only `shuttle.rs` the model checker of `tests/shuttle`.
//!
//! Invariants:
//! 1. `spawn` never polls the future inside the call, and never waits.
//! 2. What is given to `spawn` and `spawn_blocking` is detached. It is polled (run) to its end, or
//!    dropped early. async-std does the latter only at the end of the process; the simulator does it when a
//!    simulation ends or fails.
//! 3. `block_on` returns only with the output. The one exception is a simulation that winds up
//!    under a blocking closure: there it drops the future first, then every task that this left,
//!    and only then unwinds, so that nothing that borrows from the closure is left behind.

#[cfg(all(feature = "async-std", not(loom)))]
mod async_std;
#[cfg(all(test, loom))]
pub(crate) mod models;
#[cfg(shuttle)]
mod shuttle;

use std::future::Future;
use std::panic::Location;
#[cfg(feature = "testing")]
use std::sync::Arc;
use std::task::{Context, Poll};

#[cfg(all(feature = "async-std", not(any(loom, shuttle))))]
use crate::kernel::times;
#[cfg(feature = "testing")]
use crate::testing::sim;
use crate::time::Instant;

/// What runs tasks and tells the time.
#[derive(Clone)]
pub(crate) enum Runtime {
    /// There is none: every operation panics with advice.
    // With a default runtime only the tests make it.
    #[cfg_attr(any(shuttle, all(feature = "async-std", not(loom))), allow(dead_code))]
    Absent,
    /// The global executor of async-std.
    #[cfg(all(feature = "async-std", not(loom)))]
    #[cfg_attr(shuttle, allow(dead_code))]
    AsyncStd,
    /// An execution of shuttle that is going on.
    #[cfg(shuttle)]
    Shuttle,
    /// A model of the kernel: see `kernel/tests`.
    #[cfg(all(test, loom))]
    Model,
    /// A simulation that is going on.
    #[cfg(feature = "testing")]
    Sim(Arc<sim::Core>),
}

/// What a look at the clock has seen: to make an [`Instant`] of it takes longer than to look.
#[derive(Clone, Copy)]
pub(crate) enum Moment {
    #[cfg(all(feature = "async-std", not(loom)))]
    AsyncStd(std::time::Instant),
    Known(Instant),
}

impl Moment {
    pub(crate) fn instant(self) -> Instant {
        match self {
            #[cfg(all(feature = "async-std", not(loom)))]
            Moment::AsyncStd(at) => self::async_std::instant(at),
            Moment::Known(at) => at,
        }
    }
}

/// How a task is called in reports.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(feature = "testing"),
    allow(dead_code, reason = "only the simulator reports")
)]
pub(crate) struct Label<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) location: &'static Location<'static>,
}

#[cold]
#[track_caller]
fn absent() -> ! {
    panic!(
        "headcount has no runtime here: enable its feature `async-std`, or run this code under \
         `headcount::testing::Sim` (feature `testing`)"
    )
}

impl Runtime {
    /// async-std where it is compiled in, else none. In a model, that one.
    pub(crate) fn default_runtime() -> Runtime {
        #[cfg(shuttle)]
        return Runtime::Shuttle;
        #[cfg(all(feature = "async-std", not(any(loom, shuttle))))]
        return Runtime::AsyncStd;
        #[cfg(all(test, loom))]
        return Runtime::Model;
        #[cfg(not(any(shuttle, all(feature = "async-std", not(loom)), all(test, loom))))]
        return Runtime::Absent;
    }

    /// Schedules a future, detached. It is made where it is handed on, and so moved once less.
    #[inline]
    #[track_caller]
    pub(crate) fn spawn<'l, F>(&self, label: impl FnOnce() -> Label<'l>, future: impl FnOnce() -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // async-std takes no label without a second allocation.
        let _ = &label;
        match self {
            Runtime::Absent => absent(),
            #[cfg(all(feature = "async-std", not(loom)))]
            Runtime::AsyncStd => self::async_std::spawn(future()),
            #[cfg(shuttle)]
            Runtime::Shuttle => self::shuttle::spawn(future()),
            #[cfg(all(test, loom))]
            Runtime::Model => self::models::spawn(future()),
            #[cfg(feature = "testing")]
            Runtime::Sim(core) => core.spawn(label(), Box::pin(future())),
        }
    }

    /// Schedules a closure that may block its thread, detached. It must not unwind.
    #[track_caller]
    pub(crate) fn spawn_blocking(&self, label: Label<'_>, job: impl FnOnce() + Send + 'static) {
        let _ = label;
        match self {
            Runtime::Absent => absent(),
            #[cfg(all(feature = "async-std", not(loom)))]
            Runtime::AsyncStd => self::async_std::spawn_blocking(job),
            #[cfg(shuttle)]
            Runtime::Shuttle => self::shuttle::spawn_blocking(job),
            #[cfg(all(test, loom))]
            Runtime::Model => self::models::spawn_blocking(job),
            #[cfg(feature = "testing")]
            Runtime::Sim(core) => core.spawn_blocking(label, Box::new(job)),
        }
    }

    /// Schedules a closure that computes on rayon's threads, detached. It must not unwind. In a
    /// simulation it is a blocking closure like any other, in strict hand-off.
    #[cfg(all(feature = "rayon", not(loom)))]
    #[track_caller]
    pub(crate) fn compute(&self, label: Label<'_>, job: impl FnOnce() + Send + 'static) {
        match self {
            Runtime::AsyncStd => rayon::spawn(job),
            _ => self.spawn_blocking(label, job),
        }
    }

    /// The time on this runtime's clock.
    #[inline]
    #[track_caller]
    pub(crate) fn now(&self) -> Instant {
        match self {
            Runtime::Absent => absent(),
            #[cfg(all(feature = "async-std", not(loom)))]
            Runtime::AsyncStd => self::async_std::now(),
            #[cfg(shuttle)]
            Runtime::Shuttle => self::shuttle::now(),
            #[cfg(all(test, loom))]
            Runtime::Model => self::models::now(),
            #[cfg(feature = "testing")]
            Runtime::Sim(core) => core.now(),
        }
    }

    /// A look at this runtime's clock, for when the time may not be needed.
    #[inline]
    #[track_caller]
    pub(crate) fn look(&self) -> Moment {
        match self {
            #[cfg(all(feature = "async-std", not(loom)))]
            Runtime::AsyncStd => Moment::AsyncStd(std::time::Instant::now()),
            _ => Moment::Known(self.now()),
        }
    }

    /// A disarmed timer on this runtime's clock.
    #[track_caller]
    pub(crate) fn timer(&self) -> Timer {
        match self {
            Runtime::Absent => absent(),
            #[cfg(all(feature = "async-std", not(loom)))]
            Runtime::AsyncStd => Timer(Kind::AsyncStd(self::async_std::Timer::new())),
            #[cfg(shuttle)]
            Runtime::Shuttle => Timer(Kind::Shuttle(self::shuttle::Timer::new())),
            #[cfg(all(test, loom))]
            Runtime::Model => Timer(Kind::Model(self::models::Timer::default())),
            #[cfg(feature = "testing")]
            Runtime::Sim(core) => Timer(Kind::Sim(sim::Timer::new(core.clone()))),
        }
    }

    /// Blocks this thread until `fut` has ended. The caller guarantees that `fut` never unwinds.
    #[track_caller]
    pub(crate) fn block_on<F: Future>(&self, fut: F) -> F::Output {
        match self {
            Runtime::Absent => absent(),
            #[cfg(all(feature = "async-std", not(loom)))]
            Runtime::AsyncStd => self::async_std::block_on(fut),
            #[cfg(shuttle)]
            Runtime::Shuttle => self::shuttle::block_on(fut),
            #[cfg(all(test, loom))]
            Runtime::Model => self::models::block_on(fut),
            #[cfg(feature = "testing")]
            Runtime::Sim(core) => core.block_on(fut),
        }
    }

    /// Whether this thread is polling a task of async-std.
    pub(crate) fn inside_task() -> bool {
        #[cfg(all(feature = "async-std", not(loom)))]
        return self::async_std::inside_task();
        #[cfg(not(all(feature = "async-std", not(loom))))]
        return false;
    }

    /// The time, if there is a clock.
    pub(crate) fn try_now(&self) -> Option<Instant> {
        match self {
            Runtime::Absent => None,
            // It would only make the models larger.
            #[cfg(all(test, loom))]
            Runtime::Model => None,
            #[allow(unreachable_patterns, reason = "in models")]
            _ => Some(self.now()),
        }
    }

    /// Are the times of children and boundaries to be kept? In a simulation a look at the clock costs
    /// nothing that anybody measures.
    #[inline]
    pub(crate) fn records_times(&self) -> bool {
        match self {
            #[cfg(all(feature = "async-std", not(any(loom, shuttle))))]
            Runtime::AsyncStd => times::are_recorded(),
            #[cfg(feature = "testing")]
            Runtime::Sim(_) => true,
            _ => false,
        }
    }

    /// Is this the same runtime: of simulations, the same simulation?
    pub(crate) fn is_same(&self, other: &Runtime) -> bool {
        match (self, other) {
            #[cfg(feature = "testing")]
            (Runtime::Sim(one), Runtime::Sim(other)) => Arc::ptr_eq(one, other),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// Whether signals, and child processes, of the process reach tasks here. They do not reach a simulation: its seed
    /// alone decides what happens in it.
    #[cfg(all(any(feature = "signal", feature = "process"), not(loom)))]
    pub(crate) fn hears_signals(&self) -> bool {
        matches!(self, Runtime::AsyncStd)
    }

    /// A blocking closure looks at its token: under the simulator others get their turn.
    pub(crate) fn blocking_checkpoint(&self) {
        match self {
            #[cfg(feature = "testing")]
            Runtime::Sim(core) => core.blocking_checkpoint(),
            #[cfg(shuttle)]
            Runtime::Shuttle => self::shuttle::blocking_checkpoint(),
            _ => {}
        }
    }
}

/// A timer that can be armed again and again.
pub(crate) struct Timer(Kind);

enum Kind {
    #[cfg(all(feature = "async-std", not(loom)))]
    #[cfg_attr(shuttle, allow(dead_code))]
    AsyncStd(self::async_std::Timer),
    #[cfg(shuttle)]
    Shuttle(self::shuttle::Timer),
    #[cfg(all(test, loom))]
    Model(self::models::Timer),
    #[cfg(feature = "testing")]
    Sim(sim::Timer),
}

// The matches go by place, not by reference: without any runtime the enum is empty.
#[allow(unused_variables)]
impl Timer {
    /// Arms the timer for `at`, or moves it there.
    pub(crate) fn set(&mut self, at: Instant) {
        match self.0 {
            #[cfg(all(feature = "async-std", not(loom)))]
            Kind::AsyncStd(ref mut timer) => timer.set(at),
            #[cfg(shuttle)]
            Kind::Shuttle(ref mut timer) => timer.set(at),
            #[cfg(all(test, loom))]
            Kind::Model(ref mut timer) => timer.set(at),
            #[cfg(feature = "testing")]
            Kind::Sim(ref mut timer) => timer.set(at),
        }
    }

    /// Disarms the timer.
    pub(crate) fn clear(&mut self) {
        match self.0 {
            #[cfg(all(feature = "async-std", not(loom)))]
            Kind::AsyncStd(ref mut timer) => timer.clear(),
            #[cfg(shuttle)]
            Kind::Shuttle(ref mut timer) => timer.clear(),
            #[cfg(all(test, loom))]
            Kind::Model(ref mut timer) => timer.clear(),
            #[cfg(feature = "testing")]
            Kind::Sim(ref mut timer) => timer.clear(),
        }
    }

    /// Ready once the time has come, and from then on; pending while disarmed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.0 {
            #[cfg(all(feature = "async-std", not(loom)))]
            Kind::AsyncStd(ref mut timer) => timer.poll(cx),
            #[cfg(shuttle)]
            Kind::Shuttle(ref mut timer) => timer.poll(cx),
            #[cfg(all(test, loom))]
            Kind::Model(ref mut timer) => timer.poll(cx),
            #[cfg(feature = "testing")]
            Kind::Sim(ref mut timer) => timer.poll(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, Location, catch_unwind};

    use super::*;

    #[test]
    fn without_a_runtime_every_operation_gives_advice() {
        let advice = |operation: &dyn Fn(Runtime)| {
            let payload = catch_unwind(AssertUnwindSafe(|| operation(Runtime::Absent)));
            let payload = payload.expect_err("there is no runtime");
            let text = payload.downcast_ref::<&str>().expect("a text");
            assert!(text.contains("enable its feature `async-std`"), "{text}");
        };
        let label = Label {
            name: None,
            location: Location::caller(),
        };
        advice(&|runtime| runtime.spawn(|| label, || async {}));
        advice(&|runtime| runtime.spawn_blocking(label, || ()));
        advice(&|runtime| _ = runtime.now());
        advice(&|runtime| drop(runtime.timer()));
        advice(&|runtime| runtime.block_on(async {}));
        Runtime::Absent.blocking_checkpoint();
        assert!(!Runtime::inside_task());
    }

    #[cfg(all(feature = "async-std", not(loom)))]
    #[test]
    fn async_std_spawns_blocks_and_keeps_time() {
        use std::sync::{Arc, Mutex};
        use std::task::Waker;
        use std::time::Duration;

        /// How many have arrived, and who waits for them.
        type Arrivals = Arc<Mutex<(usize, Option<Waker>)>>;
        fn arrive(arrivals: &Arrivals) {
            let waker = {
                let mut arrivals = arrivals.lock().unwrap();
                arrivals.0 += 1;
                arrivals.1.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }

        let label = Label {
            name: Some("label"),
            location: Location::caller(),
        };
        let arrivals = Arrivals::default();
        let (task, closure) = (arrivals.clone(), arrivals.clone());
        Runtime::AsyncStd.block_on(async move {
            let runtime = Runtime::default_runtime();
            assert!(Runtime::inside_task());
            runtime.spawn(|| label, || async move { arrive(&task) });
            runtime.spawn_blocking(label, move || {
                Runtime::AsyncStd.blocking_checkpoint();
                arrive(&closure);
            });
            std::future::poll_fn(|cx| {
                let mut arrivals = arrivals.lock().unwrap();
                arrivals.1 = Some(cx.waker().clone());
                match arrivals.0 {
                    2 => Poll::Ready(()),
                    _ => Poll::Pending,
                }
            })
            .await;

            let start = runtime.now();
            let mut timer = runtime.timer();
            timer.set(start + Duration::MAX);
            std::future::poll_fn(|cx| {
                assert!(timer.poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            timer.set(start + Duration::from_secs(3600));
            std::future::poll_fn(|cx| {
                assert!(timer.poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            timer.set(start + Duration::from_millis(1));
            std::future::poll_fn(|cx| timer.poll(cx)).await;
            assert!(runtime.now() >= start + Duration::from_millis(1));
            std::future::poll_fn(|cx| timer.poll(cx)).await;
            timer.clear();
            std::future::poll_fn(|cx| {
                assert!(timer.poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
        });
        assert!(!Runtime::inside_task());
    }
}
