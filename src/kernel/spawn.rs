//! Lets a child into a group and hands it to who polls it.

use std::{future::Future, ptr::NonNull, sync::Arc};

use super::{
    admission::Admitted,
    book::Book,
    child::Child,
    chunk::{Group, Kept},
    erase,
    info::Info,
    inline::Noted,
    join::Claim,
    ledger::{Ask, Refused},
    tasks::Inbox,
};
use crate::{
    error::IntoOutcome,
    runtime::{Label, Runtime},
};

/// Who polls the children of a group.
pub(crate) enum Home<'a> {
    /// The runtime's threads.
    Runtime,
    /// The opener of a scope.
    Inline(&'a Arc<Inbox>),
}

/// Spawns, or gives everything back with the reason.
#[inline(always)]
pub(crate) fn spawn<'env, E, O, F>(
    book: &Arc<Book<E>>,
    home: &Home<'_>,
    ask: Ask,
    info: Info,
    future: F,
) -> Result<Claim<O::Value>, (Refused, Info, F)>
where
    E: Send + 'env,
    O: IntoOutcome<E>,
    O::Value: Send + 'env,
    F: Future<Output = O> + Send + 'env,
{
    let node = book.node();
    let group = || Group {
        node: node.clone(),
        book: NonNull::from(&**book).cast(),
        _kept: match home {
            // SAFETY: the chunk lets go of it after its children have counted out. That may be after
            // `run` has returned or unwound, and `run` has taken all failures and closed the book
            // before, so the destructor that runs then meets no value of type `E`.
            Home::Runtime => Some(unsafe { keep(book.clone()) }),
            Home::Inline(_) => None,
        },
        timed: node.with_runtime(Runtime::records_times),
    };
    let Admitted {
        child,
        handle,
        queued,
    } = match node.admit(ask, info, group) {
        Ok(admitted) => admitted,
        Err((refused, info)) => return Err((refused, info, future)),
    };
    let claim = Claim::new(handle);
    // SAFETY: this is its cell, and `book` stands in the chunk. It stays until the child has counted
    // out: the chunk keeps it until the child has retired, which comes later; for an inline child the
    // future of its scope keeps it, or the caller, if the child is dropped here.
    let child = unsafe { Child::<F, O::Value, E>::new(child, queued, future) };
    match home {
        // SAFETY: the children of a `Scope<'env, E>` are dropped with the future of the scope, which
        // is valid for `'env`, and so is what the caller brings too late.
        Home::Inline(inbox) => unsafe { inbox.bring(Noted::new(child)) },
        Home::Runtime => {
            let info = claim.cell().info();
            let label = || Label {
                name: info.name(),
                location: info.location(),
            };
            // SAFETY: a `TaskGroup<'env, E>` comes from `group`, where `'env` is `'static`, or from
            // `run`, which does not return (and aborts rather than unwind) before every child has
            // counted itself out; that is the last thing a child does, after its future, output
            // and errors are gone (`child`, invariant 3). What the wrapper still holds then is a
            // cell without an output and a book from which `run` has taken the errors.
            node.with_runtime(|runtime| unsafe { erase::spawn(runtime, label, child) });
        }
    }
    Ok(claim)
}

/// A book for a chunk of cells to keep.
///
/// # Safety
///
/// What is kept is dropped while `'env` lasts, or when the book has no failures any more.
unsafe fn keep<'env, E: Send + 'env>(book: Arc<Book<E>>) -> Kept {
    let book: Arc<dyn Send + Sync + 'env> = book;
    // SAFETY: only the lifetime changes, which matters to the destructor only; see the caller's
    // promise.
    unsafe { std::mem::transmute::<Arc<dyn Send + Sync + 'env>, Kept>(book) }
}

/// Spawns; a child that is refused is dropped here, unpolled, and its claim says cancelled.
#[inline(always)]
pub(crate) fn spawn_or_drop<'env, E, O, F>(
    book: &Arc<Book<E>>,
    home: &Home<'_>,
    ask: Ask,
    info: Info,
    future: F,
) -> Claim<O::Value>
where
    E: Send + 'env,
    O: IntoOutcome<E>,
    O::Value: Send + 'env,
    F: Future<Output = O> + Send + 'env,
{
    match spawn(book, home, ask, info, future) {
        Ok(claim) => claim,
        Err((_, info, future)) => {
            drop(future);
            Claim::refused(info)
        }
    }
}
