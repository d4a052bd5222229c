//! Nothing is taken along.

use std::{sync::Arc, task::Poll};

use super::What;
use crate::{
    error::IntoOutcome,
    kernel::{info::Info, node::Node},
};

/// What a child takes along.
pub(crate) struct Luggage;

impl Luggage {
    #[inline(always)]
    pub(crate) fn new(_what: What, _group: &Arc<Node>, _info: &Info) -> Self {
        Luggage
    }

    #[allow(
        clippy::extra_unused_type_parameters,
        reason = "what does carry something gives the outcome of a group with this error"
    )]
    #[inline(always)]
    pub(crate) fn around<E, F>(self, future: F) -> F {
        future
    }

    #[inline(always)]
    pub(crate) fn poll<O: IntoOutcome<E>, E>(
        &mut self,
        f: impl FnOnce() -> Poll<O>,
    ) -> Poll<Result<O::Value, E>> {
        f().map(IntoOutcome::into_outcome)
    }

    #[inline(always)]
    pub(crate) fn inside<R>(&mut self, f: impl FnOnce() -> R) -> R {
        f()
    }

    #[inline(always)]
    pub(crate) fn around_closure<F>(&self, closure: F) -> F {
        closure
    }
}

/// What [`Luggage::around`] makes of a future that cannot fail.
pub(crate) type Packed<F> = F;

/// The future that was given to [`Luggage::around`].
#[inline(always)]
pub(crate) fn unwrap<F>(carried: F) -> F {
    carried
}

/// What a release takes along.
pub(crate) struct Memory;

impl Memory {
    #[inline(always)]
    pub(crate) fn here() -> Self {
        Memory
    }

    #[inline(always)]
    pub(crate) fn around<F>(self, future: F) -> F {
        future
    }
}
