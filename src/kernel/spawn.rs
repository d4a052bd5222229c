//! Lets a child into a group and hands it to who polls it.

use std::{future::Future, sync::Arc};

use super::{
    book::Book,
    child::Child,
    erase,
    inline::Inbox,
    join::Claim,
    ledger::{Ask, Refused},
    roster::Info,
};
use crate::{error::IntoOutcome, runtime::Label};

/// Who polls the children of a group.
pub(crate) enum Home<'a, 'env> {
    /// The runtime's threads.
    Runtime,
    /// The opener of a scope.
    Inline(&'a Inbox<'env>),
}

/// Spawns, or gives everything back with the reason.
pub(crate) fn spawn<'env, E, O, F>(
    book: &Arc<Book<E>>,
    home: &Home<'_, 'env>,
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
    let (cell, queued) = match node.admit(ask, info) {
        Ok(admitted) => admitted,
        Err((refused, info)) => return Err((refused, info, future)),
    };
    let claim = Claim::new(cell.clone());
    let child = Child::<F, O::Value, E>::new(cell, book.clone(), queued, future);
    match home {
        Home::Inline(inbox) => inbox.push(Box::pin(child), node),
        Home::Runtime => {
            let info = claim.cell().info();
            let label = Label {
                name: info.name.as_deref(),
                location: info.location,
            };
            // SAFETY: a `TaskGroup<'env, E>` comes from `group`, where `'env` is `'static`, or from
            // `run`, which does not return (and aborts rather than unwind) before every child has
            // counted itself out; that is the last thing a child does, after its future, output
            // and errors are gone (`child`, invariant 3). What the wrapper still holds then is a
            // cell without an output and a book from which `run` has taken the errors.
            unsafe { erase::spawn(&node.runtime(), label, child) };
        }
    }
    Ok(claim)
}

/// Spawns; a child that is refused is dropped here, unpolled, and its claim says cancelled.
pub(crate) fn spawn_or_drop<'env, E, O, F>(
    book: &Arc<Book<E>>,
    home: &Home<'_, 'env>,
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
