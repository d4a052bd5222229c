//! How many children each open boundary has: what the watchdog looks at that watches groups grow
//! (feature `watchdog`). Children themselves are not looked at, unless they have something below.

use std::sync::Arc;

use super::{node::Node, roots};

/// Shows each boundary that ever had a child, the children that live there, and all there have been.
pub(crate) fn look(mut f: impl FnMut(&Arc<Node>, usize, u64)) {
    let mut work = roots::all();
    while let Some(node) = work.pop() {
        // One lock at a time, as for the tree.
        let (spawned, living, _) = {
            let mut inside = node.inside.lock();
            work.extend(inside.subs.iter().map(|(_, sub)| sub.clone()));
            inside.ledger.totals(&node.count)
        };
        if spawned > 0 {
            f(&node, living, spawned);
        }
    }
}
