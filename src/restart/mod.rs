//! Restarting children that end, with the policies of Erlang/OTP.
//!
//! Design
//! - All of it is sugar over [`supervise`](crate::supervise()): the body starts each child as a
//!   supervised one, waits for the next that ends, and decides. So no child outlives
//!   [`Restarts::run`], and one is started again only after everything below its last run has ended.
//! - A child is given as a factory, since a future runs once. It is called in the child's own task,
//!   after the delay: its panic is a panic of the child, and what it reads is up to date.
//! - As in OTP the intensity counts the restarts of all children together, and giving up is a failure
//!   of the boundary: here of the body, so the others are cancelled and joined, and the error climbs.
//!   Unlike OTP one policy serves all children; policies are mixed by running one in a child of
//!   another.
//! - The delay before a restart is not part of OTP's supervisors. It grows with each restart in a row,
//!   and begins anew after a run that lasted as long as the intensity's period.

mod error;

use std::{
    collections::VecDeque,
    fmt,
    future::{Future, pending},
    panic::{Location, resume_unwind},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::select, stream::FuturesUnordered};
use log::Level;

use crate::{
    cancel,
    error::{GroupError, IntoOutcome, TaskError},
    hidden::drop_each,
    kernel::info::Info,
    options::Options,
    panics, spawning,
    supervise::{SupervisedHandle, Supervisor},
    time::{Instant, sleep},
};

pub use error::RestartError;

use error::End;

/// Which ends of a child lead to a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Permanent,
    Transient,
    Temporary,
}

/// What to do when a child ends: restart it or not, alone or with the others, how soon, how often.
///
/// The names are those of Erlang/OTP. The defaults are OTP's too: only the child that ended is
/// restarted, at once, and more than one restart within five seconds is too many.
///
/// ```
/// # fn main() { async_std::task::block_on(async {
/// use headcount::Restart;
/// use std::{sync::atomic::{AtomicU32, Ordering::Relaxed}, time::Duration};
///
/// static RUNS: AtomicU32 = AtomicU32::new(0);
/// Restart::transient()
///     .intensity(3, Duration::from_secs(10))
///     .backoff(Duration::from_millis(1), 2, Duration::from_secs(1))
///     .child("import", || async {
///         match RUNS.fetch_add(1, Relaxed) {
///             0 | 1 => Err("the server is busy"),
///             _ => Ok(()),
///         }
///     })
///     .run()
///     .await
///     .unwrap();
/// assert_eq!(RUNS.load(Relaxed), 3);
/// # }) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a policy does nothing until it has children and runs them"]
pub struct Restart {
    policy: Policy,
    one_for_all: bool,
    max: u32,
    within: Duration,
    backoff: Option<Backoff>,
}

#[derive(Clone, Copy, Debug)]
struct Backoff {
    initial: Duration,
    factor: u32,
    cap: Duration,
}

impl Restart {
    fn new(policy: Policy) -> Self {
        Restart {
            policy,
            one_for_all: false,
            max: 1,
            within: Duration::from_secs(5),
            backoff: None,
        }
    }

    /// Children are always restarted, also when they return.
    pub fn permanent() -> Self {
        Restart::new(Policy::Permanent)
    }

    /// Children are restarted when they fail or panic. One that returns has ended for good.
    pub fn transient() -> Self {
        Restart::new(Policy::Transient)
    }

    /// Children are never restarted. Their failures touch nobody and are returned in the end, as under
    /// [`supervise`](crate::supervise()).
    pub fn temporary() -> Self {
        Restart::new(Policy::Temporary)
    }

    /// When a child is restarted, only that child is. This is the default.
    pub fn one_for_one(mut self) -> Self {
        self.one_for_all = false;
        self
    }

    /// When a child is restarted, all are: the others are cancelled and joined, then every child is
    /// started again, those that had ended for good too. For children that cannot do without each
    /// other.
    pub fn one_for_all(mut self) -> Self {
        self.one_for_all = true;
        self
    }

    /// Gives up at more than `max` restarts, of all children together, in a time of `within`. Under
    /// [`one_for_all`](Restart::one_for_all) a restart of all counts once.
    ///
    /// Delays that keep the restarts further apart than that keep it from ever giving up. With a `max` of
    /// `u32::MAX` it never gives up either, and remembers no restarts.
    ///
    /// # Panics
    ///
    /// If `within` is zero, unless `max` is 0: no restart would ever be too many, and each would begin
    /// with the first delay again.
    #[track_caller]
    pub fn intensity(mut self, max: u32, within: Duration) -> Self {
        assert!(
            max == 0 || !within.is_zero(),
            "an intensity of {max} restarts in no time would never give up: use a time, and \
             `u32::MAX` restarts to never give up"
        );
        self.max = max;
        self.within = within;
        self
    }

