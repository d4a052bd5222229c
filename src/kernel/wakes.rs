//! Which inline children were woken and have not been polled since: what the watchdog looks at that
//! watches scopes starve (feature `watchdog`).
//!
//! Invariants
//! 1. `SPELL` is 0 while nobody watches: then a poll of an inline child costs one load. Otherwise the child
//!    is polled with a waker of its own, which notes the first wake and calls that of the scope. Not the
//!    wakes of the scope itself are noted: a scope wakes itself now and then when it has nothing to do.
//! 2. The note is cleared before the child is polled. So a wake that is noted later is one that
//!    another poll has to follow.
//! 3. Each time somebody begins to watch while nobody else does is a new spell. What was noted in
//!    an old one is in no list, and a child begins again at its next poll.
//! 4. The note of a child that is gone says `OVER`, whoever keeps its waker.

use std::task::Waker;

use super::claims::CellRef;

#[cfg(not(all(feature = "watchdog", not(any(loom, shuttle)))))]
pub(super) use self::none::Wakes;
#[cfg(all(feature = "watchdog", not(any(loom, shuttle))))]
pub(super) use self::noting::Wakes;
#[cfg(all(feature = "watchdog", not(any(loom, shuttle))))]
pub(crate) use self::noting::{Woken, look, watch};

#[cfg(all(feature = "watchdog", not(any(loom, shuttle))))]
mod noting {
    use std::{
        sync::{Arc, Weak},
        task::Wake,
        time::{Duration, Instant},
    };

    use super::{CellRef, Waker};
    use crate::kernel::{
        atomic::{AtomicU64, Lock, OnceLock, Ordering},
        info::Info,
        node::Node,
    };

    static SPELL: AtomicU64 = AtomicU64::new(0);
    static SHARED: OnceLock<Lock<Shared>> = OnceLock::new();

    /// In the place of a time: the child is gone.
    const OVER: u64 = u64::MAX;

    #[derive(Default)]
    struct Shared {
        watchers: usize,
        spells: u64,
        children: Vec<Weak<Note>>,
    }

