//! What happened when, in virtual time.

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use headcount::{
    Deferred, defer,
    time::{Instant, sleep},
};

use super::Oops;

/// Events with their virtual time in milliseconds since the ledger was opened.
#[derive(Clone)]
pub struct Ledger {
    opened: Instant,
    entries: Arc<Mutex<Vec<(u64, String)>>>,
}

impl Ledger {
    /// To be called under the simulator.
    pub fn open() -> Self {
        Ledger {
            opened: Instant::now(),
            entries: Arc::default(),
        }
    }

    /// Milliseconds since the ledger was opened.
    pub fn now(&self) -> u64 {
        let elapsed = Instant::now().duration_since(self.opened);
        elapsed.as_millis().try_into().unwrap()
    }

    pub fn note(&self, event: impl Into<String>) {
        let entry = (self.now(), event.into());
        self.entries.lock().unwrap().push(entry);
    }

    pub fn contains(&self, event: &str) -> bool {
        self.entries.lock().unwrap().iter().any(|(_, e)| e == event)
    }

    pub fn count(&self, event: &str) -> usize {
        let entries = self.entries.lock().unwrap();
        entries.iter().filter(|(_, e)| e == event).count()
    }

    pub fn last(&self) -> Option<String> {
        let entries = self.entries.lock().unwrap();
        entries.last().map(|(_, event)| event.clone())
    }

    /// Exactly these events at these times, in this order.
    #[track_caller]
    pub fn expect(&self, expected: &[(u64, &str)]) {
        let entries = self.entries.lock().unwrap().clone();
        let entries: Vec<(u64, &str)> = entries.iter().map(|(t, e)| (*t, &**e)).collect();
        assert_eq!(entries, expected);
    }

    /// Exactly these events at these times; those of one instant in any order.
    #[track_caller]
    pub fn expect_in_any_order(&self, expected: &[(u64, &str)]) {
        let entries = self.entries.lock().unwrap().clone();
        let mut entries: Vec<(u64, &str)> = entries.iter().map(|(t, e)| (*t, &**e)).collect();
        let mut expected = expected.to_vec();
        entries.sort_unstable();
        expected.sort_unstable();
        assert_eq!(entries, expected);
    }

    /// A guard that notes `"{name} cut"` when it is dropped before its work was done.
    pub fn mark(&self, name: &'static str) -> Mark {
        Mark {
            ledger: self.clone(),
            name,
            finished: false,
        }
    }

    /// Sleeps, then notes `"{name} done"`; dropped earlier, polled or not, it notes `"{name} cut"`.
    pub fn sleeper(
        &self,
        name: &'static str,
        dur: Duration,
    ) -> impl Future<Output = ()> + Send + use<> {
        let mark = self.mark(name);
        async move {
            sleep(dur).await;
            mark.finish("done");
        }
    }

    /// Sleeps, notes `"{name} failed"` and fails under that name; dropped earlier it notes `"{name} cut"`.
    pub fn failing(
        &self,
        name: &'static str,
        dur: Duration,
    ) -> impl Future<Output = Result<(), Oops>> + Send + use<> {
        let mark = self.mark(name);
        async move {
            sleep(dur).await;
            mark.finish("failed");
            Err(Oops(name))
        }
    }

    /// A guard whose release notes its begin, takes `dur`, and notes its end.
    pub fn deferred(&self, name: &'static str, dur: Duration) -> Deferred<Ledger> {
        defer(self.clone(), move |ledger| async move {
            ledger.release(name, dur).await;
        })
    }

    /// The same, and then it fails.
    pub fn deferred_failing(&self, name: &'static str, dur: Duration) -> Deferred<Ledger> {
        defer(self.clone(), move |ledger| async move {
            ledger.release(name, dur).await;
            Err::<(), _>(name)
        })
    }

    /// The same, and then it panics with its name.
    pub fn deferred_panicking(&self, name: &'static str, dur: Duration) -> Deferred<Ledger> {
        defer(self.clone(), move |ledger| async move {
            ledger.release(name, dur).await;
            panic!("{name}")
        })
    }

    async fn release(&self, name: &'static str, dur: Duration) {
        self.note(format!("{name} releasing"));
        sleep(dur).await;
        self.note(format!("{name} released"));
    }

    /// Waits for ever; dropped it notes `"{name} cut"`.
    pub fn forever(&self, name: &'static str) -> impl Future<Output = ()> + Send + use<> {
        let mark = self.mark(name);
        async move {
            std::future::pending::<()>().await;
            mark.finish("done");
        }
    }
}

/// Notes how its owner ended.
pub struct Mark {
    ledger: Ledger,
    name: &'static str,
    finished: bool,
}

impl Mark {
    pub fn finish(mut self, how: &str) {
        self.finished = true;
        self.ledger.note(format!("{} {how}", self.name));
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if !self.finished {
            self.ledger.note(format!("{} cut", self.name));
        }
    }
}
