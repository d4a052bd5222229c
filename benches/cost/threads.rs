//! Several threads that spawn into one group, and how soon a group sees its end.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use async_std::task;

use crate::{
    arguments::Arguments,
    plot,
    report::{Report, median},
    work::trivial,
};

pub fn measure(arguments: &Arguments, report: &mut Report) {
    let (children, rounds) = match arguments.quick {
        true => (8_000, 3),
        false => (200_000, 9),
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for spawners in [1, 2, 4, 8] {
        let share = children / spawners;
        let each = |work: fn(u64, u64)| {
            let nanos = (0..rounds).map(|_| {
                let start = Instant::now();
                work(spawners, share);
                start.elapsed().as_nanos() as f64 / children as f64
            });
            median(nanos.collect())
        };
        let (our, their) = (each(into_one_group), each(bare_tasks));
        report.add(&format!("group_{spawners}"), our, "ns a child");
        report.add(&format!("async_std_{spawners}"), their, "ns a child");
        ours.push((spawners as f64, our));
        theirs.push((spawners as f64, their));
    }
    arguments.plot("threads.svg", || {
        plot::lines(
            "ns a child, over threads that spawn into one group",
            &[("group", ours), ("async-std", theirs)],
        )
    });

    let times = if arguments.quick { 100 } else { 5_000 };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..times {
        ours.push(wake_up(|ended| {
            headcount::group(async move |g| {
                g.spawn(ends_at(ended));
                Ok::<_, Infallible>(())
            })
        }));
        theirs.push(wake_up(|ended| task::spawn(ends_at(ended))));
    }
    report.add("end_of_group", median(ours), "ns from the child's end");
    report.add("end_of_async_std", median(theirs), "ns from the task's end");
}

fn into_one_group(spawners: u64, share: u64) {
    let outcome = task::block_on(headcount::group(async |g| {
        thread::scope(|threads| {
            for _ in 0..spawners {
                let g = g.clone();
                threads.spawn(move || {
                    for n in 0..share {
                        g.spawn(trivial(n));
                    }
                });
            }
        });
        Ok::<_, Infallible>(())
    }));
    outcome.unwrap();
}

/// Each thread hands its handles to the one that waits.
fn bare_tasks(spawners: u64, share: u64) {
    let spawn = move || -> Vec<_> { (0..share).map(|n| task::spawn(trivial(n))).collect() };
    let handles: Vec<_> = thread::scope(|threads| {
        let spawning: Vec<_> = (0..spawners).map(|_| threads.spawn(spawn)).collect();
        let handles = spawning.into_iter().map(|thread| thread.join().unwrap());
        handles.collect()
    });
    task::block_on(async {
        for handle in handles.into_iter().flatten() {
            handle.await;
        }
    });
}

type Ended = Arc<Mutex<Option<Instant>>>;

async fn ends_at(ended: Ended) {
    // So that the opener waits, rather than finding that all is over.
    task::yield_now().await;
    *ended.lock().unwrap() = Some(Instant::now());
}

/// How many ns pass from the last line of a child to the code after the await of `open`.
fn wake_up<F: Future>(open: impl Fn(Ended) -> F) -> f64 {
    let ended = Ended::default();
    task::block_on(async {
        open(ended.clone()).await;
        let seen = Instant::now();
        let ended = ended.lock().unwrap().unwrap();
        seen.duration_since(ended).as_nanos() as f64
    })
}
