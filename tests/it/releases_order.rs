//! Rule 23: releases run inner before outer, in series, all of them, and after the children.

use headcount::{
    CancelScope, bracket, checkpoint, defer, group, scope, shield, time::sleep, timeout,
};

use crate::support::{
    Ledger, Named, Oops, PanicOnDrop, SEEDS, catch, done, message, ok, poll_for, secs, sim,
};

/// One boundary of each kind in the next, each with a guard of a second; cut or not, the innermost
/// is released first, and each before the next begins.
#[test]
fn releases_run_inner_before_outer_through_every_kind_of_boundary() {
    for cut in [false, true] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |g| {
                let child = ledger.clone();
                let _outermost = ledger.deferred("group", secs(1));
                g.spawn(async move {
                    let _task = child.deferred("task", secs(1));
                    let inside = timeout(secs(100), async {
                        let _timeout = child.deferred("timeout", secs(1));
                        let inside = scope(async |_| {
                            let _scope = child.deferred("scope", secs(1));
                            let inside = CancelScope::new();
                            let inside = inside.enter(async {
                                let _cancel = child.deferred("cancel scope", secs(1));
                                nested_bracket(&child).await
                            });
                            inside.await.unwrap()
                        });
                        inside.await.unwrap();
                    });
                    inside.await.unwrap();
                });
                sleep(secs(10)).await;
                match cut {
                    true => Err(Oops("body")),
                    false => Ok(()),
                }
            })
            .await;
            assert_eq!(outcome.is_err(), cut);
            let begin = if cut { 10 } else { 20 };
            let order = [
                "bracket",
                "cancel scope",
                "scope",
                "timeout",
                "task",
                "group",
            ];
            let expected: Vec<_> = (begin..)
                .zip(order)
                .flat_map(|(at, name)| {
                    let (begun, ended) = (format!("{name} releasing"), format!("{name} released"));
                    [(at * 1000, begun), ((at + 1) * 1000, ended)]
                })
                .collect();
            let expected: Vec<_> = expected.iter().map(|(at, text)| (*at, &**text)).collect();
            ledger.expect(&expected);
        });
    }
}

async fn nested_bracket(ledger: &Ledger) -> Result<(), Oops> {
    bracket(
        async { ok(ledger.clone()) },
        async |_guard| {
            sleep(secs(20)).await;
            done()
        },
        async |ledger: Ledger| {
            ledger.note("bracket releasing");
            sleep(secs(1)).await;
            ledger.note("bracket released");
        },
    )
    .await
}

/// Within one boundary: the next begins when the one before has ended, however that ended.
#[test]
fn all_releases_run_in_series_though_some_fail_and_some_panic() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let child = ledger.clone();
            g.spawn_named("owner", async move {
                let _one = child.deferred("one", secs(1));
                let _two = child.deferred_panicking("two", secs(1));
                let _three = child.deferred_failing("three", secs(1));
                let _four = defer((), |()| -> std::future::Ready<()> { panic!("at once") });
                let _five = defer(PanicOnDrop("resource"), |_| async {});
                sleep(secs(1)).await;
            });
            done()
        })
        .await;
        let error = outcome.unwrap_err();
        let texts = error
            .cleanup_failures()
            .iter()
            .map(|f| f.error().to_string());
        let texts: Vec<_> = texts.collect();
        assert_eq!(
            texts,
            [
                "panicked: resource",
                "panicked: at once",
                "three",
                "panicked: two"
            ]
        );
        assert!(
            error
                .cleanup_failures()
                .iter()
                .all(|f| f.name() == Some("owner"))
        );
        ledger.expect(&[
            (1000, "three releasing"),
            (2000, "three released"),
            (2000, "two releasing"),
            (3000, "two released"),
            (3000, "one releasing"),
            (4000, "one released"),
        ]);
    });
}

