//! A child that is brought to a scope from another thread against the opener that stops looking.
//!
//! Tasks, invariants 2 and 5: who comes while the opener has stopped looking wakes it; and once the
//! inbox is closed, a child that comes is dropped by who brings it.

use super::{Out, Trace, begin, bound, check, join, thread};
use crate::{checkpoint, runtime::models::Task, scope};

#[test]
fn a_child_from_another_thread_is_run_or_dropped() {
    check(bound(2, 3), || {
        let out = Out::new();
        let put = out.clone();
        let opener = begin(Task::new(scope(async move |s| {
            put.put(s);
            checkpoint().await;
            Ok::<_, ()>(())
        })));
        let s = out.take();
        let (ran, gone) = (Trace::new(), Trace::new());
        let (runs, guard) = (ran.clone(), gone.guard());
        let bringer = thread(move || {
            let child = s.spawn(async move {
                let _guard = guard;
                runs.leave();
            });
            drop(child);
            s
        });
        opener.finish().unwrap();
        let s = join(bringer);
        let stats = s.stats();
        assert_eq!(stats.living, 0);
        assert_eq!((ran.count(), gone.count()), (stats.spawned as usize, 1));
    });
}
