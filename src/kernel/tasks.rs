//! The tasks of a scope: its children in one allocation each, and the inbox to which they come when
//! they are new and when they were woken.
//!
//! Invariants
//! 1. A task is *listed* (`LISTED`) from when it is made or woken until the opener takes it up. Who
//!    raises the flag puts the task into the inbox, once; only who does that, and then the opener,
//!    looks at `before`.
//! 2. The opener alone polls and drops futures; one that comes too late is dropped by who brings it, and
//!    one that has ended holds nothing any more (`child`, invariant 3).
//!    A waker never looks at a future, so it may outlive everything that the future borrows.
//! 3. Each waker has a reference to its task, and the scope has one. When the future is gone, that of
//!    the scope is given up by the opener; or, if the task is listed then, by who takes it out of the
//!    inbox, or finds the inbox closed.
//!    Of a task with very many references, which only wakers that are forgotten can be, they are not counted
//!    any more, and it stays.
//! 4. A waker that is copied during a poll may outlive the scope. The first copy refers to the inbox
//!    for its task (`SHARED`), so that a task which ends without one has nothing to count.
//! 5. A task that comes while the opener is not looking wakes it: the opener stops to look by a
//!    change of the same word, which fails if somebody has come.
//! 6. The inbox is closed when nobody will look any more: after the futures that had been polled are
//!    gone, so that who is woken too late has nothing left to drop.

use std::{
    cell::Cell,
    future::Future,
    marker::PhantomData,
    mem::ManuallyDrop,
    pin::Pin,
    ptr::{NonNull, null_mut, without_provenance_mut},
    sync::Arc,
    task::{Context, Poll, RawWaker, RawWakerVTable, Waker},
};

use slab::Slab;

use super::{
    atomic::{AtomicPtr, AtomicU32, Memory, Ordering, UnsafeCell},
    node::Node,
};

/// It is in the inbox, or about to be put there.
const LISTED: u32 = 1;
/// It has a reference to the inbox.
const SHARED: u32 = 1 << 1;
/// One reference.
const REFERENCE: u32 = 1 << 2;
/// From so many references on none is given up, so that the task is never freed.
const STUCK: u32 = REFERENCE << 28;
/// From so many on none is counted. More than `STUCK` by more than there can be threads between their look
/// at the word and its change.
const FULL: u32 = REFERENCE << 29;

/// Of a task that has not been polled, or not been pending.
const FRESH: u32 = u32::MAX;
/// Of a task whose future is gone.
const GONE: u32 = u32::MAX - 1;

/// What is known of a task whatever its future is.
struct Head {
    /// The flags, and the number of references.
    state: AtomicU32,
    /// Where the opener lists it, or how far it is; the opener's own.
    place: Cell<u32>,
    /// Who came to the inbox before it.
    before: UnsafeCell<*mut Head>,
    inbox: NonNull<Inbox>,
    with: &'static Functions,
    _memory: Memory,
}

#[repr(C)]
struct Task<F> {
    head: Head,
    future: UnsafeCell<ManuallyDrop<F>>,
}

type TaskPtr = NonNull<Head>;

