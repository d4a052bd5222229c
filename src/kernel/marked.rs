//! Whether a boundary of this process has ever had a span: until then nobody looks for one.
//!
//! It never becomes false again. `Relaxed`, since nothing is read on the strength of it but marks, which have a
//! lock of their own: whoever knows that a boundary was opened knows this too, and to whoever does not, its
//! opening comes later.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static EVER: AtomicBool = AtomicBool::new(false);

/// To be called before a boundary has its span.
pub(crate) fn note() {
    EVER.store(true, Relaxed);
}

#[inline]
pub(crate) fn ever() -> bool {
    EVER.load(Relaxed)
}
