//! Child processes that end with their boundary: `defer` around async-process.
//!
//! A process is started as the leader of a process group of its own, and signals go to that group. So
//! what a shell has started ends with it. The boundary waits for the leader, and for the others as long as
//! the grace lasts; it is the system that reaps them.

#[cfg(unix)]
mod members;

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
    /// Has the process itself been waited for?
    reaped: bool,
    /// Is nobody left who has to be asked or killed? Its process group is empty, or was killed when the
    /// process itself was gone.
    over: bool,
}

/// Starts a process that does not outlive the boundary around. Needs the feature `process`.
///
/// When the guard that this returns is dropped, at the end of its task, by a cancellation, an error or
/// a panic, the process is asked to end (SIGTERM), is killed when `grace` has passed, and is reaped; the
/// boundary around waits for that. An [`Options::grace`](crate::Options::grace) around that ends
/// earlier has it killed at once.
///
/// A command made by [`Process::command`] leads a process group of its own, to which the signals go, so
/// what a shell has started is ended too: it is asked, it has the rest of the grace when the shell has ended
/// before it, and what is left then has been sent SIGKILL when the boundary returns. (Asked once, with the
/// shell. What that starts afterwards is not asked, but has the grace all the same.) A descendant that leaves
/// this group is on its own. And a Ctrl-C in the terminal does not reach the process;
/// [`stop_on_signals`](crate::Options::stop_on_signals) ends it in order. Of another command the process alone
/// is signalled and waited for. (So it is where there is no Unix, and it is killed there, at once.)
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
#[track_caller]
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
        over: false,
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

    /// Waits for the process to end by itself, and then kills, at once, what it has left in its process group.
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
    async fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.status().await?;
        self.reaped = true;
        Ok(status)
    }

    /// Waits for the process itself, and kills what it has left.
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.reap().await?;
        if !std::mem::replace(&mut self.over, true) {
            self.signal(Ask::Kill);
        }
        Ok(status)
    }

    /// Waits for the process itself, and for what it has left.
    #[cfg(unix)]
    async fn wait_for_all(&mut self) -> io::Result<()> {
        const LONGEST: Duration = Duration::from_millis(16);

        self.reap().await?;
        // The system tells nobody but their parents of their end.
        let (mut members, mut pause) = (members::Members::default(), Duration::from_millis(1));
        while members.live(self.child.id()) {
            crate::time::sleep(pause).await;
            pause = LONGEST.min(pause * 2);
        }
        // Those who hand over to one another by forking may not be seen.
        if members::exist(self.child.id()) {
            self.signal(Ask::Kill);
        }
        self.over = true;
        Ok(())
    }

    #[cfg(not(unix))]
    async fn wait_for_all(&mut self) -> io::Result<()> {
        self.wait().await.map(drop)
    }
}

/// The release of a process.
async fn end(mut running: Running, grace: Duration) -> io::Result<()> {
    if running.over {
        return Ok(());
    }
    running.signal(Ask::ToEnd);
    // Also if a grace around cuts this: the release of a guard inside is not cut before it has run.
    let mut running = defer(running, |mut running: Running| {
        shield(async move {
            if !running.reaped {
                running.signal(Ask::Kill);
            }
            running.wait().await.map(drop)
        })
    });
    let in_time = timeout(grace, running.wait_for_all()).await;
    let released = running.close().await.map_err(io::Error::other);
    in_time.unwrap_or(Ok(())).and(released)
}

/// What a process is asked.
#[derive(Clone, Copy)]
enum Ask {
    ToEnd,
    Kill,
}

impl Running {
    #[cfg(unix)]
    fn signal(&mut self, ask: Ask) {
        members::signal(self.child.id(), self.reaped, ask);
    }

    #[cfg(not(unix))]
    fn signal(&mut self, _: Ask) {
        _ = self.child.kill();
    }
}
