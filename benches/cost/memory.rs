//! The memory of a long-lived group: it must not grow with the children that have ended.

use std::{fs, hint::black_box};

use async_std::task;

use crate::{arguments::Arguments, plot, report::Report};

/// How many children live at a time.
const BATCH: u64 = 10_000;

pub fn measure(arguments: &Arguments, report: &mut Report) {
    if resident().is_none() {
        return report.note("left out: this system has no /proc/self/statm");
    }
    let (early, all) = match arguments.quick {
        true => (20_000, 100_000),
        false => (100_000, 10_000_000),
    };
    let mut seen = Vec::new();
    let outcome = task::block_on(headcount::group(async |g| {
        let mut handles = Vec::with_capacity(BATCH as usize);
        for spawned in (BATCH..=all).step_by(BATCH as usize) {
            handles.extend((0..BATCH).map(|n| g.spawn(async move { Ok(black_box(n)) })));
            for handle in handles.drain(..) {
                handle.await?;
            }
            if spawned == early || spawned % (all / 10) == 0 {
                seen.push((spawned as f64, resident().unwrap()));
            }
        }
        Ok::<_, headcount::JoinError>(())
    }));
    outcome.unwrap();
    for (spawned, mebibytes) in &seen {
        report.add(&format!("after_{spawned}"), *mebibytes, "MiB resident");
    }
    let ratio = seen[seen.len() - 1].1 / seen[0].1;
    report.limited("last_to_first", ratio, "times", 1.05);
    arguments.plot("memory.svg", || {
        plot::lines(
            "resident memory, MiB, over children that a group has had",
            &[("group", seen)],
        )
    });
}

/// The resident memory of this process in MiB.
fn resident() -> Option<f64> {
    const PAGE: f64 = 4096.0;
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE / (1024.0 * 1024.0))
}
