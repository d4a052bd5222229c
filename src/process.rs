//! Child processes that end with their boundary: `defer` around async-process.
//!
//! A process is started as the leader of a process group of its own, and signals go to that group. So
//! what a shell has started ends with it. The boundary waits for the leader; the others are sent the
//! signals, and it is the system that reaps them.

use std::{ffi::OsStr, io, process::ExitStatus, time::Duration};

use async_process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::{
    cancel::shield,
    cleanup::{Deferred, defer},
    kernel::context,
    timeout::timeout,
};

/// A child process, made by [`spawn_process`]. Dropped, it is ended and reaped by the boundary around.
#[derive(Debug)]
pub struct Process(Deferred<Running>);

#[derive(Debug)]
struct Running {
    child: Child,
    /// Still to be waited for.
    reaped: bool,
}

/// Starts a process that does not outlive the boundary around. Needs the feature `process`.
///
/// When the guard that this returns is dropped, at the end of its task, by a cancellation, an error or
/// a panic, the process is asked to end (SIGTERM), is killed when `grace` has passed, and is reaped; the
/// boundary around waits for that. An [`Options::grace`](crate::Options::grace) around that ends
/// earlier has it killed at once.
///
/// A command made by [`Process::command`] leads a process group of its own, to which the signals go, so
/// what a shell has started is ended too: it has been sent SIGKILL when the boundary returns. A
/// descendant that leaves this group is on its own. And a Ctrl-C in the terminal does not reach the
/// process; [`stop_on_signals`](crate::Options::stop_on_signals) ends it in order. Of another command
/// the process alone is signalled. (So it is where there is no Unix, and it is killed there, at once.)
///
/// Two things to know. A process that this one may not signal, since it runs as another user (`EPERM`), cannot be ended: it is
/// waited for until it ends by itself, however long that takes. And a process in a group of its own that reads the terminal
/// which it has inherited is stopped by the system (`SIGTTIN`): give it another input, such as `Stdio::null()`.
///
/// ```
/// # #[cfg(unix)] {
/// use headcount::{Process, run, spawn_process};
/// use std::{io, time::Duration};
///
/// run(async |_| {
///     let grace = Duration::from_secs(5);
///     let mut quick = spawn_process(&mut Process::command("true"), grace)?;
///     assert!(quick.wait().await?.success());
///     let _endless = spawn_process(Process::command("sleep").arg("3600"), grace)?;
///     Ok::<_, io::Error>(())
/// }) // returns when `sleep` is gone
/// # .unwrap() }
/// ```
///
/// # Errors
///
/// If the process cannot be started. In a simulation always: it knows no real processes.
pub fn spawn_process(command: &mut Command, grace: Duration) -> io::Result<Process> {
    if !context::runtime().hears_signals() {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "a simulation has no child processes: put this behind something that a test replaces",
        ));
    }
    let child = command.spawn()?;
    let running = Running {
        child,
        reaped: false,
    };
    Ok(Process(defer(running, move |running| end(running, grace))))
}

impl Process {
    /// A command for [`spawn_process`], of the crate async-process. Its process will lead a process group
    /// of its own.
    pub fn command(program: impl AsRef<OsStr>) -> Command {
        #[allow(unused_mut)]
        let mut command = std::process::Command::new(program);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.into()
    }

    /// Waits for the process to end by itself, and ends what it has left in its process group.
    ///
    /// An input that nobody has taken is closed by this, else a process that reads it would never end:
    /// take [`stdin`](Process::stdin) before. One that writes into a pipe waits when that is full, and so
    /// does this, until somebody reads: take `stdout` and `stderr`, and read them meanwhile.
    ///
    /// # Errors
    ///
    /// If the system does not tell.
    ///
    /// # Cancel safety
    ///
    /// Safe: it may be called again, also after it has returned. The input stays closed.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.0.wait().await
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.0.child.id()
    }

    /// Its input, if the command asked for a pipe. Given once, and before [`wait`](Process::wait).
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.0.child.stdin.take()
    }

    /// Its output, if the command asked for a pipe. Given once.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.0.child.stdout.take()
    }

    /// Its error output, if the command asked for a pipe. Given once.
    pub fn stderr(&mut self) -> Option<ChildStderr> {
        self.0.child.stderr.take()
    }
}

impl Running {
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.status().await?;
        if !std::mem::replace(&mut self.reaped, true) {
            // The number of the group is not given to another while a member lives; if none does,
            // numbers are given out in a circle, so not again at once.
            self.signal(Signal::Kill);
        }
        Ok(status)
    }
}

/// The release of a process.
async fn end(mut running: Running, grace: Duration) -> io::Result<()> {
    if running.reaped {
        return Ok(());
    }
    running.signal(Signal::Term);
    // Also if a grace around cuts this: the release of a guard inside is not cut before it has run.
    let mut running = defer(running, |mut running: Running| {
        shield(async move {
            if !running.reaped {
                running.signal(Signal::Kill);
                running.wait().await?;
            }
            io::Result::Ok(())
        })
    });
    let in_time = timeout(grace, running.wait()).await;
    let released = running.close().await.map_err(io::Error::other);
    in_time
        .map_or(Ok(()), |status| status.map(drop))
        .and(released)
}

#[derive(Clone, Copy)]
enum Signal {
    Term,
    Kill,
}

impl Running {
    /// To the whole group. One that has ended already is no error.
    #[cfg(unix)]
    fn signal(&mut self, signal: Signal) {
        use rustix::process::{Pid, Signal as Number, kill_process, kill_process_group};

        let number = match signal {
            Signal::Term => Number::TERM,
            Signal::Kill => Number::KILL,
        };
        let leader = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(leader) = leader {
            // A process that leads no group is alone; one that was reaped is nobody's.
            if kill_process_group(leader, number).is_err() && !self.reaped {
                _ = kill_process(leader, number);
            }
        }
    }

    #[cfg(not(unix))]
    fn signal(&mut self, _: Signal) {
        _ = self.child.kill();
    }
}
