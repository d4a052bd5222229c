//! What holds for a group and for an inline scope alike, in an inline scope.

use headcount::{GroupError, Options, Scope, scope as open};

use crate::support::Oops;

#[path = "alike/cancel.rs"]
mod cancel;
#[path = "alike/cancel_members.rs"]
mod cancel_members;
#[path = "alike/daemons.rs"]
mod daemons;
#[path = "alike/errors.rs"]
mod errors;
#[path = "alike/errors_nested.rs"]
mod errors_nested;
#[path = "alike/lifetime.rs"]
mod lifetime;
#[path = "alike/limits.rs"]
mod limits;
#[path = "alike/limits_waiting.rs"]
mod limits_waiting;
#[path = "alike/memory.rs"]
mod memory;
#[path = "alike/outcomes.rs"]
mod outcomes;
#[path = "alike/panics.rs"]
mod panics;
#[path = "alike/panics_of_drops.rs"]
mod panics_of_drops;
#[path = "alike/suppressed.rs"]
mod suppressed;
#[path = "alike/wide.rs"]
mod wide;

/// Are children part of the opener's own future, and forgotten with it?
const INLINE: bool = true;

/// Opens under a limit.
async fn limited<'env, R, F, Fut>(limit: usize, body: F) -> Result<R, GroupError<Oops>>
where
    F: FnOnce(Scope<'env, Oops>) -> Fut,
    Fut: Future<Output = Result<R, Oops>>,
{
    Options::new().limit(limit).scope(body).await
}

/// Opens with these options.
async fn open_with<'env, R, F, Fut>(options: Options, body: F) -> Result<R, GroupError<Oops>>
where
    F: FnOnce(Scope<'env, Oops>) -> Fut,
    Fut: Future<Output = Result<R, Oops>>,
{
    options.scope(body).await
}
