//! The children of a node: letting them in, and counting them out. The rules are in `ledger`.

use std::sync::Arc;

use super::{
    atomic::MutexGuard,
    chunk::Group,
    claims::CellRef,
    info::Info,
    ledger::{Ask, Granted, Refused, Ticket},
    node::{Inside, Node},
    roster::Roster,
};

/// A child that was let in.
pub(super) struct Admitted {
    pub(super) child: CellRef,
    pub(super) handle: CellRef,
    /// It has to wait for its place under the limit.
    pub(super) queued: bool,
}

impl Node {
    /// Asks for a place for a child; see `ledger`. A new chunk gets the group.
    #[inline]
    pub(super) fn admit(
        self: &Arc<Self>,
        ask: Ask,
        info: Info,
        group: impl FnOnce() -> Group,
    ) -> Result<Admitted, (Refused, Info)> {
        let mut inside = self.inside.lock();
        let queued = match self.is_plainly_open() && !self.limited {
            true => false,
            false => match self.ask(&mut inside, ask) {
                Ok(admitted) => !admitted,
                Err(refused) => {
                    refuse(inside, ask);
                    return Err((refused, info));
                }
            },
        };
        Ok(match inside.ledger.roster.is_open() {
            true => self.let_in(inside, ask, info, queued),
            false => self.let_in_first(inside, ask, info, queued, group()),
        })
    }

    /// True if the child may be polled at once.
    #[cold]
    fn ask(&self, inside: &mut Inside, ask: Ask) -> Result<bool, Refused> {
        match self.is_cancelled() {
            true => Err(Refused::Closed),
            false => inside.ledger.ask(ask),
        }
    }

    /// The first child of a chunk.
    #[cold]
    fn let_in_first(
        &self,
        mut inside: MutexGuard<'_, Inside>,
        ask: Ask,
        info: Info,
        queued: bool,
        group: Group,
    ) -> Admitted {
        inside.ledger.roster.open_chunk(group);
        self.let_in(inside, ask, info, queued)
    }

    #[inline(always)]
    fn let_in(
        &self,
        mut inside: MutexGuard<'_, Inside>,
        ask: Ask,
        info: Info,
        queued: bool,
    ) -> Admitted {
        let daemon = ask == Ask::Daemon;
        let (child, handle) = inside.ledger.roster.take_cell(info, daemon);
        inside.ledger.enter(&self.count, daemon);
        if self.limited {
            inside.ledger.stand_in_line(&child, !queued);
        }
        if daemon && self.count.is_left_to_daemons() {
            child.dismiss();
        }
        Admitted {
            child,
            handle,
            queued,
        }
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

    /// A spawner gave up before it was granted one.
    pub(super) fn left_the_line(&self) {
        let granted = self.inside.lock().ledger.left_the_line();
        granted.tell();
    }

    /// A child has ended and published its end: gives up its place, and counts it out last.
    #[inline]
    pub(super) fn child_left(self: &Arc<Self>, cell: &CellRef, daemon: bool) {
        if self.limited {
            self.vacate(cell);
        }
        if self.count.leave(daemon) {
            self.something_left();
        }
    }

    #[cold]
    fn vacate(&self, cell: &CellRef) {
        let granted = self.inside.lock().ledger.vacate(cell);
        granted.tell();
    }

    /// A child is destroyed while its closure runs on: the closure takes its place in the count,
    /// until `closure_left`. The child still counts, so the group is open.
    pub(super) fn closure_stays(&self) {
        let mut inside = self.inside.lock();
        inside.ledger.watch_peak(&self.count);
        self.count.enter(false);
    }

    pub(super) fn closure_left(self: &Arc<Self>) {
        if self.count.leave(false) {
            self.something_left();
        }
    }

    /// Waits for the children; once only daemons are left, these are asked to end.
    pub(super) fn wait_for_children(&self) {
        let chunks = {
            let mut inside = self.inside.lock();
            inside.ledger.settle_peak(&self.count);
            inside.ledger.wait(&self.count)
        };
        chunks
            .iter()
            .flatten()
            .for_each(|chunk| chunk.cancel_daemons());
    }

    /// Children ever spawned, living now, and the most that lived at once.
    pub(crate) fn stats(&self) -> (u64, usize, usize) {
        self.inside.lock().ledger.totals(&self.count)
    }

    /// Gives access to the list of cells; see `roster`.
    pub(super) fn with_roster<T>(&self, change: impl FnOnce(&mut Roster) -> T) -> T {
        change(&mut self.inside.lock().ledger.roster)
    }
}

/// Nobody is let in: a place that had been granted goes to the next in line.
#[cold]
fn refuse(mut inside: MutexGuard<'_, Inside>, ask: Ask) {
    let granted = match ask {
        Ask::Granted => inside.ledger.hand_on(),
        _ => Granted::default(),
    };
    drop(inside);
    granted.tell();
}
