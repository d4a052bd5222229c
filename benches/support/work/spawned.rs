//! What one spawns parallel tasks with instead of a group.

use std::{future::Future, hint::black_box, sync::Arc};

use async_executors::AsyncGlobal;
use async_nursery::{NurseExt, Nursery};
use async_scoped::AsyncStdScope;
use async_std::task;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use super::{sum_below, tokio, trivial};

/// Without a group, to wait for tasks is to keep their handles and to await each.
pub fn bare<F>(count: u64, child: fn(u64) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    task::block_on(async {
        let mut handles = Vec::with_capacity(count as usize);
        for n in 0..count {
            handles.push(task::spawn(child(n)));
        }
        for handle in handles {
            handle.await;
        }
    });
}

pub fn bare_trivial(count: u64) {
    bare(count, trivial);
}

/// The least that knows when its tasks have ended: each holds a reference to one sender, and who is
/// the last drops it. Nobody can cancel them, or learn how they ended. The floor for whoever makes a
/// task of async-std of each child.
pub fn counted(count: u64) {
    task::block_on(async {
        let (last, ended) = async_channel::bounded::<()>(1);
        let last = Arc::new(last);
        for n in 0..count {
            let last = last.clone();
            drop(task::spawn(async move {
                trivial(n).await;
                drop(last);
            }));
        }
        drop(last);
        ended.recv().await.unwrap_err();
    });
}

pub fn bare_outputs(count: u64) {
    let sum = task::block_on(async {
        let mut handles = Vec::with_capacity(count as usize);
        for n in 0..count {
            handles.push(task::spawn(async move { black_box(n) }));
        }
        let mut sum = 0;
        for handle in handles {
            sum += handle.await;
        }
        sum
    });
    assert_eq!(sum, sum_below(count));
}

/// One task after another.
pub fn bare_one_after_another(count: u64) {
    task::block_on(async {
        for n in 0..count {
            task::spawn(trivial(n)).await;
        }
    });
}

/// The executor below async-std, on the same threads: no task-locals and no `task::current`. The
/// floor for whoever spawns on it.
pub fn global_executor(count: u64) {
    task::block_on(async {
        let mut handles = Vec::with_capacity(count as usize);
        for n in 0..count {
            handles.push(async_global_executor::spawn(trivial(n)));
        }
        for handle in handles {
            handle.await;
        }
    });
}

/// Aborts its tasks when it is dropped, without waiting for them; keeps their results until they
/// are asked for.
pub fn joinset(count: u64) {
    tokio().block_on(async {
        let mut set = JoinSet::new();
        for n in 0..count {
            set.spawn(trivial(n));
        }
        while let Some(joined) = set.join_next().await {
            joined.unwrap();
        }
    });
}

/// Counts tasks, and can neither cancel them nor tell how they ended.
pub fn tasktracker(count: u64) {
    tokio().block_on(async {
        let tracker = TaskTracker::new();
        for n in 0..count {
            tracker.spawn(trivial(n));
        }
        tracker.close();
        tracker.wait().await;
    });
}

/// A stream of handles: aborts its tasks when it is dropped, without waiting. On the executor below
/// async-std, on the same threads.
pub fn nursery(count: u64) {
    task::block_on(async {
        let (nursery, ended) = Nursery::new(AsyncGlobal);
        for n in 0..count {
            nursery.nurse(trivial(n)).unwrap();
        }
        drop(nursery);
        ended.await;
    });
}

/// Blocks the thread, so that its tasks may borrow, as `run` does; keeps their outputs to the end.
pub fn scoped(count: u64) {
    let ((), ended) = AsyncStdScope::scope_and_block(|scope| {
        for n in 0..count {
            scope.spawn(trivial(n));
        }
    });
    assert_eq!(ended.len() as u64, count);
}