/// What a failed body owned waits for the children, which may use it, though these take long to die.
#[test]
fn the_releases_of_a_tear_down_wait_for_children_that_are_shielded() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let _guard = ledger.deferred("connection", secs(1));
            let child = ledger.clone();
            g.spawn(async move {
                shield(child.sleeper("child", secs(5))).await;
                checkpoint().await;
            });
            sleep(secs(1)).await;
            Err::<(), _>(Oops("body"))
        })
        .await;
        assert_eq!(outcome.names(), ["body"]);
        ledger.expect(&[
            (5000, "child done"),
            (5000, "connection releasing"),
            (6000, "connection released"),
        ]);
    });
}

/// Case 8.
#[test]
fn body_child_and_a_siblings_release_fail_and_all_three_are_returned() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let sibling = ledger.clone();
            g.spawn(async move {
                let _guard = sibling.deferred_failing("release", secs(2));
                sibling.forever("sibling").await;
            });
            g.spawn(async {
                sleep(secs(1)).await;
                Err::<(), _>(Oops("child"))
            });
            // Past its last checkpoint when the child fails.
            shield(sleep(secs(2))).await;
            Err::<(), _>(Oops("body"))
        })
        .await;
        assert_eq!(outcome.names(), ["child", "body"]);
        let error = outcome.unwrap_err();
        assert_eq!(error.first(), Some(&Oops("child")));
        assert_eq!(error.cleanup_failures()[0].error().to_string(), "release");
        assert_eq!(error.cleanup_failures().len(), 1);
        assert_eq!(ledger.now(), 3000);
    });
}

/// Case 35: a panic resumes after the releases, also if one of these panics too.
#[test]
fn a_panic_resumes_after_all_releases_have_run() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let child = ledger.clone();
            let _body = ledger.deferred("body", secs(1));
            g.spawn(async move {
                let _one = child.deferred("one", secs(1));
                let _two = child.deferred_panicking("two", secs(1));
                sleep(secs(1)).await;
                panic!("child")
            });
            sleep(secs(10)).await;
            done()
        });
        let payload = catch(outcome).await.map(drop).unwrap_err();
        assert_eq!(message(&*payload), "child");
        ledger.expect(&[
            (1000, "two releasing"),
            (2000, "two released"),
            (2000, "one releasing"),
            (3000, "one released"),
            (3000, "body releasing"),
            (4000, "body released"),
        ]);
    });
}

/// Rules 23 and 25: a daemon serves the children until these have released what they owned.
#[test]
fn a_daemon_lives_through_the_releases_of_children_and_is_released_before_the_body() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let _body = ledger.deferred("body", secs(1));
            let d = ledger.clone();
            g.spawn_daemon(async move {
                let _guard = d.deferred("daemon", secs(2));
                sleep(secs(60)).await;
            });
            let c = ledger.clone();
            g.spawn(async move {
                let _guard = c.deferred("child", secs(2));
                sleep(secs(1)).await;
            });
            done()
        })
        .await;
        outcome.unwrap();
        ledger.expect(&[
            (1000, "child releasing"),
            (3000, "child released"),
            (3000, "daemon releasing"),
            (5000, "daemon released"),
            (5000, "body releasing"),
            (6000, "body released"),
        ]);
    });
}

/// What has begun is finished first, beside the children, then what the body has dropped, and at last
/// what the children may still use.
#[test]
fn a_half_run_release_goes_on_before_the_others() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.spawn(ledger.sleeper("child", secs(9)));
            let mut closing = Box::pin(ledger.deferred("begun", secs(3)).close());
            assert!(poll_for(&mut closing, secs(1)).await.is_pending());
            drop(ledger.deferred("eager", secs(1)));
            drop(closing);
            checkpoint().await;
            let _last = ledger.deferred("last", secs(1));
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[
            (0, "begun releasing"),
            (3000, "begun released"),
            (3000, "eager releasing"),
            (4000, "eager released"),
            (9000, "child done"),
            (9000, "last releasing"),
            (10_000, "last released"),
        ]);
    });
}
