//! headcount against what one would use without it, in one process and on the same threads.
//!
//! `cargo bench --bench peers`; with `-- --quick` a short run that only shows that it works.
//!
//! What is compared are ratios, ours by theirs, each taken within one round in which both ran one
//! right after the other: a machine that is slow for a while is then slow for both. The median is
//! the result; the lowest and the highest round show how far to trust it.

use std::{
    convert::Infallible,
    env,
    future::{pending, ready},
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use async_std::task;

#[path = "peers/map_concurrent.rs"]
mod map_concurrent;

/// Two ways to the same result. Each is called with how many children or futures to make.
struct Contest {
    name: &'static str,
    ours: fn(u64),
    theirs: fn(u64),
}

const CONTESTS: &[Contest] = &[
    Contest {
        name: "spawn_join/async_std",
        ours: group_spawn_join,
        theirs: bare_spawn_join,
    },
    Contest {
        name: "spawn_join_handles/async_std",
        ours: group_spawn_join_handles,
        theirs: bare_spawn_join_handles,
    },
    Contest {
        name: "run_spawn_join/async_std",
        ours: run_spawn_join,
        theirs: bare_spawn_join,
    },
    Contest {
        name: "timeout_ready/async_std",
        ours: headcount_ready,
        theirs: async_std_ready,
    },
    Contest {
        name: "timeout_expired/async_std",
        ours: headcount_expired,
        theirs: async_std_expired,
    },
    Contest {
        name: "map_concurrent/buffer_unordered",
        ours: map_concurrent::ours,
        theirs: map_concurrent::buffer_unordered,
    },
];

/// How much to measure.
struct Effort {
    count: u64,
    warm_ups: usize,
    rounds: usize,
}

const FULL: Effort = Effort {
    count: 100_000,
    warm_ups: 2,
    rounds: 15,
};

const QUICK: Effort = Effort {
    count: 10_000,
    warm_ups: 1,
    rounds: 3,
};

// ---- spawning: the opener is polled on the main thread, the children by the workers ----

/// The group waits for its children, so nobody has to keep the handles.
fn group_spawn_join(count: u64) {
    let outcome = task::block_on(headcount::group(async |g| {
        for n in 0..count {
            g.spawn(async move {
                black_box(n);
            });
        }
        Ok::<_, Infallible>(())
    }));
    outcome.unwrap();
}

fn run_spawn_join(count: u64) {
    let outcome = headcount::run(async |g| {
        for n in 0..count {
            g.spawn(async move {
                black_box(n);
            });
        }
        Ok::<_, Infallible>(())
    });
    outcome.unwrap();
}

/// Without a group, to wait for tasks is to keep their handles and to await each.
fn bare_spawn_join(count: u64) {
    task::block_on(async {
        let mut handles = Vec::with_capacity(count as usize);
        for n in 0..count {
            handles.push(task::spawn(async move {
                black_box(n);
            }));
        }
        for handle in handles {
            handle.await;
        }
    });
}

/// Here the outputs are wanted, so both keep the handles.
fn group_spawn_join_handles(count: u64) {
    let outcome = task::block_on(headcount::group(async |g| {
        let mut handles = Vec::with_capacity(count as usize);
        for n in 0..count {
            handles.push(g.spawn(async move { Ok(black_box(n)) }));
        }
        let mut sum = 0;
        for handle in handles {
            sum += handle.await?;
        }
        Ok::<_, headcount::JoinError>(sum)
    }));
    assert_eq!(outcome.unwrap(), sum_below(count));
}

fn bare_spawn_join_handles(count: u64) {
    let sum = task::block_on(async {
        let mut handles = Vec::with_capacity(count as usize);
        for n in 0..count {
            handles.push(task::spawn(async move { black_box(n) }));
        }
        let mut sum = 0;
        for handle in handles {
            sum += handle.await;
        }
        sum
    });
    assert_eq!(sum, sum_below(count));
}

fn sum_below(count: u64) -> u64 {
    count * (count - 1) / 2
}

// ---- timeouts: in time, or over at the first checkpoint ----

/// Long enough never to pass in a measurement.
const AMPLE: Duration = Duration::from_secs(3600);

fn headcount_ready(count: u64) {
    task::block_on(async {
        for n in 0..count {
            let in_time = headcount::timeout(AMPLE, ready(black_box(n))).await;
            assert_eq!(in_time.ok(), Some(n));
        }
    });
}

fn async_std_ready(count: u64) {
    task::block_on(async {
        for n in 0..count {
            let in_time = async_std::future::timeout(AMPLE, ready(black_box(n))).await;
            assert_eq!(in_time.ok(), Some(n));
        }
    });
}

fn headcount_expired(count: u64) {
    task::block_on(async {
        for _ in 0..count {
            let over = headcount::timeout(Duration::ZERO, pending::<()>()).await;
            assert!(over.is_err());
        }
    });
}

fn async_std_expired(count: u64) {
    task::block_on(async {
        for _ in 0..count {
            let over = async_std::future::timeout(Duration::ZERO, pending::<()>()).await;
            assert!(over.is_err());
        }
    });
}

// ---- measuring ----

/// What the rounds of one contest gave, each list in rising order.
struct Measured {
    ratios: Vec<f64>,
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

fn measure(contest: &Contest, effort: &Effort) -> Measured {
    let mut measured = Measured {
        ratios: Vec::new(),
        ours: Vec::new(),
        theirs: Vec::new(),
    };
    for round in 0..effort.warm_ups + effort.rounds {
        let ours = millis(contest.ours, effort.count);
        let theirs = millis(contest.theirs, effort.count);
        if round >= effort.warm_ups {
            measured.ratios.push(ours / theirs);
            measured.ours.push(ours);
            measured.theirs.push(theirs);
        }
    }
    for list in [
        &mut measured.ratios,
        &mut measured.ours,
        &mut measured.theirs,
    ] {
        list.sort_by(f64::total_cmp);
    }
    measured
}

fn millis(work: fn(u64), count: u64) -> f64 {
    let start = Instant::now();
    work(count);
    start.elapsed().as_secs_f64() * 1e3
}

/// The middle of a sorted list of odd length.
fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// How many worker threads async-std starts: its variable, or else one for each core.
fn worker_threads(cores: usize) -> usize {
    let set = env::var("ASYNC_STD_THREAD_COUNT").ok();
    set.and_then(|count| count.parse().ok()).unwrap_or(cores)
}

fn main() {
    // Cargo passes `--bench`; other arguments than ours are none of our business.
    let quick = env::args().any(|argument| argument == "--quick");
    let effort = if quick { QUICK } else { FULL };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!(
        "note {} worker threads on {cores} cores; {} children or futures, {} rounds",
        worker_threads(cores),
        effort.count,
        effort.rounds
    );

    let mut results = Vec::new();
    for contest in CONTESTS {
        let measured = measure(contest, &effort);
        println!(
            "ratio {} {:.3} {:.3} {:.3}",
            contest.name,
            median(&measured.ratios),
            measured.ratios[0],
            measured.ratios[effort.rounds - 1]
        );
        results.push((contest.name, measured));
    }

    println!("\n{:32}{:>12}{:>12}", "median ms", "ours", "theirs");
    for (name, measured) in &results {
        let (ours, theirs) = (median(&measured.ours), median(&measured.theirs));
        println!("{name:32}{ours:12.2}{theirs:12.2}");
    }
}
