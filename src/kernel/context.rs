//! Who is being polled or dropped on this thread: the current boundary, in a thread-local.
//!
//! Invariants
//! 1. Each wrapper of the kernel enters its frame around every poll *and* every drop of what it
//!    wraps, and the frame before is restored on return and on unwind.
//! 2. The thread-local points at a frame that lives on the stack of the call that entered it, so
//!    it never outlives what it points at.

use std::{cell::Cell, ptr::NonNull, sync::Arc};

use super::{
    atomic::thread_local,
    claims::CellRef,
    node::{Kind, Node},
    spot::Spot,
    within::Lazy,
};
use crate::{
    panics::{self, Payload},
    runtime::{Moment, Runtime},
    time::Instant,
};

/// What stands around the code that runs now.
pub(crate) enum Frame<'a> {
    /// A runtime without a boundary: the root of the simulator.
    #[cfg(feature = "testing")]
    Runtime(&'a Runtime),
    /// The inside of a boundary.
    Node(&'a Arc<Node>),
    /// The inside of a spawned child, whose node is made when something links to it.
    Child(&'a Spot<'a>),
    /// A task of somebody else, to which this boundary was carried.
    Foreign(&'a Arc<Node>),
    /// A blocking closure of the child that owns this node, or a thread to which it was carried.
    Blocking(&'a Arc<Node>),
    /// The first poll inside a boundary whose node is made when something asks for it.
    Lazy(&'a Lazy<'a>),
}

thread_local! {
    static CURRENT: Cell<Option<NonNull<Frame<'static>>>> = const { Cell::new(None) };
}

impl Frame<'_> {
    /// Runs code of the user inside this frame, and catches its panic.
    #[inline]
    pub(crate) fn catch<R>(&self, f: impl FnOnce() -> R) -> Result<R, Payload> {
        let before = set(Some(NonNull::from(self).cast()));
        let result = panics::catch(f);
        set(before);
        result
    }

    /// The node of this boundary, made now if it is made on demand.
    pub(super) fn node(&self) -> Option<Arc<Node>> {
        match self {
            #[cfg(feature = "testing")]
            Frame::Runtime(_) => None,
            Frame::Node(node) | Frame::Foreign(node) | Frame::Blocking(node) => {
                Some((*node).clone())
            }
            Frame::Child(spot) => Some(spot.node()),
            Frame::Lazy(lazy) => Some(lazy.node().clone()),
        }
    }

    /// The innermost node that there is.
    fn nearest_node(&self) -> Option<Arc<Node>> {
        match self {
            #[cfg(feature = "testing")]
            Frame::Runtime(_) => None,
            Frame::Node(node) | Frame::Foreign(node) | Frame::Blocking(node) => {
                Some((*node).clone())
            }
            Frame::Child(spot) => Some(spot.nearest_node()),
            Frame::Lazy(lazy) => match lazy.made_node() {
                Some(node) => Some(node.clone()),
                None => lazy.outer()?.nearest_node(),
            },
        }
    }

    pub(super) fn with_runtime<R>(&self, f: impl FnOnce(&Runtime) -> R) -> R {
        match self {
            #[cfg(feature = "testing")]
            Frame::Runtime(runtime) => f(runtime),
            Frame::Node(node) | Frame::Foreign(node) | Frame::Blocking(node) => {
                node.with_runtime(f)
            }
            Frame::Child(spot) => spot.group().with_runtime(f),
            Frame::Lazy(lazy) => with_runtime_of(lazy.outer(), f),
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        match self {
            #[cfg(feature = "testing")]
            Frame::Runtime(_) => false,
            Frame::Node(node) | Frame::Foreign(node) | Frame::Blocking(node) => node.is_cancelled(),
            Frame::Child(spot) => spot.is_cancelled(),
            Frame::Lazy(lazy) => lazy.is_cancelled(),
        }
    }

    fn is_shutting_down(&self) -> bool {
        match self {
            #[cfg(feature = "testing")]
            Frame::Runtime(_) => false,
            Frame::Node(node) | Frame::Foreign(node) | Frame::Blocking(node) => {
                node.is_shutting_down()
            }
            Frame::Child(spot) => spot.is_shutting_down(),
            Frame::Lazy(lazy) => match lazy.made_node() {
                Some(node) => node.is_shutting_down(),
                None => lazy.outer().is_some_and(Frame::is_shutting_down),
            },
        }
    }

    /// Has a deadline passed that holds here?
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        match self {
            Frame::Lazy(lazy) => lazy.is_overdue(now),
            _ => {
                let deadline = self
                    .nearest_node()
                    .and_then(|node| node.effective_deadline());
                deadline.is_some_and(|deadline| deadline <= now)
            }
        }
    }

    fn task_name(&self) -> Option<String> {
        match self {
            #[cfg(feature = "testing")]
            Frame::Runtime(_) => None,
            Frame::Child(spot) => Some(spot.describe()),
            Frame::Node(node) | Frame::Foreign(node) | Frame::Blocking(node) => {
                let mut node = *node;
                loop {
                    match (&node.name, node.kind) {
                        (Some(name), _) => return Some(name.to_string()),
                        (None, Kind::Task) => return Some(node.location.to_string()),
                        (None, _) => node = node.parent()?,
                    }
                }
            }
            Frame::Lazy(lazy) => lazy.outer()?.task_name(),
        }
    }

    #[cfg(not(loom))]
    fn nearest_name(&self) -> Option<String> {
        match self {
            #[cfg(feature = "testing")]
            Frame::Runtime(_) => None,
            Frame::Child(spot) => spot.name().or_else(|| spot.group().task_name()),
            Frame::Node(node) | Frame::Foreign(node) | Frame::Blocking(node) => node.task_name(),
            Frame::Lazy(lazy) => lazy.outer()?.nearest_name(),
        }
    }
}

/// Replaces the current frame. Inlined, since it is done twice for each poll of a child. While the locals of a thread are torn down there is none.
#[inline]
fn set(frame: Option<NonNull<Frame<'static>>>) -> Option<NonNull<Frame<'static>>> {
    CURRENT
        .try_with(|current| current.replace(frame))
        .ok()
        .flatten()
}

/// Looks at the current frame.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(Option<&Frame<'_>>) -> R) -> R {
    let frame = CURRENT.try_with(Cell::get).ok().flatten();
    // SAFETY: the pointer was made from a reference in `catch`, whose call is still running on this
    // thread: it restores the value before it returns, and does not unwind (invariants 1 and 2). The
    // closure gets a lifetime of its own and cannot keep the reference.
    f(frame.map(|frame| unsafe { frame.as_ref() }))
}

#[inline]
fn with_runtime_of<R>(frame: Option<&Frame<'_>>, f: impl FnOnce(&Runtime) -> R) -> R {
    match frame {
        Some(frame) => frame.with_runtime(f),
        None => f(&Runtime::default_runtime()),
    }
}

pub(super) fn runtime_of(frame: Option<&Frame<'_>>) -> Runtime {
    with_runtime_of(frame, Runtime::clone)
}

/// A look at the clock in the frame, or else of the default runtime.
#[inline]
#[track_caller]
pub(super) fn look_in(frame: Option<&Frame<'_>>) -> Moment {
    with_runtime_of(frame, Runtime::look)
}

/// The node of the current boundary; for a spawned child it is made now.
pub(crate) fn node() -> Option<Arc<Node>> {
    with(|frame| frame?.node())
}

/// The node of the child whose future this is the end of, if it has one.
pub(crate) fn task_node() -> Option<Arc<Node>> {
    with(|frame| match frame? {
        Frame::Child(spot) => spot.made_node(),
        _ => None,
    })
}

/// Shows the cell of the child that is polled now.
pub(super) fn with_cell<R>(f: impl FnOnce(&CellRef) -> R) -> Option<R> {
    with(|frame| match frame? {
        Frame::Child(spot) => Some(f(spot.cell)),
        _ => None,
    })
}

/// The runtime that serves the current boundary, or the default one.
pub(crate) fn runtime() -> Runtime {
    with(runtime_of)
}

/// Is a request to cancel visible to the code that runs now?
pub(crate) fn is_cancelled() -> bool {
    with(|frame| frame.is_some_and(Frame::is_cancelled))
}

/// Is the code that runs now about to be dropped at its await, for a request that is visible to it? Not
/// if it blocks its thread, or is the task of somebody else: then whatever it waits for has to come to an
/// end.
pub(crate) fn is_about_to_be_dropped() -> bool {
    with(|frame| !is_carried(frame)) && is_cancelled()
}

/// Is it a blocking closure, or called by one?
pub(crate) fn inside_closure() -> bool {
    with(|frame| matches!(frame, Some(Frame::Blocking(_))))
}

/// Does it block its thread, though a request is visible to it?
pub(crate) fn blocks_while_cancelled() -> bool {
    with(|frame| matches!(frame, Some(Frame::Blocking(node)) if node.is_cancelled()))
}

/// Does a task of somebody else run it?
pub(super) fn is_foreign() -> bool {
    with(|frame| matches!(frame, Some(Frame::Foreign(_))))
}

/// Is the boundary around polled by somebody else, and not by who polls the code that runs now?
pub(super) fn is_carried(frame: Option<&Frame<'_>>) -> bool {
    matches!(frame, Some(Frame::Foreign(_) | Frame::Blocking(_)))
}

/// Is the code that runs now asked to come to an end?
pub(crate) fn is_shutting_down() -> bool {
    with(|frame| frame.is_some_and(Frame::is_shutting_down))
}

/// Is this thread inside a poll of a boundary (rather than at top level or in a blocking closure)?
pub(crate) fn inside_task() -> bool {
    with(|frame| !matches!(frame, None | Some(Frame::Blocking(_))))
}

/// Does the code that runs now run under `boundary`, directly or further in?
pub(crate) fn is_under(boundary: &Arc<Node>) -> bool {
    let start = with(|frame| frame?.nearest_node());
    let mut next = start.as_ref();
    while let Some(node) = next {
        if Arc::ptr_eq(node, boundary) {
            return true;
        }
        next = node.parent();
    }
    false
}

/// The task that runs now, to say who asked for something: its name or that of a boundary which it has
/// opened around, else where it was spawned. Outside of spawned tasks, the nearest name around.
pub(crate) fn task_name() -> Option<String> {
    with(|frame| frame?.task_name())
}

/// The name of the task that runs now, or of the nearest boundary around that has one.
#[cfg(not(loom))]
pub(crate) fn nearest_name() -> Option<String> {
    with(|frame| frame?.nearest_name())
}

/// Runs `f` with a runtime and no boundary around.
#[cfg(feature = "testing")]
pub(crate) fn with_runtime<R>(runtime: &Runtime, f: impl FnOnce() -> R) -> R {
    Frame::Runtime(runtime)
        .catch(f)
        .unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}
