//! Requests, deadlines and times in the tree: why something ends, and when.

use headcount::{
    CancelKind, CancelScope, Instant, Options, TaskTree, checkpoint, defer, group, shield,
    time::sleep, tree, tree::EntryKind,
};

use super::{SEEDS, entry};
use crate::support::{Oops, done, secs, sim};

#[test]
fn a_request_shows_where_it_was_made_with_its_reason_and_age() {
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            g.spawn_named("looks", async {
                sleep(secs(3)).await;
                let tree = tree();
                let asked = entry(&tree, "asked").cancelling.as_ref().unwrap();
                let reason = asked.reason.as_ref().unwrap();
                assert_eq!(reason.kind, CancelKind::Explicit);
                assert_eq!(reason.message.as_deref(), Some("enough"));
                assert_eq!(asked.since, Some(secs(2)));
                let below = entry(&tree, "slow to go").cancelling.as_ref().unwrap();
                assert!(below.reason.is_none() && below.since.is_none());
                for spared in ["looks", "shielded"] {
                    assert!(entry(&tree, spared).cancelling.is_none(), "{tree}");
                }
            });
            let asked = Options::new().name("asked").group(async |g| {
                g.spawn_named("slow to go", async {
                    shield(async {
                        let held = Options::new().name("shielded").group(async |g| {
                            g.spawn(sleep(secs(5)));
                            done()
                        });
                        held.await.unwrap();
                    })
                    .await;
                });
                sleep(secs(1)).await;
                g.cancel_with("enough");
                std::future::pending::<Result<(), Oops>>().await
            });
            assert!(asked.await.unwrap_err().is_cancelled());
            done()
        });
        outcome.await.unwrap();
    });
}

/// At boundaries below, at children without any, and not behind a shield.
#[test]
fn a_request_shows_as_far_as_it_reaches() {
    sim(SEEDS, || async {
        let asked = Options::new().name("asked");
        let outcome = asked.group(async |g| {
            let tidy = Options::new().name("tidy").group(async |_| {
                let _slow = defer((), |()| sleep(secs(5)));
                std::future::pending::<Result<(), Oops>>().await
            });
            g.spawn_named("tidies", async {
                let plain = CancelScope::new();
                plain
                    .enter(tidy)
                    .await
                    .map_or(Ok(()), |_| Err(Oops("tidy")))
            });
            let unmoved = Options::new().name("unmoved").group(async |g| {
                g.spawn_named("looks", async {
                    sleep(secs(2)).await;
                    let tree = tree();
                    let tidy = entry(&tree, "tidy");
                    let plain = &tree.entries()[tidy.parent.unwrap()];
                    assert_eq!(plain.kind, EntryKind::CancelScope);
                    for reached in [plain, tidy] {
                        assert!(reached.cancelling.is_some() && !reached.shielded, "{tree}");
                    }
                    let unmoved = entry(&tree, "unmoved");
                    let shield = &tree.entries()[unmoved.parent.unwrap()];
                    assert_eq!(shield.kind, EntryKind::CancelScope);
                    assert!(shield.shielded && !unmoved.shielded, "{tree}");
                    for spared in [shield, unmoved] {
                        assert!(spared.cancelling.is_none(), "{tree}");
                    }
                });
                done()
            });
            g.spawn_named(
                "stays",
                shield(async { unmoved.await.map_err(|_| Oops("unmoved")) }),
            );
            let handle = g.spawn_named("alone", sleep(secs(9)));
            sleep(secs(1)).await;
            let before = tree();
            let spared = before
                .entries()
                .iter()
                .all(|entry| entry.cancelling.is_none());
            assert!(spared, "{before}");
            handle.cancel();
            assert!(entry(&tree(), "alone").cancelling.is_some());
            g.spawn_named("without a boundary", sleep(secs(9)));
            g.cancel();
            assert!(entry(&tree(), "without a boundary").cancelling.is_some());
            done()
        });
        // The body returned its value all the same.
        outcome.await.unwrap();
    });
}

#[test]
fn a_child_that_was_cancelled_by_its_handle_shows_that() {
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            let handle = g.spawn_named("asked", async {
                let _slow = defer((), |()| sleep(secs(1)));
                std::future::pending::<()>().await;
            });
            checkpoint().await;
            sleep(secs(1)).await;
            assert!(entry(&tree(), "asked").cancelling.is_none());
            handle.cancel();
            assert!(entry(&tree(), "asked").cancelling.is_some());
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn deadlines_stops_and_graces_show_the_time_that_is_left() {
    sim(SEEDS, || async {
        let options = Options::new()
            .name("timed")
            .deadline(Instant::now() + secs(60))
            .grace(secs(5));
        let outcome = options.group(async |g| {
            g.spawn(async {
                let _slow = defer((), |()| sleep(secs(3)));
                std::future::pending::<()>().await;
            });
            sleep(secs(1)).await;
            let left = |tree: &TaskTree| {
                let timed = entry(tree, "timed");
                [timed.deadline_in, timed.stop_in, timed.grace_ends_in]
            };
            assert_eq!(left(&tree()), [Some(secs(59)), None, None]);
            g.shutdown(secs(20));
            assert_eq!(left(&tree()), [Some(secs(59)), Some(secs(20)), None]);
            g.cancel();
            assert_eq!(left(&tree())[2], Some(secs(5)));
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn in_a_simulation_times_are_those_of_its_clock() {
    sim(SEEDS, || async {
        let outcome = Options::new().name("group").group(async |g| {
            sleep(secs(3)).await;
            g.spawn_named("child", async {
                for _ in 0..2 {
                    sleep(secs(1)).await;
                }
                sleep(secs(9)).await;
            });
            sleep(secs(5)).await;
            let tree = tree();
            assert_eq!(entry(&tree, "group").age, Some(secs(8)));
            let child = entry(&tree, "child");
            assert_eq!((child.age, child.polls), (Some(secs(5)), Some(3)));
            assert_eq!((child.busy, child.polling_for), (Some(secs(0)), None));
            done()
        });
        outcome.await.unwrap();
    });
}
