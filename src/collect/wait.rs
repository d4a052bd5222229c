//! Some of the handles, or all.

use std::future::poll_fn;

use futures_util::{StreamExt, stream::FuturesUnordered};

use crate::{
    error::TaskError,
    supervise::{SupervisedHandle, spent},
};

/// When [`wait`] returns, if not all have ended before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnWhen {
    /// When one has ended.
    FirstCompleted,
    /// When one has failed or panicked. (A cancelled one has not.)
    FirstFailed,
    /// When all have ended.
    AllCompleted,
}

/// Waits for supervised children: returns the outcomes of those that have ended, and the handles of the
/// others, each in the order given.
///
/// ```
/// # fn main() { async_std::task::block_on(async {
/// use headcount::{ReturnWhen, supervise, wait};
///
/// supervise(async |s| {
///     let quick = s.spawn(async { Ok(1) });
///     let endless = s.spawn(std::future::pending::<Result<i32, &str>>());
///     let (done, pending) = wait(vec![endless, quick], ReturnWhen::FirstCompleted).await;
///     assert_eq!(*done[0].as_ref().unwrap(), 1);
///     pending[0].cancel();
///     Ok(())
/// })
/// # .await.unwrap() }) }
/// ```
///
/// # Panics
///
/// If a handle has given its outcome before.
///
/// # Cancel safety
///
/// No outcome is taken before it returns. Dropped, it drops the handles, so what has failed is returned
/// by the boundary of the children.
pub async fn wait<T, E>(
    handles: Vec<SupervisedHandle<T, E>>,
    until: ReturnWhen,
) -> (Vec<Result<T, TaskError<E>>>, Vec<SupervisedHandle<T, E>>) {
    ended(&handles, until).await;
    // Before any outcome is taken, which the panic would lose.
    if handles.iter().any(SupervisedHandle::is_spent) {
        spent();
    }
    let (mut done, mut pending) = (Vec::new(), Vec::new());
    for handle in handles {
        match handle.try_take() {
            Some(outcome) => done.push(outcome),
            None => pending.push(handle),
        }
    }
    (done, pending)
}

/// As [`wait`], but takes no outcome.
pub(super) async fn ended<T, E>(handles: &[SupervisedHandle<T, E>], until: ReturnWhen) {
    let mut ends: FuturesUnordered<_> = handles
        .iter()
        .map(|handle| poll_fn(move |cx| handle.poll_failed(cx)))
        .collect();
    while let Some(failed) = ends.next().await {
        let enough = match until {
            ReturnWhen::FirstCompleted => true,
            ReturnWhen::FirstFailed => failed,
            ReturnWhen::AllCompleted => false,
        };
        if enough {
            break;
        }
    }
}
