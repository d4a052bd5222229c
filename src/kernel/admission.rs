//! The children of a node: letting them in, and counting them out. The rules are in `ledger`.

use std::sync::Arc;

use super::{
    ledger::{Ask, Granted, Refused, Ticket},
    node::Node,
    roster::{CellRef, Info, Roster},
};

impl Node {
    /// Asks for a place for a child; see `ledger`. `Ok` tells whether it has to queue.
    pub(crate) fn admit(
        self: &Arc<Self>,
        ask: Ask,
        info: Info,
    ) -> Result<(CellRef, bool), (Refused, Info)> {
        let mut inside = self.inside.lock();
        let asked = match self.is_cancelled() {
            true => Err(Refused::Closed),
            false => inside.ledger.ask(ask),
        };
        let admitted = match asked {
            Ok(admitted) => admitted,
            Err(refused) => {
                let granted = match ask {
                    Ask::Granted => inside.ledger.hand_on(),
                    _ => Granted::Nobody,
                };
                drop(inside);
                granted.tell();
                return Err((refused, info));
            }
        };
        let cell = inside.ledger.roster.take_cell(self);
        cell.introduce(info);
        inside.ledger.enter(&self.count, &cell, ask, admitted);
        Ok((cell, !admitted))
    }

    /// A place in line for a spawner that waits before it hands over its future.
    pub(crate) fn line_up(&self) -> Result<Arc<Ticket>, Refused> {
        self.inside.lock().ledger.line_up()
    }

    /// A spawner gave back a place it had been granted.
    pub(crate) fn hand_on(&self) {
        let granted = self.inside.lock().ledger.hand_on();
        granted.tell();
    }

    /// A child has ended and published its end: gives up its place, and counts it out last.
    pub(super) fn child_left(self: &Arc<Self>, cell: &CellRef) {
        if self.limited {
            let granted = self.inside.lock().ledger.vacate(cell);
            granted.tell();
        }
        cell.retire();
        if self.count.leave(cell.is_daemon()) {
            self.something_left();
        }
    }

    /// A child is destroyed while its closure runs on: the closure takes its place in the count,
    /// until `closure_left`. The child still counts, so the group is open.
    pub(super) fn closure_stays(&self) {
        let _inside = self.inside.lock();
        self.count.enter(false);
    }

    pub(super) fn closure_left(self: &Arc<Self>) {
        if self.count.leave(false) {
            self.something_left();
        }
    }

    /// Waits for the children; once only daemons are left, these are asked to end.
    pub(super) fn wait_for_children(&self) {
        if self.count.wait() {
            let chunks = self.inside.lock().ledger.roster.chunks();
            chunks.iter().for_each(|chunk| chunk.cancel_daemons());
        }
    }

    /// Children ever spawned, living now, and the most that lived at once.
    pub(crate) fn stats(&self) -> (u64, usize, usize) {
        let (spawned, peak) = self.inside.lock().ledger.totals();
        (spawned, self.count.living(), peak)
    }

    /// Gives access to the list of cells; see `roster`.
    pub(super) fn with_roster(&self, change: impl FnOnce(&mut Roster)) {
        change(&mut self.inside.lock().ledger.roster);
    }
}
