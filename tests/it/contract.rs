//! The fixed names and signatures, as a program outside the crate uses them: generic functions that
//! pass everything on. That this file compiles is most of the test.
#![allow(dead_code, reason = "most of it is compiled, not called")]

use std::{error::Error, fmt::Debug, future::Future, panic::Location, time::Duration};

use headcount::{
    BlockingToken, Boundary, CancelKind, CancelReason, CancelScope, Cancelled, CleanupFailure,
    Deferred, Failure, GroupError, IntoOutcome, IntoRelease, JoinError, JoinHandle, Options, Scope,
    StartError, Started, TaskGroup, TaskId, TimedOut, TrySpawnError,
    testing::Sim,
    time::{self, Instant},
};

type BoxError = Box<dyn Error + Send + Sync>;

fn run<'env, R, E, F, Fut>(body: F) -> Result<R, GroupError<E>>
where
    F: FnOnce(TaskGroup<'env, E>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    E: Debug + Send + 'env,
{
    headcount::run(body)
}

async fn group<R, E, F, Fut>(body: F) -> Result<R, GroupError<E>>
where
    F: FnOnce(TaskGroup<'static, E>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    E: Debug + Send + 'static,
{
    headcount::group(body).await
}

async fn scope<'env, R, E, F, Fut>(body: F) -> Result<R, GroupError<E>>
where
    F: FnOnce(Scope<'env, E>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
    E: Debug + Send + 'env,
{
    headcount::scope(body).await
}

fn options(at: Instant) -> Options {
    let plain = Options::new().name("a name").name(String::from("another"));
    let all = plain.limit(3).grace(Duration::ZERO).deadline(at);
    all.clone()
}

macro_rules! handles {
    ($module:ident, $handle:ident) => {
        mod $module {
            use super::*;

            pub fn spawn<'env, E, O, F>(g: &$handle<'env, E>, fut: F) -> JoinHandle<O::Value>
            where
                E: Debug + Send + 'env,
                O: IntoOutcome<E>,
                O::Value: Send + 'env,
                F: Future<Output = O> + Send + 'env,
            {
                g.clone().spawn(fut)
            }

            pub fn spawn_otherwise<'env, E, O, F>(
                g: &$handle<'env, E>,
                fut: impl Fn() -> F,
            ) -> Result<[JoinHandle<O::Value>; 3], TrySpawnError<F>>
            where
                E: Debug + Send + 'env,
                O: IntoOutcome<E>,
                O::Value: Send + 'env,
                F: Future<Output = O> + Send + 'env,
            {
                let (named, daemon) = (g.spawn_named("name", fut()), g.spawn_daemon(fut()));
                Ok([named, daemon, g.try_spawn(fut())?])
            }

            pub async fn spawn_when_free<'env, E, O, F>(
                g: &$handle<'env, E>,
                fut: F,
            ) -> JoinHandle<O::Value>
            where
                E: Debug + Send + 'env,
                O: IntoOutcome<E>,
                O::Value: Send + 'env,
                F: Future<Output = O> + Send + 'env,
            {
                g.spawn_when_free(fut).await
            }

            pub async fn start<'env, V, E, O, F, Fut>(
                g: &$handle<'env, E>,
                child: F,
            ) -> Result<V, StartError<E>>
            where
                V: Send + 'env,
                E: Debug + Send + 'env,
                F: FnOnce(Started<V>) -> Fut,
                Fut: Future<Output = O> + Send + 'env,
                O: IntoOutcome<E>,
            {
                g.start(child).await
            }

            pub fn stop<'env, E: Debug + Send + 'env>(g: &$handle<'env, E>) -> [bool; 2] {
                g.cancel();
                g.cancel_with("text");
                g.cancel_with(String::new());
                g.shutdown(Duration::ZERO);
                [g.is_cancelled(), g.is_shutting_down()]
            }
        }
    };
}
handles!(of_a_group, TaskGroup);
handles!(of_a_scope, Scope);

fn spawn_blocking<'env, E, O, F>(g: &TaskGroup<'env, E>, f: F) -> JoinHandle<O::Value>
where
    E: Debug + Send + 'env,
    O: IntoOutcome<E> + Send + 'env,
    O::Value: Send + 'env,
    F: FnOnce(BlockingToken) -> O + Send + 'env,
{
    g.spawn_blocking(f)
}

fn refusal<F>(error: TrySpawnError<F>) -> (bool, bool, F) {
    (error.is_full(), error.is_closed(), error.into_future())
}

async fn join<T>(handle: JoinHandle<T>) -> Result<T, JoinError> {
    fn shared<T: Send + Sync + Unpin>(_: &T) {}
    shared(&handle.id());
    handle.cancel();
    let _: (bool, TaskId, Option<&str>) = (handle.is_finished(), handle.id(), handle.name());
    handle.await
}

