//! Panics: caught once, carried, resumed in the opener; never lost, never an abort.
//!
//! Every call into code of the user (a poll, a destructor, a hook) goes through [`catch`].

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind},
    sync::Arc,
    task::Waker,
};

use log::Level;

use crate::error::{BoxError, CleanupFailure, write_who};

pub(crate) type Payload = Box<dyn Any + Send>;

/// What to call with each [`Suppressed`] failure.
pub(crate) type SuppressedHook = Arc<dyn Fn(&Suppressed) + Send + Sync>;

/// What unwinds a blocking closure whose task is cancelled, where it waits for something that ends without a
/// value, and has no error to return.
struct Interrupt;

/// Without the panic hook: nothing has gone wrong. But where nothing unwinds, the process ends here, and
/// should say why.
pub(crate) fn interrupt() -> ! {
    if cfg!(panic = "abort") {
        panic!(
            "a blocking closure was cancelled while it waited for something that has no error for \
             that, and `panic = \"abort\"` keeps it from unwinding: wait for a group or in `run`"
        );
    }
    resume_unwind(Box::new(Interrupt))
}

pub(crate) fn is_interrupt(payload: &Payload) -> bool {
    payload.is::<Interrupt>()
}

/// Runs code of the user. What a panic leaves behind is dropped or reported, never used again,
/// which is why unwind safety is asserted here and nowhere else.
#[inline]
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Payload> {
    catch_unwind(AssertUnwindSafe(f))
}

/// A caught panic, and the task it came from.
pub(crate) struct Panic {
    pub(crate) payload: Payload,
    pub(crate) name: Option<Box<str>>,
    pub(crate) location: &'static Location<'static>,
}

impl Panic {
    /// The task by its name, or by where it was spawned.
    pub(crate) fn describe(&self) -> String {
        match &self.name {
            Some(name) => name.to_string(),
            None => self.location.to_string(),
        }
    }

    /// For where a panic has to be returned as an error.
    pub(crate) fn into_error(self) -> BoxError {
        let error = format!("panicked: {}", text(&self.payload));
        discard(self.payload);
        error.into()
    }

    /// Goes on unwinding where the boundary was opened, with the payload unchanged.
    pub(crate) fn resume(self) -> ! {
        resume_unwind(self.payload)
    }
}

/// The text of a panic, if it has one.
pub(crate) fn text(payload: &Payload) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a payload that is not text"
    }
}

/// What an error says, for where it cannot be returned as it is. It is dropped here, and a panic of
/// either is caught: who calls this has to go on.
pub(crate) fn into_text<E: fmt::Debug>(error: E) -> String {
    let shown = debug_text(&error);
    drop_error(error);
    shown
}

fn drop_error<E>(error: E) {
    guard("the destructor of an error", || drop(error));
}

/// The same, for an error that goes on.
pub(crate) fn debug_text<E: fmt::Debug>(error: &E) -> String {
    shown(format_args!("{error:?}"))
}

fn shown(error: fmt::Arguments<'_>) -> String {
    let shown = catch(|| fmt::format(error));
    shown.unwrap_or_else(|payload| {
        let shown = format!("an error that panicked when shown: {}", text(&payload));
        discard(payload);
        shown
    })
}

/// Writes into the log. That may be anybody's code, and its panic must not keep the kernel from
/// going on.
pub(crate) fn log(level: Level, what: fmt::Arguments<'_>) {
    let logged = catch(|| log::log!(target: "headcount", level, "{what}"));
    if let Err(again) = logged.or_else(|payload| catch(|| drop(payload))) {
        std::mem::forget(again);
    }
}

/// Does the log take such lines?
pub(crate) fn logs(level: Level) -> bool {
    let logs = catch(|| log::log_enabled!(target: "headcount", level));
    logs.unwrap_or_else(|payload| {
        discard(payload);
        false
    })
}

/// Runs code of which a panic has nowhere to go, and reports one.
pub(crate) fn guard(what: &str, f: impl FnOnce()) {
    if let Err(payload) = catch(f) {
        log(
            Level::Error,
            format_args!("{what} panicked: {}", text(&payload)),
        );
        discard(payload);
    }
}

/// Wakes. A waker may be anybody's code, and its panic must not keep the kernel from going on.
pub(crate) fn wake(waker: Waker) {
    guard("a waker", || waker.wake());
}

/// Drops a payload, whose destructor may panic in turn; that one's payload is leaked.
pub(crate) fn discard(payload: Payload) {
    if let Err(again) = catch(move || drop(payload)) {
        log(
            Level::Error,
            format_args!("dropping a panic payload panicked: {}", text(&again)),
        );
        std::mem::forget(again);
    }
}

/// A failure that could not be carried by what the opener returned: a second panic, an error beside
/// a panic, or the failure of a [supervised](crate::supervise()) child whose handle was kept past the
/// end and dropped unread. [`Options::on_suppressed`](crate::Options::on_suppressed) receives it; by
/// default it is written to the log as an error.
#[derive(Debug)]
pub struct Suppressed {
    name: Option<Box<str>>,
    location: &'static Location<'static>,
    text: String,
    panicked: bool,
}

impl Suppressed {
    /// The name of the task or boundary, if it has one; of a release as in
    /// [`CleanupFailure::name`].
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where the task was spawned, or the boundary opened.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// What the failure says.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Was it a panic (rather than an error)?
    pub fn is_panic(&self) -> bool {
        self.panicked
    }
}

impl From<Panic> for Suppressed {
    fn from(panic: Panic) -> Self {
        let text = text(&panic.payload).to_owned();
        discard(panic.payload);
        Suppressed {
            name: panic.name,
            location: panic.location,
            text,
            panicked: true,
        }
    }
}

impl From<CleanupFailure> for Suppressed {
    fn from(failure: CleanupFailure) -> Self {
        let suppressed = Suppressed {
            name: failure.name().map(Into::into),
            location: failure.location(),
            text: shown(format_args!("{}", failure.error())),
            panicked: failure.is_panic(),
        };
        drop_error(failure);
        suppressed
    }
}

impl fmt::Display for Suppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.panicked { "panicked" } else { "failed" };
        write_who(f, self.name(), self.location)?;
        write!(f, " {verb}: {}", self.text)
    }
}
