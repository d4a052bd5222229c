//! The first of many.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, pending},
    panic::{Location, resume_unwind},
    sync::Arc,
};

use futures_util::FutureExt;

use crate::{
    cancel::CancelReason,
    error::{Failure, GroupError},
    group::{TaskGroup, group},
    hidden::{pass_on, without_value},
    kernel::{atomic::Lock, context, ledger::Ask},
    panics, spawning,
};

/// Where the entrants of a race arrive. The lock decides who is first.
struct Finish<T, E> {
    winner: Option<T>,
    failures: Vec<Failure<E>>,
}

type Shared<T, E> = Arc<Lock<Finish<T, E>>>;

fn finish<T, E>() -> Shared<T, E> {
    Arc::new(Lock::new(Finish {
        winner: None,
        failures: Vec::new(),
    }))
}

/// Runs the entrants in a group of their own, until one wins or all have ended.
fn start<F, T, E>(
    futures: Vec<F>,
    caller: &'static Location<'static>,
    shared: &Shared<T, E>,
) -> impl Future<Output = Result<(), GroupError<Infallible>>> + use<F, T, E>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let shared = shared.clone();
    group(async move |g: TaskGroup<'static, Infallible>| {
        for future in futures {
            let (shared, line) = (shared.clone(), g.clone());
            let entrant = future.map(move |outcome| arrive(&shared, &line, caller, outcome));
            drop(g.spawn_as(spawning::info(None, caller), Ask::Queue, entrant));
        }
        let has_winner = || shared.lock().winner.is_some();
        if context::is_cancelled() && !has_winner() {
            // Not by the winner, so some may have been refused: this body is dropped here.
            pending::<()>().await;
        }
        Ok(())
    })
}

fn arrive<T, E>(
    shared: &Shared<T, E>,
    line: &TaskGroup<'static, Infallible>,
    caller: &'static Location<'static>,
    outcome: Result<T, E>,
) {
    let late = {
        let mut finish = shared.lock();
        match outcome {
            Err(error) => {
                let failure = Failure::new(spawning::info(None, caller), error);
                finish.failures.push(failure);
                return;
            }
            Ok(value) if finish.winner.is_some() => Some(value),
            Ok(value) => {
                finish.winner = Some(value);
                None
            }
        }
    };
    match late {
        None => line.cancel_with("the race has a winner"),
        // Outside of the lock, and a panic in there is the entrant's.
        Some(value) => drop(value),
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
    let shared = finish::<T, Infallible>();
    let entrants = futures.into_iter().map(|future| future.map(Ok));
    let ended = start(entrants.collect(), Location::caller(), &shared);
    async move {
        let ended = ended.await;
        let winner = shared.lock().winner.take();
        match ended {
            Ok(()) => winner,
            // A release of an entrant failed.
            Err(error) if winner.is_some() && !error.is_cancelled() => {
                pass_on(error);
                winner
            }
            Err(error) => without_value("race", error).await,
        }
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
/// Dropped, it cancels the entrants, and the boundary around waits for them.
#[track_caller]
pub fn race_ok<I, F, T, E>(futures: I) -> impl Future<Output = Result<T, GroupError<E>>>
where
    I: IntoIterator<Item = F>,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: fmt::Debug + Send + 'static,
{
    let shared = finish::<T, E>();
    let futures: Vec<F> = futures.into_iter().collect();
    let nobody = futures.is_empty();
    let ended = start(futures, Location::caller(), &shared);
    async move {
        let ended = ended.await;
        let (winner, failures) = {
            let mut finish = shared.lock();
            (finish.winner.take(), std::mem::take(&mut finish.failures))
        };
        match (ended, winner) {
            (Ok(()), Some(winner)) => Ok(winner),
            (Ok(()), None) => {
                let nobody = nobody
                    .then(|| CancelReason::explicit(Some("a race without entrants".to_owned())));
                Err(GroupError::new(failures, Vec::new(), nobody))
            }
            (Err(error), winner) => {
                let reason = error.reason().cloned();
                let error = GroupError::new(failures, error.into_parts().1, reason);
                if let Err(payload) = panics::catch(|| drop(winner)) {
                    pass_on(error);
                    resume_unwind(payload);
                }
                Err(error)
            }
        }
    }
}
