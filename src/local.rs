//! Values that a task hands down to everything that it spawns (feature `task-locals`).

use std::{
    any::Any,
    cell::RefCell,
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

/// A value that code sees which was started while it was set: what Python has in `contextvars`, and
/// Swift in `TaskLocal`. Needs the feature `task-locals`.
///
/// It stands in a `static`. [`scope`](Local::scope) sets it for one future; that future sees it, and so
/// does everything that is spawned in there, however deep: children of every kind, in parallel or inline,
/// blocking closures, and the releases that are given to [`defer`](crate::defer) or
/// [`bracket`](crate::bracket). What they see is what was set *where they were spawned or deferred*: the
/// value goes along, though the child may outlive the scope. Destructors of their futures see it too.
///
/// A value cannot be changed, only be set anew further in; what is around does not notice.
///
/// In `compute` (feature `rayon`) the closure sees what was set where it was called. The pieces into which rayon splits it
/// run on other threads too, which see nothing, or what another computation sees: read the value before, and move it in.
///
/// async-std's `task_local!` is another thing: a value of one task, which begins anew in each child. It
/// works in children as in any task.
///
/// ```
/// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
/// use headcount::Local;
///
/// static REQUEST: Local<u64> = Local::new();
///
/// headcount::run(async |g| {
///     REQUEST.scope(7, async {
///         g.spawn(async { assert_eq!(REQUEST.get(), Some(7)) });
///         let in_thread = headcount::unblock(|| REQUEST.get());
///         assert_eq!(in_thread.await, Some(7));
///     })
///     .await;
///     assert_eq!(REQUEST.get(), None);
///     Ok(())
/// })
/// # }
/// ```
///
/// It costs each child a look at a thread-local when it is spawned, and two changes of it for each poll.
pub struct Local<T> {
    /// Which one it is, is told by the address. So it must have a size, and must not be a constant of
    /// which the compiler makes many, or one of many: of what has a lock in it, it does not.
    _place: Mutex<()>,
    _value: PhantomData<fn() -> T>,
}

impl<T> Local<T> {
    /// A local without a value. See the [example](Local).
    #[expect(clippy::new_without_default, reason = "it stands in a static")]
    pub const fn new() -> Self {
        Local {
            _place: Mutex::new(()),
            _value: PhantomData,
        }
    }

    fn key(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl<T: Send + Sync + 'static> Local<T> {
    /// Runs `future` with this value set, for it and for everything that it spawns.
    ///
    /// What else is set is what was so at the first poll.
    ///
    /// ```
    /// # fn main() { async_std::task::block_on(async {
    /// use headcount::Local;
    ///
    /// static USER: Local<&str> = Local::new();
    ///
    /// let outer = USER.scope("ann", async {
    ///     let inner = USER.scope("bob", async { USER.get() }).await;
    ///     (inner, USER.get())
    /// });
    /// assert_eq!(outer.await, (Some("bob"), Some("ann")));
    /// # }) }
    /// ```
    ///
    /// # Panics
    ///
    /// With the panic of `future`.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops `future`, which sees the value once more.
    pub fn scope<F: Future>(
        &'static self,
        value: T,
        future: F,
    ) -> impl Future<Output = F::Output> + use<T, F> {
        Set {
            entry: Some((self.key(), Arc::new(value))),
            within: None,
            future: Some(future),
        }
    }

    /// Shows the value, if one is set here.
    ///
    /// ```
    /// # use headcount::Local;
    /// static NAME: Local<String> = Local::new();
    /// assert_eq!(NAME.with(|name| name.map_or(0, String::len)), 0);
    /// ```
    pub fn with<R>(&'static self, f: impl FnOnce(Option<&T>) -> R) -> R {
        let value = Values::here().get(self.key());
        f(value.as_deref().and_then(|value| value.downcast_ref()))
    }

    /// A clone of the value, if one is set here.
    ///
    /// ```
    /// # use headcount::Local;
    /// static NUMBER: Local<u32> = Local::new();
    /// assert_eq!(NUMBER.get(), None);
    /// ```
    pub fn get(&'static self) -> Option<T>
    where
        T: Clone,
    {
        self.with(|value| value.cloned())
    }
}

impl<T> fmt::Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

/// The address of a local, and its value.
type Entry = (usize, Arc<dyn Any + Send + Sync>);

/// All the values that are set somewhere. Programs have few locals, so this is a list; a value that is
/// set anew replaces the one before, so that it does not grow with the depth of a recursion.
#[derive(Clone, Default)]
pub(crate) struct Values(Option<Arc<[Entry]>>);

thread_local! {
    static HERE: RefCell<Values> = const { RefCell::new(Values(None)) };
}

impl Values {
    /// What is set for the code that runs now. While the locals of a thread are torn down, nothing is.
    pub(crate) fn here() -> Self {
        let here = HERE.try_with(|here| here.borrow().clone());
        here.unwrap_or_default()
    }

    fn get(&self, key: usize) -> Option<Arc<dyn Any + Send + Sync>> {
        let entry = self.0.iter().flat_map(|entries| entries.iter());
        let found = entry.into_iter().find(|(of, _)| *of == key);
        found.map(|(_, value)| value.clone())
    }

    fn with(&self, entry: Entry) -> Self {
        let others = self.0.iter().flat_map(|entries| entries.iter());
        let others = others.filter(|(key, _)| *key != entry.0).cloned();
        Values(Some(others.chain([entry.clone()]).collect()))
    }

    /// Sets them on this thread, until the guard is dropped.
    pub(crate) fn enter(&self) -> Entered {
        Entered(exchange(self.clone()))
    }

    pub(crate) fn around<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        Set {
            entry: None,
            within: Some(self),
            future: Some(future),
        }
    }
}

/// No value is dropped while the list is borrowed: a destructor may look at it.
fn exchange(values: Values) -> Values {
    let before = HERE.try_with(|here| here.replace(values));
    before.unwrap_or_default()
}

/// Puts back what was set before, on unwind too.
pub(crate) struct Entered(Values);

impl Drop for Entered {
    fn drop(&mut self) {
        drop(exchange(std::mem::take(&mut self.0)));
    }
}

pin_project! {
    /// A future, and what it sees.
    struct Set<F> {
        // Until the first poll: what is to be set besides.
        entry: Option<Entry>,
        within: Option<Values>,
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Set<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _entered = enter(this.entry, this.within);
            this.future.set(None);
        }
    }
}

/// Fixes what a future sees, if that is not done yet.
fn enter(entry: &mut Option<Entry>, within: &mut Option<Values>) -> Entered {
    if let Some(entry) = entry.take() {
        *within = Some(Values::here().with(entry));
    }
    within.as_ref().map(Values::enter).expect("fixed just now")
}

impl<F: Future> Future for Set<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            panic!("the future of a scope was polled again after it had returned");
        };
        let _entered = enter(this.entry, this.within);
        let polled = future.poll(cx);
        if polled.is_ready() {
            // In here, so that its destructor sees the value too.
            this.future.set(None);
        }
        polled
    }
}
