//! `std`, `loom` or `shuttle`: everything the kernel's threads share goes through these names, so
//! that the models in `kernel/tests` and the programs in `tests/shuttle` see each step.

#[cfg(loom)]
pub(crate) use loom::{
    cell::UnsafeCell,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};
#[cfg(shuttle)]
pub(crate) use shuttle::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread_local,
};
#[cfg(not(any(loom, shuttle)))]
pub(crate) use std::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread_local,
};
// Shuttle's threads switch nowhere inside it.
#[cfg(not(loom))]
pub(crate) use std::sync::OnceLock;

#[cfg(loom)]
pub(crate) use self::modelled::{Memory, OnceLock, thread_local};
#[cfg(not(loom))]
pub(crate) use self::plain::{Memory, UnsafeCell};

/// What `std` has not in the form that models need.
#[cfg(not(loom))]
mod plain {
    /// Memory that is written through a shared reference; `with` reads, `with_mut` writes.
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        #[inline]
        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        #[inline]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }

    /// Nothing; in models, see below.
    pub(crate) struct Memory;

    impl Memory {
        pub(crate) fn new() -> Self {
            Memory
        }

        #[inline]
        pub(crate) fn touch(&self) {}
    }
}

/// What `loom` has not.
#[cfg(loom)]
mod modelled {
    use loom::{
        alloc::Track,
        cell::UnsafeCell,
        sync::atomic::{AtomicBool, Ordering},
    };

    /// The threads of a model are no threads of the system, and have their own locals.
    macro_rules! modelled_local {
        (static $name:ident: $type:ty = const { $init:expr };) => {
            loom::thread_local! { static $name: $type = $init; }
        };
    }
    pub(crate) use modelled_local as thread_local;

    /// Tells a model when the memory around it is leaked, or freed while another thread may still
    /// touch it.
    pub(crate) struct Memory {
        _leak: Track<()>,
        touched: UnsafeCell<()>,
    }

    // SAFETY: the cell is there to be looked at by the model, and holds nothing.
    unsafe impl Sync for Memory {}

    impl Memory {
        pub(crate) fn new() -> Self {
            Memory {
                _leak: Track::new(()),
                touched: UnsafeCell::new(()),
            }
        }

        pub(crate) fn touch(&self) {
            self.touched.with(|_| ());
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            self.touched.with_mut(|_| ());
        }
    }

    /// A `OnceLock` of which a model sees the steps.
    pub(crate) struct OnceLock<T> {
        set: AtomicBool,
        value: std::sync::OnceLock<T>,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            OnceLock {
                set: AtomicBool::new(false),
                value: std::sync::OnceLock::new(),
            }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            match self.set.load(Ordering::Acquire) {
                true => self.value.get(),
                false => None,
            }
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            self.value.set(value)?;
            self.set.store(true, Ordering::Release);
            Ok(())
        }

        pub(crate) fn take(&mut self) -> Option<T> {
            self.value.take()
        }
    }
}

/// A mutex that does not know poisoning: the kernel runs no user code under a lock.
#[derive(Default)]
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Lock(Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
