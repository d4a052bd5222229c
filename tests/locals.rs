//! The feature `task-locals`: who sees which value.
#![cfg(not(any(loom, shuttle)))]
#![allow(
    clippy::async_yields_async,
    reason = "a child is spawned inside a scope, and awaited outside"
)]

use std::{
    cell::Cell,
    convert::Infallible,
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use futures_util::{FutureExt, StreamExt};
use headcount::{
    Local, as_completed, bracket, checkpoint, defer, gather, group, map_concurrent, race, run,
    scope, supervise, testing::Sim, unblock,
};

static NUMBER: Local<u32> = Local::new();
static WORD: Local<String> = Local::new();

type Done = Result<(), Infallible>;

/// Runs a program in many schedules.
fn explore<F: Future<Output = ()> + Send + 'static>(program: impl Fn() -> F) {
    for seed in 0..20 {
        Sim::new(seed).run(program());
        assert_eq!(NUMBER.get(), None, "nothing is left on the thread");
    }
}

async fn look() -> Result<Option<u32>, Infallible> {
    checkpoint().await;
    Ok(NUMBER.get())
}

#[test]
fn every_kind_of_child_sees_what_was_set_where_it_was_spawned() {
    explore(async || {
        let all = NUMBER.scope(7, async {
            let spawned = group(async |g| {
                let mut seen = vec![
                    g.spawn(look()).await.unwrap(),
                    g.spawn_named("named", look()).await.unwrap(),
                    g.try_spawn(look()).unwrap().await.unwrap(),
                    g.spawn_when_free(look()).await.await.unwrap(),
                    g.spawn_blocking(|_| Ok::<_, Infallible>(NUMBER.get()))
                        .await
                        .unwrap(),
                ];
                g.spawn_daemon(async { assert_eq!(NUMBER.get(), Some(7)) });
                let started = g.start(async |started| started.send(NUMBER.get()));
                seen.push(started.await.unwrap());
                let stream = g.spawn_stream(1, async |feed| feed.send(NUMBER.get()).await);
                seen.extend(stream.map(Result::unwrap).collect::<Vec<_>>().await);
                Ok::<_, Infallible>(seen)
            });
            let mut seen = spawned.await.unwrap();
            let inline = scope(async |s| Ok::<_, Infallible>(s.spawn(look()).await.unwrap()));
            seen.push(inline.await.unwrap());
            let supervised =
                supervise(async |s| Ok::<_, Infallible>(s.spawn(look()).await.unwrap()));
            seen.push(supervised.await.unwrap());
            seen.push(unblock(|| NUMBER.get()).await);
            seen.push(race([async { NUMBER.get() }]).await.unwrap());
            seen.extend(gather([look(), look()]).await.unwrap());
            let stream = map_concurrent([()], 1, |()| look());
            seen.extend(stream.map(Result::unwrap).collect::<Vec<_>>().await);
            seen
        });
        let seen = all.await;
        assert_eq!(seen, vec![Some(7); 14]);
    });
}

#[test]
fn a_child_of_a_child_sees_it_too() {
    explore(async || {
        let deep = NUMBER.scope(7, async {
            group(async |g| {
                let inner = g.clone();
                let child = g.spawn(async move {
                    let sibling = inner.spawn(look()).await.unwrap();
                    let inline =
                        scope(async |s| Ok::<_, Infallible>(s.spawn(look()).await.unwrap()));
                    assert_eq!(inline.await.unwrap(), sibling);
                    Ok(sibling)
                });
                Ok::<_, Infallible>(child.await.unwrap())
            })
            .await
        });
        assert_eq!(deep.await.unwrap(), Some(7));
    });
}

#[test]
fn a_child_sees_what_was_set_at_its_spawn_and_not_where_it_runs() {
    explore(async || {
        let outcome = group(async |g| {
            let before = g.spawn(look());
            let inside = NUMBER.scope(1, async { g.spawn(look()) }).await;
            let nested = NUMBER.scope(2, NUMBER.scope(3, async { g.spawn(look()) }));
            let nested = nested.await;
            NUMBER
                .scope(4, async {
                    assert_eq!(before.await.unwrap(), None);
                    assert_eq!(inside.await.unwrap(), Some(1));
                    assert_eq!(nested.await.unwrap(), Some(3));
                    assert_eq!(NUMBER.get(), Some(4));
                })
                .await;
            assert_eq!(NUMBER.get(), None);
            Done::Ok(())
        });
        outcome.await.unwrap();
    });
}

