//! The clock: sleeping, intervals, and points in time.
//!
//! Everything here follows the clock of the runtime that polls it: the system's clock under
//! async-std, the virtual clock under `testing::Sim`. A program that waits only through this
//! module can be tested without waiting at all.

use std::future::poll_fn;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;

use crate::kernel::context;
use crate::runtime::Timer;

/// A point in time on the clock of the current runtime.
///
/// It counts from an arbitrary zero: under async-std from about the start of the process, in a
/// simulation from its start. Instants of different clocks must not be compared.
///
/// Arithmetic saturates: what would lie after the far future is the far future, which never comes,
/// and what would lie before zero is zero, which has passed.
///
/// ```
/// use headcount::Instant;
/// use std::time::Duration;
///
/// let start = Instant::now();
/// let deadline = start + Duration::from_secs(2);
/// assert_eq!(deadline - start, Duration::from_secs(2));
/// assert_eq!(start.duration_since(deadline), Duration::ZERO);
/// assert!(start + Duration::MAX > deadline);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The current time.
    ///
    /// # Panics
    ///
    /// Without a runtime: when the feature `async-std` is off and no simulation is going on.
    ///
    /// ```
    /// use headcount::Instant;
    ///
    /// assert!(Instant::now() <= Instant::now());
    /// ```
    #[track_caller]
    pub fn now() -> Self {
        context::runtime().now()
    }

    /// The time from `earlier` to `self`, or zero if `earlier` is the later one.
    ///
    /// ```
    /// use headcount::Instant;
    /// use std::time::Duration;
    ///
    /// let now = Instant::now();
    /// assert_eq!((now + Duration::from_secs(1)).duration_since(now), Duration::from_secs(1));
    /// ```
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The time that has passed since `self`, or zero if it lies ahead.
    ///
    /// # Panics
    ///
    /// As [`Instant::now`].
    ///
    /// ```
    /// use headcount::Instant;
    /// use std::time::Duration;
    ///
    /// let ahead = Instant::now() + Duration::from_secs(3600);
    /// assert_eq!(ahead.elapsed(), Duration::ZERO);
    /// ```
    #[track_caller]
    pub fn elapsed(&self) -> Duration {
        Instant::now().duration_since(*self)
    }

    /// `self + duration`, or `None` if that lies in the far future that never comes.
    ///
    /// ```
    /// use headcount::Instant;
    /// use std::time::Duration;
    ///
    /// let now = Instant::now();
    /// assert_eq!(now.checked_add(Duration::ZERO), Some(now));
    /// assert_eq!(now.checked_add(Duration::MAX), None);
    /// ```
    pub fn checked_add(&self, duration: Duration) -> Option<Instant> {
        self.0
            .checked_add(duration)
            .filter(|at| *at < Duration::MAX)
            .map(Instant)
    }

    /// An instant by its distance from the clock's zero.
    pub(crate) const fn from_epoch(since: Duration) -> Instant {
        Instant(since)
    }

    /// The distance from the clock's zero. `Duration::MAX` stands for "never".
    pub(crate) const fn since_epoch(self) -> Duration {
        self.0
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(duration))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_sub(duration))
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}

/// Waits until `dur` has passed since the first poll.
///
/// It always is a checkpoint, a sleep of zero too. A sleep of `Duration::MAX` never ends.
///
/// # Panics
///
/// Without a runtime, as [`Instant::now`].
///
/// # Cancel safety
///
/// Dropping it does nothing but stop waiting; another one counts from its own first poll, and is pending at
/// least once. So beside something else in a loop, make it once, before the loop, and poll `&mut` of it.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use headcount::{Instant, testing::Sim, time::sleep};
/// use std::time::Duration;
///
/// Sim::new(0).run(async {
///     let start = Instant::now();
///     sleep(Duration::from_secs(3600)).await;
///     assert_eq!(start.elapsed(), Duration::from_secs(3600));
/// });
/// # }
/// ```
pub async fn sleep(dur: Duration) {
    sleep_until(Instant::now() + dur).await
}