/// What knows the type of the future.
struct Functions {
    poll: unsafe fn(TaskPtr, &mut Context<'_>) -> Poll<()>,
    destroy: unsafe fn(TaskPtr),
    free: unsafe fn(TaskPtr),
}

struct Of<F>(PhantomData<F>);

impl<F: Future<Output = ()>> Of<F> {
    const FUNCTIONS: Functions = Functions {
        poll: poll::<F>,
        destroy: destroy::<F>,
        free: free::<F>,
    };
}

/// # Safety
///
/// The task is one of an `F`, which is there, and the caller is who may poll it.
unsafe fn poll<F: Future<Output = ()>>(task: TaskPtr, cx: &mut Context<'_>) -> Poll<()> {
    let task = task.cast::<Task<F>>();
    // SAFETY: as the caller promises. The future stays where it is until it is gone.
    unsafe {
        let future = &task.as_ref().future;
        future.with_mut(|future| Pin::new_unchecked(&mut **future).poll(cx))
    }
}

/// # Safety
///
/// The task is one of an `F`, which is there, and the caller is who may drop it.
unsafe fn destroy<F>(task: TaskPtr) {
    let task = task.cast::<Task<F>>();
    // SAFETY: as the caller promises.
    unsafe {
        task.as_ref()
            .future
            .with_mut(|future| ManuallyDrop::drop(&mut *future))
    };
}

/// # Safety
///
/// The task is one of an `F`, which is gone, and nobody looks at it any more.
unsafe fn free<F>(task: TaskPtr) {
    // SAFETY: as the caller promises; it was made by a box of this type.
    drop(unsafe { Box::from_raw(task.cast::<Task<F>>().as_ptr()) });
}

/// Where tasks wait for the opener of their scope.
pub(crate) struct Inbox {
    /// Who came last; null, while nobody is there and the opener looks; or `PARKED`, or `CLOSED`.
    last: AtomicPtr<Head>,
    scope: Arc<Node>,
}

/// Nobody is there, and the opener is not looking.
const PARKED: *mut Head = without_provenance_mut(1);
/// The opener is gone.
const CLOSED: *mut Head = without_provenance_mut(2);

impl Inbox {
    pub(crate) fn new(scope: Arc<Node>) -> Arc<Self> {
        Arc::new(Inbox {
            last: AtomicPtr::new(null_mut()),
            scope,
        })
    }

    /// Brings a child to the opener; drops it if the opener is gone. Once the future has returned `Ready`
    /// it is forgotten, and not dropped.
    ///
    /// # Safety
    ///
    /// The `Tasks` of this inbox are dropped, or leaked, while the future is valid.
    #[inline]
    pub(super) unsafe fn bring<F>(self: &Arc<Self>, future: F)
    where
        F: Future<Output = ()> + Send,
    {
        let task = Box::new(Task {
            head: Head {
                state: AtomicU32::new(REFERENCE | LISTED),
                place: Cell::new(FRESH),
                before: UnsafeCell::new(null_mut()),
                inbox: NonNull::new(Arc::as_ptr(self).cast_mut()).expect("an `Arc` is not null"),
                with: &Of::<F>::FUNCTIONS,
                _memory: Memory::new(),
            },
            future: UnsafeCell::new(ManuallyDrop::new(future)),
        });
        let task = NonNull::from(Box::leak(task)).cast();
        // SAFETY: a task that was just made is the caller's, who refers to the inbox.
        unsafe {
            if !self.put(task) {
                destroy::<F>(task);
                free::<F>(task);
            }
        }
    }

    /// Puts a task into the inbox; false if that is closed.
    ///
    /// # Safety
    ///
    /// The caller has raised its `LISTED`, and refers to the inbox during the call.
    #[inline]
    unsafe fn put(&self, task: TaskPtr) -> bool {
        let mut last = self.last.load(Ordering::Acquire);
        loop {
            let before = match last {
                CLOSED => return false,
                PARKED => null_mut(),
                task => task,
            };
            // SAFETY: until it is in, it is the caller's (invariant 1).
            unsafe { task.as_ref().before.with_mut(|place| *place = before) };
            // Release: who takes it sees all of it. Acquire: what the opener did before it parked
            // comes before its waking.
            match self.last.compare_exchange_weak(
                last,
                task.as_ptr(),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => break,
                Err(now) => last = now,
            }
        }
        if last == PARKED {
            self.scope.wake_opener();
        }
        true
    }

    /// Takes out everybody, and leaves a word.
    fn take(&self, word: *mut Head) -> InOrder {
        let last = self.last.swap(word, Ordering::AcqRel);
        let mut next = match last {
            PARKED | CLOSED => null_mut(),
            last => last,
        };
        let mut first = null_mut();
        while let Some(task) = NonNull::new(next) {
            // SAFETY: a task that was in the inbox is the opener's who took it out.
            next = unsafe {
                task.as_ref()
                    .before
                    .with_mut(|place| std::mem::replace(&mut *place, first))
            };
            first = task.as_ptr();
        }
        InOrder(first)
    }