    /// Waits before a restart: `initial` before the first in a row, then each time `factor` times as
    /// long as before, but never longer than `cap`.
    ///
    /// After a run that lasted for the time of the [intensity](Restart::intensity) or longer, it begins
    /// with `initial` again.
    pub fn backoff(mut self, initial: Duration, factor: u32, cap: Duration) -> Self {
        self.backoff = Some(Backoff {
            initial,
            factor,
            cap,
        });
        self
    }

    /// The first child; see [`Restarts::child`].
    #[track_caller]
    pub fn child<E, O, F, Fut>(self, name: impl Into<String>, factory: F) -> Restarts<E>
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = O> + Send + 'static,
        O: IntoOutcome<E>,
        E: fmt::Debug + Send + 'static,
    {
        let none = Restarts {
            restart: self,
            children: Vec::new(),
        };
        none.child(name, factory)
    }

    /// The delay before the restart after `streak` others in a row.
    fn delay(&self, streak: u32) -> Duration {
        let Some(backoff) = self.backoff else {
            return Duration::ZERO;
        };
        const SECOND: u128 = Duration::from_secs(1).as_nanos();
        let factor = u128::from(backoff.factor).saturating_pow(streak);
        let nanos = backoff.initial.as_nanos().saturating_mul(factor);
        if nanos >= backoff.cap.as_nanos() {
            return backoff.cap;
        }
        // Below the cap, so it has no more seconds than that.
        Duration::new((nanos / SECOND) as u64, (nanos % SECOND) as u32)
    }
}

/// Runs a child to its end, once.
type Factory<E> = dyn FnMut() -> Pin<Box<dyn Future<Output = Result<(), E>> + Send>> + Send;

/// Children with a [`Restart`] policy.
#[must_use = "the children run in `run().await`"]
pub struct Restarts<E> {
    restart: Restart,
    children: Vec<Member<E>>,
}

struct Member<E> {
    name: Arc<str>,
    location: &'static Location<'static>,
    /// Locked by the one run of the child that is going on.
    factory: Arc<Mutex<Factory<E>>>,
    /// Restarts in a row.
    streak: u32,
    started: Option<Instant>,
}

impl<E> Member<E> {
    fn info(&self) -> Info {
        spawning::info(Some(self.name.to_string()), self.location)
    }
}

/// What the factories own is the user's.
impl<E> Drop for Restarts<E> {
    fn drop(&mut self) {
        drop_each(self.children.drain(..));
    }
}

