//! The opener of a boundary, its end as an orphan, and deep chains of them.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    task::Wake,
    thread,
};

use super::*;
use crate::kernel::adoption::orphan;

fn node(parent: Option<Arc<Node>>) -> Arc<Node> {
    let node = Node::new(Kind::Group, Location::caller(), Plan::default());
    node.settle_at(parent, Runtime::default_runtime());
    node
}

#[derive(Default)]
struct Calls(AtomicUsize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn an_opener_is_woken_by_the_waker_of_its_last_poll_alone() {
    let node = node(None);
    let calls = [(); 2].map(|()| Arc::new(Calls::default()));
    for calls in &calls {
        node.register(&Waker::from(calls.clone()));
    }
    node.wake_opener();
    assert_eq!(calls.map(|calls| calls.0.load(SeqCst)), [0, 1]);
}

/// What a poll of it opens meanwhile would be lost.
#[test]
fn an_orphan_that_is_being_polled_ends_after_that_poll() {
    let parent = node(None);
    let node = node(Some(parent.clone()));
    node.link();
    _ = node.poll_begins();
    orphan(node.clone());
    assert!(!node.has_ended());
    node.poll_ends();
    assert!(node.has_ended());
    assert!(parent.inside.lock().subs.is_empty());
}

fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    // It holds a few hundred calls.
    let small = thread::Builder::new().stack_size(128 * 1024);
    small.spawn(run).unwrap().join().unwrap();
}

#[test]
fn a_chain_of_parents_is_freed_on_a_small_stack() {
    on_a_small_stack(|| {
        let mut last = None;
        for _ in 0..10_000 {
            last = Some(node(last));
        }
    });
}

#[test]
fn a_chain_of_orphans_is_settled_on_a_small_stack() {
    on_a_small_stack(|| {
        let above = node(None);
        let first = node(Some(above.clone()));
        first.link();
        let mut last = first.clone();
        for _ in 0..2_000 {
            last = node(Some(last));
            last.link();
        }
        last.closure_stays();
        orphan(first.clone());
        assert!(!first.has_ended(), "somebody lives below");
        last.closure_left();
        assert!(first.has_ended());
        assert!(above.inside.lock().subs.is_empty());
    });
}
