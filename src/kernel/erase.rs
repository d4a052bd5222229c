//! A child's future without its lifetime, in the one allocation that the runtime makes.
//!
//! A runtime takes `'static` futures only. The children of `run` borrow from the caller's stack,
//! and `TaskGroup<'env, E>` is one type for `run` and `group`, so both go through here. The future
//! is moved into bytes of a fixed size, next to the two functions that know its type; only a
//! large one is boxed first.

use std::{
    future::Future,
    marker::PhantomPinned,
    mem::{MaybeUninit, align_of, size_of},
    pin::Pin,
    task::{Context, Poll},
};

use crate::runtime::{Label, Runtime};

/// A future of which the type, and with it any lifetime, is forgotten.
#[repr(C, align(16))]
struct Erased<const N: usize> {
    bytes: MaybeUninit<[u8; N]>,
    poll: unsafe fn(*mut (), &mut Context<'_>) -> Poll<()>,
    destroy: unsafe fn(*mut ()),
    _pinned: PhantomPinned,
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
    fn new<F: Future<Output = ()>>(future: F) -> Self {
        assert!(size_of::<F>() <= N && align_of::<F>() <= 16);
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: the future fits (asserted above); `write_unaligned` since the local bytes have no
        // alignment of their own. From here on the bytes own it.
        unsafe { bytes.as_mut_ptr().cast::<F>().write_unaligned(future) };
        Erased {
            bytes,
            poll: poll::<F>,
            destroy: destroy::<F>,
            _pinned: PhantomPinned,
        }
    }
}

impl<const N: usize> Future for Erased<N> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: nothing is moved out. The bytes are the first field of a type that is aligned to
        // 16, so the future in them is aligned; it is pinned because `self` is, and it lives until
        // `drop` runs.
        unsafe {
            let this = self.get_unchecked_mut();
            (this.poll)(this.bytes.as_mut_ptr().cast(), cx)
        }
    }
}

impl<const N: usize> Drop for Erased<N> {
    fn drop(&mut self) {
        // SAFETY: the future was written in `new` and is dropped here only.
        unsafe { (self.destroy)(self.bytes.as_mut_ptr().cast()) };
    }
}

/// Hands a future to the runtime as if it were `'static`.
///
/// # Safety
///
/// Either `F` is `'static`, or the caller sees to it that everything `F` borrows lives until the
/// future has returned `Ready` or was dropped, and that a future which has returned `Ready` holds
/// nothing any more whose destructor could look at what was borrowed.
pub(crate) unsafe fn spawn<F>(runtime: &Runtime, label: Label<'_>, future: F)
where
    F: Future<Output = ()> + Send,
{
    macro_rules! in_bytes_of {
        ($($size:literal),*) => {$(
            if const { size_of::<F>() <= $size && align_of::<F>() <= 16 } {
                return in_bytes::<F, $size>(runtime, label, future);
            }
        )*};
    }
    in_bytes_of!(64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048);
    in_bytes::<_, 16>(runtime, label, Box::pin(future));
}

fn in_bytes<F, const N: usize>(runtime: &Runtime, label: Label<'_>, future: F)
where
    F: Future<Output = ()> + Send,
{
    runtime.spawn(label, Erased::<N>::new(future));
}
