//! Openings that come and go, many times: nothing of them is left.

use std::future::pending;

use async_std::task::block_on;
use headcount::{GroupError, group, scope};

use crate::{live, on_workers, yield_now};

/// Runs it many times, when all is warm.
fn leaves_nothing(turn: impl Fn(usize)) {
    (0..2000).for_each(&turn);
    let before = live();
    (0..20_000).for_each(&turn);
    let grown = live() - before;
    assert!(grown < 64 * 1024, "{grown} bytes more");
}

/// Case 36: groups that come and go leave nothing, however they end.
#[test]
fn groups_that_come_and_go_leave_nothing() {
    on_workers(
        "nothing_left::groups_that_come_and_go_leave_nothing",
        || {
            let turn = |n: usize| {
                let outcome = block_on(group(async |g| {
                    let kept = g.clone();
                    g.spawn(async move {
                        let _own = kept;
                        pending::<()>().await;
                    });
                    let handle = g.spawn(yield_now());
                    g.spawn_named("named", pending::<()>());
                    yield_now().await;
                    drop(handle);
                    match n % 2 {
                        0 => Err::<(), _>(n),
                        _ => {
                            g.cancel();
                            pending().await
                        }
                    }
                }));
                let error: GroupError<usize> = outcome.unwrap_err();
                assert_eq!(error.into_first(), (n % 2 == 0).then_some(n));
            };
            leaves_nothing(turn);
        },
    );
}

/// The same of scopes, if wakers of their children were copied.
#[test]
fn scopes_that_come_and_go_leave_nothing() {
    on_workers(
        "nothing_left::scopes_that_come_and_go_leave_nothing",
        || {
            leaves_nothing(|_| {
                let outcome = block_on(scope(async |s| {
                    let (sender, receiver) = async_channel::bounded(1);
                    s.spawn(async move { receiver.recv().await.map_err(|_| ()) });
                    s.spawn(async move {
                        yield_now().await;
                        sender.send(()).await.map_err(|_| ())
                    });
                    Ok::<_, ()>(())
                }));
                outcome.unwrap();
            });
        },
    );
}

/// And of children that a group takes in no more.
#[test]
fn refused_children_leave_nothing() {
    on_workers("nothing_left::refused_children_leave_nothing", || {
        leaves_nothing(|_| {
            let late = block_on(group(async |g| Ok::<_, ()>(g)));
            let handle = late.unwrap().spawn(async {});
            assert!(block_on(handle).unwrap_err().is_cancelled());
        });
    });
}
