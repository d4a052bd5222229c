//! Instructions a child, counted by valgrind's callgrind: unlike times, they hardly depend on what
//! else the machine does.

use std::{
    collections::HashMap,
    env,
    process::{Command, Stdio},
};

use crate::{arguments::Arguments, paths::PATHS, report::Report};

/// With it, the bench runs one path: the name and the number of children follow.
pub const FLAG: &str = "--path";

pub fn measure(arguments: &Arguments, report: &mut Report) {
    let valgrind = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !valgrind.is_ok_and(|status| status.success()) {
        return report.note("left out: there is no valgrind");
    }
    // The difference of two sizes is free of what the process itself costs.
    let (few, many) = match arguments.quick {
        true => (500, 1_500),
        false => (2_000, 22_000),
    };
    let mut counts = HashMap::new();
    for (name, _) in PATHS {
        let (Some(of_few), Some(of_many)) = (callgrind(name, few), callgrind(name, many)) else {
            report.note(&format!("{name} could not be counted"));
            continue;
        };
        let each = of_many.saturating_sub(of_few) as f64 / (many - few) as f64;
        report.add(name, each, "instructions a child");
        counts.insert(*name, each);
    }
    let difference = |more: &str, less: &str| Some(counts.get(more)? - counts.get(less)?);
    for (name, more, less) in [
        ("poll_and_completion", "spawn_join", "spawn_only"),
        ("cancel", "park_and_cancel", "park"),
        (
            "async_std_poll_and_completion",
            "async_std_spawn_join",
            "async_std_spawn_only",
        ),
        (
            "async_std_cancel",
            "async_std_park_and_cancel",
            "async_std_park",
        ),
    ] {
        if let Some(value) = difference(more, less) {
            report.add(name, value, "instructions a child");
        }
    }
    if let (Some(ours), Some(theirs)) =
        (counts.get("spawn_join"), counts.get("async_std_spawn_join"))
    {
        report.limited("spawn_join_ratio", ours / theirs, "times a bare task", 1.15);
    }
}

/// All instructions of a process that runs the path.
fn callgrind(path: &str, count: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        // One thread at a time, in turn: else a thread that waits may never come to run.
        .arg("--fair-sched=yes")
        .arg(env::current_exe().ok()?)
        .args([FLAG, path, &count.to_string()])
        .env("ASYNC_STD_THREAD_COUNT", "1")
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.contains("Collected :"))?;
    line.split_whitespace().last()?.parse().ok()
}
