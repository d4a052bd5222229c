//! The last child against who registers to wait for it.
//!
//! Count, invariants 2 and 3: the opener raises `WAITING` and looks at the count, a child counts out
//! and looks at `WAITING`. One of the two sees the other, and what the children did comes before the
//! return of the opener. Once only daemons are left they are asked to end, by whoever finds that.

use super::{Trace, begin, bound, check, join, thread};
use crate::{
    checkpoint, group,
    runtime::models::{Task, next_task},
};

#[test]
fn the_opener_learns_of_the_last_child() {
    check(bound(3, 3), || children_end(1));
}

#[test]
fn of_two_children_the_last_tells_the_opener() {
    check(bound(1, 2), || children_end(2));
}

fn children_end(children: usize) {
    let traces: Vec<_> = (0..children).map(|_| Trace::new()).collect();
    let theirs = traces.clone();
    let opener = begin(Task::new(group(async move |g| {
        for trace in theirs {
            g.spawn(async move { trace.leave() });
        }
        checkpoint().await;
        Ok::<_, ()>(g)
    })));
    let tasks = (0..children).map(|_| next_task());
    let threads: Vec<_> = tasks.map(|task| thread(|| task.finish())).collect();
    let g = opener.finish().unwrap();
    for trace in traces {
        assert_eq!(
            trace.count(),
            1,
            "the child had not run when its group returned"
        );
    }
    assert_eq!(g.stats().living, 0);
    threads.into_iter().for_each(join);
}

#[test]
fn a_daemon_ends_once_it_is_alone() {
    check(bound(1, 1), || {
        let (work, daemon) = (Trace::new(), Trace::new());
        let (works, serves) = (work.clone(), daemon.guard());
        let opener = begin(Task::new(group(async move |g| {
            g.spawn_daemon(async move {
                let _serves = serves;
                std::future::pending::<()>().await
            });
            g.spawn(async move { works.leave() });
            checkpoint().await;
            Ok::<_, ()>(())
        })));
        let daemons = begin(next_task());
        let child = next_task();
        let threads = [thread(|| daemons.finish()), thread(|| child.finish())];
        opener.finish().unwrap();
        assert_eq!((work.count(), daemon.count()), (1, 1));
        threads.into_iter().for_each(join);
    });
}
