//! Carrying the current boundary into foreign spawns and threads.

use std::{
    fmt,
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{
    kernel::{context, context::Frame, node::Node},
    panics,
};

/// The boundary that some code runs in, to be carried where the crate cannot see it: into a task that
/// was spawned on a runtime directly, a thread, a rayon job.
///
/// What is opened there then belongs to the boundary: it is cancelled with it, waited for, and
/// adopted. The foreign task itself is not: nobody can wait for what somebody else spawned. So it is
/// up to the body of the boundary to wait for it: when the body ends, what is still open in a
/// foreign task is cancelled (a [`run`](crate::run()) in a thread is not) and waited for, and what is
/// opened there later finds itself cancelled. Prefer children and
/// [`spawn_blocking`](crate::TaskGroup::spawn_blocking) where they fit.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<headcount::JoinError>> {
/// use headcount::{Boundary, run};
///
/// run(async |g| {
///     let here = Boundary::current().expect("inside a group");
///     let child = g.spawn_blocking(move |_| {
///         // A thread of a foreign library: what it runs joins the tree all the same.
///         let thread = std::thread::spawn(move || here.enter(|| run(async |_| Ok::<_, ()>(42))));
///         Ok(thread.join().unwrap().unwrap())
///     });
///     assert_eq!(child.await?, 42);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct Boundary(Arc<Node>);

impl Boundary {
    /// The boundary of the code that runs now; `None` outside of any.
    ///
    /// In a child it is the child, and what is opened in it ends with the child; in a timeout or a cancel scope it is
    /// that. Take it in the body of the group whose tree you want, and not further in.
    pub fn current() -> Option<Boundary> {
        context::node().map(Boundary)
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.0
    }

    /// Polls, and drops, `future` inside this boundary, wherever that happens.
    ///
    /// In a task that is not below this boundary: when the boundary is cancelled, or ends, a group in there
    /// returns an error, and whatever else waits in there stays pending, until the task is dropped. A [`shield`](crate::shield()) that is
    /// forgotten there half-way is waited for, for ever.
    ///
    /// ```
    /// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
    /// use headcount::{Boundary, group, run};
    ///
    /// run(async |_| {
    ///     let here = Boundary::current().expect("inside a group");
    ///     let foreign = async_std::task::spawn(here.wrap(async {
    ///         group(async |g| { g.spawn(async {}); Ok::<_, ()>(7) }).await.unwrap()
    ///     }));
    ///     assert_eq!(foreign.await, 7);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn wrap<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        Wrapped {
            node: self.0.clone(),
            future: Some(future),
        }
    }

    /// Runs `f` inside this boundary, on a thread that may be blocked: [`run`](crate::run()) may be
    /// called there, and what is deferred is released by this boundary.
    ///
    /// # Panics
    ///
    /// With the panic of `f`. If the boundary is cancelled, or ends, while `f` waits in it, by the runtime's
    /// `block_on`, for a timeout or something else that has no error for that. `run` and groups have one.
    pub fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        let in_closure = context::inside_closure();
        let result = Frame::Blocking(&self.0).catch(f);
        result.unwrap_or_else(|payload| {
            if panics::is_interrupt(&payload) && !in_closure {
                panic!(
                    "a boundary that was carried to this thread was cancelled, while the thread \
                     waited in it for something that has no error for that: wait for a group or in \
                     `run`"
                );
            }
            resume_unwind(payload)
        })
    }
}

impl fmt::Debug for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Boundary")
            .field("name", &self.0.name)
            .field("location", &self.0.location)
            .finish()
    }
}

pin_project! {
    struct Wrapped<F> {
        node: Arc<Node>,
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Wrapped<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let dropped = Wrapped::<F>::frame(this.node).catch(|| this.future.set(None));
            match dropped {
                Err(payload) if std::thread::panicking() => {
                    let text = panics::text(&payload);
                    panics::log(
                        log::Level::Error,
                        format_args!("a destructor in a carried boundary panicked too: {text}"),
                    );
                    panics::discard(payload);
                }
                Err(payload) => resume_unwind(payload),
                Ok(()) => {}
            }
        }
    }
}

impl<F> Wrapped<F> {
    /// Whoever runs inside of the boundary anyway is no stranger to it.
    fn frame(node: &Arc<Node>) -> Frame<'_> {
        match context::is_under(node) {
            true => Frame::Node(node),
            false => Frame::Foreign(node),
        }
    }
}

impl<F: Future> Future for Wrapped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let future = this.future.as_pin_mut().expect("dropped only with this");
        let polled = Wrapped::<F>::frame(this.node).catch(|| future.poll(cx));
        polled.unwrap_or_else(|payload| resume_unwind(payload))
    }
}
