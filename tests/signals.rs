//! `Options::stop_on_signals` and `Options::dump_on`, with real signals to real processes: each test starts its own
//! executable again as the process that is to be stopped.
#![cfg(all(unix, not(loom)))]

use std::{
    convert::Infallible,
    env,
    fs::File,
    future::pending,
    io::{BufRead, BufReader, Lines},
    process::{self, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    thread,
    time::{Duration, Instant},
};

use headcount::{
    DumpSignal, GroupStats, Options, cancelled, checkpoint, defer, run, testing::Sim, time::sleep,
    tree,
};

/// Longer than any test may take.
const AN_HOUR: Duration = Duration::from_secs(3600);
/// A safety net against a broken promise that would hang for ever, never an assertion of speed.
const PATIENCE: Duration = Duration::from_secs(120);

const CALLED: &str = "HEADCOUNT_CALLED";

/// A process that runs the program of a test.
struct Process {
    process: process::Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts `program` in a process of its own; there this call ends the process, with the code
    /// that the program returns. `test` is the path of the calling test.
    fn of(test: &str, program: impl FnOnce() -> i32) -> Process {
        Process::under("exec \"$@\"", test, program)
    }

    /// As `of`, started by this line of a shell.
    fn under(shell: &str, test: &str, program: impl FnOnce() -> i32) -> Process {
        if env::var_os(CALLED).is_some() {
            let (running, net) = channel::<()>();
            thread::spawn(move || {
                let _ = net.recv_timeout(PATIENCE);
                drop(running);
                eprintln!("hangs");
                process::abort();
            });
            // The harness may have begun a line.
            println!();
            process::exit(program());
        }
        let mut process = Command::new("sh")
            .args(["-c", shell, "sh"])
            .arg(env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(CALLED, "yes")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Process { process, lines }
    }

    /// The next line that the program says, if it is not the last.
    fn next(&mut self) -> Option<String> {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        lines.find_map(|line| line.strip_prefix(MARK).map(str::to_owned))
    }

    #[track_caller]
    fn says(&mut self, line: &str) {
        assert_eq!(self.next().as_deref(), Some(line));
    }

    fn signal(&self, signal: &str) {
        kill(signal, self.process.id());
    }

    #[track_caller]
    fn ends_with(mut self, code: i32) {
        assert_eq!(self.next(), None);
        let status = self.process.wait().unwrap();
        assert_eq!(status.code(), Some(code), "{status}");
    }
}

/// Tells a line of the program from those of the harness.
const MARK: &str = "> ";

fn say(line: &str) {
    println!("{MARK}{line}");
}

fn kill(signal: &str, process: u32) {
    let kill = Command::new("kill")
        .args([&format!("-{signal}"), &process.to_string()])
        .status();
    assert!(kill.unwrap().success());
}

fn kill_me(signal: &str) {
    kill(signal, process::id());
}

/// Says so when it is dropped.
struct Says(&'static str);

impl Drop for Says {
    fn drop(&mut self) {
        say(self.0);
    }
}

/// Rules 24, 23 and 25: asked, the tasks finish one after the other; then the daemon goes, and what
/// the body had deferred is released last. The group has its value.
#[test]
fn a_process_that_is_told_to_end_ends_in_order() {
    let mut process = Process::of("a_process_that_is_told_to_end_ends_in_order", || {
        let options = Options::new().stop_on_signals(AN_HOUR);
        let outcome = options.run(async |g| {
            let _store = defer((), |()| async { say("store closed") });
            g.spawn_daemon(async {
                let _dropped = Says("cache dropped");
                pending::<()>().await
            });
            let first = g.spawn(async {
                cancelled().await;
                checkpoint().await;
                say("first done");
            });
            g.spawn(async move {
                first.await.unwrap();
                say("second done");
            });
            say("ready");
            cancelled().await;
            Ok::<_, Infallible>(g)
        });
        let group = outcome.unwrap();
        assert!(group.is_shutting_down() && !group.is_cancelled());
        assert_eq!(group.stats().living, 0);
        7
    });
    process.says("ready");
    process.signal("TERM");
    for line in ["first done", "second done", "cache dropped", "store closed"] {
        process.says(line);
    }
    process.ends_with(7);
}

/// A small service with a grace of 100 ms: its connections close, which takes a while, then its store.
/// The order is the same if a slow machine lets the grace end first.
#[test]
fn a_service_with_a_short_grace_exits_in_order() {
    let mut process = Process::of("a_service_with_a_short_grace_exits_in_order", || {
        let options = Options::new().stop_on_signals(Duration::from_millis(100));
        let outcome = options.run(async |g| {
            let _store = defer((), |()| async { say("store closed") });
            let connections = g.clone();
            g.spawn_daemon(async move {
                let open = Arc::new(AtomicUsize::new(0));
                for _ in 0..10 {
                    let open = open.clone();
                    connections.spawn(async move {
                        let _connection = defer((), |()| async {
                            for _ in 0..20 {
                                checkpoint().await;
                            }
                            say("connection closed");
                        });
                        if open.fetch_add(1, Ordering::Relaxed) == 9 {
                            say("ready");
                        }
                        cancelled().await;
                    });
                }
                pending::<()>().await
            });
            pending::<Result<(), Infallible>>().await
        });
        i32::from(outcome.unwrap_err().is_cancelled())
    });
    process.says("ready");
    process.signal("TERM");
    for _ in 0..10 {
        process.says("connection closed");
    }
    process.says("store closed");
    process.ends_with(1);
}

/// Rule 24: tasks that do not look at the question are cancelled when the grace ends, not before,
/// and what they had deferred is released.
#[test]
fn tasks_that_ignore_the_question_are_cancelled_after_the_grace() {
    const GRACE: Duration = Duration::from_millis(100);
    let mut process = Process::of(
        "tasks_that_ignore_the_question_are_cancelled_after_the_grace",
        || {
            let options = Options::new().stop_on_signals(GRACE);
            let outcome = options.run(async |g| {
                g.spawn(async {
                    let _file = defer((), |()| async { say("file closed") });
                    say("ready");
                    pending::<()>().await
                });
                pending::<Result<(), Infallible>>().await
            });
            say(&outcome.unwrap_err().to_string());
            1
        },
    );
    process.says("ready");
    let signalled = Instant::now();
    process.signal("TERM");
    process.says("file closed");
    assert!(signalled.elapsed() >= GRACE);
    process.says("the group was cancelled: the grace of the shutdown has ended");
    process.ends_with(1);
}

/// The second signal cancels at once, and the reason says which it was.
#[test]
fn the_second_signal_cancels_however_long_the_grace() {
    for (first, second) in [("INT", "INT"), ("INT", "TERM"), ("TERM", "INT")] {
        let mut process = Process::of("the_second_signal_cancels_however_long_the_grace", || {
            let options = Options::new().stop_on_signals(AN_HOUR);
            let outcome = options.run(async |g| {
                g.spawn(async {
                    cancelled().await;
                    let _dropped = Says("task dropped");
                    say("asked");
                    pending::<()>().await
                });
                say("ready");
                pending::<Result<(), Infallible>>().await
            });
            say(&outcome.unwrap_err().to_string());
            1
        });
        process.says("ready");
        process.signal(first);
        process.says("asked");
        process.signal(second);
        process.says("task dropped");
        process.says(&format!(
            "the group was cancelled: on request (by `signals`): SIG{second}"
        ));
        process.ends_with(1);
    }
}

/// Each opening heeds them, one after the other and one in another.
#[test]
fn every_opening_can_be_stopped() {
    let process = Process::of("every_opening_can_be_stopped", || {
        let options = || Options::new().stop_on_signals(AN_HOUR);
        let stopped = options().run(async |g| {
            kill_me("TERM");
            cancelled().await;
            Ok::<_, Infallible>(g.is_shutting_down())
        });
        assert!(stopped.unwrap());
        let stopped = async_std::task::block_on(options().group(async |outer| {
            let inner = options().group(async |g| {
                kill_me("TERM");
                cancelled().await;
                Ok::<_, Infallible>(g)
            });
            let inner = inner.await.unwrap();
            cancelled().await;
            Ok::<_, Infallible>(inner.is_shutting_down() && outer.is_shutting_down())
        }));
        assert!(stopped.unwrap());
        let stopped = async_std::task::block_on(options().scope(async |s| {
            kill_me("INT");
            cancelled().await;
            Ok::<_, Infallible>(s.is_shutting_down())
        }));
        assert!(stopped.unwrap());
        0
    });
    process.ends_with(0);
}

/// As the documentation says: the signals stay disarmed.
#[test]
fn a_signal_after_the_group_does_not_end_the_process() {
    let mut process = Process::of("a_signal_after_the_group_does_not_end_the_process", || {
        let options = Options::new().stop_on_signals(AN_HOUR);
        let outcome = options.run(async |_| Ok::<_, Infallible>(()));
        outcome.unwrap();
        kill_me("INT");
        kill_me("TERM");
        say("alive");
        0
    });
    process.says("alive");
    process.ends_with(0);
}

/// Where no signal can be heeded the group does its work, and the log says what is missing, whatever the log
/// does then.
#[test]
fn a_group_that_cannot_register_goes_on_with_a_warning() {
    struct Print;
    impl log::Log for Print {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            say(&format!("{}: {}", record.level(), record.args()));
            panic!("the log panics");
        }
        fn flush(&self) {}
    }

    let mut process = Process::under(
        "ulimit -n 64; exec \"$@\"",
        "a_group_that_cannot_register_goes_on_with_a_warning",
        || {
            log::set_logger(&Print).unwrap();
            log::set_max_level(log::LevelFilter::Warn);
            // The runtime opens what it needs, and its threads, as they begin, read a file or two: until
            // nobody has one to give back.
            let mut files = Vec::new();
            loop {
                let warm = run(async |g| {
                    g.spawn(sleep(Duration::from_millis(1)));
                    Ok::<_, Infallible>(())
                });
                warm.unwrap();
                let before = files.len();
                files.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
                if files.len() == before {
                    break;
                }
            }
            assert!(!files.is_empty());
            let options = Options::new().limit(1).stop_on_signals(AN_HOUR);
            let options = options.dump_on(DumpSignal::Usr1);
            let outcome = options.run(async |g| g.spawn(async { Ok(42) }).await);
            assert_eq!(outcome.unwrap(), 42);
            0
        },
    );
    process.says("WARN: Usr1 will not print the tree: Too many open files (os error 24)");
    process.says("WARN: signals will not stop the group: Too many open files (os error 24)");
    process.ends_with(0);
}

/// `Options::dump_on`: the tree comes while every thread of the executor, and the one that `run` blocks,
/// is blocked for ever.
#[test]
fn a_signal_prints_the_tree_while_every_thread_is_blocked() {
    let mut process = Process::under(
        "export ASYNC_STD_THREAD_COUNT=2; exec \"$@\" 2>&1",
        "a_signal_prints_the_tree_while_every_thread_is_blocked",
        || {
            let held = Mutex::new(());
            let _held = held.lock().unwrap();
            let (begun, heard) = channel();
            let options = Options::new().name("stuck").dump_on(DumpSignal::Usr1);
            let outcome = options.run(async |g| {
                for name in ["one thread", "the other"] {
                    let (begun, held) = (begun.clone(), &held);
                    g.spawn_named(name, async move {
                        begun.send(()).unwrap();
                        drop(held.lock());
                    });
                }
                heard.recv().unwrap();
                heard.recv().unwrap();
                say("all blocked");
                // Nobody sends a third time.
                heard.recv().unwrap();
                Ok::<_, Infallible>(())
            });
            outcome.unwrap();
            0
        },
    );
    process.says("all blocked");
    // Twice, since it goes on listening.
    for _ in 0..2 {
        process.signal("USR1");
        let mut missing = vec![
            "run `stuck` at tests/signals.rs:",
            "task `one thread` at tests/signals.rs:",
            "task `the other` at tests/signals.rs:",
        ];
        while !missing.is_empty() {
            let line = process.lines.next().expect("a line of the tree").unwrap();
            let stuck = line.contains(": running") && line.contains(" old");
            missing.retain(|begin| !(line.contains(begin) && stuck));
        }
    }
    // Nothing else ends it.
    process.signal("KILL");
    assert_eq!(process.process.wait().unwrap().code(), None);
}

/// And so the tree tells of that limit.
#[test]
fn the_tree_shows_the_limit_that_was_asked_for() {
    for limit in [4, usize::MAX] {
        Sim::new(0).run(async move {
            let options = Options::new().limit(limit).stop_on_signals(AN_HOUR);
            let outcome = options.group(async move |_| {
                let tree = tree();
                assert_eq!(tree.entries()[0].children.unwrap().limit, Some(limit));
                let shown = tree.to_string();
                let limit = format!(", at most {limit} at a time,");
                assert!(shown.contains(&limit), "{shown}");
                Ok::<_, Infallible>(())
            });
            outcome.await.unwrap();
        });
    }
}

/// Rule 3: the child that reads the signals is no child that the user's limit is for.
#[test]
fn the_limit_is_for_the_other_children() {
    for seed in 0..200 {
        // Now, and at most.
        let working = Arc::new(Mutex::new((0, 0)));
        let counts = working.clone();
        let stats = Sim::new(seed).run(async move {
            let options = Options::new().limit(2).stop_on_signals(AN_HOUR);
            let outcome = options.group(async move |g| {
                for _ in 0..5 {
                    let counts = counts.clone();
                    g.spawn(async move {
                        {
                            let mut counts = counts.lock().unwrap();
                            counts.0 += 1;
                            counts.1 = counts.1.max(counts.0);
                        }
                        sleep(Duration::from_secs(1)).await;
                        counts.lock().unwrap().0 -= 1;
                    });
                }
                Ok::<_, Infallible>(g)
            });
            outcome.await.unwrap().stats()
        });
        assert_eq!(*working.lock().unwrap(), (0, 2));
        let GroupStats {
            spawned,
            living,
            peak,
            ..
        } = stats;
        assert_eq!((spawned, living, peak), (6, 0, 6), "the reader included");
    }
}
