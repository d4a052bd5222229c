//! Tests on real async-std: the number of workers is fixed for a process by its environment, so the
//! test starts its own executable again, once for each number.

use std::{
    env,
    process::{Command, abort},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

const WORKERS: &str = "HEADCOUNT_WORKERS";
const FINISHED: &str = "the body of the test has finished";
/// A safety net against a broken promise that would hang for ever, never an assertion of speed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `body` in processes of their own with 1, 2 and 8 workers; `test` is the path of the calling test.
#[track_caller]
pub fn on_workers(test: &str, body: impl FnOnce()) {
    on_these_workers(&[1, 2, 8], test, body);
}

/// As `on_workers`, with these numbers of workers.
#[track_caller]
pub fn on_these_workers(counts: &[usize], test: &str, body: impl FnOnce()) {
    if env::var_os(WORKERS).is_some() {
        let (finished, net) = channel::<()>();
        thread::spawn(move || {
            if net.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                eprintln!("hangs");
                abort();
            }
        });
        body();
        drop(finished);
        println!("{FINISHED}");
        return;
    }
    let executable = env::current_exe().unwrap();
    for count in counts {
        let output = Command::new(&executable)
            .args([test, "--exact", "--nocapture"])
            .env(WORKERS, count.to_string())
            .env("ASYNC_STD_THREAD_COUNT", count.to_string())
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && stdout.contains(FINISHED),
            "with {count} workers: {}\n{stdout}\n{stderr}",
            output.status,
        );
    }
}
