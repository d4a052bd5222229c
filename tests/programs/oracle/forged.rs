//! The oracle itself: to each check, a ledger that was doctored so that it must complain.
