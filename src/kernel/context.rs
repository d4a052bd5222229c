//! Who is being polled or dropped on this thread: the current boundary, in a thread-local.
//!
//! Invariants
//! 1. Each wrapper of the kernel enters its frame around every poll *and* every drop of what it
//!    wraps, and the frame before is restored on return and on unwind.
//! 2. The thread-local points at a frame that lives on the stack of the call that entered it, so
//!    it never outlives what it points at.

use std::{cell::Cell, ptr::NonNull, sync::Arc};

use super::{atomic::thread_local, child::Spot, node::Node, roster::CellRef};
use crate::{
    panics::{self, Payload},
    runtime::Runtime,
};

/// What stands around the code that runs now.
pub(crate) enum Frame<'a> {
    /// A runtime without a boundary: the root of the simulator.
    #[cfg(feature = "testing")]
    Runtime(&'a Runtime),
    /// The inside of a boundary.
    Node(&'a Arc<Node>),
    /// The inside of a spawned child, whose node is made when something links to it.
    Child(Spot<'a>),
    /// A blocking closure of the child that owns this node.
    Blocking(&'a Arc<Node>),
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
pub(crate) fn with<R>(f: impl FnOnce(Option<&Frame<'_>>) -> R) -> R {
    let frame = CURRENT.try_with(Cell::get).ok().flatten();
    // SAFETY: the pointer was made from a reference in `catch`, whose call is still running on this
    // thread: it restores the value before it returns, and does not unwind (invariants 1 and 2). The
    // closure gets a lifetime of its own and cannot keep the reference.
    f(frame.map(|frame| unsafe { frame.as_ref() }))
}

/// The node of the current boundary; for a spawned child it is made now.
pub(crate) fn node() -> Option<Arc<Node>> {
    with(|frame| match frame? {
        #[cfg(feature = "testing")]
        Frame::Runtime(_) => None,
        Frame::Node(node) | Frame::Blocking(node) => Some((*node).clone()),
        Frame::Child(spot) => Some(spot.node()),
    })
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
        Frame::Child(spot) => Some(f(spot.cell())),
        _ => None,
    })
}

/// The runtime that serves the current boundary, or the default one.
pub(crate) fn runtime() -> Runtime {
    with(|frame| match frame {
        None => Runtime::default_runtime(),
        #[cfg(feature = "testing")]
        Some(Frame::Runtime(runtime)) => (*runtime).clone(),
        Some(Frame::Node(node) | Frame::Blocking(node)) => node.runtime(),
        Some(Frame::Child(spot)) => spot.group().runtime(),
    })
}

/// Is a request to cancel visible to the code that runs now?
pub(crate) fn is_cancelled() -> bool {
    with(|frame| match frame {
        None => false,
        #[cfg(feature = "testing")]
        Some(Frame::Runtime(_)) => false,
        Some(Frame::Node(node) | Frame::Blocking(node)) => node.is_cancelled(),
        Some(Frame::Child(spot)) => spot.is_cancelled(),
    })
}

/// Is the code that runs now asked to come to an end?
pub(crate) fn is_shutting_down() -> bool {
    with(|frame| match frame {
        None => false,
        #[cfg(feature = "testing")]
        Some(Frame::Runtime(_)) => false,
        Some(Frame::Node(node) | Frame::Blocking(node)) => node.is_shutting_down(),
        Some(Frame::Child(spot)) => spot.is_shutting_down(),
    })
}

/// Is this thread inside a poll of a boundary (rather than at top level or in a blocking closure)?
pub(crate) fn inside_task() -> bool {
    with(|frame| !matches!(frame, None | Some(Frame::Blocking(_))))
}

/// Does the code that runs now run under `boundary`, directly or further in?
pub(crate) fn is_under(boundary: &Arc<Node>) -> bool {
    let start = with(|frame| match frame? {
        #[cfg(feature = "testing")]
        Frame::Runtime(_) => None,
        Frame::Node(node) | Frame::Blocking(node) => Some((*node).clone()),
        Frame::Child(spot) => Some(spot.nearest_node()),
    });
    let mut next = start.as_ref();
    while let Some(node) = next {
        if Arc::ptr_eq(node, boundary) {
            return true;
        }
        next = node.parent();
    }
    false
}

/// The name of the task that runs now, to say who asked for something.
pub(crate) fn task_name() -> Option<String> {
    with(|frame| match frame? {
        #[cfg(feature = "testing")]
        Frame::Runtime(_) => None,
        Frame::Child(spot) => spot.name(),
        Frame::Node(node) | Frame::Blocking(node) => node.task_name(),
    })
}

/// Runs `f` with a runtime and no boundary around.
#[cfg(feature = "testing")]
pub(crate) fn with_runtime<R>(runtime: &Runtime, f: impl FnOnce() -> R) -> R {
    Frame::Runtime(runtime)
        .catch(f)
        .unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}
