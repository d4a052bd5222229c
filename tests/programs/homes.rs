//! What code holds while it runs: the groups around it, and what its block owns.

#[cfg(not(shuttle))]
use std::thread::{self, ThreadId};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use headcount::{
    Deferred, JoinHandle, Scope, StartError, Started, SupervisedHandle, Supervisor, TaskError,
    TaskGroup,
};
#[cfg(shuttle)]
use shuttle::thread::{self, ThreadId};

use super::{
    grammar::{Block, Id, Way},
    ledger::{Boxed, By, Ledger, Oops, Payload, Reason, Tracked, Watched},
};

/// A group that code can spawn into.
#[derive(Clone)]
pub struct Home {
    pub id: Id,
    pub limited: bool,
    pub opened: Opened,
}

#[derive(Clone)]
pub enum Opened {
    Group(TaskGroup<'static, Oops>),
    Scope(Scope<'static, Oops>),
    Supervise(Supervisor<Oops>),
}

/// The same call on a `TaskGroup` and on a `Scope`.
macro_rules! spawn {
    ($group:ident, $way:ident, $child:ident, $may_wait:ident) => {
        match $way {
            Way::Plain => $group.spawn($child),
            Way::WhenFree if $may_wait => $group.spawn_when_free($child).await,
            Way::Named | Way::WhenFree => $group.spawn_named("named", $child),
            Way::Daemon => $group.spawn_daemon($child),
            Way::Try => $group.try_spawn($child).ok()?,
        }
    };
}

impl Home {
    /// `None` if it was refused.
    pub async fn spawn(
        &self,
        id: Id,
        way: Way,
        child: Watched<Tracked>,
        may_wait: bool,
    ) -> Option<Kept> {
        Some(match &self.opened {
            Opened::Group(group) => {
                let handle = spawn!(group, way, child, may_wait);
                Kept::new(id, self, Handle::Join(handle))
            }
            Opened::Scope(scope) => {
                let handle = spawn!(scope, way, child, may_wait);
                Kept::new(id, self, Handle::Join(handle))
            }
            Opened::Supervise(supervisor) => {
                let handle = supervisor.spawn(child);
                Kept::new(id, self, Handle::Supervised(handle))
            }
        })
    }

    /// `None` for a supervisor, which has no such call.
    pub fn start(
        self,
        child: impl FnOnce(Started<Token>) -> Watched<Tracked> + Send + 'static,
    ) -> Option<Boxed<Result<Token, StartError<Oops>>>> {
        match self.opened {
            Opened::Group(group) => Some(Box::pin(async move { group.start(child).await })),
            Opened::Scope(scope) => Some(Box::pin(async move { scope.start(child).await })),
            Opened::Supervise(_) => None,
        }
    }

    /// If it has threads for closures.
    pub fn parallel(&self) -> Option<(&Home, &TaskGroup<'static, Oops>)> {
        match &self.opened {
            Opened::Group(group) => Some((self, group)),
            _ => None,
        }
    }
}

impl Opened {
    /// With the step as the reason.
    pub fn cancel(&self, by: By) {
        match self {
            Opened::Group(group) => group.cancel_with(by.to_string()),
            Opened::Scope(scope) => scope.cancel_with(by.to_string()),
            Opened::Supervise(supervisor) => supervisor.cancel_with(by.to_string()),
        }
    }

    pub fn shutdown(&self, grace: Duration) {
        match self {
            Opened::Group(group) => group.shutdown(grace),
            Opened::Scope(scope) => scope.shutdown(grace),
            Opened::Supervise(supervisor) => supervisor.shutdown(grace),
        }
    }
}

/// A child's handle.
pub struct Kept {
    pub id: Id,
    /// The last step of its code.
    last: Id,
    pub limited: bool,
    handle: Handle,
}

pub enum Handle {
    Join(JoinHandle<Tracked>),
    Supervised(SupervisedHandle<Tracked, Oops>),
}

impl Kept {
    pub fn new(id: Id, home: &Home, handle: Handle) -> Self {
        Kept {
            id,
            last: id,
            limited: home.limited,
            handle,
        }
    }

    /// The child's code is this block.
    pub fn of(mut self, block: &Block) -> Self {
        self.last += block.last();
        self
    }

    /// Code does not wait for what is before it, and not around it, while that waits for the code.
    pub fn may_be_awaited_by(&self, step: Id) -> bool {
        self.last < step
    }

    pub fn cancel(&self) {
        match &self.handle {
            Handle::Join(handle) => handle.cancel(),
            Handle::Supervised(handle) => handle.cancel(),
        }
    }

    pub async fn wait(self) -> Result<Tracked, Missing> {
        match self.handle {
            Handle::Join(handle) => handle.await.map_err(|error| match error {
                _ if error.is_cancelled() => Missing::Cancelled(None),
                _ if error.is_panicked() => Missing::Panicked(None),
                _ => Missing::Failed(None),
            }),
            Handle::Supervised(handle) => handle.await.map_err(|error| match error {
                TaskError::Failed(error) => Missing::Failed(Some(error)),
                TaskError::Panicked(payload) => Missing::Panicked(Some(payload)),
                TaskError::Cancelled(reason) => Missing::Cancelled(Some(Reason::of(&reason))),
            }),
        }
    }
}

/// Why a handle has no output; with what it owns.
pub enum Missing {
    Cancelled(Option<Reason>),
    Failed(Option<Oops>),
    Panicked(Option<Payload>),
}

/// What a child sends when it has started.
pub struct Token(Arc<Sent>);

/// Looks at what became of a token.
pub struct Sending(Arc<Sent>);

struct Sent {
    /// The thread that sends it.
    by: ThreadId,
    /// The call has not come back.
    sending: AtomicBool,
    refused: AtomicBool,
}

impl Token {
    /// To be sent at once.
    pub fn new() -> (Token, Sending) {
        let sent = Arc::new(Sent {
            by: thread::current().id(),
            sending: AtomicBool::new(true),
            refused: AtomicBool::new(false),
        });
        (Token(sent.clone()), Sending(sent))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // By the call itself; and not by a caller that is cancelled when it has been given it.
        if self.0.sending.load(Ordering::SeqCst) && thread::current().id() == self.0.by {
            self.0.refused.store(true, Ordering::SeqCst);
        }
    }
}

impl Sending {
    /// After the call: it has dropped the token.
    pub fn was_refused(&self) -> bool {
        self.0.sending.store(false, Ordering::SeqCst);
        self.0.refused.load(Ordering::SeqCst)
    }
}

/// What the code of a block owns; the newest is dropped first, also if a destructor panics.
#[derive(Default)]
pub struct Stack(Option<Box<(Local, Stack)>>);

enum Local {
    Guard(Id, Deferred<Tracked>),
    Handle(Kept),
    Bomb { _bomb: Bomb },
}

impl Stack {
    fn push(&mut self, local: Local) {
        let rest = std::mem::take(self);
        *self = Stack(Some(Box::new((local, rest))));
    }

    /// Takes out the newest that fits.
    fn take(&mut self, fits: impl Fn(&Local) -> bool) -> Option<Local> {
        let (local, _) = self.0.as_deref()?;
        if !fits(local) {
            return self.0.as_deref_mut()?.1.take(fits);
        }
        let (local, rest) = *self.0.take()?;
        *self = rest;
        Some(local)
    }

    pub fn bomb(&mut self, ledger: &Ledger, id: Id) {
        let bomb = Bomb(ledger.clone(), id);
        self.push(Local::Bomb { _bomb: bomb });
    }

    pub fn guard(&mut self, id: Id, guard: Deferred<Tracked>) {
        self.push(Local::Guard(id, guard));
    }

    pub fn handle(&mut self, kept: Kept) {
        self.push(Local::Handle(kept));
    }

    pub fn take_guard(&mut self) -> Option<(Id, Deferred<Tracked>)> {
        match self.take(|local| matches!(local, Local::Guard(..)))? {
            Local::Guard(id, guard) => Some((id, guard)),
            _ => None,
        }
    }

    /// The newest handle, if that one fits.
    pub fn take_handle(&mut self, fits: impl Fn(&Kept) -> bool) -> Option<Kept> {
        if !self.with_handle(fits)? {
            return None;
        }
        match self.take(|local| matches!(local, Local::Handle(_)))? {
            Local::Handle(kept) => Some(kept),
            _ => None,
        }
    }

    /// Does something with the newest handle.
    pub fn with_handle<R>(&self, f: impl FnOnce(&Kept) -> R) -> Option<R> {
        match self.0.as_deref()? {
            (Local::Handle(kept), _) => Some(f(kept)),
            (_, rest) => rest.with_handle(f),
        }
    }
}

/// Panics when it is dropped, unless that would end the process.
struct Bomb(Ledger, Id);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.throw_in_drop(self.1);
    }
}
