//! Real child processes: when a boundary has ended, so have they, and they are reaped.
#![cfg(all(unix, not(loom)))]

use std::{fs, future::pending, io, process::Stdio, time::Duration};

use async_std::io::{BufReader, prelude::BufReadExt};
use headcount::{GroupError, Options, Process, run, spawn_process, testing::Sim, timeout};

/// Never passes in a test that holds.
const AMPLE: Duration = Duration::from_secs(3600);

/// Is there such a process, be it as a zombie?
fn exists(id: u32) -> bool {
    fs::exists(format!("/proc/{id}")).unwrap()
}

/// Runs, and is not a zombie that the init of the machine has to reap.
fn runs(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.trim().chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// It was sent SIGKILL, which takes effect at once, or when its turn comes. Else this hangs.
fn wait_for_death(id: u32) {
    while runs(id) {
        std::thread::yield_now();
    }
}

fn shell(script: &str, grace: Duration) -> io::Result<Process> {
    let mut command = Process::command("sh");
    command.args(["-c", script]).stdout(Stdio::piped());
    spawn_process(&mut command, grace)
}

/// The first line that it writes: then it is as far as it wants to be.
async fn first_line(process: &mut Process) -> io::Result<String> {
    let mut lines = BufReader::new(process.stdout().expect("a pipe"));
    let mut line = String::new();
    lines.read_line(&mut line).await?;
    Ok(line.trim().to_owned())
}

#[test]
fn a_process_that_ends_by_itself_gives_its_status_and_is_reaped() {
    let outcome: Result<_, GroupError<io::Error>> = run(async |_| {
        let mut process = shell("exit 7", AMPLE)?;
        let id = process.id();
        assert_eq!(process.wait().await?.code(), Some(7));
        assert!(!exists(id));
        assert_eq!(process.wait().await?.code(), Some(7));
        Ok(())
    });
    outcome.unwrap();
}

/// Else one that reads would wait for its waiter.
#[test]
fn waiting_closes_an_input_that_nobody_has_taken() {
    let outcome: Result<_, GroupError<io::Error>> = run(async |_| {
        let mut command = Process::command("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut process = spawn_process(&mut command, AMPLE)?;
        assert!(process.wait().await?.success());
        assert!(process.stdin().is_none());
        Ok(())
    });
    outcome.unwrap();
}

/// SIGTERM is enough, so an ample grace is not used up.
#[test]
fn a_cancelled_group_returns_when_its_processes_have_ended_and_are_reaped() {
    for _ in 0..20 {
        let mut ids = Vec::new();
        let outcome: Result<(), GroupError<io::Error>> = run(async |g| {
            let (tell, told) = async_channel::unbounded();
            for _ in 0..3 {
                let tell = tell.clone();
                g.spawn(async move {
                    let mut process = shell("exec sleep 3600", AMPLE)?;
                    tell.send(process.id()).await.unwrap();
                    process.wait().await.map(drop)
                });
            }
            for _ in 0..3 {
                ids.push(told.recv().await.unwrap());
            }
            assert!(ids.iter().all(|id| exists(*id)));
            g.cancel();
            pending().await
        });
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!(ids.len(), 3);
        assert!(!ids.iter().any(|id| exists(*id)));
    }
}

/// The process is asked first, and ends in its own way.
#[test]
fn a_process_is_asked_before_it_is_killed() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let outcome: Result<(), GroupError<io::Error>> = run(async |_| {
        // It is ready when what it has started is: else that might not be asked.
        let below = "sh -c 'echo ready; exec sleep 3600'";
        let script = format!("trap 'echo asked > {path}; exit 0' TERM; {below} & wait");
        let mut process = shell(&script, AMPLE)?;
        assert_eq!(first_line(&mut process).await?, "ready");
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(fs::read_to_string(file.path()).unwrap(), "asked\n");
}

/// One that does not listen is killed when the grace is over; so is what it has started.
#[test]
fn a_process_that_does_not_listen_is_killed_with_all_that_it_started() {
    let mut ids = (0, 0);
    let outcome = run(async |_| {
        let script = "trap '' TERM; sleep 3600 & echo $!; wait; sleep 3600";
        let mut process = shell(script, Duration::from_millis(20))?;
        let below = first_line(&mut process).await?.parse().unwrap();
        ids = (process.id(), below);
        assert!(exists(ids.0) && runs(ids.1));
        let limited = timeout(Duration::from_millis(1), process.wait()).await;
        assert!(limited.is_err());
        Ok::<_, io::Error>(())
    });
    outcome.unwrap();
    assert!(!exists(ids.0), "not reaped");
    wait_for_death(ids.1);
}

/// The shell listens and ends at once. What it has started says goodbye when the shell has been reaped.
#[test]
fn what_a_shell_has_started_has_the_rest_of_the_grace() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let outcome: Result<(), GroupError<io::Error>> = run(async |_| {
        let goodbye =
            format!("while kill -0 $PPID; do sleep 0.01; done 2>&-; echo goodbye > {path}; exit");
        let below = format!("trap '{goodbye}' TERM; echo ready; while :; do sleep 0.01; done");
        let mut command = Process::command("sh");
        let script = "sh -c \"$0\"; echo the end";
        command.args(["-c", script, &below]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = spawn_process(&mut command, AMPLE)?;
        assert_eq!(first_line(&mut process).await?, "ready");
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(fs::read_to_string(file.path()).unwrap(), "goodbye\n");
}

/// The shell listens, and what it has started does not. The grace is that of the process, or a shorter one of
/// the boundary.
#[test]
fn what_a_shell_has_started_is_killed_when_the_grace_is_over() {
    let short = Duration::from_millis(20);
    for (grace, around) in [(short, None), (AMPLE, Some(short))] {
        let options = around.map_or(Options::new(), |around| Options::new().grace(around));
        let mut below = 0;
        let outcome = options.run(async |_| {
            let script =
                "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 3600; done'; echo the end";
            let mut process = shell(script, grace)?;
            below = first_line(&mut process).await?.parse().unwrap();
            assert!(runs(below));
            Ok::<_, io::Error>(())
        });
        let cut = outcome.map_or_else(|error| error.cleanup_failures().len(), |()| 0);
        assert_eq!(cut, usize::from(around.is_some()));
        wait_for_death(below);
    }
}

/// A shorter grace of the boundary binds: the process is killed, and reaped all the same.
#[test]
fn the_grace_of_a_boundary_around_cuts_that_of_a_process() {
    let mut id = 0;
    let outcome = Options::new()
        .grace(Duration::from_millis(20))
        .run(async |_| {
            let mut process = shell(
                "trap '' TERM; echo ready; while :; do sleep 3600; done",
                AMPLE,
            )?;
            first_line(&mut process).await?;
            id = process.id();
            Ok::<_, io::Error>(())
        });
    let error = outcome.unwrap_err();
    assert_eq!(error.cleanup_failures().len(), 1);
    assert!(!exists(id), "not reaped");
    let place = error.cleanup_failures()[0].location();
    assert_eq!(place.file(), file!(), "where it was started");
}

/// What a shell leaves in its process group when it ends by itself does not stay.
#[test]
fn what_a_process_leaves_behind_ends_with_it() {
    let outcome = run(async |_| {
        let mut process = shell("sleep 3600 & echo $!", AMPLE)?;
        let below = first_line(&mut process).await?.parse().unwrap();
        assert!(process.wait().await?.success());
        Ok::<_, io::Error>(below)
    });
    let below = outcome.unwrap();
    wait_for_death(below);
}

#[test]
fn a_simulation_refuses_processes_with_advice() {
    Sim::new(0).run(async {
        let error = shell("true", AMPLE).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("a simulation has no child processes")
        );
    });
}
