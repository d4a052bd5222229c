//! Waiting for a request to stop against that request.
//!
//! The tree, invariant 4: the look at the flags comes after the waker was stored under the lock, and
//! those who change flags take that lock for the waker afterwards.

use std::time::Duration;

use super::{Out, Trace, begin, bound, check, join, thread};
use crate::{
    cancelled, checkpoint, group, is_shutting_down,
    runtime::models::{Task, next_task},
};

#[test]
fn who_waits_for_a_stop_is_told_of_it() {
    check(bound(1, 2), || {
        let (out, stopped) = (Out::new(), Trace::new());
        let (put, stops) = (out.clone(), stopped.clone());
        let opener = begin(Task::new(group(async move |g| {
            g.spawn(async move {
                cancelled().await;
                assert!(is_shutting_down());
                stops.leave();
            });
            put.put(g);
            checkpoint().await;
            Ok::<_, ()>(())
        })));
        let g = out.take();
        let task = next_task();
        let child = thread(|| task.finish());
        g.shutdown(Duration::from_secs(10));
        opener.finish().unwrap();
        assert_eq!(stopped.count(), 1);
        join(child);
    });
}
