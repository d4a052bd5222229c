//! A child's future without its lifetime, in the one allocation that the runtime makes.
//!
//! A runtime takes `'static` futures only. The children of `run` borrow from the caller's stack,
//! and `TaskGroup<'env, E>` is one type for `run` and `group`, so both go through here. The future
//! is moved into words of a fixed number, next to the two functions that know its type; only a
//! large one is boxed first. On its way into the task the runtime moves it several times, so there
//! are many sizes, and nothing in them is to spare.

use std::{
    future::Future,
    marker::{PhantomData, PhantomPinned},
    mem::{MaybeUninit, align_of, size_of},
    pin::Pin,
    task::{Context, Poll},
};

use crate::runtime::{Label, Runtime};

/// A future of which the type, and with it any lifetime, is forgotten.
struct Erased<const N: usize> {
    words: MaybeUninit<[u64; N]>,
    with: &'static Functions,
    _pinned: PhantomPinned,
}

/// What knows the type.
struct Functions {
    poll: unsafe fn(*mut (), &mut Context<'_>) -> Poll<()>,
    destroy: unsafe fn(*mut ()),
}

struct Of<F>(PhantomData<F>);

impl<F: Future<Output = ()>> Of<F> {
    const FUNCTIONS: Functions = Functions {
        poll: poll::<F>,
        destroy: destroy::<F>,
    };
}

// SAFETY: only `spawn` makes one, and only of a future that is `Send`.
unsafe impl<const N: usize> Send for Erased<N> {}

/// # Safety
///
/// `future` points at a pinned, live `F`.
unsafe fn poll<F: Future<Output = ()>>(future: *mut (), cx: &mut Context<'_>) -> Poll<()> {
    // SAFETY: as the caller promises.
    unsafe { Pin::new_unchecked(&mut *future.cast::<F>()) }.poll(cx)
}

/// # Safety
///
/// `future` points at a live `F`, which is not used afterwards.
unsafe fn destroy<F>(future: *mut ()) {
    // SAFETY: as the caller promises.
    unsafe { future.cast::<F>().drop_in_place() }
}

impl<const N: usize> Erased<N> {
    #[inline]
    fn new<F: Future<Output = ()>>(future: F) -> Self {
        assert!(fits::<F, N>());
        let mut words = MaybeUninit::<[u64; N]>::uninit();
        // SAFETY: the words have room for the future and are aligned for it (asserted above). From
        // here on they own it.
        unsafe { words.as_mut_ptr().cast::<F>().write(future) };
        Erased {
            words,
            with: &Of::<F>::FUNCTIONS,
            _pinned: PhantomPinned,
        }
    }
}

impl<const N: usize> Future for Erased<N> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: nothing is moved out. The future in the words is aligned (`new`); it is pinned
        // because `self` is, and it lives until `drop` runs.
        unsafe {
            let this = self.get_unchecked_mut();
            (this.with.poll)(this.words.as_mut_ptr().cast(), cx)
        }
    }
}

impl<const N: usize> Drop for Erased<N> {
    fn drop(&mut self) {
        // SAFETY: the future was written in `new` and is dropped here only.
        unsafe { (self.with.destroy)(self.words.as_mut_ptr().cast()) };
    }
}

/// Hands a future to the runtime as if it were `'static`.
///
/// # Safety
///
/// Either `F` is `'static`, or the caller sees to it that everything `F` borrows lives until the
/// future has returned `Ready` or was dropped, and that a future which has returned `Ready` holds
/// nothing any more whose destructor could look at what was borrowed.
#[inline(always)]
pub(crate) unsafe fn spawn<'l, F>(runtime: &Runtime, label: impl FnOnce() -> Label<'l>, future: F)
where
    F: Future<Output = ()> + Send,
{
    macro_rules! in_words {
        ($($count:literal),*) => {$(
            if const { fits::<F, $count>() } {
                return in_words::<_, $count>(runtime, label, future);
            }
        )*};
    }
    in_words!(
        3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256
    );
    in_words::<_, 1>(runtime, label, Box::pin(future));
}

/// Have `N` words room for an `F`, and the alignment?
const fn fits<F, const N: usize>() -> bool {
    size_of::<F>() <= size_of::<[u64; N]>() && align_of::<F>() <= align_of::<u64>()
}

#[inline]
fn in_words<'l, F, const N: usize>(runtime: &Runtime, label: impl FnOnce() -> Label<'l>, future: F)
where
    F: Future<Output = ()> + Send,
{
    runtime.spawn(label, || Erased::<N>::new(future));
}
