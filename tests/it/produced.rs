//! `spawn_stream`: a child that produces, no faster than it is read, and not after.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::{future::pending, mem};

use futures_util::{StreamExt, TryStreamExt};
use headcount::{group, run, scope, time::sleep, timeout};

use crate::support::{
    Census, Ledger, Named, Oops, PanicOnDrop, SEEDS, catch, done, message, ok, on_workers,
    poll_once, secs, sim, yield_now,
};

#[test]
fn a_produced_stream_gives_all_items_and_ends_after_the_releases_of_its_child() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let notes = ledger.clone();
            let mut pages = g.spawn_stream(1, async move |feed| {
                let _connection = notes.deferred("connection", secs(2));
                for page in 0..3 {
                    sleep(secs(1)).await;
                    feed.send(page).await;
                }
                done()
            });
            for page in 0..3 {
                assert_eq!(pages.next().await.unwrap().unwrap(), page);
            }
            assert!(pages.next().await.is_none());
            assert_eq!(ledger.now(), 5_000);
            assert!(pages.next().await.is_none());
            done()
        });
        outcome.await.unwrap();
    });
}

/// It runs ahead by its buffer, and by the item that waits.
#[test]
fn a_producer_runs_ahead_by_its_buffer_only() {
    sim(SEEDS, || async {
        let made = Arc::new(AtomicUsize::new(0));
        let outcome = group(async |g| {
            let count = made.clone();
            let mut items = g.spawn_stream(3, async move |feed| {
                loop {
                    let n = count.fetch_add(1, Ordering::SeqCst);
                    feed.send(n).await;
                }
            });
            for taken in 1..=10 {
                assert_eq!(items.next().await.unwrap().unwrap(), taken - 1);
                sleep(secs(1)).await;
                assert_eq!(made.load(Ordering::SeqCst), taken + 3 + 1);
            }
            done()
        });
        outcome.await.unwrap();
    });
}

/// The group waits for the child and its releases.
#[test]
fn dropping_the_stream_cancels_its_child_and_the_group_waits_for_that() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let notes = ledger.clone();
            let mut items = g.spawn_stream(2, async move |feed| {
                let _connection = notes.deferred("connection", secs(2));
                let _mark = notes.mark("producer");
                for n in 0_u32.. {
                    feed.send(n).await;
                }
                done()
            });
            assert_eq!(items.next().await.unwrap().unwrap(), 0);
            sleep(secs(1)).await;
            drop(items);
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[
            (1_000, "producer cut"),
            (1_000, "connection releasing"),
            (3_000, "connection released"),
        ]);
    });
}

/// What is behind a shield goes on when nobody reads any more, and is not stuck.
#[test]
fn a_shielded_producer_without_a_reader_is_not_stuck() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let notes = ledger.clone();
            let items = g.spawn_stream(1, async move |feed| {
                headcount::shield(async {
                    for n in 0..5 {
                        feed.send(n).await;
                    }
                    notes.note("sent");
                })
                .await;
                done()
            });
            sleep(secs(1)).await;
            drop(items);
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(1_000, "sent")]);
    });
}

/// Its error is that of a child like any other.
#[test]
fn the_failure_of_a_producer_fails_the_group_and_the_reader_does_not_go_on() {
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            let mut items = g.spawn_stream(1, async |feed| {
                feed.send(1).await;
                sleep(secs(1)).await;
                Err::<(), _>(Oops("producer"))
            });
            let mut sum = 0;
            while let Ok(Some(item)) = items.try_next().await {
                sum += item;
            }
            ok(unreachable(sum))
        });
        assert_eq!(outcome.await.names(), ["producer"]);
    });
}

fn unreachable(sum: i32) -> i32 {
    panic!("took a stream that was cut short for complete: {sum}")
}

/// Read outside of the group, a stream that was cut short says so.
#[test]
fn a_stream_that_was_cut_short_does_not_look_complete() {
    sim(SEEDS, || async {
        let mut kept = None;
        let outcome = group(async |g| {
            kept = Some(g.spawn_stream(5, async |feed| {
                feed.send(1).await;
                sleep(secs(1)).await;
                Err::<(), _>(Oops("producer"))
            }));
            done()
        });
        assert_eq!(outcome.await.names(), ["producer"]);
        let mut kept = kept.unwrap();
        assert_eq!(kept.next().await.unwrap().unwrap(), 1);
        assert!(kept.next().await.unwrap().unwrap_err().is_failed());
        assert!(kept.next().await.is_none());
    });
}

/// Other than a stream that opens a group itself, it may be read under one timeout after the other.
#[test]
fn the_next_item_may_be_awaited_under_a_timeout_again_and_again() {
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            let mut items = g.spawn_stream(1, async |feed| {
                for n in 0..3 {
                    sleep(secs(3)).await;
                    feed.send(n).await;
                }
                done()
            });
            let (mut expired, mut got) = (0, 0);
            while got < 3 {
                match timeout(secs(2), items.next()).await {
                    Ok(item) => {
                        assert_eq!(item.unwrap().unwrap(), got);
                        got += 1;
                    }
                    Err(_) => expired += 1,
                }
            }
            assert!(expired >= 3);
            done()
        });
        outcome.await.unwrap();
    });
}

