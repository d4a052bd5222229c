//! The tree on demand: a signal that makes the process print it.

use std::{
    fmt, io,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use async_signal::{Signal, Signals};
use futures_util::StreamExt;

use crate::{options::Options, panics, runtime::Runtime, tree};

/// A signal that is free for a program to use; for [`Options::dump_on`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DumpSignal {
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
    /// SIGQUIT (Ctrl-\ in a terminal), which ends a process otherwise.
    Quit,
}

impl DumpSignal {
    fn signal(self) -> Signal {
        match self {
            DumpSignal::Usr1 => Signal::Usr1,
            DumpSignal::Usr2 => Signal::Usr2,
            DumpSignal::Quit => Signal::Quit,
        }
    }
}

impl Options {
    /// Prints the [tree](crate::tree()) of all that is running, to the standard error, whenever the process
    /// gets this signal: `kill -USR1 PID` shows what a program that hangs waits for. Needs the feature
    /// `signal`, and Unix.
    ///
    /// It also begins to [record times](crate::record_times), so that the tree shows them. Both go on after
    /// the group has ended, until the process ends. A thread of its own listens, so that the tree comes
    /// also when every thread of the executor is blocked.
    ///
    /// ```
    /// # #[cfg(unix)] {
    /// use headcount::{DumpSignal, Options};
    /// use std::convert::Infallible;
    ///
    /// let options = Options::new().dump_on(DumpSignal::Usr1);
    /// options.run(async |g| {
    ///     g.spawn_named("job", async { /* … */ });
    ///     Ok::<_, Infallible>(())
    /// }).unwrap();
    /// # }
    /// ```
    ///
    /// If the system refuses to report the signal, a warning goes to the log and the group goes on without.
    pub fn dump_on(self, signal: DumpSignal) -> Self {
        let mut heard = heard();
        let listens = match heard.contains(&signal) {
            true => Ok(()),
            false => listen(signal).map(|()| heard.push(signal)),
        };
        drop(heard);
        if let Err(error) = listens {
            warn(format_args!("{signal:?} will not print the tree: {error}"));
        }
        tree::record_times(true);
        self
    }
}

/// The signals that have a listener.
fn heard() -> MutexGuard<'static, Vec<DumpSignal>> {
    static HEARD: Mutex<Vec<DumpSignal>> = Mutex::new(Vec::new());
    HEARD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn warn(text: fmt::Arguments<'_>) {
    panics::log(log::Level::Warn, text);
}

fn listen(signal: DumpSignal) -> io::Result<()> {
    let mut signals = Signals::new([signal.signal()])?;
    let listener = async move {
        // An error may have been of the moment. Two in a row, and there would be no end of them.
        let mut failed = false;
        while let Some(next) = signals.next().await {
            let failed_before = std::mem::replace(&mut failed, next.is_err());
            match next {
                Ok(_) => tree::tree().print(),
                Err(error) => warn(format_args!("{signal:?} did not print the tree: {error}")),
            }
            if failed && failed_before {
                break;
            }
        }
        warn(format_args!("{signal:?} prints the tree no more"));
        // Whoever asks for it next gets a new listener.
        heard().retain(|heard| *heard != signal);
    };
    let builder = thread::Builder::new().name("headcount-dump".into());
    builder.spawn(move || Runtime::AsyncStd.block_on(listener))?;
    Ok(())
}
