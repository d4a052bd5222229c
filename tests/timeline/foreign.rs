//! What others do with the spans of the crate changes nothing of what they are.

use std::{sync::mpsc::channel, thread};

use headcount::{Options, checkpoint};
use tracing::{Span, debug_span, field::Empty};

use crate::record::{Record, recorded, recorded_in_sim};

#[test]
fn a_child_stays_where_it_is_though_its_span_follows_from_others() {
    let record = recorded_in_sim(async {
        let outer = Options::new().name("outer").group(async |g| {
            let around = Span::current();
            let first = g.spawn_named("first", async move {
                let inner = Options::new().name("inner").group(async |g| {
                    let child = g.spawn_named("child", async move {
                        Span::current().follows_from(&around);
                        checkpoint().await;
                    });
                    _ = child.await;
                    g.spawn_named("next", checkpoint());
                    Ok::<_, ()>(())
                });
                inner.await.unwrap();
            });
            _ = first.await;
            Ok::<_, ()>(())
        });
        outer.await.unwrap();
    });
    let lane = |name: &str| (record.named(name).pid, record.named(name).tid);
    let inner = record.named("inner").pid;
    assert_eq!((lane("child"), lane("next")), ((inner, 1), (inner, 1)));
}

#[test]
fn the_lane_of_a_poll_that_outlasts_its_child_is_given_back() {
    let child = |name: &str, group: &Span| {
        let span = debug_span!(
            target: "headcount",
            "child",
            kind = "task",
            name,
            location = "here",
            outcome = Empty
        );
        span.follows_from(group);
        span
    };
    let record = Record::read(&recorded(|| {
        let group = debug_span!(
            target: "headcount",
            "boundary",
            kind = "group",
            name = "group",
            location = "here",
            outcome = Empty
        );
        let first = child("first", &group);
        thread::scope(|threads| {
            let ((entered, seen), (over, wait)) = (channel(), channel::<()>());
            let first = &first;
            first.in_scope(|| {
                threads.spawn(move || {
                    first.in_scope(|| {
                        entered.send(()).unwrap();
                        _ = wait.recv();
                    });
                });
                seen.recv().unwrap();
                first.record("outcome", "ok");
                drop(over);
            });
        });
        for next in ["second", "third"].map(|name| child(name, &group)) {
            next.in_scope(|| ());
            std::mem::forget(next);
        }
        group.record("outcome", "ok");
    }));
    let lanes = ["first", "second", "third"].map(|name| record.named(name).tid);
    assert_eq!(lanes, [1, 1, 2]);
}
