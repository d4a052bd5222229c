//! The tree as text and as data.

use headcount::{Options, TaskTree, group, scope, time::sleep, tree};

use super::SEEDS;
use crate::support::{done, secs, sim};

/// The text, with the numbers of this file's lines left out.
fn text(tree: &TaskTree) -> String {
    let file = file!();
    let shown = tree.to_string();
    let mut text = String::new();
    for (at, part) in shown.split(file).enumerate() {
        let part = match at {
            0 => part,
            _ => part.trim_start_matches(|c: char| c == ':' || c.is_ascii_digit()),
        };
        text.push_str(if at == 0 { "" } else { "HERE:" });
        text.push_str(part);
    }
    text
}

#[test]
fn it_is_written_as_a_tree_with_equal_children_in_one_line() {
    sim(SEEDS, || async {
        let outcome = Options::new().name("server").limit(9).group(async |g| {
            for _ in 0..3 {
                g.spawn(sleep(secs(5)));
            }
            g.spawn_named("crawler", async {
                let inner = scope(async |s| {
                    s.spawn_named("page", sleep(secs(5)));
                    done()
                });
                inner.await.unwrap();
            });
            sleep(secs(1)).await;
            g.spawn_named("late", async {});
            let tree = tree();
            let expected = "\
group `server` at HERE: running; 5 of 5 children left, at most 9 at a time, 0 in line; 1.0s old
├─ task at HERE: waiting; 1.0s old, polls: 1, busy: 0.0ns (3 like this)
├─ task `crawler` at HERE: waiting; 1.0s old, polls: 1, busy: 0.0ns
│  └─ scope at HERE: closing; 1 of 1 children left; 1.0s old, closing for 1.0s
│     └─ task `page` at HERE: waiting; 1.0s old, polls: 1, busy: 0.0ns
└─ task `late` at HERE: ready; 0.0ns old, polls: 0, busy: 0.0ns";
            assert_eq!(text(&tree), expected);
            let summary = "2 boundaries, 6 tasks (1 ready, 5 waiting)";
            assert_eq!(tree.summary(), summary);
            assert!(format!("{tree:#}").contains("\x1b[1m`crawler`\x1b[0m"));
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn of_many_children_the_first_are_written_and_the_rest_counted() {
    sim(1, || async {
        let outcome = group(async |g| {
            for n in 0..1000 {
                g.spawn_named(n.to_string(), async {});
            }
            let tree = tree();
            assert_eq!(tree.entries().len(), 1001);
            let shown = tree.to_string();
            assert_eq!(shown.lines().count(), 52);
            assert!(shown.ends_with("└─ … and 950 more with what is below"));
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn it_is_serialized_with_the_place_of_each_parent() {
    sim(1, || async {
        let outcome = Options::new().name("all").group(async |g| {
            g.spawn_named("child", async {});
            sleep(secs(2)).await;
            g.cancel_with("enough");
            let json = serde_json::to_value(tree()).unwrap();
            assert_eq!(json["summary"], "1 boundary, 0 tasks");
            let group = &json["entries"][0];
            assert_eq!(
                (&group["kind"], &group["name"]),
                (&"Group".into(), &"all".into())
            );
            assert_eq!(group["age"], 2.0);
            assert_eq!(group["children"]["spawned"], 1);
            assert_eq!(group["cancelling"]["reason"]["message"], "enough");
            assert!(group["location"].as_str().unwrap().contains("text.rs:"));
            assert!(group["parent"].is_null());
            done()
        });
        outcome.await.unwrap();
        let outcome = Options::new().name("all").group(async |g| {
            g.spawn(async {});
            let json = serde_json::to_value(tree()).unwrap();
            assert_eq!(json["entries"][1]["parent"], 0);
            done()
        });
        outcome.await.unwrap();
    });
}