    fn shared() -> &'static Lock<Shared> {
        SHARED.get_or_init(Lock::default)
    }

    /// Nanoseconds on a clock that begins here, neither 0 nor `OVER`.
    fn now() -> u64 {
        static BEGIN: OnceLock<Instant> = OnceLock::new();
        let elapsed = BEGIN.get_or_init(Instant::now).elapsed().as_nanos();
        u64::try_from(elapsed).map_or(OVER - 1, |now| now.clamp(1, OVER - 1))
    }

    /// When a child was woken first since its last poll, or 0. `Relaxed`: nothing is read because of it.
    struct Note {
        scope: Weak<Node>,
        child: Info,
        woken: AtomicU64,
    }

    /// The waker of a child.
    struct Relay {
        note: Arc<Note>,
        to: Waker,
    }

    impl Wake for Relay {
        fn wake(self: Arc<Self>) {
            self.wake_by_ref();
        }

        fn wake_by_ref(self: &Arc<Self>) {
            let woken = &self.note.woken;
            if woken.load(Ordering::Relaxed) == 0 {
                let (order, failed) = (Ordering::Relaxed, Ordering::Relaxed);
                // Who was quicker has noted it.
                _ = woken.compare_exchange(0, now(), order, failed);
            }
            self.to.wake_by_ref();
        }
    }

    /// What stands beside an inline child.
    #[derive(Default)]
    pub(in crate::kernel) struct Wakes(Option<Box<Kept>>);

    struct Kept {
        spell: u64,
        note: Arc<Note>,
        relay: Waker,
    }

    impl Wakes {
        /// With which waker the child is to be polled now, if not with `waker`: that of its task, which is the
        /// same in each poll.
        #[inline]
        pub(in crate::kernel) fn begin_poll(
            &mut self,
            cell: &CellRef,
            waker: &Waker,
        ) -> Option<&Waker> {
            match SPELL.load(Ordering::Acquire) {
                0 => None,
                spell => Some(self.note(spell, cell, waker)),
            }
        }

        #[cold]
        fn note(&mut self, spell: u64, cell: &CellRef, to: &Waker) -> &Waker {
            let kept = match self.0.take() {
                Some(kept) if kept.spell == spell => kept,
                _ => Box::new(Kept::new(spell, cell, to)),
            };
            kept.note.woken.store(0, Ordering::Relaxed);
            &self.0.insert(kept).relay
        }
    }

    impl Kept {
        fn new(spell: u64, cell: &CellRef, to: &Waker) -> Self {
            let note = Arc::new(Note {
                scope: Arc::downgrade(&cell.group().node),
                child: cell.info().clone(),
                woken: AtomicU64::new(0),
            });
            note.list(spell);
            let relay = Waker::from(Arc::new(Relay {
                note: note.clone(),
                to: to.clone(),
            }));
            Kept { spell, note, relay }
        }
    }

    impl Drop for Kept {
        fn drop(&mut self) {
            self.note.woken.store(OVER, Ordering::Relaxed);
        }
    }

    /// Somebody watches, until this is dropped.
    pub(crate) struct Watching(());

    pub(crate) fn watch() -> Watching {
        let mut shared = shared().lock();
        shared.watchers += 1;
        if shared.watchers == 1 {
            shared.spells += 1;
            SPELL.store(shared.spells, Ordering::Release);
        }
        Watching(())
    }

    impl Drop for Watching {
        fn drop(&mut self) {
            let mut shared = shared().lock();
            shared.watchers -= 1;
            if shared.watchers == 0 {
                SPELL.store(0, Ordering::Release);
                shared.children.clear();
            }
        }
    }

    /// A child that was woken and not polled since.
    pub(crate) struct Woken {
        pub(crate) scope: Arc<Node>,
        pub(crate) child: Info,
        /// When, on a clock of its own.
        pub(crate) at: u64,
        pub(crate) since: Duration,
    }

    /// Is the note of a child listed whose poll began in this spell, or in one that is over?
    #[cfg(test)]
    pub(super) fn lists(over: bool) -> bool {
        let note = Arc::new(Note {
            scope: Weak::new(),
            child: Info::new(None, std::panic::Location::caller()),
            woken: AtomicU64::new(0),
        });
        let now = SPELL.load(Ordering::Acquire);
        note.list(if over { now - 1 } else { now });
        let listed = Arc::downgrade(&note);
        shared()
            .lock()
            .children
            .iter()
            .any(|note| note.ptr_eq(&listed))
    }

    /// How many children are listed.
    #[cfg(test)]
    pub(super) fn listed() -> usize {
        shared().lock().children.len()
    }

    /// Those that wait for a poll now. Not those whose scope is being polled, or has lost its opener, so
    /// that they never run again.
    pub(crate) fn look() -> Vec<Woken> {
        let children = {
            let mut shared = shared().lock();
            shared.children.retain(|note| note.strong_count() > 0);
            shared.children.clone()
        };
        let notes = children.iter().filter_map(Weak::upgrade);
        notes.filter_map(|note| note.waits()).collect()
    }

    impl Note {
        /// Unless the spell is over, whose list is gone: in that of a later one it would be a child that waits
        /// since then, while its scope polls it with another.
        fn list(self: &Arc<Self>, spell: u64) {
            let mut shared = shared().lock();
            if SPELL.load(Ordering::Acquire) == spell {
                shared.children.push(Arc::downgrade(self));
            }
        }

        fn waits(&self) -> Option<Woken> {
            let scope = self.scope.upgrade()?;
            if scope.has_ended() || scope.is_orphan() || scope.is_being_polled() {
                return None;
            }
            let at = self.woken.load(Ordering::Relaxed);
            let waits = at != 0 && at != OVER;
            waits.then(|| Woken {
                child: self.child.clone(),
                scope,
                at,
                since: Duration::from_nanos(now().saturating_sub(at)),
            })
        }
    }
}

#[cfg(not(all(feature = "watchdog", not(any(loom, shuttle)))))]
mod none {
    use super::{CellRef, Waker};

    #[derive(Default)]
    pub(in crate::kernel) struct Wakes(());

    impl Wakes {
        #[inline]
        pub(in crate::kernel) fn begin_poll(&mut self, _: &CellRef, _: &Waker) -> Option<&Waker> {
            None
        }
    }
}

#[cfg(all(test, feature = "watchdog", not(any(loom, shuttle))))]
mod tests {
    use std::{
        convert::Infallible,
        future::poll_fn,
        pin::{Pin, pin},
        sync::{
            Arc, Mutex,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Context, Poll, Wake},
    };

    use super::*;
    use crate::{Options, sync::Event};

