//! What a program did, written down by the program itself and by guards that it carries: nothing
//! in here asks the crate.
//!
//! Its lock is that of std, which shuttle does not see: to write something down is no step, and
//! the lock is never held over one.

use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard},
    task::{Poll, Waker},
};

use headcount::{Deferred, GroupError, Suppressed, checkpoint, defer};
use shuttle::thread;

use crate::engine::block_on;

type Payload = Box<dyn std::any::Any + Send>;

#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    /// Everything that has to be gone in the end.
    present: BTreeMap<&'static str, usize>,
    /// Who was polled and is not destroyed.
    running: Vec<&'static str>,
    /// The most that ran at once.
    most: usize,
    /// The outermost opening has returned.
    over: bool,
    raised: Vec<u32>,
    told: Vec<u32>,
    taken: Vec<&'static str>,
    released: Vec<&'static str>,
    marks: Vec<&'static str>,
    waiters: Vec<Waker>,
    broken: Vec<String>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Ledger {
    pub fn new() -> Self {
        Ledger::default()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().expect("nothing panics while it writes")
    }

    /// Something that has to be gone in the end: an output, a resource, a captured value.
    pub fn keep(&self, name: &'static str) -> Kept {
        self.kept(name, None)
    }

    /// The same; it has to go before `outer` does.
    pub fn keep_inside(&self, outer: &'static str, name: &'static str) -> Kept {
        self.kept(name, Some(outer))
    }

    fn kept(&self, name: &'static str, outer: Option<&'static str>) -> Kept {
        *self.book().present.entry(name).or_default() += 1;
        Kept {
            ledger: self.clone(),
            name,
            outer,
        }
    }

    /// A child: it must not run when the outermost opening has returned.
    pub fn child<F: Future>(
        &self,
        name: &'static str,
        future: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        self.running(self.keep(name), future)
    }

    /// The same; its future has to go before `outer` does.
    pub fn child_inside<F: Future>(
        &self,
        outer: &'static str,
        name: &'static str,
        future: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        self.running(self.keep_inside(outer, name), future)
    }

    fn running<F: Future>(
        &self,
        kept: Kept,
        future: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        async move {
            let _running = Running::new(&kept);
            future.await
        }
    }

    /// For what runs without being a future.
    pub fn run<R>(&self, name: &'static str, f: impl FnOnce() -> R) -> R {
        let kept = self.keep(name);
        let _running = Running::new(&kept);
        f()
    }

    /// A thread that is not the crate's.
    pub fn thread(&self, f: impl FnOnce() + Send + 'static) {
        let thread = thread::spawn(f);
        self.book().threads.push(thread);
    }

    /// An error that has to be told exactly once.
    pub fn fails(&self, error: u32) -> u32 {
        self.book().raised.push(error);
        error
    }

    pub fn told(&self, error: u32) {
        self.book().told.push(error);
    }

    pub fn told_text(&self, text: &str) {
        match text.parse() {
            Ok(error) => self.told(error),
            Err(_) => self.breaks(format!("what is {text:?}?")),
        }
    }

    /// What a hook for suppressed failures was given.
    pub fn hook(&self) -> impl Fn(&Suppressed) + Send + Sync + 'static {
        let ledger = self.clone();
        move |suppressed| ledger.told_text(suppressed.text())
    }

    /// Everything that an opening returned as an error.
    pub fn told_by<T>(&self, result: &Result<T, GroupError<u32>>) {
        if let Err(error) = result {
            let failures = error.failures().iter();
            failures.for_each(|failure| self.told(*failure.error()));
            let left = error.cleanup_failures().iter();
            left.for_each(|failure| self.told_text(&failure.error().to_string()));
        }
    }

    /// A guard whose release has to run exactly once, to its end.
    pub fn defer(&self, name: &'static str) -> Deferred<Ledger> {
        self.book().taken.push(name);
        defer(self.clone(), async move |ledger: Ledger| {
            checkpoint().await;
            ledger.book().released.push(name);
        })
    }

    /// Writes that something happened, and wakes who waits for it.
    pub fn mark(&self, name: &'static str) {
        let waiters = {
            let mut book = self.book();
            book.marks.push(name);
            std::mem::take(&mut book.waiters)
        };
        waiters.into_iter().for_each(Waker::wake);
    }

    /// Waits for a mark.
    pub async fn until(&self, name: &'static str) {
        poll_fn(|cx| {
            let mut book = self.book();
            if book.marks.contains(&name) {
                return Poll::Ready(());
            }
            book.waiters.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    pub fn has(&self, name: &str) -> bool {
        self.book().marks.contains(&name)
    }

    pub fn has_raised(&self, error: u32) -> bool {
        self.book().raised.contains(&error)
    }

    pub fn most_at_once(&self) -> usize {
        self.book().most
    }

    /// For a finding where a panic would be caught by the crate.
    pub fn breaks(&self, what: String) {
        self.book().broken.push(what);
    }

    /// Blocks on the outermost opening. When it has returned, nobody is left behind.
    pub fn root<F: Future>(&self, opening: F) -> F::Output {
        let output = block_on(opening);
        self.over();
        output
    }

    /// The same, for one that may panic.
    pub fn root_caught<F: Future>(&self, opening: F) -> Result<F::Output, Payload> {
        let output = catch_unwind(AssertUnwindSafe(|| block_on(opening)));
        self.over();
        output
    }

    pub fn over(&self) {
        let mut book = self.book();
        book.over = true;
        let running = &book.running;
        assert!(
            running.is_empty(),
            "still there when all was over: {running:?}"
        );
        let sorted = |names: &[&'static str]| {
            let mut names = names.to_vec();
            names.sort_unstable();
            names
        };
        assert_eq!(
            sorted(&book.released),
            sorted(&book.taken),
            "each release has run once when all is over"
        );
    }

    /// Waits for the threads, and checks what is written.
    pub fn settle(&self) {
        let threads = std::mem::take(&mut self.book().threads);
        for thread in threads {
            thread
                .join()
                .expect("the threads of a program do not panic");
        }
        let mut book = self.book();
        assert_eq!(book.broken, Vec::<String>::new());
        let left = book.present.iter().filter(|(_, count)| **count > 0);
        let left: Vec<_> = left.collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        let (mut raised, mut told) = (book.raised.clone(), book.told.clone());
        raised.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, raised, "each failure is told once");
        // So that a ledger that is settled twice does not count twice.
        (book.raised, book.told) = Default::default();
    }
}

/// Something that is there.
pub struct Kept {
    ledger: Ledger,
    name: &'static str,
    outer: Option<&'static str>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut book = self.ledger.book();
        if let Some(outer) = self.outer {
            if book.present.get(outer).is_none_or(|count| *count == 0) {
                let name = self.name;
                book.broken.push(format!("{name} outlived {outer}"));
            }
        }
        *book.present.entry(self.name).or_default() -= 1;
    }
}

/// Something that is being polled from time to time.
struct Running<'a>(&'a Kept);

impl<'a> Running<'a> {
    fn new(kept: &'a Kept) -> Self {
        let mut book = kept.ledger.book();
        if book.over {
            let name = kept.name;
            book.broken.push(format!("{name} began when all was over"));
        }
        book.running.push(kept.name);
        book.most = book.most.max(book.running.len());
        drop(book);
        Running(kept)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut book = self.0.ledger.book();
        let index = book.running.iter().position(|name| *name == self.0.name);
        book.running
            .swap_remove(index.expect("it was written down"));
    }
}
