//! Who is measured against whom. The names that have a limit are those of docs/performance.md.

use crate::{
    contest::{Contest, Side::Gives, Side::Timed, Size, millis, since},
    work::{group, inline, map, parked, spawned, timeout, watched, yields_once},
};

const fn contest(name: &'static str, ours: fn(u64), theirs: fn(u64)) -> Contest {
    Contest {
        name,
        at_most: None,
        size: Size::Full,
        ours: Timed(ours),
        theirs: Timed(theirs),
    }
}

const fn limited(name: &'static str, at_most: f64, ours: fn(u64), theirs: fn(u64)) -> Contest {
    Contest {
        at_most: Some(at_most),
        ..contest(name, ours, theirs)
    }
}

pub const CONTESTS: &[Contest] = &[
    limited(
        "spawn_join/async_std",
        0.8,
        group::spawn_join_trivial,
        spawned::bare_trivial,
    ),
    limited(
        "spawn_join_handles/async_std",
        1.05,
        group::spawn_join_handles,
        spawned::bare_outputs,
    ),
    limited(
        "yield_join/async_std",
        1.05,
        |count| group::spawn_join(count, yields_once),
        |count| spawned::bare(count, yields_once),
    ),
    limited(
        "spawn_join/joinset",
        0.35,
        group::spawn_join_trivial,
        spawned::joinset,
    ),
    limited(
        "spawn_join/tasktracker",
        0.8,
        group::spawn_join_trivial,
        spawned::tasktracker,
    ),
    limited(
        "scope/futures_unordered",
        1.3,
        inline::scope,
        inline::futures_unordered,
    ),
    limited("scope/moro", 0.16, inline::scope, inline::moro),
    Contest {
        name: "cancel_parked/joinset",
        at_most: Some(0.6),
        size: Size::Full,
        ours: Gives("ms", |count| since(parked::group_cancel(count))),
        theirs: Gives("ms", |count| since(parked::joinset_shutdown(count))),
    },
    limited(
        "timeout/async_std",
        1.0,
        |count| {
            timeout::ours_ready(count);
            timeout::ours_expired(count);
        },
        |count| {
            timeout::theirs_ready(count);
            timeout::theirs_expired(count);
        },
    ),
    Contest {
        size: Size::Tenfold,
        ..limited(
            "map_concurrent/buffer_unordered",
            0.9,
            map::map_concurrent,
            map::buffer_unordered,
        )
    },
    Contest {
        name: "linear",
        at_most: Some(1.05),
        size: Size::Tenfold,
        ours: Gives("x", |count| growth(count, group::spawn_join_trivial)),
        theirs: Gives("x", |count| growth(count, spawned::bare_trivial)),
    },
    Contest {
        size: Size::Tenfold,
        ..limited(
            "looked_at/unseen",
            1.05,
            watched::in_waves_looked_at,
            watched::in_waves,
        )
    },
    contest(
        "timed/untimed",
        watched::spawn_join_timed,
        group::spawn_join_trivial,
    ),
    contest(
        "timeout_ready/async_std",
        timeout::ours_ready,
        timeout::theirs_ready,
    ),
    contest(
        "timeout_expired/async_std",
        timeout::ours_expired,
        timeout::theirs_expired,
    ),
    contest(
        "timeout_yield/async_std",
        timeout::ours_yield,
        timeout::theirs_yield,
    ),
    contest("counted/async_std", spawned::counted, spawned::bare_trivial),
    contest(
        "spawn_join/counted",
        group::spawn_join_trivial,
        spawned::counted,
    ),
    contest(
        "spawn_join/async_global_executor",
        group::spawn_join_trivial,
        spawned::global_executor,
    ),
    contest(
        "spawn_join/async_nursery",
        group::spawn_join_trivial,
        spawned::nursery,
    ),
    contest(
        "run_spawn_join/async_std",
        group::run_spawn_join,
        spawned::bare_trivial,
    ),
    contest(
        "run_spawn_join/async_scoped",
        group::run_spawn_join,
        spawned::scoped,
    ),
    Contest {
        size: Size::Tenth,
        ..contest(
            "one_after_another/async_std",
            group::one_after_another,
            spawned::bare_one_after_another,
        )
    },
    contest("scope/future_group", inline::scope, inline::future_group),
    Contest {
        name: "cancel_parked/async_std",
        at_most: None,
        size: Size::Full,
        ours: Gives("ms", |count| since(parked::group_cancel(count))),
        theirs: Gives("ms", |count| since(parked::bare_cancel(count))),
    },
];

/// Does a child cost more in a large group? The cost a child of `count` children, against that of a
/// hundredth of them. Bare tasks have growing costs too, since their memory no longer fits the
/// caches, so what counts is by how much more ours grow than theirs.
fn growth(count: u64, work: fn(u64)) -> f64 {
    // Repeated, since a small group is over before the clock has seen much of it.
    const REPEATED: u64 = 50;
    let small = count / 100;
    let of_small = millis(|| (0..REPEATED).for_each(|_| work(small)));
    let of_large = millis(|| work(count));
    (of_large / count as f64) / (of_small / (small * REPEATED) as f64)
}
