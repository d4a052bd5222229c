//! How often the opener of a boundary that waits for its children is polled: not once for each of them.

use std::future::{Future, pending, poll_fn};

use headcount::{GroupError, checkpoint, defer, group, time::sleep, timeout};

use crate::support::{FEW, Oops, done, millis, secs, sim};

const CHILDREN: u64 = 100;

/// How often it was polled.
async fn polls<F: Future<Output = Result<(), GroupError<Oops>>>>(future: F) -> usize {
    let (mut future, mut polls) = (Box::pin(future), 0);
    let ended = poll_fn(|cx| {
        polls += 1;
        future.as_mut().poll(cx)
    });
    ended.await.unwrap();
    polls
}

#[test]
fn children_with_boundaries_of_their_own_end_one_by_one_without_their_opener() {
    sim(FEW, async || {
        let opening = group(async |g| {
            for n in 0..CHILDREN {
                g.spawn(async move { _ = timeout(secs(3600), sleep(millis(n))).await });
            }
            done()
        });
        assert!(polls(opening).await <= 3);
    });
}

#[test]
fn children_release_one_by_one_without_their_opener() {
    sim(FEW, async || {
        let opening = group(async |g| {
            for n in 0..CHILDREN {
                g.spawn(async move {
                    let _guard = defer(n, async |n| sleep(millis(n)).await);
                    checkpoint().await;
                });
            }
            done()
        });
        assert!(polls(opening).await <= 3);
    });
}

#[test]
fn daemons_end_one_by_one_without_their_opener() {
    sim(FEW, async || {
        let opening = group(async |g| {
            for n in 0..CHILDREN {
                g.spawn_daemon(async move {
                    let _guard = defer(n, async |n| sleep(millis(n)).await);
                    pending::<()>().await;
                });
            }
            g.spawn(sleep(millis(1)));
            done()
        });
        assert!(polls(opening).await <= 4);
    });
}