impl<E: fmt::Debug + Send + 'static> Restarts<E> {
    /// One more child: `factory` makes its future, for the first run and for each restart.
    ///
    /// The future returns `Result<T, E>`, `()` or never, and the value is dropped.
    #[track_caller]
    pub fn child<O, F, Fut>(mut self, name: impl Into<String>, mut factory: F) -> Self
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = O> + Send + 'static,
        O: IntoOutcome<E>,
    {
        let boxed = move || -> Pin<Box<dyn Future<Output = Result<(), E>> + Send>> {
            Box::pin(factory().map(|outcome| outcome.into_outcome().map(drop)))
        };
        self.children.push(Member {
            name: name.into().into(),
            location: Location::caller(),
            factory: Arc::new(Mutex::new(boxed)),
            streak: 0,
            started: None,
        });
        self
    }

    /// Runs the children, and restarts them by the policy, until all have ended for good: with
    /// permanent children that is never.
    ///
    /// A failure that leads to a restart is written to the log as a warning.
    ///
    /// While the group is being [shut down](crate::TaskGroup::shutdown), nothing is restarted: what ends
    /// then, permanent children too, has ended for good. Nor does a restart happen that waits for its
    /// delay or for the others to end. The first run of each child does.
    ///
    /// # Errors
    ///
    /// [`GroupError`] with a [`RestartError`] that [gave up](RestartError::gave_up) if the children had
    /// to be restarted too often: the others are cancelled and joined, and it has the last error.
    /// Behind it are failures that came when it was too late for a restart. And with the failures of
    /// temporary children, and with those during a shutdown; under
    /// [`one_for_all`](Restart::one_for_all) also with those before it, if it came while the others were
    /// joined. Panics of temporary children are [`cleanup_failures`](GroupError::cleanup_failures); and failed
    /// releases of all runs, which are kept until then.
    ///
    /// # Panics
    ///
    /// Never with the panic of a child itself; see [`supervise`](crate::supervise()) for those below it.
    ///
    /// # Cancel safety
    ///
    /// Cancelled or dropped, it cancels the children and restarts none; the boundary around waits for
    /// them.
    #[track_caller]
    pub fn run(self) -> impl Future<Output = Result<(), GroupError<RestartError<E>>>> + Send {
        let outcome = Options::new().supervise(move |supervisor| self.keep(supervisor));
        // Who fails at the instant when it gives up may be recorded before.
        async move {
            let outcome = outcome.await;
            outcome.map_err(|error| error.with_first(RestartError::gave_up))
        }
    }

    async fn keep(
        mut self,
        supervisor: Supervisor<RestartError<E>>,
    ) -> Result<(), RestartError<E>> {
        let mut window = VecDeque::new();
        let mut living = FuturesUnordered::new();
        for index in 0..self.children.len() {
            living.push(self.start(&supervisor, index, None));
        }
        if self.restart.policy == Policy::Temporary {
            if cancel::is_cancelled() {
                // Some never begin: this body is dropped here.
                pending::<()>().await;
            }
            // Nobody reads the handles, so the boundary returns what fails.
            return Ok(());
        }
        while let Some((index, outcome)) = living.next().await {
            let Some(end) = self.needs_restart(index, outcome) else {
                continue;
            };
            if cancel::is_shutting_down() {
                self.leave(&supervisor, index, end);
                continue;
            }
            let Some(delay) = self.next_delay(index, &mut window) else {
                return Err(self.give_up(&supervisor, index, end));
            };
            warn(&end, format_args!("restarting in {delay:?}"));
            if !self.restart.one_for_all {
                discard(end);
                living.push(self.start(&supervisor, index, Some(delay)));
            } else if self.join_others(&supervisor, &mut living, index, end).await {
                for index in 0..self.children.len() {
                    living.push(self.start(&supervisor, index, Some(delay)));
                }
            }
        }
        Ok(())
    }

    /// Cancels and joins all the others, to start everybody again. False if a shutdown came meanwhile:
    /// then the boundary has got the ends.
    async fn join_others(
        &self,
        supervisor: &Supervisor<RestartError<E>>,
        living: &mut FuturesUnordered<Run<E>>,
        index: usize,
        end: RestartError<E>,
    ) -> bool {
        let mut ends = Ends {
            kept: self,
            supervisor,
            list: vec![(index, end)],
        };
        living.iter().for_each(|run| run.handle.cancel());
        loop {
            // At each end and not after the last: the grace may be over before that.
            let stops = cancel::is_shutting_down();
            if stops {
                ends.leave();
            }
            let Some((index, outcome)) = living.next().await else {
                if !stops {
                    ends.list.drain(..).for_each(|(_, end)| discard(end));
                }
                return !stops;
            };
            if let Some(end) = self.needs_restart(index, outcome) {
                if !cancel::is_shutting_down() {
                    warn(&end, format_args!("restarting with the others"));
                }
                ends.list.push((index, end));
            }
        }
    }

    /// Drops the factories, and gives the last error: to the boundary, if one of them panics.
    fn give_up(
        mut self,
        supervisor: &Supervisor<RestartError<E>>,
        index: usize,
        end: RestartError<E>,
    ) -> RestartError<E> {
        let children = std::mem::take(&mut self.children);
        let info = children[index].info();
        let end = end.one_too_many(self.restart.max, self.restart.within);
        if let Err(payload) = panics::catch(|| drop_each(children)) {
            supervisor.leave_unread(&info, end);
            resume_unwind(payload);
        }
        end
    }

    /// Starts a child, or starts it again after a delay.
    fn start(
        &mut self,
        supervisor: &Supervisor<RestartError<E>>,
        index: usize,
        again: Option<Duration>,
    ) -> Run<E> {
        let member = &mut self.children[index];
        member.started = Some(Instant::now() + again.unwrap_or_default());
        let (name, factory) = (member.name.clone(), member.factory.clone());
        let info = member.info();
        let handle = supervisor.spawn_as(info, async move {
            if let Some(delay) = again {
                if !delay.is_zero() {
                    select(pin!(sleep(delay)), pin!(cancel::cancelled())).await;
                }
                if cancel::is_cancelled() {
                    // For the drop that follows: it does not begin again.
                    pending::<()>().await;
                }
                if cancel::is_shutting_down() {
                    return Ok(());
                }
            }
            let run = factory.lock().unwrap_or_else(PoisonError::into_inner)();
            let outcome = run.await;
            outcome.map_err(|error| RestartError::new(&name, End::Failed(error)))
        });
        Run { index, handle }
    }

    /// Leaves an end that came too late for a restart to the boundary, as a failure that nobody
    /// reads. A child that returned was right to.
    fn leave(&self, supervisor: &Supervisor<RestartError<E>>, index: usize, end: RestartError<E>) {
        if !end.is_return() {
            supervisor.leave_unread(&self.children[index].info(), end);
        }
    }

    /// The end of a child, if it leads to a restart.
    fn needs_restart(&self, index: usize, outcome: Outcome<E>) -> Option<RestartError<E>> {
        let name = &self.children[index].name;
        match outcome {
            Err(TaskError::Failed(error)) => Some(error),
            Err(TaskError::Panicked(payload)) => {
                let text = panics::text(&payload).to_owned();
                panics::discard(payload);
                Some(RestartError::new(name, End::Panicked(text)))
            }
            Err(TaskError::Cancelled(_)) => None,
            Ok(()) if self.restart.policy == Policy::Permanent => {
                Some(RestartError::new(name, End::Returned))
            }
            Ok(()) => None,
        }
    }

    /// How long to wait before a restart; `None` if this is one too many.
    fn next_delay(&mut self, index: usize, window: &mut VecDeque<Instant>) -> Option<Duration> {
        let (now, within) = (Instant::now(), self.restart.within);
        if self.restart.max < u32::MAX {
            while window
                .front()
                .is_some_and(|at| now.duration_since(*at) >= within)
            {
                window.pop_front();
            }
            if window.len() >= self.restart.max as usize {
                return None;
            }
            window.push_back(now);
        }
        // All children restart together, or this one alone: it speaks for all.
        let member = &mut self.children[if self.restart.one_for_all { 0 } else { index }];
        let lasted = member.started.map(|started| now.duration_since(started));
        if lasted.is_some_and(|lasted| lasted >= within) {
            member.streak = 0;
        }
        let delay = self.restart.delay(member.streak);
        member.streak = member.streak.saturating_add(1);
        Some(delay)
    }
}

