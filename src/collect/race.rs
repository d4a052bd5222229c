//! The first of many.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, pending},
    panic::{AssertUnwindSafe, Location, resume_unwind},
    sync::Arc,
};

use futures_util::{FutureExt, future::Either};

use crate::{
    cancel::CancelReason,
    error::{Failure, GroupError},
    group::{TaskGroup, group},
    hidden::{Each, drop_each, pass_on, without_value},
    kernel::{atomic::Lock, context, ledger::Ask},
    panics, spawning,
};

/// Where the entrants of a race arrive. The lock decides who is first.
struct Finish<T, E> {
    /// Those who have not failed.
    left: usize,
    /// Somebody has won.
    is_over: bool,
    /// His output, once he has ended.
    winner: Option<T>,
    /// Of no consequence while somebody may still win.
    failures: Vec<Failure<E>>,
}

impl<T, E> Drop for Finish<T, E> {
    fn drop(&mut self) {
        let winner = self.winner.take().map(Either::Left);
        let failures = self.failures.drain(..).map(Either::Right);
        drop_each(winner.into_iter().chain(failures));
    }
}

type Shared<T, E> = Arc<Lock<Finish<T, E>>>;

/// Runs the entrants in a group of their own, until one wins or all have ended. If all fail, so does the group.
#[track_caller]
fn start<F, T, E>(
    futures: Vec<F>,
) -> (
    Shared<T, E>,
    impl Future<Output = Result<(), GroupError<E>>> + use<F, T, E>,
)
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: fmt::Debug + Send + 'static,
{
    let caller = Location::caller();
    let finish = Arc::new(Lock::new(Finish {
        left: futures.len(),
        is_over: false,
        winner: None,
        failures: Vec::new(),
    }));
    let (shared, futures) = (finish.clone(), Each::new(futures));
    let ended = group(async move |g: TaskGroup<'static, E>| {
        for future in futures {
            let (shared, line) = (shared.clone(), g.clone());
            let entrant = future.map(move |outcome| Ok(arrive(&shared, &line, caller, outcome)));
            drop(g.spawn_as(spawning::info(None, caller), Ask::Queue, entrant));
        }
        let is_over = || shared.lock().is_over;
        if context::is_cancelled() && !is_over() {
            // Not by the winner, so some may have been refused: this body is dropped here.
            pending::<()>().await;
        }
        Ok(())
    });
    (finish, ended)
}

/// The output of an entrant, which goes when he has ended with all that is below him. That of the winner goes to
/// where the race looks.
struct Arrived<T, E> {
    value: Option<T>,
    won: Option<Shared<T, E>>,
}

impl<T, E> Drop for Arrived<T, E> {
    fn drop(&mut self) {
        if let Some(shared) = self.won.take() {
            shared.lock().winner = self.value.take();
        }
    }
}

fn arrive<T, E: fmt::Debug + Send + 'static>(
    shared: &Shared<T, E>,
    line: &TaskGroup<'static, E>,
    caller: &'static Location<'static>,
    outcome: Result<T, E>,
) -> Arrived<T, E> {
    let mut finish = shared.lock();
    let arrived = |value, won| Arrived { value, won };
    match outcome {
        Ok(value) if finish.is_over => arrived(Some(value), None),
        Ok(value) => {
            finish.is_over = true;
            drop(finish);
            line.cancel_with("the race has a winner");
            arrived(Some(value), Some(shared.clone()))
        }
        Err(error) => {
            let failure = Failure::new(spawning::info(None, caller), error);
            finish.failures.push(failure);
            finish.left -= 1;
            let all = (finish.left == 0).then(|| std::mem::take(&mut finish.failures));
            drop(finish);
            // The race is lost: now they are those of the group.
            let all = all.into_iter().flatten();
            all.for_each(|failure| line.leave(failure));
            arrived(None, None)
        }
    }
}

