//! Asserting that a future did, or did not, let others run.

use std::future::poll_fn;
use std::panic::Location;
use std::pin::pin;
use std::task::Poll;

/// Awaits `future`, and asserts that it passed a checkpoint: that it returned `Pending` at least
/// once.
///
/// It is for the fast path of an async function, where nothing has to be waited for: does it let
/// others run all the same, and can it be cancelled there? A loop around a function that does not is
/// a loop that nobody can stop.
///
/// What counts is what `future` itself returns. It works under any executor, in a simulation or not.
/// If it is dropped before `future` has ended, or `future` panics, nothing is asserted.
///
/// # Panics
///
/// If `future` has ended without a checkpoint, with the place of this call.
///
/// # Cancel safety
///
/// As `future`.
///
/// ```
/// use headcount::{checkpoint, testing::{Sim, assert_checkpoints}};
///
/// Sim::new(0).run(async {
///     let answer = assert_checkpoints(async { checkpoint().await; 42 }).await;
///     assert_eq!(answer, 42);
/// });
/// ```
///
/// ```should_panic
/// # use headcount::testing::{Sim, assert_checkpoints};
/// Sim::new(0).run(assert_checkpoints(async { 42 }));
/// ```
#[track_caller]
pub fn assert_checkpoints<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let place = Location::caller();
    async move {
        let mut future = pin!(future);
        let mut passed = false;
        let output = poll_fn(|cx| {
            let polled = future.as_mut().poll(cx);
            passed |= polled.is_pending();
            polled
        })
        .await;
        assert!(
            passed,
            "headcount::testing::assert_checkpoints at {place}: the future ended without a \
             checkpoint, it never returned `Pending`. Nobody else could run meanwhile, and no \
             cancellation could take effect; `headcount::checkpoint().await` is one"
        );
        output
    }
}

/// Awaits `future`, and asserts that it passes no checkpoint: that it is ready at its first poll.
///
/// It is for what has to happen in one step: as long as no checkpoint comes, no other task of this
/// thread runs in between and no cancellation can cut it in two.
///
/// It works under any executor, in a simulation or not.
///
/// # Panics
///
/// At the first checkpoint, with the place of this call.
///
/// # Cancel safety
///
/// It never waits, so it cannot be dropped half-way.
///
/// ```
/// use headcount::testing::{Sim, assert_no_checkpoints};
///
/// Sim::new(0).run(async {
///     let (send, receive) = async_channel::bounded(1);
///     assert_no_checkpoints(send.send("there is room")).await.unwrap();
///     assert_eq!(receive.recv().await, Ok("there is room"));
/// });
/// ```
///
/// ```should_panic
/// # use headcount::{checkpoint, testing::{Sim, assert_no_checkpoints}};
/// Sim::new(0).run(assert_no_checkpoints(checkpoint()));
/// ```
#[track_caller]
pub fn assert_no_checkpoints<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let place = Location::caller();
    async move {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(output),
            Poll::Pending => panic!(
                "headcount::testing::assert_no_checkpoints at {place}: the future passed a \
                 checkpoint, it returned `Pending`. Others may run there, and a cancellation may \
                 drop it there"
            ),
        })
        .await
    }
}