fn not_started<E>(error: StartError<E>) -> (bool, bool, Option<E>) {
    (
        error.is_cancelled(),
        error.is_never_started(),
        error.into_error(),
    )
}

fn look<E>(error: GroupError<E>) -> Option<E> {
    let failures: &[Failure<E>] = error.failures();
    for failure in failures {
        let _: (Option<&str>, &'static Location<'static>, &E) =
            (failure.name(), failure.location(), failure.error());
    }
    for failure in error.cleanup_failures() {
        let _: &CleanupFailure = failure;
        let _: (Option<&str>, &'static Location<'static>) = (failure.name(), failure.location());
        let _: &(dyn Error + Send + Sync + 'static) = failure.error();
        let _ = failure.to_string();
    }
    let _: (Option<&E>, bool) = (error.first(), error.is_cancelled());
    error.into_first()
}

fn passes_on(error: GroupError<std::io::Error>) -> Result<(), anyhow::Error> {
    Err(error)?
}

fn boxes(error: GroupError<std::io::Error>) -> Result<(), BoxError> {
    Err(error)?
}

async fn cancel_scope<F: Future>(at: Instant, fut: F) -> Result<F::Output, Cancelled> {
    let _ = (
        CancelScope::new(),
        CancelScope::default(),
        CancelScope::with_deadline(at),
    );
    let scope = CancelScope::with_timeout(Duration::MAX).clone();
    scope.set_deadline(None);
    scope.set_deadline(Some(at));
    scope.shield(true);
    scope.cancel();
    scope.cancel_with("why");
    let reason: Option<CancelReason> = scope.reason();
    if let Some(CancelReason {
        kind, message, by, ..
    }) = reason
    {
        let _: (CancelKind, Option<String>, Option<String>) = (kind, message, by);
    }
    let _: (bool, bool) = (scope.cancel_called(), scope.cancelled_caught());
    scope.enter(fut).await
}

async fn timeouts<F: Future>(at: Instant, fut: [F; 4]) -> Result<F::Output, TimedOut> {
    let [one, two, three, four] = fut;
    headcount::timeout(Duration::ZERO, one).await?;
    let _: Option<F::Output> = headcount::move_on_after(Duration::ZERO, two).await;
    let _: F::Output = headcount::shield(three).await;
    headcount::timeout_at(at, four).await
}

async fn about_here() -> (bool, bool, Option<Instant>) {
    headcount::checkpoint().await;
    headcount::cancelled().await;
    let (cancelled, stopping) = (headcount::is_cancelled(), headcount::is_shutting_down());
    (cancelled, stopping, headcount::current_deadline())
}

async fn defer<R, F, Fut>(resource: R, release: F) -> Result<(), BoxError>
where
    R: Send + 'static,
    F: FnOnce(R) -> Fut + Clone + Send + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: IntoRelease,
{
    let mut guard: Deferred<R> = headcount::defer(resource, release.clone());
    let _: &R = &guard;
    let _: &mut R = &mut guard;
    let again: R = guard.into_inner();
    headcount::defer(again, release).close().await
}

async fn bracket<R, T, E, A, U, UF, L, LF>(acquire: A, use_: U, release: L) -> Result<T, E>
where
    R: Send + 'static,
    A: Future<Output = Result<R, E>>,
    U: FnOnce(Deferred<R>) -> UF,
    UF: Future<Output = Result<T, E>>,
    L: FnOnce(R) -> LF + Send + 'static,
    LF: Future + Send + 'static,
    LF::Output: IntoRelease,
{
    headcount::bracket(acquire, use_, release).await
}

async fn carried<F: Future>(fut: F) -> Option<F::Output> {
    let boundary: Boundary = Boundary::current()?.clone();
    Some(boundary.wrap(fut).await)
}

async fn waits() -> Duration {
    let start: headcount::Instant = time::Instant::now();
    time::sleep(Duration::ZERO).await;
    time::sleep_until(start + Duration::ZERO).await;
    let seven: i32 = headcount::unblock(|| 7).await;
    assert_eq!(seven, 7);
    Instant::now().duration_since(start)
}

/// Section 3.
#[test]
fn the_fixed_signatures_are_these() {
    let outcome = run(async |g| {
        let one = of_a_group::spawn(&g, async { Ok(1) });
        let late = of_a_group::spawn_when_free(&g, async { Ok(2) }).await;
        Ok::<i32, JoinError>(one.await? + late.await?)
    });
    assert_eq!(outcome.unwrap(), 3);
    assert_eq!(Sim::new(0).run(waits()), Duration::ZERO);
}
