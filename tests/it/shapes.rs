//! Shapes of programs that must compile, and then also run.

use std::{convert::Infallible, error::Error, fmt, io};

use headcount::{
    GroupError, Instant, JoinError, JoinHandle, Options, Scope, TaskGroup, TimedOut, defer, group,
    run, scope, time::sleep, timeout,
};

use crate::support::{Ledger, Oops, SEEDS, done, ok, secs, sim, yield_now};

fn assert_send<T: Send>(value: T) -> T {
    value
}

fn assert_static<T: 'static>(value: T) -> T {
    value
}

#[test]
fn openings_are_send_inside_spawned_tasks() {
    sim(SEEDS, || async {
        let data = String::from("borrowed");
        let outcome = assert_send(group(async |g| {
            g.spawn(assert_send(async move {
                let data = data;
                let inner = scope(async |s| {
                    let nested = &data;
                    s.spawn(async move {
                        let innermost = scope(async |s| {
                            s.spawn(async { assert_eq!(nested, "borrowed") });
                            done()
                        });
                        innermost.await.map_err(|_| Oops("innermost"))
                    });
                    let below = group(async |g| {
                        g.spawn(timeout(secs(1), async {}).into_unit());
                        done()
                    });
                    below.await.map_err(|_| Oops("below"))
                });
                assert_send(inner).await.map_err(|_| Oops("inner"))
            }));
            done()
        }))
        .await;
        outcome.unwrap();
    });
}

/// Lets a timeout be a child.
trait IntoUnit: Future<Output = Result<(), TimedOut>> + Sized {
    fn into_unit(self) -> impl Future<Output = ()> {
        async { self.await.unwrap() }
    }
}

impl<F: Future<Output = Result<(), TimedOut>>> IntoUnit for F {}

#[test]
fn a_body_is_an_async_closure_or_a_closure_of_an_async_block() {
    sim(SEEDS, || async {
        let word = String::from("word");
        let by_reference = group(async |g| {
            let length = word.len();
            ok(g.spawn(async move { ok(length) }).await.unwrap())
        });
        assert_eq!(by_reference.await.unwrap(), 4);
        let by_block = group(|g| async move {
            let child = g.spawn(async { ok(5) });
            ok(child.await.unwrap())
        });
        assert_eq!(by_block.await.unwrap(), 5);
        let moved = scope(async move |s| {
            s.spawn(yield_now());
            ok(word)
        });
        assert_eq!(moved.await.unwrap(), "word");

        async fn body(g: TaskGroup<'static, Oops>) -> Result<u8, Oops> {
            g.spawn(yield_now());
            Ok(6)
        }
        assert_eq!(group(body).await.unwrap(), 6);
    });
}

/// All children return `()`, so the body alone names the error type, or the opening does.
#[test]
fn the_error_type_can_be_named_by_the_body_or_by_the_opening() {
    sim(SEEDS, || async {
        let by_body = group(async |g| {
            g.spawn(async {});
            Ok::<_, ()>(3)
        });
        assert_eq!(by_body.await.ok(), Some(3));
        let by_opening = group::<_, Infallible, _, _>(async |g| {
            g.spawn(async {});
            Ok(3)
        });
        assert_eq!(by_opening.await.unwrap(), 3);
        let by_handle = scope(async |s: Scope<'_, Infallible>| {
            s.spawn(async {});
            Ok(3)
        });
        assert_eq!(by_handle.await.unwrap(), 3);
    });
}

#[test]
fn the_error_type_is_known_through_the_question_mark_of_the_caller() {
    async fn caller() -> Result<usize, GroupError<Oops>> {
        let value = group(async |g| {
            g.spawn(async { Ok(1) });
            let child = g.spawn(async { Ok(2) });
            Ok(child.await.unwrap())
        })
        .await?;
        Ok(value)
    }

    /// `?` inside the body into a type that its end names.
    async fn inside() -> Result<u32, GroupError<anyhow::Error>> {
        group(async |g| {
            let number: u32 = "7".parse()?;
            g.spawn(async move {
                let text = String::from_utf8(vec![b'8'])?;
                assert_eq!(text, "8");
                Ok(())
            });
            Ok(number)
        })
        .await
    }
    sim(SEEDS, || async {
        assert_eq!(caller().await.unwrap(), 2);
        assert_eq!(inside().await.unwrap(), 7);
    });
}

#[test]
fn children_with_io_errors_live_in_a_group_of_anyhow_errors() {
    async fn reads() -> io::Result<usize> {
        yield_now().await;
        Err(io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            g.spawn(async { Ok(reads().await?) });
            std::future::pending::<anyhow::Result<()>>().await
        })
        .await;
        let error = outcome.unwrap_err().into_first().unwrap();
        assert_eq!(
            error.downcast::<io::Error>().unwrap().kind(),
            io::ErrorKind::NotFound
        );
    });
}

/// A handle's error through `?` where the error type is `io::Error`.
#[test]
fn a_join_error_passes_the_question_mark_into_an_io_error() {
    sim(SEEDS, || async {
        let outcome: Result<(), GroupError<io::Error>> = group(async |g| {
            let child = g.spawn(std::future::pending::<()>());
            child.cancel();
            child.await?;
            Ok(())
        })
        .await;
        let error = outcome.unwrap_err().into_first().unwrap();
        let source = error.get_ref().unwrap();
        assert!(source.downcast_ref::<JoinError>().unwrap().is_cancelled());
    });
}

