//! What a look at the tree shows: who is there, where it belongs and what it does.

mod reasons;
mod text;
mod threads;

use std::mem;

use headcount::{
    Boundary, CancelScope, Options, TaskTree, defer, group,
    time::sleep,
    tree,
    tree::{Entry, EntryKind, EntryState},
};

use crate::support::{Oops, done, poll_once, secs, sim};

const SEEDS: u64 = 50;

#[track_caller]
fn entry<'a>(tree: &'a TaskTree, name: &str) -> &'a Entry {
    let found = tree.find(name);
    found.unwrap_or_else(|| panic!("no `{name}` in\n{tree}"))
}

#[track_caller]
fn state(tree: &TaskTree, name: &str) -> EntryState {
    entry(tree, name).state
}

/// Who is around whom, by names, the innermost first.
fn path(tree: &TaskTree, name: &str) -> Vec<String> {
    let mut path = Vec::new();
    let mut next = Some(entry(tree, name));
    while let Some(entry) = next {
        path.push(entry.name.clone().unwrap_or_else(|| entry.kind.to_string()));
        next = entry.parent.map(|parent| &tree.entries()[parent]);
    }
    path
}

#[test]
fn nothing_is_shown_outside_of_any_boundary() {
    sim(1, || async {
        assert!(tree().is_empty());
        assert_eq!(tree().to_string(), "nothing is running");
        let outcome = group(async |_| {
            assert!(!tree().is_empty());
            done()
        });
        outcome.await.unwrap();
        assert!(tree().is_empty(), "it has ended");
    });
}

#[test]
fn each_state_of_a_child_shows() {
    sim(SEEDS, || async {
        let options = Options::new().name("all").limit(4);
        let outcome = options.group(async |g| {
            g.spawn_named("waits", sleep(secs(9)));
            let closure = g.spawn_blocking(|token| while !token.is_cancelled() {});
            g.spawn_named("finalizes", async {
                let _slow = defer((), |()| sleep(secs(5)));
            });
            g.spawn_named("looks", async move {
                sleep(secs(1)).await;
                let tree = tree();
                let states = [
                    ("waits", EntryState::Waiting),
                    ("looks", EntryState::Running),
                    ("finalizes", EntryState::Finalizing),
                    ("queued", EntryState::Queued),
                ];
                for (name, expected) in states {
                    assert_eq!(state(&tree, name), expected, "`{name}` in\n{tree}");
                }
                let blocks = |entry: &&Entry| entry.state == EntryState::Blocking;
                let blocking = tree
                    .entries()
                    .iter()
                    .find(blocks)
                    .expect("the closure runs");
                assert_eq!(blocking.kind, EntryKind::Task);
                let children = entry(&tree, "all").children.unwrap();
                assert_eq!(children.living, 5);
                assert_eq!((children.limit, children.in_line), (Some(4), 1));
                closure.cancel();
            });
            g.spawn_named("queued", async {});
            sleep(secs(9)).await;
            assert!(tree().find("queued").is_none(), "it has ended");
            done()
        });
        outcome.await.unwrap();
    });
}