/// Waits until `at`.
///
/// It always is a checkpoint, also if `at` has passed already.
///
/// # Panics
///
/// Without a runtime, as [`Instant::now`].
///
/// # Cancel safety
///
/// Dropping it does nothing but stop waiting; another one is pending at least once. So beside something
/// else in a loop, make it once, before the loop, and poll `&mut` of it: else it never ends where the other
/// is always ready.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use headcount::{Instant, testing::Sim, time::sleep_until};
/// use std::time::Duration;
///
/// Sim::new(0).run(async {
///     let at = Instant::now() + Duration::from_secs(60);
///     sleep_until(at).await;
///     sleep_until(at).await;
///     assert_eq!(Instant::now(), at);
/// });
/// # }
/// ```
pub async fn sleep_until(at: Instant) {
    let mut timer = context::runtime().timer();
    timer.set(at);
    let mut pended = false;
    poll_fn(|cx| poll_checkpoint(&mut timer, &mut pended, cx)).await
}

/// Polls the timer, but is pending at least once.
fn poll_checkpoint(timer: &mut Timer, pended: &mut bool, cx: &mut Context<'_>) -> Poll<()> {
    let due = timer.poll(cx);
    if due.is_ready() && !*pended {
        cx.waker().wake_by_ref();
        *pended = true;
        return Poll::Pending;
    }
    *pended = true;
    due
}

/// Ticks at once and then every `period`; what happens when somebody comes late for a tick is told
/// at [`MissedTicks`].
///
/// Time starts to count at the first poll.
///
/// # Panics
///
/// If `period` is zero.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use headcount::{Instant, testing::Sim, time::interval};
/// use std::time::Duration;
///
/// Sim::new(0).run(async {
///     let start = Instant::now();
///     let mut every_second = interval(Duration::from_secs(1));
///     assert_eq!(every_second.tick().await, start);
///     assert_eq!(every_second.tick().await, start + Duration::from_secs(1));
/// });
/// # }
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    assert!(
        !period.is_zero(),
        "an interval of zero would tick for ever at one instant: give it a period above zero, or \
         use `headcount::checkpoint()` to let others run"
    );
    Interval {
        period,
        missed: MissedTicks::default(),
        next: None,
        pended: false,
    }
}

/// What an [`Interval`] does about ticks that were due while nobody waited for them.
///
/// ```
/// use headcount::time::MissedTicks;
///
/// assert_eq!(MissedTicks::default(), MissedTicks::Skip);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissedTicks {
    /// The late tick comes at once; those missed after it are left out, and the next comes at the
    /// next multiple of the period. The rhythm is kept.
    #[default]
    Skip,
    /// All missed ticks come one right after the other, until the interval has caught up. The
    /// number of ticks is kept.
    Burst,
    /// The late tick comes at once, and the next a full period after it. The distance is kept.
    Delay,
}

/// Ticks periodically; made by [`interval`]. Also a stream, which never ends.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use headcount::{Instant, testing::Sim, time::{interval, sleep}};
/// use std::time::Duration;
///
/// Sim::new(0).run(async {
///     let start = Instant::now();
///     let second = Duration::from_secs(1);
///     let mut ticks = interval(second);
///     ticks.tick().await;
///     sleep(second * 7 / 2).await;
///     // The tick of second 1 comes late; those of 2 and 3 are skipped.
///     assert_eq!(ticks.tick().await, start + second);
///     assert_eq!(ticks.tick().await, start + second * 4);
/// });
/// # }
/// ```
pub struct Interval {
    period: Duration,
    missed: MissedTicks,
    // Armed at the first poll: only then the runtime is known.
    next: Option<(Timer, Instant)>,
    // Whether the tick that is waited for was pending already, be it in a call that was dropped.
    pended: bool,
}

impl Interval {
    /// Chooses what happens to missed ticks; [`MissedTicks::Skip`] unless told otherwise.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use headcount::{Instant, testing::Sim, time::{MissedTicks, interval, sleep}};
    /// use std::time::Duration;
    ///
    /// Sim::new(0).run(async {
    ///     let start = Instant::now();
    ///     let second = Duration::from_secs(1);
    ///     let mut ticks = interval(second).missed_ticks(MissedTicks::Burst);
    ///     ticks.tick().await;
    ///     sleep(second * 3).await;
    ///     for n in 1..=3 {
    ///         assert_eq!(ticks.tick().await, start + second * n);
    ///     }
    ///     assert_eq!(Instant::now(), start + second * 3);
    /// });
    /// # }
    /// ```
    #[must_use]
    pub fn missed_ticks(mut self, missed: MissedTicks) -> Self {
        self.missed = missed;
        self
    }