    /// Stops looking; false if somebody has come.
    fn park(&self) -> bool {
        let (looking, order) = (null_mut(), Ordering::AcqRel);
        let parked = self
            .last
            .compare_exchange(looking, PARKED, order, Ordering::Acquire);
        parked.is_ok()
    }
}

/// Tasks that were taken out of the inbox, the first to come first.
struct InOrder(*mut Head);

impl Iterator for InOrder {
    type Item = TaskPtr;

    #[inline]
    fn next(&mut self) -> Option<TaskPtr> {
        let task = NonNull::new(self.0)?;
        // SAFETY: it stays listed, and the opener's, until it was given.
        self.0 = unsafe { task.as_ref().before.with(|place| *place) };
        Some(task)
    }
}

/// The opener's side: all tasks whose futures are there, but those in the inbox.
pub(super) struct Tasks<'env> {
    inbox: Arc<Inbox>,
    /// Those that have been pending.
    pending: Slab<TaskPtr>,
    _futures: PhantomData<Pin<Box<dyn Future<Output = ()> + Send + 'env>>>,
}

// SAFETY: the futures are `Send`, and nobody else polls or drops them (invariant 2).
unsafe impl Send for Tasks<'_> {}

/// What came of the poll of one task.
enum Step {
    /// It has been polled for the first time, and waits.
    New,
    Ended,
    Pending,
    /// It was woken during its poll.
    Yields,
}

/// What the children of a scope were up to.
pub(super) enum Polled {
    /// One came or ended.
    Progress,
    /// One has been woken again.
    Woken,
    /// Whoever comes next wakes the opener.
    Parked,
}

impl Tasks<'_> {
    /// Once for an inbox.
    pub(super) fn new(inbox: Arc<Inbox>) -> Self {
        Tasks {
            inbox,
            pending: Slab::new(),
            _futures: PhantomData,
        }
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Polls everybody who is in the inbox, and those whom they wake. Each of them about once, and those
    /// who wake themselves once: they want to let others run.
    pub(super) fn poll(&mut self) -> Polled {
        let (mut polls, mut yields) = (0, false);
        loop {
            let mut progress = false;
            for task in self.inbox.take(null_mut()) {
                polls += 1;
                // SAFETY: it was taken out of the inbox.
                match unsafe { self.poll_one(task) } {
                    Step::New | Step::Ended => progress = true,
                    Step::Yields => yields = true,
                    Step::Pending => {}
                }
            }
            if progress {
                return Polled::Progress;
            }
            if self.inbox.park() {
                return Polled::Parked;
            }
            if yields || polls >= self.pending.len() {
                return Polled::Woken;
            }
        }
    }

    /// # Safety
    ///
    /// The task was taken out of the inbox just now.
    #[inline]
    unsafe fn poll_one(&mut self, task: TaskPtr) -> Step {
        // SAFETY: the reference of the scope keeps it.
        let head = unsafe { task.as_ref() };
        let place = head.place.get();
        if place == GONE {
            // SAFETY: this reference was left to who takes the task out (invariant 3).
            unsafe { release(task) };
            return Step::Pending;
        }
        // Acquire: what was done before the task was woken comes before the poll.
        match head.state.load(Ordering::Acquire) {
            // Nobody else refers to it, so nobody else changes the word.
            state if state / REFERENCE == 1 => {
                head.state.store(state & !LISTED, Ordering::Relaxed);
            }
            _ => _ = head.state.fetch_and(!LISTED, Ordering::AcqRel),
        }
        let waker = RawWaker::new(task.as_ptr().cast(), &WAKER);
        // SAFETY: what the functions do fits; the reference that it does not count, and does not give
        // up, is that of the scope.
        let waker = ManuallyDrop::new(unsafe { Waker::from_raw(waker) });
        // SAFETY: the future is there, and this is the opener.
        let polled = unsafe { (head.with.poll)(task, &mut Context::from_waker(&waker)) };
        if polled.is_ready() {
            if place != FRESH {
                self.pending.remove(place as usize);
            }
            // SAFETY: the future is gone since now.
            unsafe { end(task) };
            return Step::Ended;
        }
        if place == FRESH {
            let place = u32::try_from(self.pending.insert(task)).ok();
            let place = place.filter(|place| *place < GONE);
            head.place
                .set(place.expect("four billion children that wait"));
            return Step::New;
        }
        // Relaxed: nothing follows from it but who is polled when.
        match head.state.load(Ordering::Relaxed) & LISTED {
            0 => Step::Pending,
            _ => Step::Yields,
        }
    }

    /// Drops all children, and closes the inbox.
    pub(super) fn clear(&mut self) {
        for task in self.pending.drain() {
            // SAFETY: its future is there, since it is listed here, and this is the opener.
            unsafe { (task.as_ref().with.destroy)(task) };
            // SAFETY: the future is gone since now.
            unsafe { end(task) };
        }
        for task in self.inbox.take(CLOSED) {
            // SAFETY: the reference of the scope keeps it.
            let head = unsafe { task.as_ref() };
            if head.place.get() != GONE {
                // SAFETY: it has never been pending, so its future is there.
                unsafe { (head.with.destroy)(task) };
            }
            // SAFETY: it was taken out of the inbox, and its future is gone (invariant 3).
            unsafe { release(task) };
        }
    }
}

