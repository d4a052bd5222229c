//! Who a child is: its name, if it has one, and where it was spawned. One word, since each cell has it.
//!
//! Invariant: the word is the address of a `Location`; or, with the lowest bit raised, that of a `Named`,
//! which it owns.

use std::{fmt, panic::Location, ptr::NonNull};

/// Who a child is.
pub(crate) struct Info(NonNull<()>);

struct Named {
    name: Box<str>,
    location: &'static Location<'static>,
}

/// Of a word that leads to a `Named`.
const NAMED: usize = 1;

const _: () = assert!(align_of::<Location<'_>>() > NAMED && align_of::<Named>() > NAMED);

// SAFETY: what it leads to does not change; a `Location` and a `Named` may be used, and the latter
// freed, from any thread.
unsafe impl Send for Info {}
// SAFETY: as above.
unsafe impl Sync for Info {}

impl Info {
    #[inline]
    pub(crate) fn new(name: Option<Box<str>>, location: &'static Location<'static>) -> Self {
        match name {
            None => Info(NonNull::from(location).cast()),
            Some(name) => Info::named(Named { name, location }),
        }
    }

    #[cold]
    fn named(named: Named) -> Self {
        let word = NonNull::from(Box::leak(Box::new(named))).cast::<()>();
        Info(word.map_addr(|address| address | NAMED))
    }

    /// Where the `Named` is, if that is what it is.
    #[inline]
    fn owned(&self) -> Option<NonNull<Named>> {
        let named = self.0.as_ptr().map_addr(|address| address & !NAMED);
        NonNull::new(named.cast()).filter(|_| self.is_named())
    }

    #[inline]
    pub(crate) fn is_named(&self) -> bool {
        self.0.addr().get() & NAMED != 0
    }

    pub(crate) fn name(&self) -> Option<&str> {
        // SAFETY: it is owned, and goes with this.
        self.owned().map(|named| unsafe { &*named.as_ref().name })
    }

    #[inline]
    pub(crate) fn location(&self) -> &'static Location<'static> {
        match self.owned() {
            // SAFETY: as above.
            Some(named) => unsafe { named.as_ref() }.location,
            // SAFETY: without the bit, it was made of such a reference.
            None => unsafe { self.0.cast().as_ref() },
        }
    }
}

impl Drop for Info {
    #[inline]
    fn drop(&mut self) {
        if let Some(named) = self.owned() {
            // SAFETY: it was made by a box, and is owned.
            drop(unsafe { Box::from_raw(named.as_ptr()) });
        }
    }
}

impl Clone for Info {
    fn clone(&self) -> Self {
        Info::new(self.name().map(Box::from), self.location())
    }
}

impl fmt::Debug for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Info")
            .field("name", &self.name())
            .field("location", &self.location())
            .finish()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_word_tells_the_name_and_the_place_of_a_child() {
        let here = Location::caller();
        for name in [None, Some(""), Some("fetch")] {
            let info = Info::new(name.map(Box::from), here);
            let copy = info.clone();
            drop(info);
            assert_eq!(copy.name(), name);
            assert_eq!(copy.location(), here);
            assert_eq!(copy.is_named(), name.is_some());
            let shown = format!("{copy:?}");
            assert!(
                shown.contains(&format!("{name:?}")) && shown.contains("info.rs"),
                "{shown}"
            );
        }
        assert_eq!(size_of::<Option<Info>>(), size_of::<usize>());
    }
}