    /// Waits for the next tick and returns when it was due.
    ///
    /// Every tick is a checkpoint: it has been waited for at least once before it comes.
    ///
    /// # Panics
    ///
    /// Without a runtime, as [`Instant::now`].
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it is ready, no tick is lost, and the next call takes up its wait: if the tick
    /// is due by then, that call gives it at once. So beside something that is always ready, in a `select` in
    /// a loop, each tick has its turn.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use headcount::{Instant, testing::Sim, time::interval};
    /// use std::time::Duration;
    ///
    /// Sim::new(0).run(async {
    ///     let mut ticks = interval(Duration::from_millis(100));
    ///     ticks.tick().await;
    ///     ticks.tick().await;
    ///     assert_eq!(ticks.tick().await, Instant::now());
    /// });
    /// # }
    /// ```
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        let (timer, at) = self.next.get_or_insert_with(|| {
            let runtime = context::runtime();
            let (mut timer, now) = (runtime.timer(), runtime.now());
            timer.set(now);
            (timer, now)
        });
        ready!(poll_checkpoint(timer, &mut self.pended, cx));
        self.pended = false;
        let due = *at;
        *at = match self.missed {
            MissedTicks::Burst => due + self.period,
            MissedTicks::Delay => Instant::now() + self.period,
            MissedTicks::Skip => next_multiple(due, self.period, Instant::now()),
        };
        timer.set(*at);
        Poll::Ready(due)
    }
}

/// The first `due + n * period` after `now`, `n` at least one.
fn next_multiple(due: Instant, period: Duration, now: Instant) -> Instant {
    let late = now.duration_since(due).as_nanos();
    let into_period = late % period.as_nanos();
    let rest = nanos(period.as_nanos() - into_period);
    // `now` is not before `due`: the timer fired.
    due.max(now) + rest
}

fn nanos(count: u128) -> Duration {
    const PER_SECOND: u128 = 1_000_000_000;
    // The count is at most that of a `Duration`, so both parts fit.
    Duration::new((count / PER_SECOND) as u64, (count % PER_SECOND) as u32)
}

impl Stream for Interval {
    type Item = Instant;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.get_mut().poll_tick(cx).map(Some)
    }
}