impl Drop for Tasks<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The future of a task is gone.
///
/// # Safety
///
/// Called once for a task, by the opener.
unsafe fn end(task: TaskPtr) {
    // SAFETY: the reference of the scope keeps it.
    let head = unsafe { task.as_ref() };
    // Acquire: as in `release`.
    if head.state.load(Ordering::Acquire) & !SHARED == REFERENCE {
        // SAFETY: this is the last reference, and it is not listed, so that is the opener's (invariant 3).
        return unsafe { clear_away(task) };
    }
    head.place.set(GONE);
    // From now on nobody puts it into the inbox.
    if head.state.fetch_or(LISTED, Ordering::AcqRel) & LISTED == 0 {
        // SAFETY: it was not listed, so the reference is the opener's (invariant 3).
        unsafe { release(task) };
    }
}

/// Gives up a reference to a task.
///
/// # Safety
///
/// The reference is the caller's.
#[inline]
unsafe fn release(task: TaskPtr) {
    // SAFETY: the reference keeps it.
    let head = unsafe { task.as_ref() };
    // The last reference is nobody else's to copy. Release: what was done with the task comes before it
    // is freed. Acquire: the last one carries what the others did.
    let state = head.state.load(Ordering::Acquire);
    let last = state / REFERENCE == 1
        || state < STUCK && head.state.fetch_sub(REFERENCE, Ordering::AcqRel) / REFERENCE == 1;
    if last {
        // SAFETY: that was the last reference. The future is gone, since the scope gives up its own only
        // then (invariant 3).
        unsafe { clear_away(task) };
    }
}

/// # Safety
///
/// The future of the task is gone, and nobody else refers to it.
#[inline]
unsafe fn clear_away(task: TaskPtr) {
    // SAFETY: it is the caller's.
    let head = unsafe { task.as_ref() };
    let shared = head.state.load(Ordering::Relaxed) & SHARED != 0;
    let (inbox, free) = (head.inbox.as_ptr(), head.with.free);
    // SAFETY: as the caller promises.
    unsafe { free(task) };
    if shared {
        // SAFETY: the reference of invariant 4.
        drop(unsafe { Arc::from_raw(inbox) });
    }
}

static WAKER: RawWakerVTable = RawWakerVTable::new(copy, wake, wake_by_ref, drop_waker);

