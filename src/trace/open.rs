//! A span that is open, and what is recorded at its end.

use std::sync::Arc;

use tracing::{Span, debug_span, field};

use crate::{
    carry::What,
    error::GroupError,
    kernel::{context, info::Info, node::Node},
    panics,
};

/// How a child or a boundary ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Ok,
    Failed,
    Panicked,
    Cancelled,
    /// By `try_spawn`, which gave the future back.
    Refused,
}

impl End {
    pub(crate) fn of<T, E>(outcome: &Result<T, E>) -> Self {
        match outcome {
            Ok(_) => End::Ok,
            Err(_) => End::Failed,
        }
    }

    pub(super) fn of_group<R, E>(outcome: &Result<R, GroupError<E>>) -> Self {
        match outcome {
            Err(error) if error.is_cancelled() => End::Cancelled,
            other => End::of(other),
        }
    }

    fn name(self) -> &'static str {
        match self {
            End::Ok => "ok",
            End::Failed => "failed",
            End::Panicked => "panicked",
            End::Cancelled => "cancelled",
            End::Refused => "refused",
        }
    }
}

/// Whose span it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Child(What),
    Boundary,
}

/// The span of a child or a boundary. Dropped, it records how that ended: cancelled, unless `ends` has
/// said otherwise, or something in there has panicked.
pub(crate) struct Open {
    span: Span,
    whose: Whose,
    /// The boundary, or that of the child. Nothing if nobody listens.
    node: Option<Arc<Node>>,
    end: End,
}

impl Open {
    /// Of a child that is spawned now.
    pub(crate) fn child(what: What, group: &Arc<Node>, info: &Info) -> Self {
        let kind = match what {
            What::Task => "task",
            What::Daemon => "daemon",
            What::Blocking => "blocking",
            What::Supervised => "supervised",
        };
        let span = debug_span!(
            target: "headcount",
            "child",
            kind,
            name = info.name(),
            location = %info.location(),
            outcome = field::Empty,
            reason = field::Empty,
        );
        if !span.is_disabled() {
            if let Some(boundary) = group.mark.span() {
                span.follows_from(&boundary);
            }
        }
        Open::new(span, Whose::Child(what), group)
    }

    /// Of a boundary that is polled for the first time now.
    pub(super) fn boundary(kind: &'static str, node: &Arc<Node>) -> Self {
        let span = debug_span!(
            target: "headcount",
            "boundary",
            kind,
            name = node.name.as_deref(),
            location = %node.location,
            outcome = field::Empty,
            reason = field::Empty,
        );
        let open = Open::new(span, Whose::Boundary, node);
        if open.node.is_some() {
            node.mark.set(Some(open.span.clone()));
        }
        open
    }

    fn new(span: Span, whose: Whose, node: &Arc<Node>) -> Self {
        Open {
            node: (!span.is_disabled()).then(|| node.clone()),
            span,
            whose,
            end: End::Cancelled,
        }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    pub(crate) fn ends(&mut self, end: End) {
        self.end = end;
    }

    /// Runs code of the user in the span, and notes a panic.
    pub(crate) fn inside<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let entered = self.span.enter();
        let result = panics::catch(f);
        drop(entered);
        result.unwrap_or_else(|payload| {
            self.end = End::Panicked;
            std::panic::resume_unwind(payload)
        })
    }

    /// Why it was cancelled, as far as that is known.
    fn reason(&self) -> Option<String> {
        let node = self.node.as_ref()?;
        match (node.visible_reason(), self.whose) {
            (Some(reason), _) => Some(reason.to_string()),
            // A handle leaves no reason. (Nor does the end of the group, for a daemon.)
            (None, Whose::Child(What::Task | What::Blocking | What::Supervised))
                if !node.has_ended() && context::is_cancelled() =>
            {
                Some("through its handle".into())
            }
            (None, _) => None,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(node) = &self.node else {
            return;
        };
        if self.end == End::Cancelled {
            if let Some(reason) = self.reason() {
                self.span.record("reason", reason);
            }
        }
        // Last: who sees it knows all.
        self.span.record("outcome", self.end.name());
        if self.whose == Whose::Boundary {
            node.mark.set(None);
        }
    }
}