    /// The children of this scope that wait. Other tests have scopes too.
    fn waiting_in(scope: &str) -> Vec<String> {
        let mut woken = look();
        woken.retain(|woken| woken.scope.name.as_deref() == Some(scope));
        let names = woken.iter().filter_map(|woken| woken.child.name());
        names.map(String::from).collect()
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll<F: Future>(fut: Pin<&mut F>, count: &Arc<Count>) -> Poll<F::Output> {
        fut.poll(&mut Context::from_waker(&Waker::from(count.clone())))
    }

    #[test]
    fn a_child_waits_from_a_wake_to_its_next_poll_and_the_opener_is_told() {
        let _watching = watch();
        let (first, second) = (Event::new(), Event::new());
        let mut scope = pin!(Options::new().name("woken").scope(async |s| {
            s.spawn_named("first", async { first.wait().await });
            s.spawn_named("second", async { second.wait().await });
            Ok::<_, Infallible>(())
        }));
        for (name, event) in [("first", &first), ("second", &second)] {
            let count = Arc::<Count>::default();
            assert!(poll(scope.as_mut(), &count).is_pending());
            assert_eq!(waiting_in("woken"), [""; 0]);
            let before = count.0.load(Ordering::SeqCst);
            event.set();
            assert_eq!(waiting_in("woken"), [name]);
            assert_eq!(count.0.load(Ordering::SeqCst), before + 1);
        }
        assert!(poll(scope, &Arc::default()).is_ready());
        assert_eq!(waiting_in("woken"), [""; 0]);
    }

    #[test]
    fn a_child_that_wakes_itself_waits_once_its_scope_is_polled_no_more() {
        let _watching = watch();
        let mut scope = pin!(Options::new().name("restless").scope(async |s| {
            let restless = poll_fn(|cx| {
                cx.waker().wake_by_ref();
                assert_eq!(waiting_in("restless"), [""; 0], "it is being polled");
                Poll::<()>::Pending
            });
            s.spawn_named("child", restless);
            Ok::<_, Infallible>(())
        }));
        assert!(poll(scope.as_mut(), &Arc::default()).is_pending());
        assert_eq!(waiting_in("restless"), ["child"]);
    }

    #[test]
    fn a_wake_that_comes_when_the_child_is_gone_is_nothing() {
        let _watching = watch();
        let kept = Mutex::new(None);
        let mut scope = pin!(Options::new().name("outlived").scope(async |s| {
            s.spawn_named(
                "child",
                poll_fn(|cx| {
                    *kept.lock().unwrap() = Some(cx.waker().clone());
                    Poll::Ready(())
                }),
            );
            s.spawn_named("other", std::future::pending::<()>());
            Ok::<_, Infallible>(())
        }));
        assert!(poll(scope.as_mut(), &Arc::default()).is_pending());
        let waker = kept.lock().unwrap().take().unwrap();
        waker.wake_by_ref();
        assert_eq!(waiting_in("outlived"), [""; 0]);
        drop(waker);
    }

    /// The watch may have ended between the look that the poll began with and the note.
    #[test]
    fn a_note_that_comes_after_its_spell_is_in_no_list() {
        let _watching = watch();
        assert!(noting::lists(false));
        assert!(!noting::lists(true));
    }

    #[test]
    fn a_look_lets_go_of_children_that_are_gone() {
        const CHILDREN: usize = 1000;
        let _watching = watch();
        let mut scope = pin!(Options::new().name("short").scope(async |s| {
            (0..CHILDREN).for_each(|_| drop(s.spawn(async {})));
            Ok::<_, Infallible>(())
        }));
        assert!(poll(scope.as_mut(), &Arc::default()).is_ready());
        look();
        // Those of other tests are a handful.
        assert!(noting::listed() < CHILDREN, "{}", noting::listed());
    }

    /// It was forgotten, and something below lives on.
    #[cfg(feature = "async-std")]
    #[test]
    fn a_child_of_an_orphan_does_not_wait() {
        let _watching = watch();
        let (ready, over) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let scope = |name: &'static str| {
            let (ready, over) = (ready.clone(), over.clone());
            Options::new().name(name).scope(async move |s| {
                s.spawn_named("child", async move { ready.wait().await });
                let group = crate::group(async |g| {
                    g.spawn(crate::shield(async move { over.wait().await }));
                    Ok::<_, Infallible>(())
                });
                group.await.unwrap();
                Ok::<_, Infallible>(())
            })
        };
        let mut outer = pin!(Options::new().name("outer").scope(async |_| {
            let mut inner = Box::pin(scope("orphan"));
            assert!(poll(inner.as_mut(), &Arc::default()).is_pending());
            ready.set();
            assert_eq!(waiting_in("orphan"), ["child"]);
            std::mem::forget(inner);
            Ok::<_, Infallible>(())
        }));
        assert!(poll(outer.as_mut(), &Arc::default()).is_pending());
        assert_eq!(waiting_in("orphan"), [""; 0]);
        over.set();
        async_std::task::block_on(outer).unwrap();
    }
}
