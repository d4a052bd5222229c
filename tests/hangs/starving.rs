//! Scopes that are woken and not polled are reported; those that wait for nothing are not.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Mutex,
        mpsc::{Receiver, channel},
    },
    task::{Poll, Waker},
    time::Duration,
};

use headcount::{
    Options,
    sync::Event,
    watchdog::{Starvation, watch_starvation},
};

use super::{Dog, SOON, block, workers::on_workers};

/// The watchdogs of other tests see the scopes of this one: each looks for its own.
fn watch(prefix: &'static str) -> (Dog, Receiver<Starvation>) {
    let (tell, heard) = channel();
    let watchdog = watch_starvation(SOON, move |starved| {
        if starved.name().is_some_and(|name| name.starts_with(prefix)) {
            _ = tell.send(starved.clone());
        }
    });
    (Dog(Some(watchdog)), heard)
}

/// A scope with that name, and a child that waits for `ready`.
#[track_caller]
fn waiting_for(
    name: &'static str,
    ready: &Event,
) -> impl Future<Output = Result<(), headcount::GroupError<Infallible>>> {
    Options::new().name(name).scope(async |s| {
        s.spawn_named("child", async { ready.wait().await });
        Ok(())
    })
}

async fn poll_once<F: Future>(mut fut: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(fut.as_mut().poll(cx))).await
}

fn block_on<F: Future>(fut: F) -> F::Output {
    async_std::task::block_on(fut)
}

/// As with an arm of a `select!` that is not polled while the other has its turn.
#[test]
fn a_scope_that_is_woken_and_forgotten_is_reported_by_name_and_place() {
    let (_watchdog, heard) = watch("forgotten");
    block_on(async {
        let ready = Event::new();
        let opened = line!() + 1;
        let mut work = pin!(waiting_for("forgotten", &ready));
        assert!(poll_once(work.as_mut()).await.is_pending());
        ready.set();
        let starved = block(&heard);
        assert_eq!(starved.children(), 1);
        assert_eq!(starved.child_name(), Some("child"));
        assert!(starved.child_location().file().ends_with("starving.rs"));
        assert!(starved.duration() >= SOON);
        assert_eq!(starved.location().line(), opened);
        let text = starved.to_string();
        let begin = "the scope `forgotten` opened at tests/hangs/starving.rs:";
        assert!(text.starts_with(begin), "{text}");
        let child = " is not polled: task `child` (tests/hangs/starving.rs:";
        assert!(text.contains(child), "{text}");
        work.await.unwrap();
    });
}

/// The second is reported, which takes as long as the first would have needed.
#[test]
fn a_scope_that_nothing_has_woken_is_not_starved_however_long_it_waits() {
    let (watchdog, heard) = watch("of two");
    block_on(async {
        let (never, ready) = (Event::new(), Event::new());
        let mut parked = pin!(waiting_for("of two, parked", &never));
        let mut woken = pin!(waiting_for("of two, woken", &ready));
        assert!(poll_once(parked.as_mut()).await.is_pending());
        assert!(poll_once(woken.as_mut()).await.is_pending());
        ready.set();
        assert_eq!(block(&heard).name(), Some("of two, woken"));
        drop(watchdog);
        assert_eq!(heard.iter().count(), 0, "the other, or the same again");
    });
}

#[test]
fn a_scope_that_has_returned_or_was_dropped_is_not_starved() {
    let (watchdog, heard) = watch("gone");
    block_on(async {
        let (ended, dropped, ready) = (Event::new(), Event::new(), Event::new());
        let mut returned = pin!(waiting_for("gone, returned", &ended));
        let mut boxed = Box::pin(waiting_for("gone, dropped", &dropped));
        let mut woken = pin!(waiting_for("gone, but not quite", &ready));
        assert!(poll_once(boxed.as_mut()).await.is_pending());
        drop(boxed);
        dropped.set();
        ended.set();
        returned.as_mut().await.unwrap();
        assert!(poll_once(woken.as_mut()).await.is_pending());
        ready.set();
        assert_eq!(block(&heard).name(), Some("gone, but not quite"));
        drop(watchdog);
        assert_eq!(heard.iter().count(), 0);
    });
}

#[test]
fn a_scope_is_watched_in_the_second_watch_as_in_the_first() {
    block_on(async {
        for _ in 0..2 {
            let (_watchdog, heard) = watch("again");
            let ready = Event::new();
            let mut work = pin!(waiting_for("again", &ready));
            assert!(poll_once(work.as_mut()).await.is_pending());
            ready.set();
            block(&heard);
            work.await.unwrap();
        }
    });
}

/// In processes of its own, where no other test watches.
#[test]
fn a_scope_that_outlives_a_watch_costs_what_it_did_and_is_seen_by_the_next() {
    let name = "starving::a_scope_that_outlives_a_watch_costs_what_it_did_and_is_seen_by_the_next";
    on_workers(name, || {
        let last = Mutex::new(Waker::noop().clone());
        let mut scope = pin!(Options::new().name("long").scope(async |s| {
            let restless = poll_fn(|cx| {
                *last.lock().unwrap() = cx.waker().clone();
                Poll::<()>::Pending
            });
            s.spawn_named("child", restless);
            Ok::<_, Infallible>(())
        }));
        // With which waker the child is polled next.
        let mut next = || {
            last.lock().unwrap().wake_by_ref();
            assert!(block_on(poll_once(scope.as_mut())).is_pending());
            last.lock().unwrap().clone()
        };
        let bare = next();
        let (watchdog, _heard) = watch("long");
        let noting = next();
        assert!(!noting.will_wake(&bare));
        assert!(next().will_wake(&noting), "nobody has to take it anew");
        drop(watchdog);
        assert!(next().will_wake(&bare), "nobody watches");
        let (_watchdog, heard) = watch("long");
        next().wake();
        assert_eq!(block(&heard).child_name(), Some("child"));
    });
}

#[test]
#[should_panic(expected = "would report every scope")]
fn a_threshold_of_zero_is_refused() {
    drop(watch_starvation(Duration::ZERO, |_| ()));
}
