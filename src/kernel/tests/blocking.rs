//! A thread that comes for a closure against the cancelled child that takes it back.
//!
//! Blocking, invariants 1 to 3: whoever takes the closure out decides; one that was taken back is never
//! run; and when the child goes on, the closure and all it captured are gone.

use super::{Out, Trace, begin, bound, check, join, thread};
use crate::{
    checkpoint, group,
    runtime::models::{Task, next_job, next_task},
};

#[test]
fn a_closure_is_run_or_dropped_before_its_group_returns() {
    check(bound(1, 2), || {
        let (out, ran, gone) = (Out::new(), Trace::new(), Trace::new());
        let (put, runs, guard) = (out.clone(), ran.clone(), gone.guard());
        let opener = begin(Task::new(group(async move |g| {
            let handle = g.spawn_blocking(move |_| {
                let _guard = guard;
                runs.leave();
            });
            put.put(handle);
            checkpoint().await;
            Ok::<_, ()>(())
        })));
        let handle = out.take();
        let task = begin(next_task());
        let job = next_job();
        let threads = [thread(|| task.finish()), thread(job)];
        handle.cancel();
        opener.finish().unwrap();
        assert_eq!(gone.count(), 1, "the closure is left");
        let end = Task::new(handle).finish();
        if ran.count() == 0 {
            assert!(end.unwrap_err().is_cancelled());
        }
        threads.into_iter().for_each(join);
    });
}
