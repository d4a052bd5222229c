//! Five ways in which programs hang, and what the tree shows of each: the name and the place of who is
//! to blame. Where real threads take part, what hangs is let go once the tree has been seen.

use std::{
    convert::Infallible,
    future::{Future, pending, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    task::Poll,
    thread,
};

use headcount::{
    TaskGroup, defer, group, record_times, run,
    sync::Queue,
    testing::Sim,
    time::sleep,
    tree::{Entry, EntryState},
};

use super::{DUMPS, SEEDS, line, secs};

/// The trees that the simulator shows of a program that is stuck, under each schedule.
fn stuck<F, Fut>(program: F) -> Vec<String>
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let trees = (0..SEEDS).map(|seed| {
        let root = program();
        let stuck = catch_unwind(AssertUnwindSafe(|| Sim::new(seed).run(root))).unwrap_err();
        let report = stuck.downcast::<String>().unwrap();
        let (_, tree) = report
            .split_once("The tree of boundaries and tasks:\n")
            .unwrap();
        tree.split_once("A task that waits for real I/O")
            .unwrap()
            .0
            .to_owned()
    });
    trees.collect()
}

/// Takes dumps until the entry of this name is as `wanted`.
fn dump(name: &str, wanted: impl Fn(&Entry) -> bool) -> Option<Entry> {
    (0..DUMPS).find_map(|_| {
        thread::yield_now();
        let tree = headcount::tree();
        tree.find(name).filter(|entry| wanted(entry)).cloned()
    })
}

/// Where `spawn_named` or `defer` stands in a line of this file.
fn here(line: u32) -> String {
    format!("at tests/hangs/real_life.rs:{line}:")
}

/// Where one waits for a letter.
#[derive(Default)]
struct Mailbox(Mutex<Option<&'static str>>);

impl Mailbox {
    /// The bug: nobody keeps the waker, so who puts a letter in can wake nobody.
    fn take(&self) -> impl Future<Output = &'static str> {
        poll_fn(|_cx| match self.0.lock().unwrap().take() {
            Some(letter) => Poll::Ready(letter),
            None => Poll::Pending,
        })
    }

    fn put(&self, letter: &'static str) {
        *self.0.lock().unwrap() = Some(letter);
    }
}

#[test]
fn a_lost_wake_shows_a_task_that_waits_though_what_it_waits_for_has_come() {
    let spawned = line!() + 5;
    let trees = stuck(|| async {
        let mailbox = Arc::new(Mailbox::default());
        let opened = group(async |g| {
            let own = mailbox.clone();
            g.spawn_named(
                "reader",
                async move { assert_eq!(own.take().await, "hello") },
            );
            sleep(secs(1)).await;
            mailbox.put("hello");
            Ok::<_, Infallible>(())
        });
        opened.await.unwrap();
    });
    for tree in trees {
        let reader = line(&tree, "task `reader`");
        assert!(reader.contains(&here(spawned)), "{reader}");
        assert!(reader.contains(": waiting; 1.0s old, "), "{reader}");
        // Once, when there was no letter.
        assert!(reader.contains(", polls: 1, busy: "), "{reader}");
        assert!(line(&tree, "group").contains(": closing; 1 of 1 children left"));
    }
}

#[test]
fn a_lost_wake_on_real_threads_shows_that_the_number_of_polls_stands_still() {
    record_times(true);
    let mailbox = Mailbox::default();
    let seen = run(async |g| {
        let reader = g.spawn_named("reader of a mailbox", async { _ = mailbox.take().await });
        let waiting = |entry: &Entry| entry.state == EntryState::Waiting;
        let before = dump("reader of a mailbox", waiting);
        mailbox.put("hello");
        let after: Vec<_> = (0..100)
            .map(|_| dump("reader of a mailbox", |_| true))
            .collect();
        reader.cancel();
        Ok::<_, Infallible>((before, after))
    });
    let (before, after) = seen.unwrap();
    assert_eq!(before.unwrap().polls, Some(1));
    for entry in after {
        let entry = entry.unwrap();
        assert_eq!((entry.polls, entry.state), (Some(1), EntryState::Waiting));
    }
}

#[test]
fn a_finalizer_that_never_ends_shows_where_it_was_deferred_and_who_waits_for_it() {
    let deferred = line!() + 4;
    let trees = stuck(|| async {
        let opened = group(async |g| {
            g.spawn_named("session", async {
                let _connection = defer((), |()| pending::<()>());
            });
            Ok::<_, Infallible>(())
        });
        opened.await.unwrap();
    });
    for tree in trees {
        let session = line(&tree, "task `session`");
        assert!(session.contains(&here(deferred - 1)), "{session}");
        assert!(session.contains(": finalizing; "), "{session}");
        let release = line(&tree, "release");
        assert!(release.contains(&here(deferred)), "{release}");
        assert!(release.contains(": waiting"), "{release}");
        let (above, _) = tree.split_once(release).unwrap();
        assert!(above.contains(session), "the release stands below\n{tree}");
    }
}

