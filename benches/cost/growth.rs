//! How the cost of a child grows with the size and the depth of what it is in.

use std::time::Instant;

use crate::{
    arguments::Arguments,
    plot,
    report::{Report, median},
    work::{group, nested, spawned},
};

type Curve = Vec<(f64, f64)>;

pub fn measure(arguments: &Arguments, report: &mut Report) {
    let largest = if arguments.quick { 4 } else { 6 };
    let sizes = (3..=largest).map(|power| 10u64.pow(power));
    let (mut ours, mut theirs) = (Curve::new(), Curve::new());
    for size in sizes {
        // The same number of children for each size, at least three rounds.
        let rounds = (200_000 / size).clamp(3, 200) as usize;
        let (our, their) = in_turn(
            rounds,
            size,
            group::spawn_join_trivial,
            spawned::bare_trivial,
        );
        report.add(&format!("group_of_{size}"), our, "ns a child");
        report.add(&format!("async_std_of_{size}"), their, "ns a child");
        ours.push((size as f64, our));
        theirs.push((size as f64, their));
    }
    arguments.plot("growth.svg", || {
        plot::lines(
            "ns a child, over children in a group",
            &[("group", ours), ("async-std", theirs)],
        )
    });

    let deepest: u64 = if arguments.quick { 1_000 } else { 10_000 };
    for depth in [deepest / 100, deepest / 10, deepest] {
        let rounds = (20_000 / depth).clamp(3, 100) as usize;
        let (our, their) = in_turn(rounds, depth, nested::groups, nested::bare);
        report.add(&format!("groups_nested_{depth}"), our, "ns a level");
        report.add(&format!("async_std_nested_{depth}"), their, "ns a level");
    }
}

/// The medians of both, in ns for each of `count`.
fn in_turn(rounds: usize, count: u64, ours: fn(u64), theirs: fn(u64)) -> (f64, f64) {
    let (mut our, mut their) = (Vec::new(), Vec::new());
    for round in 0..rounds + 1 {
        let (a, b) = (nanos_each(count, ours), nanos_each(count, theirs));
        if round > 0 {
            our.push(a);
            their.push(b);
        }
    }
    (median(our), median(their))
}

fn nanos_each(count: u64, work: fn(u64)) -> f64 {
    let start = Instant::now();
    work(count);
    start.elapsed().as_nanos() as f64 / count as f64
}
