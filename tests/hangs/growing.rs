//! Groups that only grow are reported; those that are large are not.

use std::{
    convert::Infallible,
    future::pending,
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use headcount::{
    Options, TaskGroup, group, run,
    watchdog::{Growth, watch_growth},
};

use super::{Dog, LIMIT, SOON};

const BOUND: usize = 3;

fn watch(prefix: &'static str) -> (Dog, Receiver<Growth>) {
    let (tell, heard) = channel();
    let watchdog = watch_growth(SOON, BOUND, move |growth| {
        if growth.name().is_some_and(|name| name.starts_with(prefix)) {
            _ = tell.send(growth.clone());
        }
    });
    (Dog(Some(watchdog)), heard)
}

/// As a server that spawns for each request, until the watchdog has said something.
fn requests_that_never_end(g: &TaskGroup<'_, Infallible>, heard: &Receiver<Growth>) -> Growth {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        g.spawn(pending::<()>());
        if let Ok(growth) = heard.recv_timeout(SOON) {
            return growth;
        }
    }
    g.cancel();
    panic!("no report");
}

#[test]
fn a_group_whose_requests_never_end_is_reported_by_name_and_place() {
    let (_watchdog, heard) = watch("requests");
    let options = Options::new().name("requests");
    let opened = line!() + 1;
    let growth = options.run(async |g| {
        let growth = requests_that_never_end(&g, &heard);
        g.cancel();
        Ok::<_, Infallible>(growth)
    });
    let growth = growth.unwrap();
    assert!(growth.living() > BOUND && growth.from() < growth.living());
    assert_eq!(growth.living() as u64, growth.spawned());
    assert_eq!(growth.location().line(), opened);
    let text = growth.to_string();
    let begin = "the boundary `requests` opened at tests/hangs/growing.rs:";
    assert!(text.starts_with(begin), "{text}");
    assert!(text.contains(" only grows: from "), "{text}");
}

#[test]
fn a_group_deep_in_the_tree_is_reported() {
    let (_watchdog, heard) = watch("deep");
    let grown = run(async |top| {
        let child = top.spawn(async move {
            let options = Options::new().name("deep");
            let opened = options.group(async move |g| {
                let growth = requests_that_never_end(&g, &heard);
                g.cancel();
                Ok::<_, Infallible>(growth.living())
            });
            Ok::<_, headcount::JoinError>(opened.await.unwrap())
        });
        child.await
    });
    assert!(grown.unwrap() > BOUND);
}

/// The other is reported, for which the watchdog has to look at both as often.
#[test]
fn a_group_that_gets_many_children_at_once_is_not_reported() {
    let (watchdog, heard) = watch("one of two");
    let opened = Options::new().name("one of two, large").run(async |large| {
        // Too few for eight looks to see more each time, however slow they come.
        for _ in 0..7 {
            large.spawn(pending::<()>());
        }
        let opened = Options::new().name("one of two, growing").group(async |g| {
            let growth = requests_that_never_end(&g, &heard);
            g.cancel();
            Ok::<_, Infallible>(growth)
        });
        let growth = opened.await.unwrap();
        assert_eq!(growth.name(), Some("one of two, growing"));
        drop(watchdog);
        let names = heard.iter().map(|growth| growth.name().map(str::to_owned));
        assert!(!names.flatten().any(|name| name.ends_with("large")));
        large.cancel();
        Ok::<_, Infallible>(())
    });
    opened.unwrap();
}

/// As many end as are spawned. Its number may be seen to rise and fall.
#[test]
fn a_group_whose_children_end_is_not_reported() {
    let (watchdog, heard) = watch("of a pair");
    let opened = Options::new().name("of a pair, growing").run(async |g| {
        let opened = Options::new()
            .name("of a pair, steady")
            .group(async |steady| {
                let servant = steady.clone();
                // Always four or five.
                steady.spawn(async move {
                    let mut living = std::collections::VecDeque::new();
                    loop {
                        living.push_back(servant.spawn(pending::<()>()));
                        if living.len() > BOUND {
                            let oldest = living.pop_front().unwrap();
                            oldest.cancel();
                            _ = oldest.await;
                        }
                    }
                });
                let growth = requests_that_never_end(&g, &heard);
                assert_eq!(growth.name(), Some("of a pair, growing"));
                steady.cancel();
                Ok::<_, Infallible>(())
            });
        opened.await.unwrap();
        drop(watchdog);
        let names = heard.iter().map(|growth| growth.name().map(str::to_owned));
        assert!(!names.flatten().any(|name| name.ends_with("steady")));
        g.cancel();
        Ok::<_, Infallible>(())
    });
    opened.unwrap();
}

#[test]
fn a_watch_ends_with_its_watchdog() {
    let (watchdog, heard) = watch("nobody");
    drop(watchdog);
    assert!(heard.recv().is_err());
    let opened = async_std::task::block_on(group(async |_| Ok::<_, Infallible>(())));
    opened.unwrap();
}

#[test]
#[should_panic(expected = "looks all the time")]
fn no_pause_between_looks_is_refused() {
    drop(watch_growth(Duration::ZERO, 1, |_| ()));
}