#[test]
fn a_child_that_waits_for_a_mutex_of_std_shows_as_running_for_longer_and_longer() {
    record_times(true);
    let accounts = Mutex::new(());
    let mut held = Some(accounts.lock().unwrap());
    let spawned = line!() + 2;
    let seen = run(async |g| {
        g.spawn_named("bookkeeper", async { drop(accounts.lock()) });
        let polled = |entry: &Entry| entry.polling_for.is_some();
        let first = dump("bookkeeper", polled);
        let taken = first.as_ref().and_then(|first| first.polling_for);
        let second = dump("bookkeeper", |entry| entry.polling_for > taken);
        // Before anything is asserted, so that a failure leaves nobody waiting.
        drop(held.take());
        Ok::<_, Infallible>([first, second])
    });
    for entry in seen.unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.state, EntryState::Running);
        assert_eq!(entry.polls, Some(1), "it is the same poll");
        assert!(entry.location.file().ends_with("real_life.rs"));
        assert_eq!(entry.location.line(), spawned);
    }
}

#[test]
fn a_full_queue_shows_a_producer_that_waits_and_a_consumer_that_awaits_the_producer() {
    let spawned = line!() + 5;
    let trees = stuck(|| async {
        let queue = Queue::bounded(1);
        let opened = group(async |g| {
            let lines = queue.clone();
            let producer = g.spawn_named("producer", async move {
                for n in 0..3 {
                    lines.put(n).await.unwrap();
                }
            });
            g.spawn_named("consumer", async move {
                // The bug: it begins to read only when all has been written.
                producer.await.unwrap();
                queue.close();
                while let Some(item) = queue.get().await {
                    item.done();
                }
            });
            Ok::<_, Infallible>(())
        });
        opened.await.unwrap();
    });
    for tree in trees {
        let producer = line(&tree, "task `producer`");
        assert!(producer.contains(&here(spawned)), "{producer}");
        assert!(producer.contains(": waiting; "), "{producer}");
        let consumer = line(&tree, "task `consumer`");
        assert!(consumer.contains(&here(spawned + 5)), "{consumer}");
        let awaits = ": waiting, awaits task `producer`; ";
        assert!(consumer.contains(awaits), "{consumer}");
    }
}

#[test]
fn a_full_queue_whose_consumer_is_gone_shows_the_producers_and_no_consumer() {
    let spawned = line!() + 6;
    let trees = stuck(|| async {
        let queue = Queue::bounded(2);
        let opened = group(async |g| {
            for _ in 0..3 {
                let lines = queue.clone();
                g.spawn(async move { while lines.put("line").await.is_ok() {} });
            }
            // The bug: it neither takes all nor closes the queue.
            g.spawn_named("consumer", async move {
                queue.get().await.unwrap().done();
            });
            Ok::<_, Infallible>(())
        });
        opened.await.unwrap();
    });
    for tree in trees {
        let producers = tree.lines().filter(|line| line.contains(&here(spawned)));
        let producers: Vec<_> = producers.collect();
        assert!(producers.iter().all(|line| line.contains(": waiting; ")));
        let alike = producers.iter().any(|line| line.contains("(3 like this)"));
        assert!(producers.len() == 3 || alike, "{tree}");
        assert!(!tree.contains("consumer"), "{tree}");
        assert!(line(&tree, "group").contains("; 3 of 4 children left"));
    }
}

/// Each of the two awaits the handle of the other.
fn chicken_and_egg(g: &TaskGroup<'_, Infallible>) {
    let (give, take) = async_channel::bounded(1);
    let chicken = g.spawn_named("chicken", async move {
        let egg: headcount::JoinHandle<()> = take.recv().await.unwrap();
        _ = egg.await;
    });
    let egg = g.spawn_named("egg", async move { _ = chicken.await });
    give.try_send(egg).unwrap();
}

#[test]
fn a_circle_of_handles_shows_who_awaits_whom() {
    let trees = stuck(|| async {
        let opened = group(async |g| {
            chicken_and_egg(&g);
            Ok::<_, Infallible>(())
        });
        opened.await.unwrap();
    });
    for tree in trees {
        let chicken = line(&tree, "task `chicken` at tests/hangs/real_life.rs:");
        assert!(chicken.contains(": waiting, awaits task `egg`; "), "{tree}");
        let egg = line(&tree, "task `egg` at tests/hangs/real_life.rs:");
        assert!(egg.contains(": waiting, awaits task `chicken`; "), "{tree}");
    }
}

#[test]
fn a_circle_of_handles_on_real_threads_shows_who_awaits_whom() {
    let seen = run(async |g| {
        chicken_and_egg(&g);
        let awaits = |entry: &Entry| !entry.awaits.is_empty();
        let seen = (dump("chicken", awaits), dump("egg", awaits));
        g.cancel();
        Ok::<_, Infallible>(seen)
    });
    let (chicken, egg) = seen.unwrap();
    let (chicken, egg) = (chicken.unwrap(), egg.unwrap());
    assert_eq!(chicken.awaits, [egg.task.unwrap()]);
    assert_eq!(egg.awaits, [chicken.task.unwrap()]);
}

#[test]
fn of_many_children_that_a_task_awaits_three_are_named() {
    let trees = stuck(|| async {
        let opened = group(async |g| {
            let names = ["a", "b", "c", "d", "e"];
            let handles = names.map(|name| g.spawn_named(name, pending::<()>()));
            g.spawn_named("collector", async move {
                futures_util::future::join_all(handles).await;
            });
            Ok::<_, Infallible>(())
        });
        opened.await.unwrap();
    });
    for tree in trees {
        let collector = line(&tree, "task `collector`");
        let three = ": waiting, awaits task `a`, awaits task `b`, awaits task `c` and 2 more; ";
        assert!(collector.contains(three), "{collector}");
    }
}
