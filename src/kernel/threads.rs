//! What each thread polls now, and what has happened on it: for looks at the tree, and for the
//! counters of the process.
//!
//! Invariants
//! 1. A thread has a desk, and only this thread writes there: a number goes up by a load and a store.
//! 2. Desks are never freed, but handed on to the next thread when theirs ends; so there are as many
//!    as threads have lived at one time, and their counters go on.
//! 3. All is `Relaxed`: nothing is read because of what stands on a desk. The address of a cell there
//!    is compared and never followed.

#[cfg(not(any(loom, shuttle)))]
pub(crate) use self::desks::{Running, count, running, saw_peak, totals};
#[cfg(any(loom, shuttle))]
pub(crate) use self::none::{Running, count, running, saw_peak, totals};

/// What is counted.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Event {
    Completed = 0,
    Cancelled = 1,
    Failed = 2,
    Panicked = 3,
    Spawned = 4,
    Opened = 5,
    Finalized = 6,
    Adopted = 7,
}

impl From<super::roster::End> for Event {
    #[inline]
    fn from(end: super::roster::End) -> Self {
        match end {
            super::roster::End::Value => Event::Completed,
            super::roster::End::Cancelled => Event::Cancelled,
            super::roster::End::Failed => Event::Failed,
            super::roster::End::Panicked => Event::Panicked,
        }
    }
}

const EVENTS: usize = 8;

#[cfg(not(any(loom, shuttle)))]
mod desks {
    use std::{
        cell::Cell as Local,
        ptr::NonNull,
        sync::{
            Mutex, PoisonError,
            atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        },
    };

    use super::{EVENTS, Event};
    use crate::kernel::cell::Cell;

    /// On cache lines of its own.
    #[derive(Default)]
    #[repr(align(128))]
    struct Desk {
        /// The address of the cell of the child that is polled, or 0.
        polling: AtomicUsize,
        counts: [AtomicU64; EVENTS],
    }

    struct Desks {
        all: Vec<&'static Desk>,
        free: Vec<&'static Desk>,
    }

    static DESKS: Mutex<Desks> = Mutex::new(Desks {
        all: Vec::new(),
        free: Vec::new(),
    });
    /// The most children that one group had at a time.
    static PEAK: AtomicUsize = AtomicUsize::new(0);

    thread_local! {
        static DESK: Local<Option<&'static Desk>> = const { Local::new(None) };
        static OWNER: Owner = const { Owner };
    }

    /// Gives the desk back when the thread ends.
    struct Owner;

    impl Drop for Owner {
        fn drop(&mut self) {
            if let Some(desk) = DESK.take() {
                let mut desks = DESKS.lock().unwrap_or_else(PoisonError::into_inner);
                desks.free.push(desk);
            }
        }
    }

    #[inline]
    fn desk() -> Option<&'static Desk> {
        DESK.get().or_else(take_desk)
    }

    /// None while the locals of the thread are torn down.
    #[cold]
    fn take_desk() -> Option<&'static Desk> {
        OWNER.try_with(|_| ()).ok()?;
        let mut desks = DESKS.lock().unwrap_or_else(PoisonError::into_inner);
        let free = desks.free.pop();
        let desk = free.unwrap_or_else(|| {
            let desk: &'static Desk = Box::leak(Box::default());
            desks.all.push(desk);
            desk
        });
        DESK.set(Some(desk));
        Some(desk)
    }

    /// A poll of a child, until it is dropped. Polls nest.
    pub(crate) struct Running {
        desk: Option<&'static Desk>,
        before: usize,
    }

    impl Running {
        #[inline]
        pub(crate) fn begin(cell: &Cell) -> Self {
            let desk = desk();
            let before = desk.map_or(0, |desk| {
                let before = desk.polling.load(Relaxed);
                desk.polling
                    .store(NonNull::from(cell).addr().get(), Relaxed);
                before
            });
            Running { desk, before }
        }
    }

    impl Drop for Running {
        #[inline]
        fn drop(&mut self) {
            if let Some(desk) = self.desk {
                desk.polling.store(self.before, Relaxed);
            }
        }
    }

    /// The cells of the children that are polled now: of those that nest, the innermost.
    pub(crate) fn running() -> Vec<usize> {
        let desks = DESKS.lock().unwrap_or_else(PoisonError::into_inner);
        let polling = desks.all.iter().map(|desk| desk.polling.load(Relaxed));
        polling.filter(|&cell| cell != 0).collect()
    }

    #[inline]
    pub(crate) fn count(event: Event) {
        if let Some(desk) = desk() {
            let count = &desk.counts[event as usize];
            count.store(count.load(Relaxed) + 1, Relaxed);
        }
    }

    /// A group has had so many children at a time.
    #[inline]
    pub(crate) fn saw_peak(living: usize) {
        if living > PEAK.load(Relaxed) {
            PEAK.fetch_max(living, Relaxed);
        }
    }

    /// What was counted in all, and the peak.
    pub(crate) fn totals() -> ([u64; EVENTS], usize) {
        let desks = DESKS.lock().unwrap_or_else(PoisonError::into_inner);
        let mut totals = [0; EVENTS];
        for desk in &desks.all {
            for (total, count) in totals.iter_mut().zip(&desk.counts) {
                *total += count.load(Relaxed);
            }
        }
        (totals, PEAK.load(Relaxed))
    }
}

/// In models: the words of the desks would only make them larger.
#[cfg(any(loom, shuttle))]
mod none {
    pub(crate) struct Running;

    impl Running {
        pub(crate) fn begin(_: &crate::kernel::cell::Cell) -> Self {
            Running
        }
    }

    pub(crate) fn running() -> Vec<usize> {
        Vec::new()
    }

    pub(crate) fn count(_: super::Event) {}

    pub(crate) fn saw_peak(_: usize) {}

    pub(crate) fn totals() -> ([u64; super::EVENTS], usize) {
        ([0; super::EVENTS], 0)
    }
}
