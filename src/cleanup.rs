//! `defer` and `bracket`: async cleanup that runs though futures are simply dropped.

use std::{
    fmt,
    future::Future,
    ops::{Deref, DerefMut},
    panic::Location,
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
};

use futures_util::{FutureExt, TryFutureExt};

use crate::{
    cancel::{CancelScope, Section, shield},
    carry::Memory,
    error::{BoxError, IntoRelease},
    kernel::obligations::{End, Home, Obligation, Released},
};

type BoxedRelease = Pin<Box<dyn Future<Output = Released> + Send>>;
type Release<R> = Box<dyn FnOnce(R) -> BoxedRelease + Send>;

/// Takes care of `resource`: when the guard that this returns is dropped, for whatever reason,
/// `release` is run to its end, and the boundary around does not end before.
///
/// # A dropped future that still cleans up
///
/// Whoever cancels an async task in Rust drops its future, and a destructor cannot `await`: a
/// goodbye to the server, a flush, a rollback are simply left out. (In Python's asyncio they run in
/// `finally`, as long as nobody swallows the `CancelledError` or cancels once more in the middle.)
/// Here the destructor of the guard hands the release to the boundary that the code ran in, and
/// that one runs it before it returns:
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use headcount::{Instant, defer, testing::Sim, time::sleep, timeout};
/// use std::time::Duration;
///
/// Sim::new(0).run(async {
///     let start = Instant::now();
///     let outcome = timeout(Duration::from_secs(1), async {
///         let connection = defer("connection", async |_name| {
///             sleep(Duration::from_secs(2)).await; // says goodbye, flushes, closes
///         });
///         assert_eq!(connection.len(), 10); // it is the resource
///         sleep(Duration::from_secs(3600)).await; // cancelled here, after one second
///     });
///     assert!(outcome.await.is_err());
///     assert_eq!(start.elapsed(), Duration::from_secs(3)); // the timeout waited for the goodbye
/// });
/// # }
/// ```
///
/// # What is promised
///
/// - The release runs once, on error, panic, cancellation and timeout as on success, and also when
///   the future around was dropped by a foreign `select!` or `race`.
/// - Releases run one after the other: those of inner boundaries first, within a boundary in the
///   order in which the guards were dropped, so the last one taken is released first. All of them
///   run, also if some fail.
/// - A guard that is dropped while the body of its boundary goes on is released alongside it, from
///   the next checkpoint on. What is dropped at the end is released when all children have ended,
///   since they may use it.
/// - Outside cancellation cannot reach a release. Only a [grace](crate::Options::grace) bounds it.
/// - A release that fails, panics or is cut becomes one of the
///   [`cleanup_failures`](crate::GroupError::cleanup_failures) of the nearest group around, and
///   alone it makes that group's result an error. Where there is none, it goes to
///   [`on_suppressed`](crate::Options::on_suppressed), or the log.
/// - A guard that is dropped where no boundary is in sight (a foreign thread, a bare task) releases
///   through the boundary in which it was taken. If that has ended, and all around it, or if
///   there never was one, the release runs detached on the runtime. Either way the log has a warning.
///
/// The one exception is `mem::forget` of the guard, or of the future that owns it: what is forgotten
/// is never released.
///
/// [`bracket`] is for when the release has to have run before the next line. The whole story is in
/// [`cancellation`](crate::cancellation).
#[track_caller]
pub fn defer<R, F, Fut>(resource: R, release: F) -> Deferred<R>
where
    R: Send + 'static,
    F: FnOnce(R) -> Fut + Send + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: IntoRelease,
{
    defer_at(Location::caller(), resource, release)
}

fn defer_at<R, F, Fut>(location: &'static Location<'static>, resource: R, release: F) -> Deferred<R>
where
    R: Send + 'static,
    F: FnOnce(R) -> Fut + Send + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: IntoRelease,
{
    let memory = Memory::here();
    let release: Release<R> = Box::new(move |resource| {
        Box::pin(memory.around(async move { release(resource).await.into_release() }))
    });
    Deferred(Some(Held {
        resource,
        release: Mutex::new(release),
        home: Home::here(),
        location,
        into_obligation,
    }))
}

/// A resource that is released when this guard is dropped. Made by [`defer`]; it dereferences to
/// the resource.
#[must_use = "a guard that is not kept releases its resource at once"]
pub struct Deferred<R>(Option<Held<R>>);

struct Held<R> {
    resource: R,
    /// In a mutex only so that a shared guard may cross threads as its resource may.
    release: Mutex<Release<R>>,
    home: Home,
    location: &'static Location<'static>,
    /// Known where the bounds of `R` are known, so that the guard needs none.
    into_obligation: fn(Held<R>) -> (Home, Obligation),
}

fn into_obligation<R: Send + 'static>(held: Held<R>) -> (Home, Obligation) {
    let release = into_inner(held.release);
    let resource = held.resource;
    // The closure is called where the release runs, so that its panic is a panic of the release.
    let obligation = Obligation::new(held.location, async move { release(resource).await });
    (held.home, obligation)
}

fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl<R> Deferred<R> {
    fn held(&self) -> &Held<R> {
        self.0.as_ref().expect("taken only by what consumes it")
    }

    /// Releases the resource now and waits for that.
    ///
    /// ```
    /// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
    /// headcount::run(async |_| {
    ///     let file = headcount::defer("file", async |_| Err::<(), _>("the disk is full"));
    ///     assert_eq!(file.close().await.unwrap_err().to_string(), "the disk is full");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the release returned; or that it was cut, when a [grace](crate::Options::grace) around
    /// has ended.
    ///
    /// # Panics
    ///
    /// With the panic of the release.
    ///
    /// # Cancel safety
    ///
    /// Safe: a cancellation does not reach the release. If this is dropped half-way, the boundary
    /// around runs the half-run release to its end. If it lies aside, unpolled, when a boundary between is
    /// cancelled, nobody can run the release, and its being cut is reported.
    pub fn close(mut self) -> impl Future<Output = Result<(), BoxError>> {
        let held = self.0.take().expect("taken only by what consumes it");
        let (home, obligation) = (held.into_obligation)(held);
        let end = Close {
            home,
            obligation: Some(obligation),
        };
        end.map(|end| match end {
            End::Returned(released) => released,
            End::Panicked(panic) => panic.resume(),
            End::Cut(error) => Err(error),
        })
    }

    /// Gives the resource back, to be released by the caller.
    ///
    /// ```
    /// let guard = headcount::defer(7, async |_| unreachable!());
    /// assert_eq!(guard.into_inner(), 7);
    /// ```
    pub fn into_inner(mut self) -> R {
        let held = self.0.take().expect("taken only by what consumes it");
        held.resource
    }
}

impl<R> Deref for Deferred<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.held().resource
    }
}

impl<R> DerefMut for Deferred<R> {
    fn deref_mut(&mut self) -> &mut R {
        let held = self.0.as_mut().expect("taken only by what consumes it");
        &mut held.resource
    }
}

impl<R> Drop for Deferred<R> {
    fn drop(&mut self) {
        if let Some(held) = self.0.take() {
            let (home, obligation) = (held.into_obligation)(held);
            home.take_over(obligation);
        }
    }
}

impl<R: fmt::Debug> fmt::Debug for Deferred<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Deferred").field(&**self).finish()
    }
}

/// Runs a release in place; dropped half-way it hands it on.
struct Close {
    home: Home,
    obligation: Option<Obligation>,
}

impl Future for Close {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End> {
        let Some(obligation) = &mut self.obligation else {
            panic!("`close` was polled again after it had returned");
        };
        let end = std::task::ready!(obligation.poll(cx));
        self.obligation = None;
        Poll::Ready(end)
    }
}

impl Drop for Close {
    fn drop(&mut self) {
        if let Some(obligation) = self.obligation.take() {
            self.home.take_over(obligation);
        }
    }
}

/// Acquires a resource, uses it, and releases it: when this returns, the release has run.
///
/// A boundary of its own. `acquire` is shielded from outside cancellation, so what it got is
/// released exactly once. `use_` is given the guard, and may give it away or
/// [close](Deferred::close) it itself.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::io::Error>> {
/// use headcount::bracket;
/// use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
///
/// headcount::run(async |_| {
///     let open = Arc::new(AtomicBool::new(false));
///     let acquired = open.clone();
///     let length = bracket(
///         async move { acquired.store(true, Ordering::Relaxed); Ok(acquired) },
///         async |connection| Ok::<_, std::io::Error>(connection.load(Ordering::Relaxed)),
///         async |connection| connection.store(false, Ordering::Relaxed),
///     );
///     assert!(length.await?); // it was open while it was used
///     assert!(!open.load(Ordering::Relaxed)); // and has been closed
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// The error of `acquire` or of `use_`. A failed release goes to the nearest group around, see
/// [`defer`].
///
/// # Panics
///
/// With the panic of `acquire` or `use_`; and if polled outside of the boundary where it was first
/// polled.
///
/// # Cancel safety
///
/// Cancelled, it releases before the code around is dropped. Dropped by a foreign `select!` while
/// it uses the resource, it hands the release to the boundary around; while it acquires, it drops
/// `acquire`.
#[track_caller]
pub fn bracket<R, T, E, A, U, UF, L, LF>(
    acquire: A,
    use_: U,
    release: L,
) -> impl Future<Output = Result<T, E>>
where
    R: Send + 'static,
    A: Future<Output = Result<R, E>>,
    U: FnOnce(Deferred<R>) -> UF,
    UF: Future<Output = Result<T, E>>,
    L: FnOnce(R) -> LF + Send + 'static,
    LF: Future + Send + 'static,
    LF::Output: IntoRelease,
{
    let caller = Location::caller();
    let inside =
        shield(acquire).and_then(move |resource| use_(defer_at(caller, resource, release)));
    Section::new(CancelScope::new(), inside).into_value()
}
