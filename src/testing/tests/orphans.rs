//! `assert_no_orphans`.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::{SECOND, checkpoint, failure, spawn, spawn_blocking};
use crate::kernel::context;
use crate::testing::{Sim, assert_no_orphans, elapsed, explore};
use crate::time::sleep;
use crate::{Boundary, JoinError, TaskGroup, defer, group, race, run, scope, timeout, unblock};

const HOUR: Duration = Duration::from_secs(3600);

/// A group with an endless child, dropped half-way by somebody else's code.
async fn drops_a_group() {
    let mut endless = Box::pin(group(async |g| {
        g.spawn_named("endless", async {
            let _slow = defer((), |()| sleep(SECOND));
            pending::<()>().await;
        });
        pending::<Result<(), Infallible>>().await
    }));
    for _ in 0..5 {
        poll_fn(|cx| Poll::Ready(endless.as_mut().poll(cx)))
            .await
            .is_pending();
        checkpoint().await;
    }
    // Its child has begun: it is polled once before anybody else twice.
    crate::testing::wait_all_blocked().await;
    drop(endless);
}

/// Everything that starts something, ended in every way.
async fn is_tidy() -> u8 {
    let crowd = group(async |g| {
        for n in 0..5 {
            g.spawn(sleep(HOUR));
            g.spawn_daemon(pending::<()>());
            g.spawn_blocking(move |token| {
                while n == 1 && !token.is_cancelled() {
                    std::thread::yield_now();
                }
            });
            g.spawn(async {
                let _deferred = defer((), |()| sleep(SECOND));
                pending::<()>().await;
            });
        }
        Ok::<_, JoinError>(())
    });
    assert!(timeout(SECOND, crowd).await.is_err());
    let outcome = group(async |g| {
        g.spawn_blocking(|_| ()).cancel();
        let abandoned = g.spawn(drops_a_group());
        abandoned.await?;
        let nested = g.spawn_blocking(|_| {
            run(async |g| {
                g.spawn(sleep(SECOND));
                Ok::<_, Infallible>(())
            })
            .unwrap();
            Ok(())
        });
        nested.await?;
        Ok::<_, JoinError>(unblock(|| 1).await)
    });
    outcome.await.unwrap();
    let raced = race([4_u64, 1, 3].map(|n| async move {
        sleep(SECOND * n as u32).await;
        n as u8
    }));
    raced.await.unwrap()
}

#[test]
fn nobody_is_left_of_what_ran_inside_boundaries() {
    explore(0..20, || async {
        assert_eq!(assert_no_orphans(is_tidy()).await, 1);
    });
}

/// The empty place of such a closure in the queue of the simulation is nobody.
#[test]
fn a_closure_that_was_taken_back_before_it_began_is_not_left() {
    explore(0..100, || {
        assert_no_orphans(async {
            let outcome = group(async |g| {
                let closure = g.spawn_blocking(|_| ());
                checkpoint().await;
                closure.cancel();
                Ok::<_, Infallible>(())
            });
            outcome.await.unwrap();
        })
    });
}

#[test]
fn a_child_spawned_into_a_group_further_out_is_left_and_named() {
    let line = line!() + 3;
    let text = failure(|| {
        async fn session(server: &TaskGroup<'static, Infallible>) {
            server.spawn_named("ticker", sleep(HOUR));
            server.spawn(sleep(SECOND));
            sleep(SECOND * 2).await;
        }
        Sim::new(3).run(async {
            let outcome = group(async |server| {
                server.spawn_named("before", sleep(HOUR));
                assert_no_orphans(session(&server)).await;
                Ok::<_, Infallible>(())
            });
            outcome.await.unwrap();
        })
    });
    assert!(
        text.contains("1 that were started inside it have not"),
        "{text}"
    );
    let ticker = format!("`ticker`, spawned at {}:{line}:", file!());
    assert!(text.contains(&ticker), "{text}");
    assert!(!text.contains("before"), "{text}");
    assert!(text.contains("2s of virtual time, seed 3"), "{text}");
}