#[test]
fn locals_do_not_mix() {
    explore(async || {
        let both = NUMBER.scope(1, async {
            let inner = WORD.scope("one".into(), async {
                group(async |g| {
                    let seen = g.spawn(async { Ok((NUMBER.get(), WORD.get())) });
                    seen.await.map_err(|_| "cancelled")
                })
                .await
                .unwrap()
            });
            (inner.await, WORD.get())
        });
        assert_eq!(both.await, ((Some(1), Some("one".into())), None));
    });
    // Of one type, and with nothing in them that could tell them apart.
    static OTHER: Local<u32> = Local::new();
    let other = OTHER.scope(2, async { (NUMBER.get(), OTHER.get()) });
    assert_eq!(other.now_or_never(), Some((None, Some(2))));
}

#[test]
fn a_value_is_shown_without_a_copy() {
    let length = WORD.scope("four".into(), async {
        WORD.with(|word| word.map(String::len))
    });
    assert_eq!(length.now_or_never(), Some(Some(4)));
}

#[test]
fn a_release_sees_what_was_set_where_it_was_deferred() {
    explore(async || {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let list = seen.clone();
        let tell = move |who: &'static str| {
            let list = list.clone();
            async move |()| {
                let early = NUMBER.get();
                checkpoint().await;
                list.lock().unwrap().push((who, early, NUMBER.get()));
            }
        };
        let outcome = group(async |g| {
            let (dropped, kept) = (tell("dropped"), tell("kept"));
            let (ready, is_ready) = async_channel::bounded(1);
            let cut = NUMBER.scope(1, async {
                g.spawn(async move {
                    let _guard = defer((), dropped);
                    ready.send(()).await.unwrap();
                    pending::<()>().await
                })
            });
            let cut = cut.await;
            is_ready.recv().await.unwrap();
            cut.cancel();
            let kept = NUMBER.scope(2, async { defer((), kept) }).await;
            NUMBER.scope(9, kept.close()).await.unwrap();
            let acquired = async { Ok::<_, Infallible>(()) };
            NUMBER
                .scope(3, bracket(acquired, async |_| Ok(()), tell("bracket")))
                .await
        });
        outcome.await.unwrap();
        let mut seen = seen.lock().unwrap().clone();
        seen.sort_unstable();
        let expected = [("bracket", 3), ("dropped", 1), ("kept", 2)];
        let expected = expected.map(|(who, number)| (who, Some(number), Some(number)));
        assert_eq!(seen, expected);
    });
}

/// Notes what it sees when it is dropped.
struct Witness(Arc<AtomicU32>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.store(NUMBER.get().unwrap_or(0), Ordering::Relaxed);
    }
}

#[test]
fn the_destructor_of_a_child_sees_it() {
    explore(async || {
        let seen = [(); 3].map(|()| Arc::new(AtomicU32::new(99)));
        let [ended, cut, never] = seen.clone().map(Witness);
        let outcome = group(async |g| {
            let spawned = NUMBER.scope(5, async {
                g.spawn(async move {
                    let _witness = ended;
                });
                g.spawn(async move {
                    let _witness = cut;
                    pending::<()>().await
                });
            });
            spawned.await;
            checkpoint().await;
            g.cancel();
            NUMBER
                .scope(6, async {
                    g.spawn(async move {
                        let _witness = never;
                    });
                })
                .await;
            pending::<Done>().await
        });
        assert!(outcome.await.is_err());
        let seen = seen.map(|seen| seen.load(Ordering::Relaxed));
        assert_eq!(seen, [5, 5, 6]);
    });
}

