//! What happened, in order, each with its virtual time; and the futures and guards that note it.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use headcount::{CancelKind, CancelReason, time::Instant};

use super::grammar::Id;

pub type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// The step that does something to another.
pub type By = Id;
pub type Payload = Box<dyn Any + Send>;

/// The error of the programs: of a step that fails, or of one that hands on the error of its group.
#[derive(Debug, PartialEq, Eq)]
pub struct Oops(pub Id);

impl std::fmt::Display for Oops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Something that has to be reported to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    Error(Id),
    Panic(Id),
    /// The error of a release.
    Release(Id),
    /// A release that was dropped before its end; its report does not say which.
    Cut,
}

/// Where it was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Among the failures of this boundary's error.
    Failures(Id),
    /// Among its cleanup failures.
    Cleanups(Id),
    /// By the handle of this supervised child.
    Handle(Id),
    /// To the caller of this `start`.
    Start(Id),
    /// To the `close` of this release.
    Close(Id),
    /// To the hook of the root.
    Suppressed,
    /// It unwound out of the root.
    Root,
}

/// How code ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Value,
    Error(Id),
    Panic(Id),
}

/// Why something was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// On request, of that step if it is one that says so.
    Explicit(Option<By>),
    Deadline,
    SiblingFailed,
    BodyFailed,
    Dropped,
    Shutdown,
}

impl Reason {
    pub fn of(reason: &CancelReason) -> Self {
        let message = reason.message.as_deref();
        match reason.kind {
            CancelKind::Explicit => Reason::Explicit(match message {
                Some("the race has a winner" | "a race without entrants") => None,
                message => message.map(|by| by.parse().unwrap()),
            }),
            CancelKind::Deadline => Reason::Deadline,
            CancelKind::SiblingFailed => Reason::SiblingFailed,
            CancelKind::BodyFailed => Reason::BodyFailed,
            CancelKind::Dropped => Reason::Dropped,
            CancelKind::Shutdown => Reason::Shutdown,
            kind => panic!("what is {kind:?}?"),
        }
    }
}

/// What a boundary, or the caller's side of a `start`, returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Value,
    /// The value of a timeout or scope, which was an error of the code inside.
    Error(Id),
    /// A `GroupError` with so many failures and cleanup failures.
    Failed(usize, usize),
    /// A `GroupError` that says that it is cancelled, whatever is in it.
    SaysCancelled(usize, usize),
    Cancelled,
    TimedOut,
    Panicked(Id),
    NotStarted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    Value,
    Cancelled,
    Failed,
    Panicked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The code of a child or of a boundary exists.
    Made(Id),
    Polled(Id),
    Ready(Id, Ending),
    Dropping(Id),
    Dropped(Id),
    /// An opener's future is polled for the first time.
    Entered(Id),
    /// It went back to who awaits it.
    Returned(Id, Outcome),
    /// A foreign combinator drops the block of this step half-way.
    Lost(Id),
    LostDone(Id),
    /// And forgets it.
    Forgot(Id),
    /// It leaves the block aside.
    Paused(Id),
    /// It polls it again.
    Resumed(Id),
    /// The call that spawned it came back.
    Spawned(Id),
    Leaked(Id),
    /// Its handle was put where all code finds it.
    Shared(Id),
    /// And was found by a step.
    Found(Id, By),
    /// It is about to say that it has started.
    Sent(Id),
    /// But that was too late: what it sent was dropped.
    Refused(Id),
    Joined(Id, Joined),
    Deferred(Id),
    /// The guard is dropped before the end of its block.
    Given(Id),
    /// It is closed.
    Closing(Id),
    Releasing(Id),
    Released(Id, Ending),
    /// The release's future was dropped before its end.
    Cut(Id),
    /// A step asks this group, scope or child to end.
    Requested(Id, By),
    /// A step asks this group to stop.
    Asked(Id, By),
    /// Why it was cancelled, as it says when it has ended.
    Because(Id, Option<Reason>),
    /// This scope says that it caught what it caused.
    Caught(Id),
    /// Somebody moves the deadline of this scope.
    Moved(Id),
    Threw(Id),
    Reported(Origin, Place),
    /// An output or a resource came to life, and died.
    Born(Thing),
    Died(Thing),
}

