//! How to open a boundary, when the defaults do not fit.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    kernel::node::{Deadline, Plan},
    panics::{Suppressed, SuppressedHook},
    time::Instant,
};

/// Settings for the groups that it opens: [`run`](Options::run), [`group`](Options::group),
/// [`scope`](Options::scope), [`supervise`](Options::supervise).
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// use headcount::Options;
///
/// Options::new().name("downloads").limit(8).run(async |g| {
///     for n in 0..100 {
///         g.spawn(async move { /* at most 8 at once */ let _ = n; });
///     }
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use = "options do nothing until they open a group"]
pub struct Options {
    name: Option<String>,
    limit: Option<usize>,
    deadline: Option<Instant>,
    grace: Option<Duration>,
    on_suppressed: Option<SuppressedHook>,
    warn: Option<Duration>,
    #[cfg(all(feature = "signal", not(loom)))]
    pub(crate) signals: Option<crate::signal::Heed>,
}

impl Options {
    /// The defaults: no name, no limit, no deadline, no grace.
    pub fn new() -> Self {
        Options::default()
    }

    /// A name for messages.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// At most `n` children at a time are polled and have not ended. Further ones that are spawned
    /// wait in line, unpolled.
    ///
    /// # Panics
    ///
    /// If `n` is 0: no child could ever run.
    #[track_caller]
    pub fn limit(mut self, n: usize) -> Self {
        assert!(
            n > 0,
            "a limit of 0 would let no child run, ever: use at least 1, or no limit"
        );
        self.limit = Some(n);
        self
    }

    /// Cancels the group at `at`. See [`timeout_at`](crate::timeout_at).
    ///
    /// ```
    /// use headcount::{CancelKind, Instant, Options, time::sleep};
    /// use std::{convert::Infallible, time::Duration};
    ///
    /// let soon = Instant::now() + Duration::from_millis(10);
    /// let outcome = Options::new().deadline(soon).run(async |_| {
    ///     sleep(Duration::from_secs(3600)).await;
    ///     Ok::<_, Infallible>(())
    /// });
    /// assert_eq!(outcome.unwrap_err().reason().unwrap().kind, CancelKind::Deadline);
    /// ```
    pub fn deadline(mut self, at: Instant) -> Self {
        self.deadline = Some(at);
        self
    }

    /// How long releases (see [`defer`](crate::defer)) may take once the group is being torn down.
    /// Without one they may take as long as they need.
    ///
    /// The grace begins when the group is cancelled, from wherever, or else when its first release
    /// begins after the body and all children have ended. Releases that have not ended when it is
    /// over are dropped at their next checkpoint (each is polled at least once) and become
    /// [`cleanup_failures`](crate::GroupError::cleanup_failures). It holds for everything below; of
    /// several graces around a release the one that ends first binds. A [`shield`](crate::shield)
    /// inside a release is still waited for.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use headcount::{Instant, Options, defer, testing::Sim, time::sleep};
    /// use std::{convert::Infallible, time::Duration};
    ///
    /// Sim::new(0).run(async {
    ///     let start = Instant::now();
    ///     let error = Options::new().grace(Duration::from_secs(3)).group(async |_| {
    ///         let _slow = defer((), |()| sleep(Duration::from_secs(60)));
    ///         Ok::<_, Infallible>(())
    ///     });
    ///     assert_eq!(error.await.unwrap_err().cleanup_failures().len(), 1);
    ///     assert_eq!(start.elapsed(), Duration::from_secs(3));
    /// });
    /// # }
    /// ```
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Calls `hook` with each failure that cannot be carried by what the opener returns: a second
    /// panic, an error beside a panic, or the failure of a [supervised](crate::supervise()) child whose
    /// handle was kept past the end and dropped unread. Boundaries inside that have no hook of their own use it
    /// too. Without one, such failures go to the log as errors.
    pub fn on_suppressed(mut self, hook: impl Fn(&Suppressed) + Send + Sync + 'static) -> Self {
        self.on_suppressed = Some(Arc::new(hook));
        self
    }

    /// Writes a warning to the log when the body has ended and the group has waited for the rest for
    /// as long as `after`: with the [tree](crate::tree()) of those who are left. And again when it has waited
    /// twice as long, and so on.
    ///
    /// Put it on the group whose body returns first: a group whose body awaits the one that does not end is not
    /// closing itself.
    ///
    /// It is the opener that warns, so not while its thread is blocked: for that there is the
    /// `watchdog`.
    ///
    /// # Panics
    ///
    /// If `after` is zero: every group waits that long.
    ///
    /// ```
    /// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
    /// use headcount::Options;
    /// use std::time::Duration;
    ///
    /// Options::new().warn_when_closing(Duration::from_secs(10)).run(async |g| {
    ///     g.spawn_named("last", async { /* if this takes longer, the log says so */ });
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[track_caller]
    pub fn warn_when_closing(mut self, after: Duration) -> Self {
        assert!(
            after > Duration::ZERO,
            "a group that warns at once when it closes would always warn: give it some seconds"
        );
        self.warn = Some(after);
        self
    }

    pub(crate) fn plan(self) -> Plan {
        // The child that reads the signals has a place from the first moment to the last.
        #[cfg(all(feature = "signal", not(loom)))]
        let besides = usize::from(self.signals.is_some());
        #[cfg(not(all(feature = "signal", not(loom))))]
        let besides = 0;
        Plan {
            name: self.name.map(String::into_boxed_str),
            limit: self.limit,
            besides,
            deadline: self.deadline.map(Deadline::At),
            grace: self.grace,
            salvage: None,
            on_suppressed: self.on_suppressed,
            warn: self.warn,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("name", &self.name)
            .field("limit", &self.limit)
            .field("deadline", &self.deadline)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
