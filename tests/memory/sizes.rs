//! What takes a future, or a closure that captures much, keeps it once: twice each would grow with the power
//! of the depth.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    hint::black_box,
    mem::size_of_val,
    sync::atomic::{AtomicIsize, Ordering},
    time::Duration,
};

use futures_util::{StreamExt, future::join_all};
use headcount::{
    Boundary, CancelScope, Restart, Supervisor, as_completed, bracket, checkpoint, defer, gather,
    gather_settled, group, map_concurrent, move_on_after, race, race_ok, run, scope, shield,
    supervise, testing::Sim, timeout, unblock,
};

use crate::live;

const LARGE: usize = 20_000;

/// How many bytes lived when a large future was last polled.
static POLLED: AtomicIsize = AtomicIsize::new(0);

type Done = Result<(), Infallible>;

async fn large() -> Done {
    let held = [1_u8; LARGE];
    POLLED.store(live(), Ordering::Relaxed);
    checkpoint().await;
    black_box(&held);
    Ok(())
}

fn assert_once(what: &str, bytes: impl TryInto<usize, Error: fmt::Debug>) {
    let bytes = bytes.try_into().unwrap();
    let once = LARGE..LARGE + LARGE / 2;
    assert!(once.contains(&bytes), "{what}: {bytes} bytes");
}

#[test]
fn what_is_made_of_a_future_is_as_large_as_that_one() {
    let no_time = Duration::ZERO;
    for (what, bytes) in [
        ("timeout", size_of_val(&timeout(no_time, large()))),
        (
            "move_on_after",
            size_of_val(&move_on_after(no_time, large())),
        ),
        ("shield", size_of_val(&shield(large()))),
        ("enter", size_of_val(&CancelScope::new().enter(large()))),
        (
            "acquire",
            size_of_val(&bracket(large(), async |_| Ok(()), async |()| {})),
        ),
        (
            "use",
            size_of_val(&bracket(
                async { Ok(()) },
                async |_| large().await,
                async |()| {},
            )),
        ),
        ("group", size_of_val(&group(async |_| large().await))),
        ("scope", size_of_val(&scope(async |_| large().await))),
        (
            "supervise",
            size_of_val(&supervise(async |_| large().await)),
        ),
        (
            "five shields",
            size_of_val(&shield(shield(shield(shield(shield(large())))))),
        ),
    ] {
        assert_once(what, bytes);
    }
    run(async |g| {
        assert_once("spawn_when_free", size_of_val(&g.spawn_when_free(large())));
        let here = Boundary::current().unwrap();
        assert_once("wrap", size_of_val(&here.wrap(large())));
        Done::Ok(())
    })
    .unwrap();
}

#[test]
fn what_is_made_of_a_closure_is_as_large_as_what_that_captures() {
    let held = [1_u8; LARGE];
    let body = move || async move {
        checkpoint().await;
        black_box(&held);
        Done::Ok(())
    };
    for (what, bytes) in [
        ("group", size_of_val(&group(move |_| body()))),
        ("scope", size_of_val(&scope(move |_| body()))),
        (
            "supervise",
            size_of_val(&supervise(move |_: Supervisor<Infallible>| body())),
        ),
        ("unblock", size_of_val(&unblock(move || black_box(held)[0]))),
        (
            "close",
            LARGE + size_of_val(&defer(held, async |_| {}).close()),
        ),
    ] {
        assert_once(what, bytes);
    }
    run(async |g| {
        let start = g.start(async move |started| {
            started.send(());
            checkpoint().await;
            Ok(_ = black_box(&held))
        });
        assert_once("start", size_of_val(&start));
        Done::Ok(())
    })
    .unwrap();
}

/// What lives while a large future is polled, beyond what lived before.
fn kept(program: impl Future<Output = ()> + Send + 'static) -> isize {
    let before = live();
    Sim::new(0).run(program);
    POLLED.load(Ordering::Relaxed) - before
}

#[test]
fn a_child_is_kept_once_however_it_is_started() {
    super::on_workers("sizes::a_child_is_kept_once_however_it_is_started", || {
        let plain = async || large().await.unwrap();
        // What comes once for all is here before.
        kept(async move { _ = race([plain()]).await });
        assert_once("race", kept(async move { _ = race([plain()]).await }));
        assert_once("race_ok", kept(async { _ = race_ok([large()]).await }));
        assert_once("gather", kept(async { _ = gather([large()]).await }));
        let settled = async { _ = gather_settled([large()]).await };
        assert_once("gather_settled", kept(settled));
        let completed = async { _ = as_completed([large()]).collect::<Vec<_>>().await };
        assert_once("as_completed", kept(completed));
        let mapped = async {
            _ = map_concurrent([()], 1, |()| large())
                .collect::<Vec<_>>()
                .await
        };
        assert_once("map_concurrent", kept(mapped));
        let restarted = async {
            Restart::transient()
                .child("large", large)
                .run()
                .await
                .unwrap()
        };
        assert_once("restart", kept(restarted));
        let spawned = group(async |g| {
            let children = [g.spawn(large())];
            join_all(children).await;
            Done::Ok(())
        });
        assert_once("spawn", kept(async { spawned.await.unwrap() }));
        let inline = scope(async |s| {
            s.spawn(large());
            Done::Ok(())
        });
        assert_once("scope", kept(async { inline.await.unwrap() }));
        let produced = group(async |g| {
            g.spawn_stream::<(), _, _, _>(1, |_| large()).count().await;
            Done::Ok(())
        });
        assert_once("spawn_stream", kept(async { produced.await.unwrap() }));
    });
}