/// What is counted until it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Thing {
    Output(Id),
    Resource(Id),
}

impl Event {
    /// The step that it is about.
    pub fn id(self) -> Id {
        match self {
            Event::Made(id)
            | Event::Polled(id)
            | Event::Ready(id, _)
            | Event::Dropping(id)
            | Event::Dropped(id)
            | Event::Entered(id)
            | Event::Returned(id, _)
            | Event::Lost(id)
            | Event::LostDone(id)
            | Event::Forgot(id)
            | Event::Paused(id)
            | Event::Resumed(id)
            | Event::Spawned(id)
            | Event::Leaked(id)
            | Event::Shared(id)
            | Event::Found(id, _)
            | Event::Sent(id)
            | Event::Refused(id)
            | Event::Joined(id, _)
            | Event::Deferred(id)
            | Event::Given(id)
            | Event::Closing(id)
            | Event::Releasing(id)
            | Event::Released(id, _)
            | Event::Cut(id)
            | Event::Requested(id, _)
            | Event::Asked(id, _)
            | Event::Because(id, _)
            | Event::Caught(id)
            | Event::Moved(id)
            | Event::Threw(id)
            | Event::Born(Thing::Output(id) | Thing::Resource(id))
            | Event::Died(Thing::Output(id) | Thing::Resource(id)) => id,
            Event::Reported(_, place) => match place {
                Place::Failures(id)
                | Place::Cleanups(id)
                | Place::Handle(id)
                | Place::Start(id)
                | Place::Close(id) => id,
                Place::Suppressed | Place::Root => super::grammar::ROOT,
            },
        }
    }
}

/// An event and the nanoseconds of virtual time since the ledger was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub at: u64,
    pub event: Event,
}

/// Written by a program while it runs, from any thread.
#[derive(Clone)]
pub struct Ledger {
    opened: Instant,
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Ledger {
    /// To be called where the clock of the program is.
    pub fn open() -> Self {
        Ledger {
            opened: Instant::now(),
            entries: Arc::default(),
        }
    }

    pub fn note(&self, event: Event) {
        let elapsed = Instant::now().duration_since(self.opened);
        let at = elapsed.as_nanos().try_into().unwrap_or(u64::MAX);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(Entry { at, event });
    }

    pub fn entries(&self) -> Vec<Entry> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clone()
    }

    /// The step that has found this shared handle.
    pub fn finder(&self, of: Id) -> Option<By> {
        let entries = self.entries();
        entries.iter().find_map(|entry| match entry.event {
            Event::Found(id, by) if id == of => Some(by),
            _ => None,
        })
    }

    pub fn output(&self, id: Id) -> Tracked {
        self.track(Thing::Output(id), false)
    }

    /// An output whose destructor panics.
    pub fn bomb(&self, id: Id) -> Tracked {
        self.track(Thing::Output(id), true)
    }

    pub fn resource(&self, id: Id) -> Tracked {
        self.track(Thing::Resource(id), false)
    }

    fn track(&self, thing: Thing, bomb: bool) -> Tracked {
        self.note(Event::Born(thing));
        Tracked {
            ledger: self.clone(),
            thing,
            bomb,
        }
    }

    /// Panics in a destructor, unless that would end the process.
    pub fn throw_in_drop(&self, id: Id) {
        if !std::thread::panicking() {
            self.throw(id);
        }
    }

    /// Panics without the panic hook, which would only print it.
    pub fn throw(&self, id: Id) -> ! {
        self.note(Event::Threw(id));
        resume_unwind(Box::new(format!("boom {id}")))
    }
}

