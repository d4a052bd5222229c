//! Rule 17 where nobody can return a failure: the log.

use std::sync::{Mutex, Once};

use headcount::{Deferred, defer, group, time::sleep, timeout};
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::support::{Ledger, SEEDS, catch, ok, secs, sim};

/// Keeps what the tests of this file log; each looks for a text of its own.
struct Kept(Mutex<Vec<(Level, String)>>);

static KEPT: Kept = Kept(Mutex::new(Vec::new()));

impl Log for Kept {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        let text = record.args().to_string();
        if text.contains(file!()) {
            self.0.lock().unwrap().push((record.level(), text));
        }
    }

    fn flush(&self) {}
}

fn keep_the_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&KEPT).unwrap();
        log::set_max_level(LevelFilter::Warn);
    });
}

/// How often `text` was logged at `level` so far.
fn logged(level: Level, text: &str) -> usize {
    let kept = KEPT.0.lock().unwrap();
    let found = kept
        .iter()
        .filter(|(at, line)| *at == level && line.contains(text));
    found.count()
}

/// A guard whose release fails with `text` after a second.
#[track_caller]
fn failing(text: &'static str) -> Deferred<()> {
    defer((), move |()| async move {
        sleep(secs(1)).await;
        Err::<(), _>(text)
    })
}

/// With a timeout around, and no group: the value or the expiry comes out, the failure is logged.
#[test]
fn a_failed_release_without_a_group_around_is_an_error_in_the_log() {
    keep_the_log();
    sim(SEEDS, || async {
        let before = logged(Level::Error, "only in the log");
        let outcome = timeout(secs(5), async {
            let _guard = failing("only in the log");
            7
        });
        assert_eq!(outcome.await.ok(), Some(7));
        assert_eq!(logged(Level::Error, "only in the log"), before + 1);
    });
}

/// Beside a panic without a hook: an error in the log too.
#[test]
fn a_failed_release_beside_a_panic_is_an_error_in_the_log() {
    keep_the_log();
    sim(SEEDS, || async {
        let before = logged(Level::Error, "beside a panic");
        let outcome = group(async |_| {
            let _guard = failing("beside a panic");
            sleep(secs(1)).await;
            panic!("body");
            #[allow(unreachable_code)]
            ok(())
        });
        assert!(catch(outcome).await.is_err());
        assert_eq!(logged(Level::Error, "beside a panic"), before + 1);
    });
}

/// Detached: a warning that nobody waits, and an error if it fails.
#[test]
fn a_detached_release_is_a_warning_in_the_log_and_an_error_if_it_fails() {
    keep_the_log();
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let line = line!() + 1;
        let guard = failing("detached");
        let place = format!("{}:{line}:", file!());
        let (warned, failed) = (
            logged(Level::Warn, &place),
            logged(Level::Error, "detached"),
        );
        drop(guard);
        assert_eq!(logged(Level::Warn, &place), warned + 1);
        sleep(secs(5)).await;
        assert_eq!(logged(Level::Error, "detached"), failed + 1);
        assert_eq!(ledger.now(), 5000);
    });
}
