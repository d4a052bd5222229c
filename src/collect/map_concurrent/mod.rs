//! A function over many items, some of them at a time.
//!
//! Invariants
//! 1. `outstanding` counts the items that were brought to the desk and whose output the stream has not
//!    given yet. It never exceeds the limit, so neither do the items that are begun, those that wait for
//!    a worker, and the outputs, all together.
//! 2. The output of each of these comes to the desk once (`worker`). A worker that panics or is
//!    cancelled brings none; its group ends then, and the stream with it.

mod desk;
mod worker;

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use pin_project_lite::pin_project;

use self::desk::Desk;
use super::{Ending, ending, items::IntoItems};
use crate::{
    carry::{Luggage, Packed, What},
    group::{TaskGroup, group},
    hidden, spawning,
};

/// What computes the output of an item, with what it takes along.
type Item<Fut> = Packed<Succeeds<Fut>>;

pin_project! {
    /// A future as a child that cannot fail. It stays when it has returned, so that what it has is not dropped
    /// beside its output.
    struct Succeeds<Fut> {
        #[pin]
        future: Fut,
    }
}

impl<Fut: Future> Future for Succeeds<Fut> {
    type Output = Result<Fut::Output, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx).map(Ok)
    }
}

pin_project! {
    /// The outputs of a function over many items, computed some at a time. Made by
    /// [`map_concurrent`].
    #[must_use = "streams do nothing unless polled"]
    pub struct MapConcurrent<S, F, Fut>
    where
        Fut: Future,
    {
        // The children's group goes first: it may no longer have to wait for what follows.
        ending: Option<Ending>,
        group: Option<TaskGroup<'static, Infallible>>,
        desk: Recipient<Item<Fut>, Fut::Output>,
        // The number of the next item.
        next: u64,
        outstanding: usize,
        limit: usize,
        function: F,
        #[pin]
        items: Option<S>,
    }
}

/// Applies `function` to each item, and runs the futures that it returns in parallel, at most `limit`
/// at a time; a stream of their outputs in the order in which they end.
///
/// `items` is an iterator or a stream. An item is asked for only when there is a place for it: an
/// output that nobody has taken keeps its place. So a slow reader holds everything up, and the memory
/// depends on the limit and not on the number of items. The first items are asked for at the first poll.
///
/// For outputs in the order of the items there is [`in_order`](MapConcurrent::in_order). If the outputs
/// are `Result`s, `TryStreamExt::try_next` ends the loop at the first error, and dropping the stream
/// cancels the rest.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::io::Error>> {
/// use futures_util::TryStreamExt;
/// use headcount::{map_concurrent, run};
///
/// run(async |_| {
///     let mut sizes = map_concurrent(1..=1000_u64, 64, async |n| Ok::<_, std::io::Error>(n * n));
///     let mut sum = 0;
///     while let Some(size) = sizes.try_next().await? {
///         sum += size;
///     }
///     assert_eq!(sum, 333_833_500);
///     Ok(())
/// })
/// # }
/// ```
///
/// Other than `buffer_unordered` it runs the futures in parallel, on the runtime's threads, and they go
/// on while the reader is busy. One that is ready when it is first polled, and leaves nothing to
/// release, need not cost a task: another may run in the same one after it, and finds there what this one
/// has left in a `task_local!` of async-std. (A [`Local`](crate::Local), and a span, are each item's own.)
/// So [`tree`](crate::tree()) and [`stats`](crate::stats()) may show fewer tasks than items, and a task that
/// waits for the next item beside those that work.
///
/// # Panics
///
/// If `limit` is 0. When polled: with the first panic of a future, after the others were cancelled and
/// have ended; with a panic of `function` or of `items`, at once; and if polled outside of the boundary where it was
/// first polled.
///
/// # Cancel safety
///
/// Dropping what awaits the next output loses nothing. Dropping the stream cancels the futures, and
/// the boundary around waits for them; outputs that nobody has taken are dropped.
#[track_caller]
pub fn map_concurrent<I, Kind, F, Fut>(
    items: I,
    limit: usize,
    function: F,
) -> MapConcurrent<I::Stream, F, Fut>
where
    I: IntoItems<Kind>,
    F: FnMut(I::Item) -> Fut,
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    assert!(
        limit > 0,
        "a limit of 0 would let no future run, ever: use at least 1"
    );
    let desk = Desk::new(spawning::info(None, Location::caller()));
    let (inside, outside) = (desk.clone(), desk.clone());
    let opening = group(async move |g| {
        inside.open(g);
        // The stream polls this after it has said so.
        poll_fn(|_| match inside.is_complete() {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        })
        .await
    });
    let complete = move || outside.is_complete();
    MapConcurrent {
        ending: Some(ending("map_concurrent", opening, complete)),
        group: None,
        desk: Recipient {
            desk,
            taken: VecDeque::new(),
            in_order: None,
        },
        next: 0,
        outstanding: 0,
        limit,
        function,
        items: Some(items.into_items()),
    }
}

