//! A place under a limit that is given up against who waits for it.
//!
//! Ledger, invariant 2: places are handed on in the order of arrival. A queued child that parks is
//! woken when it is admitted, or sees that it is; a place that was granted to a spawner who left goes on.

use super::{Out, Trace, begin, bound, check, join, thread};
use crate::{
    Options, checkpoint,
    runtime::models::{Task, next_task},
};

#[test]
fn a_queued_child_is_told_of_its_place() {
    check(bound(1, 1), || {
        let traces = [Trace::new(), Trace::new()];
        let theirs = traces.clone();
        let opener = begin(Task::new(Options::new().limit(1).group(async move |g| {
            for trace in theirs {
                g.spawn(async move { trace.leave() });
            }
            checkpoint().await;
            Ok::<_, ()>(g)
        })));
        let threads = [next_task(), next_task()].map(|task| thread(|| task.finish()));
        let g = opener.finish().unwrap();
        assert_eq!((traces[0].count(), traces[1].count()), (1, 1));
        assert_eq!(g.stats().living, 0);
        threads.into_iter().for_each(join);
    });
}

/// The first in line leaves it at the moment in which the place becomes free.
#[test]
fn a_place_is_not_lost_with_a_spawner_that_leaves() {
    check(bound(2, 3), || {
        let out = Out::new();
        let put = out.clone();
        let opener = begin(Task::new(Options::new().limit(1).group(async move |g| {
            g.spawn(async {});
            put.put(g);
            checkpoint().await;
            Ok::<_, ()>(())
        })));
        let g = out.take();
        let task = next_task();
        let in_line = g.clone();
        let mut leaver = begin(Task::new(async move {
            in_line.spawn_when_free(async { Ok(()) }).await;
        }));
        let child = thread(|| task.finish());
        drop(std::mem::replace(&mut leaver, Task::new(async {})));
        join(child);
        let free = g.try_spawn(async {});
        assert!(free.is_ok(), "the place is free again");
        next_task().finish();
        opener.finish().unwrap();
    });
}
