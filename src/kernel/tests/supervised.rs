//! The verdict of a supervised child against its handle, and against the close of the book.
//!
//! Supervised, invariants 1 and 2: the verdict is taken once, by the handle or, once that is gone, by
//! whoever comes second; a failure that nobody read is returned by the opener, or, if the book was
//! closed before, goes to the hook.

use super::{Guard, Out, Trace, begin, bound, check, join, thread};
use crate::{
    Options, checkpoint,
    runtime::models::{Task, next_task},
};

struct Error(Guard);

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let _ = &self.0;
        f.write_str("failed")
    }
}

#[test]
fn a_failure_that_nobody_reads_is_told_once() {
    check(bound(2, 3), || {
        let (out, suppressed, dropped) = (Out::new(), Trace::new(), Trace::new());
        let (put, hook, error) = (out.clone(), suppressed.clone(), Error(dropped.guard()));
        let options = Options::new().on_suppressed(move |_| hook.leave());
        let opener = begin(Task::new(options.supervise(async move |s| {
            put.put(s.spawn(async move { Err::<(), _>(error) }));
            checkpoint().await;
            Ok(())
        })));
        let handle = out.take();
        let task = next_task();
        let leaver = thread(move || drop(handle));
        task.finish();
        let result = opener.finish();
        join(leaver);
        let returned = result
            .as_ref()
            .err()
            .map_or(0, |error| error.failures().len());
        assert_eq!(returned + suppressed.count(), 1, "lost, or told twice");
        drop(result);
        assert_eq!(dropped.count(), 1);
    });
}