/// A child that was spawned is there before its first poll.
#[test]
fn a_child_that_was_never_polled_is_ready() {
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            g.spawn_named("fresh", sleep(secs(1)));
            assert_eq!(state(&tree(), "fresh"), EntryState::Ready);
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn each_state_of_a_boundary_shows() {
    sim(SEEDS, || async {
        let watcher = group(async |g| {
            g.spawn_named("looks", async {
                for expected in [
                    EntryState::Waiting,
                    EntryState::Closing,
                    EntryState::Finalizing,
                ] {
                    sleep(secs(2)).await;
                    assert_eq!(state(&tree(), "seen"), expected);
                }
                sleep(secs(2)).await;
                assert!(tree().find("seen").is_none());
            });
            let seen = Options::new().name("seen").group(async |g| {
                let _slow = defer((), |()| sleep(secs(2)));
                g.spawn(sleep(secs(5)));
                assert_eq!(state(&tree(), "seen"), EntryState::Running);
                sleep(secs(3)).await;
                done()
            });
            seen.await.unwrap();
            done()
        });
        watcher.await.unwrap();
    });
}

/// What a child opened stands below the child, and what its children do below that.
#[test]
fn everybody_stands_below_who_opened_or_spawned_it() {
    sim(SEEDS, || async {
        let outcome = Options::new().name("outer").group(async |g| {
            g.spawn_named("parent", async {
                let scope = CancelScope::new();
                let inside = scope.enter(async {
                    let inner = Options::new().name("inner").scope(async |s| {
                        s.spawn_named("child", sleep(secs(2)));
                        done()
                    });
                    inner.await.unwrap();
                });
                inside.await.unwrap();
            });
            sleep(secs(1)).await;
            let names = ["child", "inner", "cancel scope", "parent", "outer"];
            assert_eq!(path(&tree(), "child"), names);
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn who_waits_for_a_stop_is_no_boundary() {
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            g.spawn_daemon(headcount::cancelled());
            sleep(secs(1)).await;
            assert_eq!(tree().entries().len(), 2, "{}", tree());
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn a_group_that_has_ended_is_not_shown_though_its_handle_is_kept() {
    sim(SEEDS, || async {
        let kept = group(async |g| Ok::<_, Oops>(g.clone())).await.unwrap();
        assert!(tree().is_empty(), "{}", tree());
        drop(kept);
    });
}

#[test]
fn a_child_shows_the_number_of_its_handle_and_a_spawner_stands_in_line() {
    sim(SEEDS, || async {
        let options = Options::new().name("all").limit(2);
        let outcome = options.group(async |g| {
            let handles = ["first", "second"].map(|name| g.spawn_named(name, sleep(secs(2))));
            let spawner = g.spawn_when_free(async {});
            let both = futures_util::future::join(spawner, async {
                sleep(secs(1)).await;
                let tree = tree();
                for (name, handle) in ["first", "second"].into_iter().zip(&handles) {
                    assert_eq!(entry(&tree, name).task, Some(handle.id()));
                }
                assert_eq!(entry(&tree, "all").children.unwrap().in_line, 1);
            });
            drop(both.await);
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn a_forgotten_group_shows_that_its_opener_is_gone() {
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            g.spawn_named("looks", async {
                sleep(secs(1)).await;
                assert!(!entry(&tree(), "lost").orphaned, "nobody has missed it");
                sleep(secs(2)).await;
                assert!(entry(&tree(), "lost").orphaned);
                assert_eq!(path(&tree(), "left")[1], "lost");
            });
            let mut lost = Box::pin(Options::new().name("lost").group(async |g| {
                g.spawn_named("left", async {
                    let _slow = defer((), |()| sleep(secs(5)));
                    std::future::pending::<()>().await;
                });
                std::future::pending::<Result<(), Oops>>().await
            }));
            assert!(poll_once(&mut lost).await.is_pending());
            mem::forget(lost);
            sleep(secs(2)).await;
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn a_daemon_and_a_release_are_told_apart() {
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            g.spawn_daemon(async {
                sleep(secs(2)).await;
                let tree = tree();
                let mut daemons = tree.entries().iter().filter(|entry| entry.daemon);
                assert_eq!(daemons.next().unwrap().state, EntryState::Running);
                assert!(daemons.next().is_none());
                let is_release = |entry: &&Entry| entry.kind == EntryKind::Release;
                let release = tree.entries().iter().find(is_release).unwrap();
                assert!(release.location.file().ends_with(file!()));
                assert_eq!(
                    release.parent.map(|at| tree.entries()[at].name.as_deref()),
                    Some(Some("owes"))
                );
            });
            g.spawn_named("owes", async {
                let _slow = defer((), |()| sleep(secs(5)));
            });
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn the_tree_of_a_boundary_is_that_of_what_is_below() {
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            g.spawn_named("beside", sleep(secs(1)));
            let inner = Options::new().name("inner").group(async |g| {
                g.spawn_named("below", sleep(secs(1)));
                let tree = Boundary::current().unwrap().tree();
                assert_eq!(tree.entries().len(), 2);
                assert_eq!(path(&tree, "below"), ["below", "inner"]);
                done()
            });
            inner.await.unwrap();
            done()
        });
        outcome.await.unwrap();
    });
}

/// Its node is made by the call, and is younger.
#[test]
fn the_tree_of_a_child_shows_it_as_every_other_does() {
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            g.spawn_named("looks", async {
                sleep(secs(3)).await;
                let own = Boundary::current().unwrap().tree();
                assert_eq!(own.entries().len(), 1);
                let (all, own) = (tree(), entry(&own, "looks"));
                let all = entry(&all, "looks");
                assert_eq!((own.state, own.task), (EntryState::Running, all.task));
                assert_eq!((own.age, own.polls), (Some(secs(3)), all.polls));
                assert_eq!((own.parent, own.depth), (None, 0));
                let inner = group(async |g| {
                    g.spawn_named("below", sleep(secs(1)));
                    done()
                });
                let inner = poll_once(&mut Box::pin(inner)).await;
                assert!(inner.is_pending());
                let tree = Boundary::current().unwrap().tree();
                assert_eq!(path(&tree, "below"), ["below", "group", "looks"]);
            });
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn another_simulation_is_not_shown() {
    let seen = std::thread::spawn(|| {
        headcount::testing::Sim::new(0).run(async {
            let outcome = Options::new().name("this").group(async |_| {
                let names = |tree: TaskTree| {
                    let names = tree.entries().iter().map(|entry| entry.name.clone());
                    names.collect::<Vec<_>>()
                };
                let here = names(tree());
                let other = std::thread::spawn(move || {
                    headcount::testing::Sim::new(0).run(async move {
                        let other = Options::new()
                            .name("that")
                            .group(async |_| Ok::<_, Oops>(names(tree())));
                        other.await.unwrap()
                    })
                });
                Ok::<_, Oops>((here, other.join().unwrap()))
            });
            outcome.await.unwrap()
        })
    });
    let name = |name: &str| vec![Some(name.to_owned())];
    assert_eq!(seen.join().unwrap(), (name("this"), name("that")));
}

#[test]
fn a_chain_of_ten_thousand_boundaries_is_shown_on_a_small_stack() {
    sim(1, || async {
        let outcome = group(async |g| {
            fn nest(parent: &headcount::TaskGroup<'static, Oops>, depth: usize) {
                parent.spawn(async move {
                    let inner = group(async move |g| {
                        match depth {
                            0 => _ = g.spawn_named("deepest", std::future::pending::<()>()),
                            _ => nest(&g, depth - 1),
                        }
                        std::future::pending::<Result<(), Oops>>().await
                    });
                    inner.await.map_err(|_| Oops("nested"))
                });
            }
            nest(&g, 5_000);
            sleep(secs(1)).await;
            let here = Boundary::current().unwrap();
            let small = std::thread::Builder::new().stack_size(256 * 1024);
            let looks = small.spawn(move || {
                let tree = here.tree();
                let depth = entry(&tree, "deepest").depth;
                (
                    depth,
                    tree.to_string().lines().count(),
                    serde_json::to_string(&tree).is_ok(),
                )
            });
            let (depth, lines, json) = looks.unwrap().join().unwrap();
            assert_eq!((depth, lines, json), (10_003, 10_004, true));
            g.cancel();
            done()
        });
        outcome.await.unwrap();
    });
}
