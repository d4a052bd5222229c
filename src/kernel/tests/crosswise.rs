//! `something_left`: a change of one word and a look at another, made crosswise by two threads.
//!
//! A child counts out without the lock, then looks for `ORPHAN`; who drops the opener raises `ORPHAN`,
//! then looks at the count. Release and acquire alone let both see the state from before: the child
//! would wake an opener that is gone, and nobody would settle the orphan. So the child looks by a
//! read-modify-write (`something_left`, and "Orders and locks" in the README).
//!
//! The boundary is already closing when it is dropped: otherwise the dropper's own change of the count
//! would order the two.

use super::{Trace, begin, bound, check, half_way, join, thread};
use crate::{
    checkpoint, group,
    runtime::models::{Task, next_task},
};

#[test]
fn a_child_that_counts_out_or_who_drops_its_boundary_settles_it() {
    check(bound(2, 3), || {
        let gone = Trace::new();
        let guard = gone.guard();
        let outer = begin(Task::new(group(async move |_| {
            let mut inner = Box::pin(group(async move |g| {
                g.spawn(async move {
                    let _guard = guard;
                    checkpoint().await;
                });
                Ok::<_, ()>(())
            }));
            half_way(&mut inner).await;
            checkpoint().await;
            drop(inner);
            Ok::<_, ()>(())
        })));
        let task = begin(next_task());
        let child = thread(|| task.finish());
        outer.finish().unwrap();
        assert_eq!(
            gone.count(),
            1,
            "the parent returned before the child had ended"
        );
        join(child);
    });
}