impl<S, F, Fut: Future> MapConcurrent<S, F, Fut> {
    /// Gives the outputs in the order of the items. One that is slow then holds up those behind it:
    /// they keep their places until it has come.
    ///
    /// ```
    /// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
    /// use futures_util::StreamExt;
    /// use headcount::{map_concurrent, run};
    ///
    /// run(async |_| {
    ///     let squares = map_concurrent(0..10, 4, async |n| n * n).in_order();
    ///     assert_eq!(squares.take(4).collect::<Vec<_>>().await, [0, 1, 4, 9]);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If the stream has been polled: outputs that it has given already would be waited for.
    #[track_caller]
    pub fn in_order(mut self) -> Self {
        assert!(
            self.group.is_none(),
            "a stream whose outputs are already on their way cannot be put in order: choose \
             `in_order` before the first poll"
        );
        self.desk.in_order = Some(InOrder::default());
        self
    }
}

impl<S, F, Fut> Stream for MapConcurrent<S, F, Fut>
where
    S: Stream,
    F: FnMut(S::Item) -> Fut,
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    type Item = Fut::Output;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Fut::Output>> {
        let mut this = self.project();
        let Some(ending) = this.ending else {
            return Poll::Ready(None);
        };
        if this.group.is_none() {
            // Opens the group here, where the stream is polled.
            let _ = ending.as_mut().poll(cx);
            *this.group = this.desk.desk.group();
        }
        while *this.outstanding < *this.limit {
            let Some(group) = this.group.as_ref().filter(|group| !group.is_cancelled()) else {
                break;
            };
            let Some(items) = this.items.as_mut().as_pin_mut() else {
                break;
            };
            match items.poll_next(cx) {
                Poll::Ready(Some(item)) => {
                    let future = (this.function)(item);
                    let desk = &this.desk.desk;
                    let luggage = Luggage::new(What::Task, group.book.node(), desk.info());
                    let number = *this.next;
                    *this.next += 1;
                    *this.outstanding += 1;
                    let item = luggage.around::<Infallible, _>(Succeeds { future });
                    desk.bring((number, Box::pin(item)));
                }
                Poll::Ready(None) => this.items.set(None),
                Poll::Pending => break,
            }
        }
        loop {
            let output = this.desk.pop();
            if output.is_some() {
                *this.outstanding -= 1;
                return Poll::Ready(output);
            }
            if *this.outstanding == 0 && this.items.is_none() {
                this.desk.desk.complete();
                ready!(ending.as_mut().poll(cx));
                *this.ending = None;
                return Poll::Ready(None);
            }
            let Recipient { desk, taken, .. } = &mut *this.desk;
            if !desk.take_or_park(taken, *this.outstanding == 0, cx.waker()) {
                // For the panic of a child, and for a cancellation.
                let _ = ending.as_mut().poll(cx);
                return Poll::Pending;
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let items = self.items.as_ref().map_or((0, Some(0)), S::size_hint);
        let upper = items
            .1
            .and_then(|upper| upper.checked_add(self.outstanding));
        (items.0.saturating_add(self.outstanding), upper)
    }
}

impl<S, F, Fut: Future> fmt::Debug for MapConcurrent<S, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapConcurrent")
            .field("limit", &self.limit)
            .field("outstanding", &self.outstanding)
            .finish_non_exhaustive()
    }
}

/// The stream's end of the desk.
struct Recipient<F, T> {
    desk: Arc<Desk<F, T>>,
    /// Taken from there, in the order of completion.
    taken: VecDeque<(u64, T)>,
    in_order: Option<InOrder<T>>,
}

impl<F, T> Recipient<F, T> {
    /// The next output, of those that were taken.
    fn pop(&mut self) -> Option<T> {
        match &mut self.in_order {
            None => self.taken.pop_front().map(|(_, output)| output),
            Some(in_order) => in_order.pop(&mut self.taken),
        }
    }
}

impl<F, T> Drop for Recipient<F, T> {
    fn drop(&mut self) {
        let unread = self.taken.drain(..).chain(self.desk.leave_unread());
        let early = self.in_order.take().map(|in_order| in_order.window);
        let early = early.into_iter().flatten().flatten();
        hidden::drop_each(unread.map(|(_, output)| output).chain(early));
    }
}

/// Outputs that have come before those of earlier items.
struct InOrder<T> {
    /// The number of the first.
    first: u64,
    window: VecDeque<Option<T>>,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        InOrder {
            first: 0,
            window: VecDeque::new(),
        }
    }
}

impl<T> InOrder<T> {
    fn pop(&mut self, taken: &mut VecDeque<(u64, T)>) -> Option<T> {
        for (number, output) in taken.drain(..) {
            let place = usize::try_from(number - self.first).expect("within the limit");
            if self.window.len() <= place {
                self.window.resize_with(place + 1, || None);
            }
            self.window[place] = Some(output);
        }
        let output = self.window.front_mut()?.take()?;
        self.window.pop_front();
        self.first += 1;
        Some(output)
    }
}
