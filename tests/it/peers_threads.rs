//! The programs in which comparable libraries fail, on real threads.

use std::{
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind, panic_any},
    sync::mpsc::channel,
};

use headcount::{group, run};

use crate::support::{
    Census, Flag, Oops, PanicOnDrop, block_on, catch, done, message, ok, on_these_workers,
    on_workers, spin_until, yield_now,
};

/// Elsewhere a cancelled blocking task is reported as ended while its closure runs on.
#[test]
fn a_blocking_child_that_runs_while_its_group_is_cancelled_is_waited_for() {
    on_workers(
        "peers_threads::a_blocking_child_that_runs_while_its_group_is_cancelled_is_waited_for",
        || {
            for _ in 0..100 {
                let (ended, census) = (Flag::default(), Census::default());
                let (begun, has_begun) = channel();
                let outcome = block_on(group(async |g| {
                    let (has_ended, tracked) = (ended.clone(), census.tracked());
                    let child = g.spawn_blocking(move |token| {
                        begun.send(()).unwrap();
                        spin_until(|| token.is_cancelled());
                        std::thread::yield_now();
                        tracked.assert_alive();
                        drop(tracked);
                        has_ended.set();
                    });
                    has_begun.recv().unwrap();
                    child.cancel();
                    let _ = child.await;
                    assert!(ended.is_set());
                    done()
                }));
                outcome.unwrap();
                assert_eq!(census.living(), 0);
            }
        },
    );
}

/// Elsewhere a scope whose thread cannot block leaves its children running with dangling borrows.
#[test]
fn run_inside_a_task_refuses_before_anything_is_spawned() {
    on_these_workers(
        &[1],
        "peers_threads::run_inside_a_task_refuses_before_anything_is_spawned",
        || {
            let entered = block_on(async_std::task::spawn(async {
                let outcome = group(async |g| {
                    let child = g.spawn(async {
                        let (data, body_ran) = (Census::default(), Flag::default());
                        let tracked = data.tracked();
                        let ran = catch(async {
                            run(async |r| {
                                body_ran.set();
                                r.spawn(async { tracked.assert_alive() });
                                done()
                            })
                        });
                        assert!(!message(&*ran.await.unwrap_err()).is_empty());
                        ok(body_ran.is_set())
                    });
                    ok(child.await.unwrap())
                });
                outcome.await.unwrap()
            }));
            assert!(!entered);
        },
    );
}

/// Elsewhere a panic that passes through `block_on` leaves the thread unable to drive local tasks.
#[test]
fn local_tasks_run_on_a_thread_after_a_panic_has_passed_through_run() {
    on_workers(
        "peers_threads::local_tasks_run_on_a_thread_after_a_panic_has_passed_through_run",
        || {
            for text in ["child", "body", "closure"].repeat(5) {
                let ran = catch_unwind(|| {
                    run(|r| {
                        assert_ne!(text, "closure");
                        async move {
                            r.spawn(async move {
                                yield_now().await;
                                assert_ne!(text, "child");
                            });
                            yield_now().await;
                            assert_ne!(text, "body");
                            done()
                        }
                    })
                });
                assert!(ran.is_err());
                let local = std::rc::Rc::new(5);
                let value = block_on(async {
                    async_global_executor::spawn_local(async move {
                        yield_now().await;
                        *local
                    })
                    .await
                });
                assert_eq!(value, 5);
            }
        },
    );
}

/// Elsewhere the executor aborts the process, or its threads die, for each of these.
#[test]
fn panicking_destructors_leave_the_worker_threads_alive() {
    on_workers(
        "peers_threads::panicking_destructors_leave_the_worker_threads_alive",
        || {
            for turn in 0..50 {
                let census = Census::default();
                let ran = catch_unwind(AssertUnwindSafe(|| {
                    run(async |r| {
                        let tracked = census.tracked();
                        let (guard, payload) = (PanicOnDrop("future"), PayloadOnDrop);
                        r.spawn(async move {
                            let _guard = guard;
                            pending::<()>().await;
                        });
                        r.spawn(async move {
                            let _payload = payload;
                            pending::<()>().await;
                        });
                        r.spawn(async move {
                            let _tracked = tracked;
                            pending::<()>().await;
                        });
                        yield_now().await;
                        match turn % 3 {
                            0 => drop(r.spawn(async { ok(PanicOnDrop("output")) })),
                            1 => r.cancel(),
                            _ => panic!("body"),
                        }
                        pending::<Result<(), Oops>>().await
                    })
                }));
                let payload = ran.map(drop).unwrap_err();
                match payload.downcast::<PanicOnDrop>() {
                    Ok(payload) => std::mem::forget(payload),
                    Err(payload) => {
                        assert!(["future", "output", "body"].contains(&message(&*payload)));
                    }
                }
                assert_eq!(census.living(), 0);
                let healthy = block_on(group(async |g| {
                    let children = [(); 16].map(|()| g.spawn(async { ok(1) }));
                    let mut sum = 0;
                    for child in children {
                        sum += child.await.unwrap();
                    }
                    ok(sum)
                }));
                assert_eq!(healthy.unwrap(), 16);
            }
        },
    );
}

/// Its destructor panics with a payload whose destructor panics.
struct PayloadOnDrop;

impl Drop for PayloadOnDrop {
    fn drop(&mut self) {
        panic_any(PanicOnDrop("payload"));
    }
}

/// Elsewhere an output or a payload that borrows is dropped after the borrow has ended.
#[test]
fn outputs_and_payloads_of_run_are_dropped_before_it_returns() {
    on_workers(
        "peers_threads::outputs_and_payloads_of_run_are_dropped_before_it_returns",
        || {
            for turn in 0..1000 {
                let census = Census::default();
                let data = census.tracked();
                let ran = catch_unwind(AssertUnwindSafe(|| {
                    run(async |r| {
                        for n in 0..4 {
                            let (output, payload) = (Looks(&data), census.tracked());
                            drop(r.spawn(async move {
                                yield_now().await;
                                if turn % 2 == 0 && n > 0 {
                                    panic_any(payload);
                                }
                                ok(output)
                            }));
                        }
                        done()
                    })
                }));
                assert_eq!(ran.is_err(), turn % 2 == 0);
                drop(ran);
                drop(data);
                assert_eq!((census.born(), census.living()), (5, 0));
            }
        },
    );
}

/// Looks at what it borrows when it is dropped.
struct Looks<'a>(&'a crate::support::Tracked);

impl Drop for Looks<'_> {
    fn drop(&mut self) {
        self.0.assert_alive();
    }
}
