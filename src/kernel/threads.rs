//! What has happened on each thread, in numbers: the counters of the process.
//!
//! Invariants
//! 1. A thread has a desk, and only this thread writes there: a number goes up by a load and a store.
//! 2. Desks are never freed, but handed on to the next thread when theirs ends; so there are as many
//!    as threads have lived at one time, and their counters go on.
//! 3. All is `Relaxed`: nothing follows from what stands on a desk.

#[cfg(not(any(loom, shuttle)))]
pub(crate) use self::desks::{count, saw_peak, totals};
#[cfg(any(loom, shuttle))]
pub(crate) use self::none::{count, saw_peak, totals};

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

impl From<super::cell::End> for Event {
    #[inline]
    fn from(end: super::cell::End) -> Self {
        match end {
            super::cell::End::Value => Event::Completed,
            super::cell::End::Cancelled => Event::Cancelled,
            super::cell::End::Failed => Event::Failed,
            super::cell::End::Panicked => Event::Panicked,
        }
    }
}

const EVENTS: usize = 8;

#[cfg(not(any(loom, shuttle)))]
mod desks {
    use std::{
        cell::Cell as Local,
        sync::{
            Mutex, PoisonError,
            atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        },
    };

    use super::{EVENTS, Event};

    /// On cache lines of its own.
    #[derive(Default)]
    #[repr(align(128))]
    struct Desk {
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

    #[inline]
    pub(crate) fn count(event: Event) {
        if let Some(desk) = desk() {
            let count = &desk.counts[event as usize];
            count.store(count.load(Relaxed) + 1, Relaxed);
        }
    }

    /// A group has had so many children at a time.
    pub(crate) fn saw_peak(living: usize) {
        PEAK.fetch_max(living, Relaxed);
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

    #[cfg(test)]
    mod tests {
        use std::thread;

        use super::*;

        #[test]
        fn a_desk_is_handed_on_when_its_thread_ends() {
            const THREADS: usize = 200;
            let desks = || DESKS.lock().unwrap().all.len();
            let before = desks();
            for _ in 0..THREADS {
                thread::spawn(|| count(Event::Opened)).join().unwrap();
            }
            // Other tests have a few threads meanwhile.
            assert!(desks() < before + THREADS, "{before}, {}", desks());
        }
    }
}

/// In models: the words of the desks would only make them larger.
#[cfg(any(loom, shuttle))]
mod none {
    pub(crate) fn count(_: super::Event) {}

    pub(crate) fn saw_peak(_: usize) {}

    pub(crate) fn totals() -> ([u64; super::EVENTS], usize) {
        ([0; super::EVENTS], 0)
    }
}
