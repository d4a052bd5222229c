//! The tree as text and as data.

use headcount::{Instant, Options, TaskGroup, TaskTree, group, scope, shield, time::sleep, tree};

use super::SEEDS;
use crate::support::{Oops, done, secs, sim};

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

/// A chain of groups through children, and the text as the deepest sees it.
fn nest(parent: &TaskGroup<'static, Oops>, levels: usize) {
    parent.spawn(async move {
        let inner = Options::new().name(format!("{levels} below"));
        let inner = inner.group(async move |g| {
            match levels {
                0 => check_deep_text(&tree()),
                _ => nest(&g, levels - 1),
            }
            done()
        });
        inner.await.map_err(|_| Oops("nested"))
    });
}

fn check_deep_text(tree: &TaskTree) {
    let shown = tree.to_string();
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), tree.entries().len());
    let width = shown.len() / lines.len();
    assert!(width < 400, "{width} bytes a line, of {}", lines.len());
    let indented = |at: usize| lines[at].trim_start_matches(' ');
    let [last, first] = [64, 65].map(indented);
    assert!(last.starts_with("└─ group `1969 below` at "), "{last}");
    assert!(first.starts_with("(depth 65) task at "), "{first}");
    let deepest = indented(lines.len() - 1);
    let begin = "(depth 4002) group `0 below` at ";
    assert!(deepest.starts_with(begin), "{deepest}");
    let depth = tree.find("0 below").map(|entry| entry.depth);
    assert_eq!(depth, Some(4002));
}

#[test]
fn the_text_of_a_deep_tree_grows_with_its_entries_and_not_with_their_depth() {
    sim(1, || async {
        let outcome = group(async |g| {
            nest(&g, 2000);
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

#[test]
fn control_characters_in_names_and_reasons_are_escaped() {
    sim(1, || async {
        let outcome = Options::new().name("two\nlines").group(async |g| {
            g.spawn_named("\u{1b}[31mrote Tür", sleep(secs(5)));
            g.cancel_with("a\tb");
            let tree = tree();
            let expected = r"
group `two\nlines` at HERE: running, cancelling for 0.0ns, on request (by `two\nlines`): a\tb; 1 of 1 children left; 0.0ns old
└─ task `\u{1b}[31mrote Tür` at HERE: ready, cancelling; 0.0ns old, polls: 0, busy: 0.0ns";
            assert_eq!(text(&tree), expected.trim_start());
            assert_eq!(tree.entries()[0].name.as_deref(), Some("two\nlines"));
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn what_is_over_has_no_time_left() {
    sim(SEEDS, || async {
        let options = Options::new().name("timed").grace(secs(5));
        let options = options.deadline(Instant::now() + secs(30));
        let outcome = options.group(async |g| {
            let shown = async {
                g.shutdown(secs(20));
                sleep(secs(21)).await;
                let first = tree().to_string();
                sleep(secs(10)).await;
                [first, tree().to_string()]
            };
            let [cancelled, late] = shield(shown).await;
            let ended =
                "cancelling for 1.0s, the grace of the shutdown has ended, deadline in 9.0s";
            assert!(cancelled.contains(ended), "{cancelled}");
            assert!(late.contains(", its deadline has passed"), "{late}");
            for text in [cancelled, late] {
                assert!(!text.contains(" in 0.0ns"), "{text}");
            }
            done()
        });
        outcome.await.unwrap();
    });
}
