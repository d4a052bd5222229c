//! The futures around what takes something along.
//!
//! Invariants
//! 1. What is carried is in place around every poll of the future and around its drop, and what was in
//!    place before is so again afterwards, also if it panics.
//! 2. The future is gone before what it carried is.

use std::{
    convert::Infallible,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::What;
#[cfg(feature = "task-locals")]
use crate::local::Values;
#[cfg(feature = "tracing")]
use crate::trace::{End, Open};
use crate::{
    error::IntoOutcome,
    kernel::{blocking::BlockingToken, info::Info, node::Node},
};

/// What a child takes along.
pub(crate) struct Luggage {
    #[cfg(feature = "tracing")]
    open: Open,
    #[cfg(feature = "task-locals")]
    values: Values,
}

impl Luggage {
    #[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
    pub(crate) fn new(what: What, group: &Arc<Node>, info: &Info) -> Self {
        Luggage {
            #[cfg(feature = "tracing")]
            open: Open::child(what, group, info),
            #[cfg(feature = "task-locals")]
            values: Values::here(),
        }
    }

    /// The child, with what it takes along.
    pub(crate) fn around<E, F>(self, future: F) -> Carried<F, E> {
        Carried {
            luggage: self,
            future: Some(future),
            _error: PhantomData,
        }
    }

    /// A closure that the child will run on another thread.
    pub(crate) fn around_closure<O, F>(
        &self,
        closure: F,
    ) -> impl FnOnce(BlockingToken) -> O + use<O, F>
    where
        F: FnOnce(BlockingToken) -> O,
    {
        #[cfg(feature = "tracing")]
        let span = self.open.span().clone();
        #[cfg(feature = "task-locals")]
        let values = self.values.clone();
        move |token| {
            #[cfg(feature = "task-locals")]
            let _values = values.enter();
            #[cfg(feature = "tracing")]
            let _span = span.enter();
            closure(token)
        }
    }

    /// Polls the child, and notes how it has ended.
    pub(crate) fn poll<O: IntoOutcome<E>, E>(
        &mut self,
        f: impl FnOnce() -> Poll<O>,
    ) -> Poll<Result<O::Value, E>> {
        let polled = self.inside(|| f().map(IntoOutcome::into_outcome));
        #[cfg(feature = "tracing")]
        if let Poll::Ready(outcome) = &polled {
            self.open.ends(End::of(outcome));
        }
        polled
    }

    /// Runs a poll or a destructor of the child.
    pub(crate) fn inside<R>(&mut self, f: impl FnOnce() -> R) -> R {
        #[cfg(feature = "task-locals")]
        let _values = self.values.enter();
        #[cfg(feature = "tracing")]
        return self.open.inside(f);
        #[cfg(not(feature = "tracing"))]
        f()
    }
}

pin_project! {
    /// A child's future and what it takes along. Tells the span how the child ended.
    pub(crate) struct Carried<F, E> {
        luggage: Luggage,
        #[pin]
        future: Option<F>,
        _error: PhantomData<fn() -> E>,
    }

    impl<F, E> PinnedDrop for Carried<F, E> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                this.luggage.inside(|| this.future.set(None));
            }
        }
    }
}

/// What [`Luggage::around`] makes of a future that cannot fail.
pub(crate) type Packed<F> = Carried<F, Infallible>;

impl<F, E> Future for Carried<F, E>
where
    F: Future,
    F::Output: IntoOutcome<E>,
{
    type Output = Result<<F::Output as IntoOutcome<E>>::Value, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(future) = this.future.as_pin_mut() else {
            panic!("a child was polled after its future had been taken");
        };
        this.luggage.poll(|| future.poll(cx))
    }
}

/// The future that was given to [`Luggage::around`], and has not been polled since.
pub(crate) fn unwrap<F, E>(mut carried: Carried<F, E>) -> F {
    #[cfg(feature = "tracing")]
    carried.luggage.open.ends(End::Refused);
    let future = carried.future.take();
    future.expect("taken only here, and by the drop")
}

/// What a release takes along.
pub(crate) struct Memory {
    #[cfg(feature = "task-locals")]
    values: Values,
}

impl Memory {
    pub(crate) fn here() -> Self {
        Memory {
            #[cfg(feature = "task-locals")]
            values: Values::here(),
        }
    }

    #[cfg(feature = "task-locals")]
    pub(crate) fn around<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        self.values.around(future)
    }

    #[cfg(not(feature = "task-locals"))]
    pub(crate) fn around<F>(self, future: F) -> F {
        future
    }
}
