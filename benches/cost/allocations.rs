//! Allocations and bytes a child, exactly; and the bytes that a parked child keeps.

use std::{hint::black_box, sync::Arc};

use async_std::task;

use crate::{
    arguments::Arguments,
    counting::{Counted, count, counted},
    report::Report,
    work::{group, inline, parked, spawned, timeout},
};

/// The name, the work, and how many allocations a child it is meant to make at most. A tenth is
/// for the lists that grow with the number of children, such as the executor's queue.
type Row = (&'static str, fn(u64), Option<f64>);

const ROWS: &[Row] = &[
    ("group", group::spawn_join_trivial, Some(1.1)),
    ("group_handle", group::spawn_join_handles, Some(1.1)),
    // One of them is the string, and one is where it waits for its handle, since it must be dropped.
    ("group_handle_string", handles_of_strings, Some(3.1)),
    ("run", group::run_spawn_join, Some(2.1)),
    ("scope", inline::scope, None),
    ("timeout_ready", timeout::ours_ready, None),
    ("timeout_expired", timeout::ours_expired, None),
    ("async_std", spawned::bare_trivial, None),
    ("async_std_timeout_ready", timeout::theirs_ready, None),
    ("async_global_executor", spawned::global_executor, None),
    ("joinset", spawned::joinset, None),
    ("tasktracker", spawned::tasktracker, None),
    ("async_nursery", spawned::nursery, None),
    ("async_scoped", spawned::scoped, None),
    ("futures_unordered", inline::futures_unordered, None),
    ("future_group", inline::future_group, None),
    ("moro", inline::moro, None),
];

pub fn measure(arguments: &Arguments, report: &mut Report) {
    let children = if arguments.quick { 5_000 } else { 100_000 };
    for (name, work, at_most) in ROWS {
        let least = least_of_rounds(*work, children);
        let each = least.allocations as f64 / children as f64;
        match at_most {
            Some(at_most) => report.limited(name, each, "allocations a child", *at_most),
            None => report.add(name, each, "allocations a child"),
        }
        let bytes = least.allocated as f64 / children as f64;
        report.add(&format!("{name}_bytes"), bytes, "bytes a child");
    }
    parked_bytes(children, report);
}

/// Without growth from cold, and without what a worker that goes to sleep meanwhile allocates.
fn least_of_rounds(work: fn(u64), children: u64) -> Counted {
    work(children);
    let rounds = (0..5).map(|_| {
        count();
        work(children);
        counted()
    });
    rounds.min_by_key(|counted| counted.allocations).unwrap()
}

/// An output with an allocation of its own, which is not the library's.
fn handles_of_strings(count: u64) {
    let outcome = task::block_on(headcount::group(async |g| {
        let mut handles = Vec::with_capacity(count as usize);
        for n in 0..count {
            handles.push(g.spawn(async move { Ok(black_box(n).to_string()) }));
        }
        let mut length = 0;
        for handle in handles {
            length += handle.await?.len();
        }
        Ok::<_, headcount::JoinError>(length)
    }));
    assert!(outcome.unwrap() > 0);
}

/// What lives for each parked child, beyond what its own future needs.
fn parked_bytes(children: u64, report: &mut Report) {
    let future = size_of_val(&parked::park(Arc::default())) as f64;
    let beyond = |live: isize| live as f64 / children as f64 - future;

    let ours = beyond(least_live(|| {
        let parked = Arc::default();
        parked::group_of_parked(children, &parked, |g| {
            let live = counted().live;
            g.cancel();
            live
        })
    }));
    let theirs = beyond(least_live(|| {
        let parked = Arc::default();
        parked::bare_parked(children, &parked, async |handles| {
            let live = counted().live;
            for handle in handles {
                handle.cancel().await;
            }
            live
        })
    }));
    // The handles that the bare side has to keep are not counted against it.
    let handle = size_of::<task::JoinHandle<()>>() as f64;
    let theirs = theirs - handle;
    report.add("parked_group", ours, "bytes a child beyond its future");
    report.add(
        "parked_async_std",
        theirs,
        "bytes a child beyond its future",
    );
    report.limited("parked_ratio", ours / theirs, "times a bare task", 1.3);
}

fn least_live(live: impl Fn() -> isize) -> isize {
    let rounds = (0..4).map(|_| {
        count();
        live()
    });
    rounds.min().unwrap()
}
