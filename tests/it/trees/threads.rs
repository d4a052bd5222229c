//! Looks at the tree while real threads spawn, cancel and finish.

use std::{
    collections::{HashMap, HashSet},
    future::pending,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use headcount::{
    Options, TaskId, TaskTree, checkpoint, group, record_times, run, stats, tree,
    tree::{EntryKind, EntryState},
};

use crate::support::{Oops, done, on_workers, spin_until, yield_now};

const LOOKS: usize = 10_000;
const THREADS: usize = 8;

/// Tasks of which somebody knows that they have ended, or that they live to the end of the test.
#[derive(Default)]
struct Known {
    ended: Mutex<Vec<TaskId>>,
    parked: Mutex<HashSet<TaskId>>,
}

/// What holds for each snapshot, and from one to the next.
struct Looker<'a> {
    known: &'a Known,
    /// Of each group that was seen, by the name that it has alone: how many children had ended.
    ended: HashMap<String, u64>,
    entries: usize,
}

impl Looker<'_> {
    fn look(&mut self) {
        let before = self.known.ended.lock().unwrap().clone();
        let parked = self.known.parked.lock().unwrap().clone();
        let tree = tree();
        self.entries += tree.entries().len();
        check_places(&tree);
        let shown: HashSet<_> = tree
            .entries()
            .iter()
            .filter_map(|entry| entry.task)
            .collect();
        for ended in before {
            assert!(
                !shown.contains(&ended),
                "a task that had ended is shown in\n{tree}"
            );
        }
        for parked in parked {
            assert!(
                shown.contains(&parked),
                "a task that lives is missing in\n{tree}"
            );
        }
        for entry in tree.entries() {
            let (Some(children), Some(name)) = (entry.children, &entry.name) else {
                continue;
            };
            assert!(children.living as u64 <= children.spawned, "{tree}");
            assert!(children.peak as u64 <= children.spawned, "{tree}");
            let ended = children.spawned - children.living as u64;
            let before = self.ended.insert(name.clone(), ended).unwrap_or(0);
            assert!(ended >= before, "a child of `{name}` came back in\n{tree}");
        }
    }
}

/// Everybody has a parent of the right kind, which counts its children as they are shown.
fn check_places(tree: &TaskTree) {
    let entries = tree.entries();
    let mut tasks = HashSet::new();
    let mut children = vec![0; entries.len()];
    for (index, entry) in entries.iter().enumerate() {
        match entry.parent {
            None => assert_eq!((entry.depth, entry.task), (0, None)),
            Some(parent) => {
                assert!(parent < index, "{tree}");
                assert_eq!(entry.depth, entries[parent].depth + 1);
            }
        }
        if let Some(task) = entry.task {
            assert!(tasks.insert(task), "{task} is there twice in\n{tree}");
            let parent = entry.parent.expect("a task has a group");
            let kinds = [EntryKind::Run, EntryKind::Group, EntryKind::Scope];
            assert!(kinds.contains(&entries[parent].kind), "{tree}");
            children[parent] += 1;
        }
    }
    for (entry, children) in entries.iter().zip(children) {
        assert_eq!(
            entry.children.map_or(0, |counts| counts.living),
            children,
            "{tree}"
        );
    }
}

#[test]
fn ten_thousand_looks_while_eight_threads_spawn_cancel_and_finish_are_each_consistent() {
    on_workers(
        "trees::threads::ten_thousand_looks_while_eight_threads_spawn_cancel_and_finish_are_each_consistent",
        || {
            let (known, over) = (Known::default(), AtomicBool::new(false));
            let begun = AtomicUsize::new(0);
            thread::scope(|threads| {
                for number in 0..THREADS {
                    let (known, over, begun) = (&known, &over, &begun);
                    threads.spawn(move || work(number, known, over, begun));
                }
                while begun.load(Ordering::Acquire) < THREADS {
                    thread::yield_now();
                }
                let mut looker = Looker {
                    known: &known,
                    ended: HashMap::new(),
                    entries: 0,
                };
                for _ in 0..LOOKS {
                    looker.look();
                }
                over.store(true, Ordering::Release);
                assert!(looker.entries > LOOKS * THREADS, "there was much to see");
            });
            assert!(tree().is_empty(), "{}", tree());
        },
    );
}

