//! All outcomes, in the order of the input.

use std::{
    fmt,
    future::{Future, pending},
    panic::Location,
    sync::Arc,
};

use futures_util::TryFutureExt;

use super::wait::{self, ReturnWhen};
use crate::{
    error::{GroupError, TaskError},
    group::{TaskGroup, group},
    hidden::{Collected, Each, pass_on, without_value},
    kernel::{atomic::Lock, ledger::Ask},
    spawning,
    supervise::{SupervisedHandle, Supervisor, supervise},
};

/// Runs the futures in parallel and returns their values in the order of the input. The first failure
/// cancels the rest.
///
/// Unlike `join_all` it spawns: the futures make progress though nobody polls this one. It returns
/// only after all of them have ended.
///
/// ```
/// # fn main() { async_std::task::block_on(async {
/// use headcount::gather;
///
/// let squares = gather((1..=3).map(|n| async move { Ok::<_, &str>(n * n) })).await;
/// assert_eq!(squares.unwrap(), [1, 4, 9]);
/// # }) }
/// ```
///
/// # Errors
///
/// [`GroupError`], as a [`group`](crate::group()) of these children and a body that awaits them all.
///
/// # Panics
///
/// With the first panic of one of the futures, after all have ended.
///
/// # Cancel safety
///
/// Dropped, it cancels the futures, and the boundary around waits for them. The values are lost.
#[track_caller]
pub fn gather<I, F, T, E>(futures: I) -> impl Future<Output = Result<Vec<T>, GroupError<E>>>
where
    I: IntoIterator<Item = F>,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: fmt::Debug + Send + 'static,
{
    let caller = Location::caller();
    let futures = Each::new(futures.into_iter().collect());
    let gathered = group(async move |g: TaskGroup<'static, E>| {
        let spawn = |future| g.spawn_as(spawning::info(None, caller), Ask::Queue, future);
        let handles: Vec<_> = futures.map(spawn).collect();
        let mut values = Collected::with_capacity(handles.len());
        for handle in Each::new(handles) {
            match handle.await {
                Ok(value) => values.push(value),
                // It failed, so the group is cancelled and this body is dropped here.
                Err(_) => pending().await,
            }
        }
        Ok(values)
    });
    gathered.map_ok(Collected::into_inner)
}

/// Runs the futures in parallel and returns every outcome in its place. Failures and panics cancel
/// nobody.
///
/// ```
/// # fn main() { async_std::task::block_on(async {
/// use headcount::gather_settled;
///
/// let outcomes = gather_settled((0..3).map(|n| async move {
///     if n == 1 { Err("odd") } else { Ok(n) }
/// }))
/// .await;
/// assert_eq!(outcomes.len(), 3);
/// assert_eq!(outcomes[1].as_ref().unwrap_err().to_string(), "the task failed: odd");
/// assert_eq!(*outcomes[2].as_ref().unwrap(), 2);
/// # }) }
/// ```
///
/// # Panics
///
/// If polled outside of the boundary where it was first polled.
///
/// # Cancel safety
///
/// Dropped, it cancels the futures, and the boundary around waits for them. What had failed until then becomes
/// [`cleanup_failures`](crate::GroupError::cleanup_failures) there.
#[track_caller]
pub fn gather_settled<I, F, T, E>(futures: I) -> impl Future<Output = Vec<Result<T, TaskError<E>>>>
where
    I: IntoIterator<Item = F>,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: fmt::Debug + Send + 'static,
{
    let caller = Location::caller();
    let futures = Each::new(futures.into_iter().collect());
    let place = Arc::new(Lock::new(None));
    let handles = place.clone();
    let ended = supervise(async move |s: Supervisor<E>| {
        let spawn = |future| s.spawn_as(spawning::info(None, caller), future);
        let handles: Vec<_> = futures.map(spawn).collect();
        wait::ended(&handles, ReturnWhen::AllCompleted).await;
        // They are read when the group has returned: whatever ends this before, a handle that is dropped
        // unread loses nothing.
        *place.lock() = Some(handles);
        Ok(())
    });
    async move {
        let ended = ended.await;
        let handles = handles.lock().take();
        let handles = match (handles, ended) {
            (Some(handles), Ok(())) => handles,
            // A release failed.
            (Some(handles), Err(error)) => {
                pass_on(error);
                handles
            }
            (None, Err(error)) => without_value("gather_settled", error).await,
            (None, Ok(())) => unreachable!("the body has put them there before it returned"),
        };
        let outcome = |handle: SupervisedHandle<T, E>| handle.try_take().expect("all have ended");
        handles.into_iter().map(outcome).collect()
    }
}