#[test]
fn a_group_dropped_without_a_boundary_around_is_found() {
    for seed in 0..20 {
        let text = failure(|| Sim::new(seed).run(assert_no_orphans(drops_a_group())));
        assert!(text.contains("`endless`, spawned at "), "{text}");
    }
    // The same, with a boundary around.
    explore(0..20, || {
        assert_no_orphans(async {
            let outcome = scope(async |_| {
                drops_a_group().await;
                Ok::<_, Infallible>(())
            });
            outcome.await.unwrap();
        })
    });
}

#[test]
fn a_forgotten_group_is_found() {
    let text = failure(|| {
        Sim::new(0).run(assert_no_orphans(async {
            let mut forgotten = Box::pin(group(async |g| {
                g.spawn_named("left", pending::<()>());
                pending::<Result<(), Infallible>>().await
            }));
            poll_fn(|cx| Poll::Ready(forgotten.as_mut().poll(cx)))
                .await
                .is_pending();
            std::mem::forget(forgotten);
        }))
    });
    assert!(text.contains("`left`, spawned at "), "{text}");
}

#[test]
fn what_orphans_spawn_is_found_in_tasks_and_in_closures() {
    let text = failure(|| {
        Sim::new(0).run(assert_no_orphans(async {
            spawn(async {
                spawn(async {
                    spawn_blocking(|| {
                        spawn(pending());
                        context::runtime().block_on(pending::<()>());
                    });
                });
            });
            sleep(SECOND).await;
        }))
    });
    assert!(text.contains("2 that were started inside"), "{text}");
    assert!(text.contains("`closure`, spawned at "), "{text}");
    assert!(text.contains("task, spawned at "), "{text}");
}

#[test]
fn of_nested_checks_each_sees_what_is_inside_it_and_nothing_beside() {
    // Beside: spawned by the same task and by another one, while the check goes on.
    Sim::new(0).run(async {
        let mut checked = pin!(assert_no_orphans(sleep(SECOND)));
        let outcome = group(async |g| {
            let other = g.clone();
            g.spawn(async move { drop(other.spawn(sleep(SECOND * 3))) });
            poll_fn(|cx| Poll::Ready(checked.as_mut().poll(cx).is_pending())).await;
            g.spawn(sleep(SECOND * 3));
            checked.await;
            assert_eq!(elapsed(), SECOND);
            Ok::<_, Infallible>(())
        });
        outcome.await.unwrap();
    });
    // Inside: the inner check is content, for it began after the spawn; the outer one is not.
    let text = failure(|| {
        Sim::new(0).run(assert_no_orphans(async {
            spawn(async { assert_no_orphans(async { spawn(sleep(SECOND)) }).await });
            sleep(SECOND * 2).await;
        }))
    });
    assert!(text.contains("1 that were started"), "{text}");
    let text = failure(|| {
        Sim::new(0).run(assert_no_orphans(async {
            assert_no_orphans(sleep(SECOND)).await;
            spawn(sleep(SECOND));
        }))
    });
    assert!(text.contains("at 1s of virtual time"), "{text}");
}

#[test]
fn what_foreign_threads_start_is_not_seen() {
    let outcome = failure(|| {
        Sim::new(0).run(async {
            let outcome = group(async |g| {
                let here = Boundary::current().unwrap();
                assert_no_orphans(async {
                    let g = g.clone();
                    let spawns = move || here.enter(|| drop(g.spawn(sleep(SECOND))));
                    std::thread::spawn(spawns).join().unwrap();
                })
                .await;
                panic!("nobody was seen, as documented");
                #[allow(unreachable_code)]
                Ok::<_, Infallible>(())
            });
            outcome.await.unwrap();
        })
    });
    assert_eq!(outcome, "nobody was seen, as documented");
}

#[test]
fn nothing_is_asserted_of_a_future_that_panics_or_is_dropped() {
    let text = failure(|| {
        Sim::new(0).run(assert_no_orphans(async {
            spawn(pending());
            panic!("its own");
        }))
    });
    assert_eq!(text, "its own");
    Sim::new(0).run(async {
        let dropped = timeout(
            SECOND,
            assert_no_orphans(async {
                spawn(pending());
                pending::<()>().await;
            }),
        );
        assert!(dropped.await.is_err());
    });
}