/// Its other end is in memory that is forgotten.
#[test]
fn the_stream_of_a_forgotten_scope_ends_with_an_error() {
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            let (send, receive) = async_channel::bounded(1);
            let mut forgotten = Box::pin(scope(async |s| {
                let items = s.spawn_stream::<(), _, _, _>(1, async |_feed| {
                    pending::<Result<(), Oops>>().await
                });
                send.send(items).await.unwrap();
                pending::<Result<(), Oops>>().await
            }));
            assert!(poll_once(&mut forgotten).await.is_pending());
            let mut items = receive.recv().await.unwrap();
            g.spawn(async move {
                assert!(items.next().await.unwrap().unwrap_err().is_cancelled());
                assert!(items.next().await.is_none());
            });
            mem::forget(forgotten);
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn a_stream_ends_with_its_child_though_another_has_the_feed() {
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            let (send, receive) = async_channel::bounded(1);
            let mut items = g.spawn_stream(4, async move |feed| {
                for n in 1..=3 {
                    feed.send(n).await;
                    yield_now().await;
                }
                send.send(feed).await.unwrap();
                done()
            });
            let _feed = receive.recv().await.unwrap();
            for n in 1..=3 {
                assert_eq!(items.next().await.unwrap().unwrap(), n);
            }
            assert!(items.next().await.is_none());
            done()
        });
        outcome.await.unwrap();
    });
}

#[test]
fn a_producer_in_a_scope_may_borrow() {
    sim(SEEDS, || async {
        let words = ["nobody", "left", "behind"];
        let outcome = scope(async |s| {
            let words = &words;
            let items = s.spawn_stream(1, async move |feed| {
                for word in words {
                    feed.send(*word).await;
                }
                done()
            });
            let all: Vec<_> = items.try_collect().await.map_err(|_| Oops("cut"))?;
            ok(all.concat())
        });
        assert_eq!(outcome.await.unwrap(), "nobodyleftbehind");
    });
}

#[test]
fn streams_dropped_anywhere_leave_nobody_and_nothing_on_real_threads() {
    on_workers(
        "produced::streams_dropped_anywhere_leave_nobody_and_nothing_on_real_threads",
        || {
            for taken in 0..500 {
                let census = Census::default();
                let outcome = run(async |g| {
                    let source = &census;
                    let mut items = g.spawn_stream(4, async move |feed| {
                        for n in 0..20 {
                            if n % 3 == 0 {
                                yield_now().await;
                            }
                            feed.send(source.tracked()).await;
                        }
                        done()
                    });
                    for _ in 0..taken % 22 {
                        if let Some(item) = items.next().await {
                            item.unwrap().assert_alive();
                        }
                    }
                    done()
                });
                outcome.unwrap();
                assert_eq!(census.living(), 0);
            }
        },
    );
}

/// The first panic goes on, and nothing is left in the buffer.
#[test]
fn a_release_behind_an_item_that_panics_when_dropped_is_not_lost() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let notes = ledger.clone();
        let opening = group(async |g| {
            let items = g.spawn_stream(3, async move |feed| {
                feed.send((Some(PanicOnDrop("item")), None)).await;
                let guard = notes.deferred("guard", secs(1));
                feed.send((None, Some(guard))).await;
                done()
            });
            sleep(secs(1)).await;
            drop(items);
            done()
        });
        let payload = catch(opening).await.map(drop).unwrap_err();
        assert_eq!(message(&*payload), "item");
        ledger.expect(&[(1_000, "guard releasing"), (2_000, "guard released")]);
    });
}

#[test]
fn a_stream_that_has_told_of_the_end_gives_no_item_of_a_feed_that_is_still_there() {
    sim(SEEDS, || async {
        let (mut kept, (give, take)) = (None, async_channel::bounded(1));
        let outcome = group(async |g| {
            kept = Some(g.spawn_stream(4, async move |feed| {
                feed.send(1).await;
                give.send(feed).await.unwrap();
                Err::<(), _>(Oops("cut short"))
            }));
            done()
        });
        assert_eq!(outcome.await.names(), ["cut short"]);
        let (mut kept, feed) = (kept.unwrap(), take.recv().await.unwrap());
        assert_eq!(kept.next().await.unwrap().unwrap(), 1);
        assert!(kept.next().await.unwrap().unwrap_err().is_failed());
        feed.send(2).await;
        assert!(kept.next().await.is_none());
    });
}

#[test]
fn who_still_has_the_feed_when_its_child_has_ended_does_not_wait_for_a_reader() {
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            let (around, (give, take)) = (g.clone(), async_channel::bounded(1));
            let mut items = g.spawn_stream(1, async move |feed| {
                let other = around.spawn(async move {
                    for n in 0..3 {
                        sleep(secs(1)).await;
                        feed.send(n).await;
                    }
                    ok("sent")
                });
                give.send(other).await.unwrap();
                done()
            });
            assert!(items.next().await.is_none());
            assert_eq!(take.recv().await.unwrap().await.unwrap(), "sent");
            done()
        });
        outcome.await.unwrap();
    });
}
