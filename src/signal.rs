//! The graceful stop of a group when the process is told to end.
//!
//! It is sugar: a daemon child of the group reads the signals, and calls what `shutdown` and
//! `cancel_with` call.

use std::{
    future::{Future, pending},
    io,
    panic::Location,
    sync::Arc,
    time::Duration,
};

use async_signal::{Signal, Signals};
use futures_util::TryStreamExt;

use crate::{
    cancel::CancelReason,
    kernel::{info::Info, node::Node},
    options::Options,
    panics, spawning,
};

/// The signals that ask a process to end. Windows knows Ctrl-C alone.
#[cfg(unix)]
const ENDING: [Signal; 2] = [Signal::Int, Signal::Term];
#[cfg(not(unix))]
const ENDING: [Signal; 1] = [Signal::Int];

/// How a group heeds signals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heed {
    grace: Duration,
    location: &'static Location<'static>,
}

impl Options {
    /// Stops the group in order when the process is told to end. The first SIGINT (Ctrl-C) or
    /// SIGTERM asks, as [`shutdown(grace)`](crate::TaskGroup::shutdown) does; the second, of either
    /// kind, cancels. Needs the feature `signal`.
    ///
    /// Made for [`run`](Options::run) in `main`; [`group`](Options::group),
    /// [`scope`](Options::scope) and [`supervise`](Options::supervise) take it too.
    ///
    /// ```
    /// # #[cfg(unix)] {
    /// use headcount::{Options, cancelled};
    /// use std::{convert::Infallible, process::Command, time::Duration};
    ///
    /// let options = Options::new().stop_on_signals(Duration::from_secs(30));
    /// let stopped = options.run(async |g| {
    ///     g.spawn(async {
    ///         cancelled().await; // asked to stop
    ///         /* finish in order */
    ///     });
    ///     // Somebody presses Ctrl-C.
    ///     let me = std::process::id().to_string();
    ///     Command::new("kill").args(["-INT", &me]).status().unwrap();
    ///     cancelled().await;
    ///     Ok::<_, Infallible>(g.is_shutting_down())
    /// });
    /// assert!(stopped.unwrap());
    /// # }
    /// ```
    ///
    /// How it was ended shows afterwards. A group that ended within the grace returns as it does
    /// without any signal, and [`is_shutting_down`](crate::TaskGroup::is_shutting_down) is true on
    /// a handle that was kept. One that was cancelled before its body had a value returns an error;
    /// its [reason](crate::GroupError::reason) is of the kind
    /// [`Shutdown`](crate::CancelKind::Shutdown) if the grace had ended, and
    /// [`Explicit`](crate::CancelKind::Explicit) with the name of the second signal as its message,
    /// `SIGINT` or `SIGTERM`, if that came first.
    ///
    /// When the grace has ended, the body is cancelled too. One that awaits something below, such as an inner group in which
    /// one session does not end, is cut with it, and the result is an error. Give the inner group a
    /// [`shutdown`](crate::TaskGroup::shutdown) with a shorter grace, so that only stragglers are cut:
    /// [an example](crate::cancellation#a-graceful-stop).
    ///
    /// From the moment in which the body begins no signal is lost, and **from then on these two
    /// signals do not end the process by themselves, not even after the group has ended**. Signals
    /// after the second do nothing: give [`Options::grace`] to bound the releases that are still
    /// to run then. Several groups that heed signals all get them.
    ///
    /// The signals are read by a child of the group, a [daemon](crate::TaskGroup::spawn_daemon) with
    /// the name `signals`: it does not keep the group open and takes no place under a
    /// [limit](Options::limit), but [`stats`](crate::TaskGroup::stats) count it. In a `scope` it is
    /// polled with the other children, so signals are looked at when the scope is polled.
    ///
    /// If the system refuses to report signals, which is rare (no file descriptor is left), a
    /// warning goes to the log and the group goes on without. Outside of Unix only Ctrl-C counts.
    /// Under the simulator of `testing` no signal ever comes.
    #[track_caller]
    pub fn stop_on_signals(mut self, grace: Duration) -> Self {
        self.signals = Some(Heed {
            grace,
            location: Location::caller(),
        });
        self
    }
}

/// `body`, after `heed` has spawned the child that reads the signals, if there is to be one.
pub(crate) fn before<H, F, Fut>(
    body: F,
    signals: Option<Heed>,
    heed: fn(&H, Heed),
) -> impl FnOnce(H) -> Fut
where
    F: FnOnce(H) -> Fut,
{
    move |handle| {
        if let Some(signals) = signals {
            heed(&handle, signals);
        }
        body(handle)
    }
}

impl Heed {
    pub(crate) fn info(self) -> Info {
        spawning::info(Some("signals".into()), self.location)
    }

    /// The child that reads the signals, for the group of `node`.
    pub(crate) fn child(self, node: Arc<Node>) -> impl Future<Output = ()> + Send + use<> {
        // Not in the child's first poll: until then a signal would end the process.
        let signals = match node.runtime().hears_signals() {
            true => Signals::new(ENDING).map(Some),
            false => Ok(None),
        };
        async move {
            let heeded = match signals {
                Ok(Some(signals)) => self.heed(signals, &node).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = heeded {
                panics::log(
                    log::Level::Warn,
                    format_args!("signals will not stop the group: {error}"),
                );
            }
            // The group cancels this child. If it ended by itself, the place that it has under a
            // limit, which is one more than the user asked for, would go to another.
            pending().await
        }
    }

    async fn heed(self, mut signals: Signals, node: &Arc<Node>) -> io::Result<()> {
        next(&mut signals).await?;
        node.stop(self.grace);
        let second = name(next(&mut signals).await?);
        node.request(CancelReason::explicit(Some(second.into())));
        Ok(())
    }
}

async fn next(signals: &mut Signals) -> io::Result<Signal> {
    let next = signals.try_next().await?;
    next.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::Term => "SIGTERM",
        _ => "SIGINT",
    }
}