/// Runs the futures in parallel and returns the output of the first that ends, whatever it is; `None`
/// without entrants.
///
/// The losers are cancelled, and it returns when all of them have ended. This is where it differs from
/// a `select!`, and from a race that drops tasks which then run on.
///
/// ```
/// # fn main() { async_std::task::block_on(async {
/// use headcount::{race, time::sleep};
/// use std::time::Duration;
///
/// let entrants = [3600, 0, 7200].map(|secs| async move {
///     sleep(Duration::from_secs(secs)).await;
///     secs
/// });
/// assert_eq!(race(entrants).await, Some(0));
/// assert_eq!(race([async {}; 0]).await, None);
/// # }) }
/// ```
///
/// # Panics
///
/// With the first panic of an entrant, also of a loser, after all have ended. If polled outside of the
/// boundary where it was first polled.
///
/// # Cancel safety
///
/// Dropped, it cancels the entrants, and the boundary around waits for them.
#[track_caller]
pub fn race<I, F, T>(futures: I) -> impl Future<Output = Option<T>>
where
    I: IntoIterator<Item = F>,
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let entrants = futures.into_iter().map(|future| future.map(Ok));
    let (shared, ended) = start::<_, T, Infallible>(entrants.collect());
    async move {
        let ended = ended.await;
        let has_winner = shared.lock().winner.is_some();
        match ended {
            Ok(()) => {}
            // A release of an entrant failed.
            Err(error) if has_winner && !error.is_cancelled() => pass_on(error),
            Err(error) => return without_value("race", error).await,
        }
        shared.lock().winner.take()
    }
}

/// Runs the futures in parallel and returns the value of the first that succeeds.
///
/// The losers are cancelled, and it returns when all of them have ended.
///
/// ```
/// # fn main() { async_std::task::block_on(async {
/// use headcount::race_ok;
///
/// let mirrors = ["down", "up"].map(|mirror| async move {
///     if mirror == "up" { Ok(mirror) } else { Err("no route") }
/// });
/// assert_eq!(race_ok(mirrors).await.unwrap(), "up");
/// # }) }
/// ```
///
/// # Errors
///
/// If all fail, [`GroupError`] with all the errors, the first that came first. Without entrants, one
/// without failures. If a release of an entrant failed, one with its
/// [`cleanup_failures`](GroupError::cleanup_failures).
///
/// # Panics
///
/// With the first panic of an entrant, also of a loser, after all have ended.
///
/// # Cancel safety
///
/// Dropped, it cancels the entrants, and the boundary around waits for them. If all had failed, their errors become
/// [`cleanup_failures`](GroupError::cleanup_failures) there.
#[track_caller]
pub fn race_ok<I, F, T, E>(futures: I) -> impl Future<Output = Result<T, GroupError<E>>>
where
    I: IntoIterator<Item = F>,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: fmt::Debug + Send + 'static,
{
    let futures: Vec<F> = futures.into_iter().collect();
    let nobody = futures.is_empty();
    let (shared, ended) = start::<_, T, E>(futures);
    let ended = AssertUnwindSafe(ended).catch_unwind();
    async move {
        let ended = ended.await;
        let failures = std::mem::take(&mut shared.lock().failures);
        let beside = |error, payload| -> ! {
            pass_on::<E>(error);
            resume_unwind(payload)
        };
        match ended {
            Ok(Ok(())) if shared.lock().winner.is_some() => {
                // Before the winner is taken: one of them may panic.
                drop_each(failures);
                Ok(shared.lock().winner.take().expect("nobody else takes it"))
            }
            Ok(Ok(())) => {
                let nobody = nobody
                    .then(|| CancelReason::explicit(Some("a race without entrants".to_owned())));
                Err(GroupError::new(failures, Vec::new(), nobody))
            }
            Ok(Err(error)) => {
                let reason = error.reason().cloned();
                let (mut lost, cleanup) = error.into_parts();
                lost.extend(failures);
                let error = GroupError::new(lost, cleanup, reason);
                let winner = shared.lock().winner.take();
                match panics::catch(|| drop(winner)) {
                    Ok(()) => Err(error),
                    Err(payload) => beside(error, payload),
                }
            }
            Err(payload) => beside(GroupError::new(failures, Vec::new(), None), payload),
        }
    }
}
