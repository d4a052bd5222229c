//! Every outcome as it comes.

use std::{
    fmt,
    future::{Future, poll_fn},
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use futures_util::{StreamExt, stream::FuturesUnordered};

use super::{Ending, ending};
use crate::{
    error::TaskError,
    kernel::atomic::Lock,
    spawning,
    supervise::{SupervisedHandle, Supervisor, supervise},
};

/// The outcomes of many futures in the order in which they end. Made by [`as_completed`].
#[must_use = "streams do nothing unless polled"]
pub struct AsCompleted<T, E> {
    ending: Option<Ending>,
    desk: Arc<Lock<Desk<T, E>>>,
}

/// What the hidden group and the stream share.
struct Desk<T, E> {
    /// Of a child that has ended; only within a poll of the stream. It is read when the group has been polled:
    /// if that panics, a handle that is dropped unread loses nothing.
    ended: Option<SupervisedHandle<T, E>>,
    /// How many are still to come.
    left: usize,
}

/// Runs the futures in parallel, and gives their outcomes in the order in which they end. Failures
/// and panics cancel nobody.
///
/// They start at the first poll of the stream. An outcome comes after the releases of its task (see
/// [`defer`](crate::defer)) have run.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// use futures_util::StreamExt;
/// use headcount::{as_completed, run, time::sleep};
/// use std::time::Duration;
///
/// run(async |_| {
///     let sites = [("slow", 40), ("quick", 0), ("medium", 20)];
///     let mut pages = as_completed(sites.map(|(name, millis)| async move {
///         sleep(Duration::from_millis(millis)).await;
///         Ok::<_, std::io::Error>(name)
///     }));
///     while let Some(page) = pages.next().await {
///         println!("got {}", page.expect("nothing fails here")); // quick, medium, slow
///     }
///     Ok(())
/// })
/// # }
/// ```
///
/// # Panics
///
/// When polled outside of the boundary where it was first polled.
///
/// # Cancel safety
///
/// Dropping what awaits the next outcome loses nothing. Dropping the stream cancels the futures that
/// have not ended, and the boundary around waits for them; failures that the stream has not given
/// become [`cleanup_failures`](crate::GroupError::cleanup_failures) there.
#[track_caller]
pub fn as_completed<I, F, T, E>(futures: I) -> AsCompleted<T, E>
where
    I: IntoIterator<Item = F>,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: fmt::Debug + Send + 'static,
{
    let caller = Location::caller();
    let futures: Vec<F> = futures.into_iter().collect();
    let desk = Arc::new(Lock::new(Desk {
        ended: None,
        left: futures.len(),
    }));
    let giver = desk.clone();
    let opening = supervise(async move |s: Supervisor<E>| {
        let spawn = |future| {
            let mut handle = Some(s.spawn_as(spawning::info(None, caller), future));
            poll_fn(move |cx| {
                if let Some(living) = &handle {
                    ready!(living.poll_failed(cx));
                }
                Poll::Ready(handle.take())
            })
        };
        let mut living: FuturesUnordered<_> = futures.into_iter().map(spawn).collect();
        while let Some(handle) = living.next().await {
            giver.lock().ended = handle;
            // The stream takes it as soon as this is pending, and polls it again for the next.
            poll_fn(|_| match giver.lock().ended {
                Some(_) => Poll::Pending,
                None => Poll::Ready(()),
            })
            .await;
        }
        Ok(())
    });
    let end = desk.clone();
    AsCompleted {
        ending: Some(ending("as_completed", opening, move || {
            end.lock().left == 0
        })),
        desk,
    }
}

impl<T, E> Stream for AsCompleted<T, E> {
    type Item = Result<T, TaskError<E>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(ending) = &mut self.ending else {
            return Poll::Ready(None);
        };
        let ended = ending.as_mut().poll(cx);
        let handle = {
            let mut desk = self.desk.lock();
            let handle = desk.ended.take();
            desk.left -= usize::from(handle.is_some());
            handle
        };
        if let Some(handle) = handle {
            return Poll::Ready(handle.try_take());
        }
        ready!(ended);
        self.ending = None;
        Poll::Ready(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.desk.lock().left;
        (left, Some(left))
    }
}

impl<T, E> fmt::Debug for AsCompleted<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted")
            .field("left", &self.desk.lock().left)
            .finish_non_exhaustive()
    }
}