/// One living thing.
pub struct Tracked {
    ledger: Ledger,
    thing: Thing,
    bomb: bool,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let died = Event::Died(self.thing);
        self.ledger.note(died);
        if self.bomb {
            self.ledger.throw_in_drop(died.id());
        }
    }
}

/// Who threw this. A payload that is none of ours unwinds on.
pub fn thrower(payload: Payload) -> (Id, Payload) {
    match payload
        .downcast_ref::<String>()
        .and_then(|text| parse(text))
    {
        Some(Origin::Panic(id)) => (id, payload),
        _ => resume_unwind(payload),
    }
}

/// What an error that is carried as text is about.
pub fn parse(text: &str) -> Option<Origin> {
    let number = |prefix: &str, suffix: &str| {
        let rest = text.split_once(prefix)?.1;
        rest.strip_suffix(suffix)?.parse::<Id>().ok()
    };
    None.or_else(|| number("Oops(", ")").map(Origin::Error))
        .or_else(|| number("boom ", "").map(Origin::Panic))
        .or_else(|| number("release ", "").map(Origin::Release))
        .or_else(|| {
            let cut = ["was cut", "neither awaited to its end nor dropped"];
            let is_cut = cut.iter().any(|words| text.contains(words));
            is_cut.then_some(Origin::Cut)
        })
}

/// Code that notes its life: of a child, of a boundary's body, or of a block in a foreign combinator.
pub struct Watched<T> {
    ledger: Ledger,
    id: Id,
    future: Option<Boxed<Result<T, Oops>>>,
}

impl<T> Watched<T> {
    pub fn new(ledger: &Ledger, id: Id, future: Boxed<Result<T, Oops>>) -> Self {
        ledger.note(Event::Made(id));
        Watched {
            ledger: ledger.clone(),
            id,
            future: Some(future),
        }
    }
}

impl<T> Unpin for Watched<T> {}

impl<T> Future for Watched<T> {
    type Output = Result<T, Oops>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.ledger.note(Event::Polled(this.id));
        let Some(future) = &mut this.future else {
            return Poll::Pending;
        };
        let ending = match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => Ok(result),
            Err(payload) => Err(thrower(payload)),
        };
        this.ledger.note(Event::Ready(
            this.id,
            match &ending {
                Ok(Ok(_)) => Ending::Value,
                Ok(Err(Oops(id))) => Ending::Error(*id),
                Err((id, _)) => Ending::Panic(*id),
            },
        ));
        match ending {
            Ok(result) => Poll::Ready(result),
            Err((_, payload)) => resume_unwind(payload),
        }
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        /// Also if the destructor panics.
        struct Gone<'a>(&'a Ledger, Id);
        impl Drop for Gone<'_> {
            fn drop(&mut self) {
                self.0.note(Event::Dropped(self.1));
            }
        }
        self.ledger.note(Event::Dropping(self.id));
        let _gone = Gone(&self.ledger, self.id);
        self.future = None;
    }
}

/// Polls the future of an opener, and notes what it returns.
pub async fn returned<T>(
    ledger: &Ledger,
    id: Id,
    future: impl Future<Output = T>,
    outcome: impl FnOnce(&T) -> Outcome,
) -> T {
    ledger.note(Event::Entered(id));
    match caught(future).await {
        Ok(value) => {
            ledger.note(Event::Returned(id, outcome(&value)));
            value
        }
        Err(payload) => {
            let (by, payload) = thrower(payload);
            ledger.note(Event::Returned(id, Outcome::Panicked(by)));
            resume_unwind(payload)
        }
    }
}

/// Awaits the future, and gives back the payload if it panics.
pub async fn caught<F: Future>(future: F) -> Result<F::Output, Payload> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(move |cx| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(payload) => Poll::Ready(Err(payload)),
        }
    })
    .await
}