impl std::fmt::Debug for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interval")
            .field("period", &self.period)
            .field("missed_ticks", &self.missed)
            .field("next", &self.next.as_ref().map(|(_, at)| at))
            .finish()
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::Waker;

    use super::*;
    use crate::testing::Sim;

    const SECOND: Duration = Duration::from_secs(1);

    /// How often the future was pending before it was ready.
    async fn pendings<F: Future>(future: F) -> usize {
        let mut future = pin!(future);
        let mut count = 0;
        poll_fn(|cx| {
            let poll = future.as_mut().poll(cx);
            count += usize::from(poll.is_pending());
            poll.map(|_| ())
        })
        .await;
        count
    }

    /// Polls once and tells whether it was pending.
    fn pends<F: Future>(future: Pin<&mut F>) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        future.poll(&mut cx).is_pending()
    }

    async fn next(ticks: &mut Interval) -> Option<Instant> {
        poll_fn(|cx| Pin::new(&mut *ticks).poll_next(cx)).await
    }

    #[test]
    fn every_sleep_is_pending_once() {
        Sim::new(0).run(async {
            let start = Instant::now();
            sleep(SECOND).await;
            assert_eq!(pendings(sleep(Duration::ZERO)).await, 1);
            assert_eq!(pendings(sleep_until(start)).await, 1);
            assert_eq!(pendings(sleep(SECOND)).await, 1);
            assert_eq!(start.elapsed(), SECOND * 2);
        });
    }

    #[test]
    fn a_sleep_for_ever_never_ends_and_does_not_panic() {
        Sim::new(0).run(async {
            let mut for_ever = pin!(sleep(Duration::MAX));
            assert!(pends(for_ever.as_mut()));
            sleep(SECOND * 1_000_000_000).await;
            assert!(pends(for_ever));
        });
    }

    #[test]
    fn instants_saturate() {
        let zero = Instant::from_epoch(Duration::ZERO);
        let mut at = zero + SECOND;
        assert_eq!(at - SECOND * 2, zero);
        assert_eq!(zero - at, Duration::ZERO);
        assert_eq!(at - zero, SECOND);
        at += SECOND;
        at -= SECOND / 2;
        assert_eq!(at.duration_since(zero), SECOND * 3 / 2);
        assert_eq!(at.checked_add(SECOND), Some(at + SECOND));
        assert_eq!(at.checked_add(Duration::MAX), None);
        assert_eq!(zero.checked_add(Duration::MAX), None);
        at += Duration::MAX;
        assert_eq!(at + SECOND, zero + Duration::MAX);
    }

    /// When the ticks were due, and when they came, if the third is called for late.
    fn late_ticks(missed: MissedTicks) -> Vec<(u32, u32)> {
        Sim::new(0).run(async move {
            let start = Instant::now();
            let tenths = |at: Instant| (at - start).as_millis() as u32 / 100;
            let mut ticks = interval(SECOND).missed_ticks(missed);
            let mut seen = Vec::new();
            for tick in 0..6 {
                if tick == 2 {
                    sleep(SECOND * 5 / 2).await;
                }
                let due = ticks.tick().await;
                seen.push((tenths(due), tenths(Instant::now())));
            }
            seen
        })
    }

    #[test]
    fn missed_ticks_are_skipped_made_up_for_or_delayed() {
        let on_time = [(0, 0), (10, 10), (20, 35)];
        let rest = |missed| {
            let mut ticks = late_ticks(missed);
            assert_eq!(ticks[..3], on_time);
            ticks.split_off(3)
        };
        assert_eq!(rest(MissedTicks::Skip), [(40, 40), (50, 50), (60, 60)]);
        assert_eq!(rest(MissedTicks::Burst), [(30, 35), (40, 40), (50, 50)]);
        assert_eq!(rest(MissedTicks::Delay), [(45, 45), (55, 55), (65, 65)]);
    }

    #[test]
    fn a_tick_that_was_due_exactly_now_is_followed_by_the_next_one() {
        let zero = Instant::from_epoch(Duration::ZERO);
        assert_eq!(next_multiple(zero, SECOND, zero), zero + SECOND);
        assert_eq!(
            next_multiple(zero, SECOND, zero + SECOND),
            zero + SECOND * 2
        );
        let nearly = zero + SECOND - Duration::from_nanos(1);
        assert_eq!(next_multiple(zero, SECOND, nearly), zero + SECOND);
        let never = zero + Duration::MAX;
        assert_eq!(next_multiple(zero, Duration::MAX, zero + SECOND), never);
    }

    #[test]
    fn every_tick_is_pending_once_and_a_dropped_one_is_not_lost() {
        Sim::new(0).run(async {
            let start = Instant::now();
            let mut ticks = interval(SECOND);
            assert_eq!(pendings(ticks.tick()).await, 1);
            assert!(pends(pin!(ticks.tick())));
            assert_eq!(ticks.tick().await, start + SECOND);
            assert_eq!(next(&mut ticks).await, Some(start + SECOND * 2));
            sleep(SECOND).await;
            assert_eq!(pendings(next(&mut ticks)).await, 1);
            assert_eq!(start.elapsed(), SECOND * 3);
        });
    }

    #[test]
    fn a_tick_is_pending_once_and_not_once_for_each_call() {
        Sim::new(0).run(async {
            let start = Instant::now();
            let mut ticks = interval(SECOND);
            assert!(pends(pin!(ticks.tick())));
            assert_eq!(pendings(ticks.tick()).await, 0);
            sleep(SECOND).await;
            assert!(pends(pin!(ticks.tick())));
            assert_eq!(pendings(next(&mut ticks)).await, 0);
            assert_eq!(start.elapsed(), SECOND);
        });
    }

    #[test]
    #[should_panic(expected = "give it a period above zero")]
    fn an_interval_of_zero_is_refused() {
        interval(Duration::ZERO);
    }
}