/// # Safety
///
/// `task` is that of a waker.
unsafe fn copy(task: *const ()) -> RawWaker {
    // SAFETY: the waker's reference, or that of the scope during a poll, keeps the task.
    let head = unsafe { &*task.cast::<Head>() };
    // Relaxed: nothing is freed while the reference that is copied stands.
    let before = head.state.fetch_add(REFERENCE, Ordering::Relaxed);
    if before >= FULL {
        head.state.fetch_sub(REFERENCE, Ordering::Relaxed);
    }
    // Relaxed: the reference that was just made orders it against the end of the task. If another
    // thread is the first, it has a reference, and the poll of the task goes on meanwhile.
    if before & SHARED == 0 && head.state.fetch_or(SHARED, Ordering::Relaxed) & SHARED == 0 {
        // SAFETY: without a copy before, this is during a poll, so the opener refers to the inbox.
        unsafe { Arc::increment_strong_count(head.inbox.as_ptr()) };
    }
    RawWaker::new(task, &WAKER)
}

/// # Safety
///
/// `task` is that of a waker, which is not used afterwards.
unsafe fn wake(task: *const ()) {
    // SAFETY: as the caller promises.
    unsafe {
        wake_by_ref(task);
        drop_waker(task);
    }
}

/// # Safety
///
/// `task` is that of a waker.
unsafe fn wake_by_ref(task: *const ()) {
    let task = NonNull::new(task.cast_mut().cast::<Head>()).expect("a waker has a task");
    // SAFETY: the waker's reference, or that of the scope during a poll, keeps the task.
    let head = unsafe { task.as_ref() };
    // Release: what was done before comes before the poll that follows.
    if head.state.fetch_or(LISTED, Ordering::AcqRel) & LISTED != 0 {
        return;
    }
    // SAFETY: the flag was raised here. The inbox is there: a copied waker's task refers to it
    // (invariant 4), and the opener does during a poll.
    let listed = unsafe { head.inbox.as_ref().put(task) };
    if !listed {
        // SAFETY: the future went before the inbox was closed, and as the task was listed then, the
        // reference of the scope was left to this call (invariants 3 and 6).
        unsafe { release(task) };
    }
}

/// # Safety
///
/// `task` is that of a waker, which is not used afterwards.
unsafe fn drop_waker(task: *const ()) {
    let task = NonNull::new(task.cast_mut().cast::<Head>()).expect("a waker has a task");
    // SAFETY: the waker's reference.
    unsafe { release(task) };
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::{future::poll_fn, panic::Location, sync::Mutex};

    use super::*;
    use crate::kernel::node::{Kind, Plan};

    /// So many references cannot be made in a test: they are pretended.
    #[test]
    fn a_task_of_very_many_wakers_is_never_freed_and_never_again_counts_them() {
        let scope = Node::new(Kind::Scope, Location::caller(), Plan::default());
        let inbox = Inbox::new(scope);
        let mut tasks = Tasks::new(inbox.clone());
        let left = Arc::new(Mutex::new(None));
        let place = left.clone();
        // SAFETY: the tasks are dropped below, before anything that the future has.
        unsafe {
            inbox.bring(poll_fn(move |cx| {
                *place.lock().unwrap() = Some(cx.waker().clone());
                Poll::Pending::<()>
            }));
        }
        tasks.poll();
        let waker = left.lock().unwrap().take().expect("it has been polled");
        let task = NonNull::new(waker.data().cast_mut().cast::<Head>()).expect("a task");
        // SAFETY: the waker keeps it.
        let state = || unsafe { task.as_ref() }.state.load(Ordering::Relaxed) / REFERENCE;
        assert_eq!(state(), 2);
        for (before, copied, dropped) in [
            (STUCK - REFERENCE, STUCK, STUCK),
            (FULL - REFERENCE, FULL, FULL),
            (FULL, FULL, FULL),
        ] {
            // SAFETY: as above.
            unsafe { task.as_ref() }
                .state
                .store(before | SHARED, Ordering::Relaxed);
            let copy = waker.clone();
            assert_eq!(state(), copied / REFERENCE);
            drop(copy);
            assert_eq!(state(), dropped / REFERENCE);
        }
        // SAFETY: as above; these are the two that there are.
        unsafe { task.as_ref() }
            .state
            .store((2 * REFERENCE) | SHARED, Ordering::Relaxed);
        drop(tasks);
        assert_eq!(state(), 1);
    }
}