/// Ends that lead to a restart of all. If a shutdown comes before that, the boundary gets them, as failures that
/// nobody reads; also if its grace is over at once.
struct Ends<'a, E: fmt::Debug + Send + 'static> {
    kept: &'a Restarts<E>,
    supervisor: &'a Supervisor<RestartError<E>>,
    list: Vec<(usize, RestartError<E>)>,
}

impl<E: fmt::Debug + Send + 'static> Ends<'_, E> {
    fn leave(&mut self) {
        for (index, end) in self.list.drain(..) {
            self.kept.leave(self.supervisor, index, end);
        }
    }
}

impl<E: fmt::Debug + Send + 'static> Drop for Ends<'_, E> {
    fn drop(&mut self) {
        if cancel::is_shutting_down() {
            self.leave();
        }
        self.list.drain(..).for_each(|(_, end)| discard(end));
    }
}

/// Tells the log what becomes of a child that ended.
fn warn<E: fmt::Debug>(end: &RestartError<E>, then: fmt::Arguments<'_>) {
    if panics::logs(Level::Warn) {
        panics::log(Level::Warn, format_args!("{}; {then}", end.describe()));
    }
}

/// Drops an end that has led to a restart.
fn discard<E>(end: RestartError<E>) {
    panics::guard("the destructor of an error", || drop(end));
}

impl<E> fmt::Debug for Restarts<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.children.iter().map(|child| &child.name).collect();
        f.debug_struct("Restarts")
            .field("restart", &self.restart)
            .field("children", &names)
            .finish()
    }
}

type Outcome<E> = Result<(), TaskError<RestartError<E>>>;

/// One run of a child.
struct Run<E> {
    index: usize,
    handle: SupervisedHandle<(), RestartError<E>>,
}

impl<E> Future for Run<E> {
    type Output = (usize, Outcome<E>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let index = self.index;
        Pin::new(&mut self.handle)
            .poll(cx)
            .map(|outcome| (index, outcome))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_delay_grows_to_its_cap_from_however_little() {
        let delay = |initial, factor, streak| {
            let policy = Restart::transient().backoff(initial, factor, Duration::from_secs(10));
            policy.delay(streak)
        };
        let little = Duration::from_nanos(1);
        assert_eq!(delay(little, 2, 0), little);
        assert_eq!(delay(little, 2, 33), Duration::new(8, 589_934_592));
        for streak in [34, 128, u32::MAX] {
            assert_eq!(delay(little, 2, streak), Duration::from_secs(10));
        }
        assert_eq!(delay(Duration::MAX, u32::MAX, 9), Duration::from_secs(10));
        assert_eq!(delay(little, 0, 1), Duration::ZERO);
    }

    /// The delays still grow.
    #[test]
    fn a_limit_that_is_never_reached_remembers_nothing() {
        let policy = Restart::transient()
            .intensity(u32::MAX, Duration::MAX)
            .backoff(Duration::from_secs(1), 2, Duration::from_secs(64));
        let mut kept: Restarts<()> = policy.child("bad", || async { Err::<(), _>(()) });
        let mut window = VecDeque::new();
        let delays = (0..9).map(|_| kept.next_delay(0, &mut window).unwrap().as_secs());
        assert_eq!(delays.collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        assert!(window.is_empty());
    }
}
