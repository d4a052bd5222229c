//! The lanes of a boundary.

use std::collections::BTreeSet;

/// Lane 0 is the body's. Of the others the lowest that is free is given away, so that what is seen is as
/// high as there were children at one time.
#[derive(Default)]
pub(super) struct Lanes {
    /// How many were ever in use.
    count: u32,
    free: BTreeSet<u32>,
    /// The boundary has ended.
    closed: bool,
}

impl Lanes {
    pub(super) fn take(&mut self) -> u32 {
        self.free.pop_first().unwrap_or_else(|| {
            self.count += 1;
            self.count
        })
    }

    pub(super) fn give_back(&mut self, lane: u32) {
        self.free.insert(lane);
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Nobody will use them any more; but for a child that is spawned into a group that has ended.
    pub(super) fn are_done(&self) -> bool {
        self.closed && self.free.len() == self.count as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_lane_is_given_away() {
        let mut lanes = Lanes::default();
        assert_eq!([(); 3].map(|()| lanes.take()), [1, 2, 3]);
        lanes.give_back(2);
        lanes.give_back(1);
        assert_eq!([(); 3].map(|()| lanes.take()), [1, 2, 4]);
    }

    #[test]
    fn lanes_are_done_when_the_boundary_and_its_last_child_have_ended() {
        let mut lanes = Lanes::default();
        let lane = lanes.take();
        lanes.close();
        assert!(!lanes.are_done());
        lanes.give_back(lane);
        assert!(lanes.are_done());
    }
}
