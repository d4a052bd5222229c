// What the programs of `from-asyncio.md` find around them when they are tested: the imports that the page
// names, and a simulation, in which `sleep` takes no time. They are included by hidden lines.

use futures_util::{Stream, StreamExt, stream};
use headcount::{
    sync::{Event, Mutex, Queue, Semaphore},
    time::{interval, sleep},
    *,
};
use std::{convert::Infallible, pin::pin, time::Duration};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

static LINES: std::sync::Mutex<Vec<(Instant, String)>> = std::sync::Mutex::new(Vec::new());

/// Stands for `println!`.
fn print_line(line: String) {
    println!("{line}");
    LINES.lock().unwrap().push((Instant::now(), line));
}

/// Which lines may come in another order than the page has them.
enum Order {
    Exact,
    /// Those that are printed at one instant.
    AtOneTime,
    Any,
}

/// Runs a program under several schedules, and compares the lines that it prints.
fn check(program: fn(), order: Order, expected: &str) {
    for seed in 0..20 {
        LINES.lock().unwrap().clear();
        // A closure may call `run`, as `main` may, and is in the simulation's time.
        testing::Sim::new(seed).run(unblock(program));
        let printed = std::mem::take(&mut *LINES.lock().unwrap());
        let shown = expected.trim().lines().skip(1); // after "Output:"
        let mut expected: Vec<&str> = shown.map(|line| &line["// ".len()..]).collect();
        let mut lines: Vec<&str> = printed.iter().map(|(_, line)| line.as_str()).collect();
        match order {
            Order::Exact => {}
            Order::AtOneTime => {
                let mut begin = 0;
                for instant in printed.chunk_by(|one, next| one.0 == next.0) {
                    let end = begin + instant.len();
                    lines[begin..end].sort();
                    if let Some(expected) = expected.get_mut(begin..end) {
                        expected.sort();
                    }
                    begin = end;
                }
            }
            Order::Any => {
                lines.sort();
                expected.sort();
            }
        }
        assert_eq!(lines, expected, "with seed {seed}");
    }
}
