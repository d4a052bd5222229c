//! A look at the tree against the end of a child, its cancellation, and the end of its group.
//!
//! Snapshot, invariants 2 and 3: who is shown had not ended before, a child stands below its group,
//! and what is looked at stays in memory. Neither side waits for the other.

use super::{Out, Trace, begin, bound, check, join, thread};
use crate::{
    Boundary, TaskTree, checkpoint, group,
    runtime::models::{Task, next_task},
    tree::EntryKind,
};

/// The group is shown, with as many children as it counts, each below it.
fn check_tree(tree: &TaskTree) -> usize {
    let entries = tree.entries();
    assert_eq!(entries[0].kind, EntryKind::Group);
    let shown = entries.iter().filter(|entry| entry.task.is_some());
    let below = shown.clone().filter(|entry| entry.parent == Some(0));
    assert_eq!(shown.clone().count(), below.count());
    assert_eq!(
        entries[0].children.map(|children| children.living),
        Some(shown.clone().count())
    );
    shown.count()
}

#[test]
fn a_look_meets_the_end_of_a_child_and_of_its_group() {
    check(bound(2, 3), || {
        let (out, gone) = (Out::new(), Trace::new());
        let (put, guard) = (out.clone(), gone.guard());
        let opener = begin(Task::new(group(async move |g| {
            g.spawn(async move {
                let _guard = guard;
                checkpoint().await;
            });
            put.put(Boundary::current().unwrap());
            checkpoint().await;
            Ok::<_, ()>(())
        })));
        let boundary = out.take();
        let task = next_task();
        let child = thread(|| task.finish());
        let before = check_tree(&boundary.tree());
        let after = check_tree(&boundary.tree());
        assert!(before >= after, "a child that has ended came back");
        opener.finish().unwrap();
        assert_eq!(gone.count(), 1);
        assert_eq!(
            check_tree(&boundary.tree()),
            0,
            "nobody lives below what has ended"
        );
        join(child);
    });
}

/// The look holds the memory of the cells while the child, and the group, let go of them.
#[test]
fn a_look_on_another_thread_outlives_what_it_looks_at() {
    check(bound(2, 2), || {
        let out = Out::new();
        let put = out.clone();
        let opener = begin(Task::new(group(async move |g| {
            let handle = g.spawn(std::future::pending::<()>());
            put.put((Boundary::current().unwrap(), handle));
            checkpoint().await;
            Ok::<_, ()>(())
        })));
        let (boundary, handle) = out.take();
        let task = next_task();
        handle.cancel();
        drop(handle);
        let looks = thread(move || check_tree(&boundary.tree()));
        task.finish();
        opener.finish().unwrap();
        assert!(join(looks) <= 1);
    });
}

/// What a child has open stands below it, or is not there yet, or not any more.
#[test]
fn a_look_meets_a_boundary_that_is_opened_and_ends_in_a_child() {
    check(bound(1, 2), || {
        let out = Out::new();
        let put = out.clone();
        let opener = begin(Task::new(group(async move |g| {
            g.spawn(async {
                let inner = group(async |_| {
                    checkpoint().await;
                    Ok::<_, ()>(())
                });
                inner.await.unwrap();
            });
            put.put(Boundary::current().unwrap());
            checkpoint().await;
            Ok::<_, ()>(())
        })));
        let boundary = out.take();
        let task = next_task();
        let child = thread(|| task.finish());
        let tree = boundary.tree();
        for (index, entry) in tree.entries().iter().enumerate().skip(1) {
            let parent = &tree.entries()[entry.parent.unwrap()];
            let expected = match entry.kind {
                EntryKind::Task => EntryKind::Group,
                _ => EntryKind::Task,
            };
            assert_eq!((parent.kind, index), (expected, entry.depth));
        }
        opener.finish().unwrap();
        join(child);
    });
}