#[test]
fn the_destructor_of_a_scope_sees_it() {
    let seen = Arc::new(AtomicU32::new(99));
    let witness = Witness(seen.clone());
    let mut scope = Box::pin(NUMBER.scope(5, async move {
        let _witness = witness;
        pending::<()>().await
    }));
    assert_eq!(scope.as_mut().now_or_never(), None);
    drop(scope);
    assert_eq!(seen.load(Ordering::Relaxed), 5);
}

#[test]
fn a_panic_leaves_nothing_behind() {
    let loud = NUMBER.scope(1, async { panic!("on purpose") });
    let caught = catch_unwind(AssertUnwindSafe(|| loud.now_or_never()));
    assert!(caught.is_err());
    assert_eq!(NUMBER.get(), None);
    let outer = NUMBER.scope(2, async {
        let child = group(async |g| {
            g.spawn(NUMBER.scope(3, async { panic!("on purpose") }));
            pending::<Done>().await
        });
        assert!(AssertUnwindSafe(child).catch_unwind().await.is_err());
        NUMBER.get()
    });
    assert_eq!(async_std::task::block_on(outer), Some(2));
    assert_eq!(NUMBER.get(), None);
}

#[test]
fn children_on_threads_see_it() {
    let outcome = run(async |g| {
        let children = (0..100).map(|number| {
            let spawned = NUMBER.scope(number, async {
                g.spawn(async {
                    for _ in 0..10 {
                        checkpoint().await;
                        assert_eq!(unblock(|| NUMBER.get()).await, NUMBER.get());
                    }
                    Ok(NUMBER.get())
                })
            });
            spawned.now_or_never().unwrap()
        });
        let children: Vec<_> = children.collect();
        for (number, child) in (0..).zip(children) {
            assert_eq!(child.await.unwrap(), Some(number));
        }
        Done::Ok(())
    });
    outcome.unwrap();
}

async_std::task_local! {
    static OF_TASK: Cell<u32> = Cell::new(1);
}

#[test]
fn a_task_local_of_async_std_begins_anew_in_each_child_and_is_kept_from_poll_to_poll() {
    let outcome = run(async |g| {
        let children: Vec<_> = (10..60)
            .map(|number| {
                g.spawn(async move {
                    let before = OF_TASK.with(|local| local.replace(number));
                    checkpoint().await;
                    checkpoint().await;
                    Ok((before, OF_TASK.with(Cell::get)))
                })
            })
            .collect();
        for (number, child) in (10..60).zip(children) {
            assert_eq!(child.await.unwrap(), (1, number));
        }
        Done::Ok(())
    });
    outcome.unwrap();
}

/// Those that do not wait may run in one task one after the other.
#[test]
fn a_task_local_of_async_std_begins_anew_in_each_item_that_waits() {
    let outcome = run(async |_| {
        let seen = map_concurrent(10..200, 4, async |number| {
            checkpoint().await;
            let before = OF_TASK.with(|local| local.replace(number));
            checkpoint().await;
            (before, OF_TASK.with(Cell::get) == number)
        });
        assert_eq!(seen.collect::<Vec<_>>().await, [(1, true); 190]);
        Done::Ok(())
    });
    outcome.unwrap();
}

#[test]
fn an_item_sees_what_is_set_where_it_was_asked_for() {
    explore(async || {
        let mut outputs = pin!(map_concurrent(0.., 1, async |_| NUMBER.get()));
        for number in [3, 5, 8] {
            let output = NUMBER.scope(number, outputs.next()).await;
            assert_eq!(output.unwrap(), Some(number));
        }
        assert_eq!(outputs.next().await.unwrap(), None);
    });
}

#[test]
fn nothing_keeps_a_value_after_everybody_has_ended() {
    static SHARED: Local<Arc<()>> = Local::new();
    let value = Arc::new(());
    let shared = value.clone();
    let outcome = run(async |g| {
        SHARED
            .scope(shared, async {
                for _ in 0..20 {
                    g.spawn(checkpoint());
                    g.spawn_blocking(|_| ());
                }
                let mut ends = as_completed([look(), look()]);
                while ends.next().await.is_some() {}
            })
            .await;
        Done::Ok(())
    });
    outcome.unwrap();
    assert_eq!(Arc::strong_count(&value), 1);
}
