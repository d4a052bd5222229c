//! The tree on demand: a signal that makes the process print it.

use std::{
    sync::{Mutex, PoisonError},
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
        static HEARD: Mutex<Vec<DumpSignal>> = Mutex::new(Vec::new());
        let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
        let listens = match heard.contains(&signal) {
            true => Ok(()),
            false => listen(signal).map(|()| heard.push(signal)),
        };
        drop(heard);
        if let Err(error) = listens {
            let text = format_args!("{signal:?} will not print the tree: {error}");
            panics::log(log::Level::Warn, text);
        }
        tree::record_times(true);
        self
    }
}

fn listen(signal: DumpSignal) -> std::io::Result<()> {
    let mut signals = Signals::new([signal.signal()])?;
    let listener = async move {
        while let Some(Ok(_)) = signals.next().await {
            tree::tree().print();
        }
    };
    let builder = thread::Builder::new().name("headcount-dump".into());
    builder.spawn(move || Runtime::AsyncStd.block_on(listener))?;
    Ok(())
}
