//! The wakers of a scope's children against its opener, which polls, parks and goes.
//!
//! Tasks, invariants 1, 3 and 5: a task that is woken comes to the inbox once, and the opener finds it
//! there or is woken; and its memory goes once, with the last that refers to it.

use std::{
    future::{pending, poll_fn},
    pin::pin,
    task::Poll,
};

use super::{Event, Trace, begin, bound, check, join, thread};
use crate::{runtime::models::Task, scope};

#[test]
fn a_child_that_another_thread_wakes_is_polled_again() {
    check(bound(3, 4), || {
        let event = Event::default();
        let wait = event.clone().wait();
        let opener = begin(Task::new(scope(async |s| {
            s.spawn(async move { wait.await });
            Ok::<_, ()>(())
        })));
        let waker = thread(move || event.set());
        opener.finish().unwrap();
        join(waker);
    });
}

/// Each of the wakers may be the one that lists the task, find it listed, or find it gone.
#[test]
fn two_threads_that_wake_a_child_list_it_once_at_a_time() {
    check(bound(2, 3), || {
        let events = [Event::default(), Event::default()];
        let [one, other] = events.clone().map(Event::wait);
        let opener = begin(Task::new(scope(async |s| {
            s.spawn(async move {
                let (mut one, mut other) = (pin!(one), pin!(other));
                poll_fn(|cx| match one.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(()),
                    Poll::Pending => other.as_mut().poll(cx),
                })
                .await;
            });
            Ok::<_, ()>(())
        })));
        let wakers = events.map(|event| thread(move || event.set()));
        opener.finish().unwrap();
        wakers.into_iter().for_each(join);
    });
}

#[test]
fn a_child_that_is_woken_as_its_scope_is_dropped_is_gone_once() {
    check(bound(3, 4), || {
        let (event, gone) = (Event::default(), Trace::new());
        let (wait, guard) = (event.clone().wait(), gone.guard());
        let opener = begin(Task::new(scope(async |s| {
            s.spawn(async move {
                let _guard = guard;
                wait.await;
            });
            pending::<Result<(), ()>>().await
        })));
        let waker = thread(move || event.set());
        drop(opener);
        assert_eq!(gone.count(), 1);
        join(waker);
    });
}
