//! Does the engine see the kernel's locks and atomics, and does it find what it is there for? A bug
//! of the kind that matters most, a check before the registration and none after it, is planted in
//! an event that is built on the kernel's own names for locks and atomics.

#[path = "../../src/kernel/atomic.rs"]
#[allow(dead_code, unused_imports)]
mod atomic;

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::{Poll, Waker},
};

use headcount::group;

use self::atomic::{AtomicU32, Lock, Ordering};
use crate::engine::{Choice, block_on, find};

#[derive(Default)]
struct Event {
    set: AtomicU32,
    waiters: Lock<Vec<Waker>>,
    looks_again: bool,
}

impl Event {
    fn set(&self) {
        self.set.store(1, Ordering::SeqCst);
        let waiters = std::mem::take(&mut *self.waiters.lock());
        waiters.into_iter().for_each(Waker::wake);
    }

    fn is_set(&self) -> bool {
        self.set.load(Ordering::SeqCst) != 0
    }

    fn wait(&self) -> impl Future<Output = ()> {
        poll_fn(|cx| {
            if self.is_set() {
                return Poll::Ready(());
            }
            self.waiters.lock().push(cx.waker().clone());
            // Without this, a `set` that comes between the look and the registration wakes nobody.
            match self.looks_again && self.is_set() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
    }
}

/// One child waits for an event that another sets.
fn program(looks_again: bool) -> impl Fn() + Send + Sync {
    move || {
        let event = Arc::new(Event {
            looks_again,
            ..Event::default()
        });
        let result = block_on(group(async |g| {
            let (waits, sets) = (event.clone(), event.clone());
            g.spawn(async move { waits.wait().await });
            g.spawn(async move { sets.set() });
            Ok::<_, u32>(())
        }));
        result.expect("nobody fails");
    }
}

const CHOICES: [Choice; 3] = [Choice::Random(2_000), Choice::Pct(2_000), Choice::All(1)];

#[test]
fn every_way_to_explore_finds_a_check_without_a_second_look() {
    for choice in CHOICES {
        let found = find(choice, program(false));
        let found = found.unwrap_or_else(|| panic!("{choice:?} missed it"));
        assert!(found.starts_with("deadlock!"), "{choice:?} found {found}");
    }
}

#[test]
fn with_a_second_look_there_is_nothing_to_find() {
    for choice in CHOICES {
        assert_eq!(find(choice, program(true)), None, "{choice:?}");
    }
}