/// The whole is inside, and the kind says what came first.
#[test]
fn the_error_of_a_group_of_io_errors_passes_the_question_mark_into_an_io_error() {
    async fn caller(options: Options, missing: bool) -> io::Result<()> {
        // Nothing but the `?` at the end says what its error is.
        options
            .group(async |g| {
                let _slow = defer((), async |()| Err::<(), _>("not released"));
                match missing {
                    true => Err(io::ErrorKind::NotFound)?,
                    false => g.cancel(),
                }
                yield_now().await;
                Ok(())
            })
            .await?;
        Ok(())
    }
    async fn cancelled(options: Options) -> io::Result<()> {
        options
            .group(async |g| {
                g.spawn(sleep(secs(1))).await?;
                g.cancel();
                sleep(secs(1)).await;
                Ok(())
            })
            .await?;
        Ok(())
    }
    sim(SEEDS, || async {
        let error = caller(Options::new(), true).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let whole = error.downcast::<GroupError<io::Error>>().unwrap();
        assert_eq!(whole.failures().len(), 1);
        assert_eq!(whole.cleanup_failures().len(), 1);

        let error = caller(Options::new(), false).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Other); // not released

        let error = cancelled(Options::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Other); // nothing that one tries again at once
        let late = Options::new().deadline(Instant::now() + secs(1) / 2);
        let error = cancelled(late).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn a_group_error_passes_the_question_mark() {
    async fn fails() -> Result<(), GroupError<Oops>> {
        group(async |g| {
            g.spawn(async { Err::<(), _>(Oops("a")) });
            done()
        })
        .await
    }
    async fn into_anyhow() -> anyhow::Result<()> {
        fails().await?;
        Ok(())
    }
    async fn into_boxed() -> Result<(), Box<dyn Error + Send + Sync>> {
        fails().await?;
        Ok(())
    }
    async fn timed_out() -> anyhow::Result<()> {
        Ok(timeout(secs(1), std::future::pending()).await?)
    }
    sim(SEEDS, || async {
        let error = into_anyhow().await.unwrap_err();
        let inner = error.downcast::<GroupError<Oops>>().unwrap();
        assert_eq!(inner.first(), Some(&Oops("a")));
        let error = into_boxed().await.unwrap_err();
        assert!(error.downcast_ref::<GroupError<Oops>>().is_some());
        assert!(timed_out().await.unwrap_err().is::<TimedOut>());
    });
}

/// A child spawns its own kind without a box.
#[test]
fn a_function_spawns_itself() {
    // An `async fn` would not say that its future is `Send`, and could not spawn itself.
    #[allow(clippy::manual_async_fn)]
    fn visit(
        g: TaskGroup<'static, Oops>,
        n: u32,
        ledger: Ledger,
    ) -> impl Future<Output = ()> + Send {
        async move {
            ledger.note(format!("visit {n}"));
            for child in [2 * n, 2 * n + 1] {
                if child < 16 {
                    g.spawn(visit(g.clone(), child, ledger.clone()));
                }
            }
            sleep(secs(1)).await;
        }
    }
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.spawn(visit(g.clone(), 1, ledger.clone()));
            done()
        })
        .await;
        outcome.unwrap();
        for n in 1..16 {
            assert_eq!(ledger.count(&format!("visit {n}")), 1);
        }
        assert_eq!(ledger.now(), 1000);
    });
}

#[test]
fn a_child_may_be_any_of_the_three_kinds() {
    sim(SEEDS, || async {
        let outcome = group(async |g| {
            let unit: JoinHandle<()> = g.spawn(async {});
            let value: JoinHandle<u8> = g.spawn(async { ok(1) });
            let never: JoinHandle<Infallible> = g.spawn(async {
                loop {
                    sleep(secs(1)).await;
                }
            });
            unit.await.unwrap();
            never.cancel();
            assert!(never.await.unwrap_err().is_cancelled());
            ok(value.await.unwrap())
        })
        .await;
        assert_eq!(outcome.unwrap(), 1);
    });
}

/// The output of a daemon needs no type of its own.
#[test]
fn a_daemon_that_loops_for_ever_type_checks() {
    fn checked(g: &TaskGroup<'static, Oops>) {
        g.spawn_daemon(async {
            loop {
                sleep(secs(1)).await;
            }
        });
    }
    let _: fn(&TaskGroup<'static, Oops>) = checked;
}

#[test]
fn handles_are_send_and_sync_and_those_of_run_static() {
    fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<JoinHandle<std::cell::Cell<u8>>>();
    send_and_sync::<TaskGroup<'static, Oops>>();
    send_and_sync::<Scope<'static, std::cell::Cell<u8>>>();
    send_and_sync::<GroupError<Oops>>();
    fn printable<T: fmt::Debug + fmt::Display + Error>() {}
    printable::<GroupError<Oops>>();
    printable::<JoinError>();
    printable::<TimedOut>();

    let handle = {
        let text = String::from("borrowed");
        let mut kept = None;
        let outcome = run(async |r| {
            kept = Some(r.spawn(async { assert_eq!(text, "borrowed") }));
            done()
        });
        outcome.unwrap();
        kept.unwrap()
    };
    assert!(assert_static::<JoinHandle<()>>(handle).is_finished());
}