/// Spawns, cancels and finishes until it is over.
fn work(number: usize, known: &Known, over: &AtomicBool, begun: &AtomicUsize) {
    let options = Options::new().name(format!("thread {number}"));
    let outcome = options.run(async |g| {
        let parked = g.spawn_daemon(pending::<()>());
        let id = parked.id();
        known.parked.lock().unwrap().insert(id);
        begun.fetch_add(1, Ordering::AcqRel);
        for round in 0.. {
            if over.load(Ordering::Acquire) {
                break;
            }
            let quick = g.spawn(async { Ok(()) });
            let cancelled = g.spawn(pending::<()>());
            let nested = g.spawn(async {
                let inner = group(async |g| {
                    for _ in 0..3 {
                        g.spawn(yield_now());
                    }
                    checkpoint().await;
                    done()
                });
                inner.await.map_err(|_| Oops("nested"))
            });
            cancelled.cancel();
            let ids = [quick.id(), cancelled.id(), nested.id()];
            quick.await.unwrap();
            assert!(cancelled.await.unwrap_err().is_cancelled());
            nested.await.unwrap();
            let mut ended = known.ended.lock().unwrap();
            // The last hundred of each thread are enough to look for.
            ended.extend(ids);
            if round % 32 == 0 {
                let keep = ended.len().saturating_sub(100 * THREADS);
                ended.drain(..keep);
            }
        }
        known.parked.lock().unwrap().remove(&id);
        done()
    });
    outcome.unwrap();
}

/// A child that is stuck in its first poll is not the same as one that waits for a thread.
#[test]
fn a_child_that_blocks_its_thread_in_its_first_poll_is_running() {
    let go_on = AtomicBool::new(false);
    let seen = AtomicBool::new(false);
    let outcome = run(async |g| {
        let (go_on, seen) = (&go_on, &seen);
        g.spawn_named("blocks a thread of its own", async move {
            while !go_on.load(Ordering::Acquire) {
                thread::yield_now();
            }
        });
        g.spawn_blocking(move |_| {
            let is_running = || {
                let tree = tree();
                let entry = tree.find("blocks a thread of its own");
                entry.is_some_and(|entry| entry.state == EntryState::Running)
            };
            while !is_running() {
                thread::yield_now();
            }
            seen.store(true, Ordering::Release);
            go_on.store(true, Ordering::Release);
        });
        done()
    });
    outcome.unwrap();
    assert!(seen.into_inner());
}

#[test]
fn what_has_happened_is_counted() {
    on_workers("trees::threads::what_has_happened_is_counted", || {
        let outcome = run(async |g| {
            for _ in 0..1000 {
                g.spawn(async { Ok(()) });
            }
            let cancelled = g.spawn(pending::<()>());
            cancelled.cancel();
            let lost = group(async |_| pending::<Result<(), Oops>>().await);
            let mut lost = Box::pin(lost);
            assert!(crate::support::poll_once(&mut lost).await.is_pending());
            drop(lost);
            let _release = headcount::defer((), |()| async {});
            done()
        });
        outcome.unwrap();
        let failed = run(async |g| {
            g.spawn(async { Err::<(), _>(Oops("on purpose")) });
            done()
        });
        failed.unwrap_err();
        let stats = stats();
        assert_eq!((stats.opened, stats.spawned), (3, 1002));
        let ends = (stats.completed, stats.failed, stats.cancelled);
        assert_eq!(ends, (1000, 1, 1));
        assert_eq!((stats.finalized, stats.adopted), (1, 1));
        assert!((2..=1001).contains(&stats.peak), "{}", stats.peak);
    });
}

/// In a process of its own, since it holds for all.
#[test]
fn times_are_kept_of_what_begins_while_they_are_recorded() {
    on_workers(
        "trees::threads::times_are_kept_of_what_begins_while_they_are_recorded",
        || {
            let go_on = AtomicBool::new(false);
            let outcome = Options::new().name("before").run(async |g| {
                let go_on = &go_on;
                record_times(true);
                let (tell, told) = async_channel::bounded::<()>(1);
                let stuck = g.spawn_named("stuck", async move {
                    while !go_on.load(Ordering::Acquire) {
                        thread::yield_now();
                    }
                    told.recv().await.unwrap();
                });
                // (The body has a thread of its own.)
                let poll = || tree().find("stuck").and_then(|entry| entry.polling_for);
                let first = loop {
                    match poll() {
                        Some(poll) => break poll,
                        None => thread::yield_now(),
                    }
                };
                spin_until(|| poll() > Some(first));
                go_on.store(true, Ordering::Release);
                spin_until(|| poll().is_none());
                let tree = tree();
                let entry = tree.find("stuck").unwrap();
                assert_eq!(entry.polls, Some(1));
                assert!(
                    entry.busy > Some(first) && entry.age >= entry.busy,
                    "{tree}"
                );
                assert_eq!(tree.find("before").unwrap().age, None);
                tell.send(()).await.unwrap();
                stuck.await.unwrap();
                done()
            });
            outcome.unwrap();
        },
    );
}
