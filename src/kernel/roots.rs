//! The boundaries that no other is around: where a look at the whole tree begins.
//!
//! Invariants
//! 1. A root is listed from the moment it is linked until it has ended. Its `slot`, which no parent
//!    needs, says where. Who links it looks for its end afterwards, and who ends it takes it out
//!    afterwards; both change words in one step, so one of the two sees the other.
//! 2. The list keeps nobody alive. A root that is freed without an end leaves an empty entry, which
//!    the next look takes out.
//! 3. The lock is a leaf: nothing else happens under it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use slab::Slab;

use super::{
    atomic::Ordering,
    node::{ENDED, Node},
};
use crate::runtime::Runtime;

// One of std in models too, where roots of several executions follow each other: nothing of the
// model happens under it.
static ROOTS: Mutex<Slab<Weak<Node>>> = Mutex::new(Slab::new());

fn list() -> MutexGuard<'static, Slab<Weak<Node>>> {
    ROOTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lists a root that has just been marked as linked.
pub(super) fn enter(node: &Arc<Node>) {
    let slot = list().insert(Arc::downgrade(node));
    node.slot.swap(slot, Ordering::AcqRel);
    if node.raise(0) & ENDED != 0 {
        leave(node);
    }
}

/// Takes out a root that has ended.
pub(super) fn leave(node: &Node) {
    let slot = node.slot.swap(usize::MAX, Ordering::AcqRel);
    if slot != usize::MAX {
        let entry = list().try_remove(slot);
        drop(entry);
    }
}

/// The roots that a runtime serves.
pub(crate) fn of(runtime: &Runtime) -> Vec<Arc<Node>> {
    let mut roots = all();
    roots.retain(|root| root.with_runtime(|own| own.is_same(runtime)));
    roots
}

pub(super) fn all() -> Vec<Arc<Node>> {
    let listed = {
        let mut list = list();
        list.retain(|_, root| root.strong_count() > 0);
        list.iter()
            .map(|(_, root)| root.clone())
            .collect::<Vec<_>>()
    };
    listed.iter().filter_map(Weak::upgrade).collect()
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::kernel::node::{Kind, Plan};

    #[test]
    fn a_look_takes_out_a_root_that_was_freed_without_an_end() {
        let node = Node::new(Kind::Group, Location::caller(), Plan::default());
        enter(&node);
        let root = Arc::downgrade(&node);
        drop(node);
        all();
        assert!(list().iter().all(|(_, listed)| !listed.ptr_eq(&root)));
    }
}
