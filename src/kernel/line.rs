//! A spawner that stands in line for a place under a limit, before it hands over its future.
//!
//! Invariants
//! 1. Once it has been pending, the wait is a leaf of the tree (`watch`), where the spawner waits. If it is
//!    forgotten, the leaf is orphaned at the latest when the code around has ended, and who settles it
//!    leaves the line. So a forgotten spawner holds nobody up for longer than the code that forgot it.
//! 2. Who leaves the line after a place was granted hands it on. A ticket is settled once: by the
//!    spawner that uses its place or leaves, or by who settles the leaf.
//! 3. The leaf refers to the group, and the group may list the leaf: the drop of the wait, or who settles the
//!    leaf, breaks this circle.

use std::{
    future::Future,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{ledger::Ticket, node::Node, watch::Leaf};

/// A stand in the line of a group.
#[derive(Clone)]
pub(super) struct Stand {
    group: Arc<Node>,
    ticket: Arc<Ticket>,
}

impl Stand {
    /// A place that had been granted goes to the next.
    pub(super) fn leave(&self) {
        match self.ticket.settle() {
            true => self.group.hand_on(),
            false => self.group.left_the_line(),
        }
    }
}

/// Ready once the spawner has its turn: true if a place is its own.
pub(crate) struct Line {
    location: &'static Location<'static>,
    /// None in a group that is closed, and after the end.
    stand: Option<Stand>,
    leaf: Option<Leaf>,
}

impl Line {
    pub(crate) fn new(group: &Arc<Node>, location: &'static Location<'static>) -> Self {
        let stand = group.line_up().ok().map(|ticket| Stand {
            group: group.clone(),
            ticket,
        });
        Line {
            location,
            stand,
            leaf: None,
        }
    }
}

impl Future for Line {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let this = &mut *self;
        let Some(stand) = &this.stand else {
            return Poll::Ready(false);
        };
        if !stand.ticket.is_called_or_park(cx.waker()) {
            this.leaf
                .get_or_insert_with(|| Leaf::new(this.location, Some(stand.clone())));
            return Poll::Pending;
        }
        // The place is the caller's from here on.
        let has_place = stand.ticket.settle();
        (this.stand, this.leaf) = (None, None);
        Poll::Ready(has_place)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(stand) = &self.stand {
            stand.leave();
        }
    }
}
