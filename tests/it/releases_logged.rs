//! Rule 17 where nobody can return a failure: the log.

use headcount::{Deferred, defer, group, testing::Sim, time::sleep, timeout};

use crate::support::{Ledger, SEEDS, catch, logged, ok, secs};

/// A guard whose release fails with `text` after a second.
#[track_caller]
fn failing(text: &'static str) -> Deferred<()> {
    defer((), move |()| async move {
        sleep(secs(1)).await;
        Err::<(), _>(text)
    })
}

/// Under each schedule the program logs these lines, in this order; each is given by its level and
/// two parts of its text.
fn logs<F, Fut>(program: F, expected: &[[&str; 3]])
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    for seed in 0..SEEDS {
        let lines = logged(|| Sim::new(seed).run(program()));
        assert_eq!(lines.len(), expected.len(), "{lines:?}");
        for (line, parts) in lines.iter().zip(expected) {
            let [level, place, text] = parts;
            let found = line.starts_with(level) && line.contains(place) && line.contains(text);
            assert!(found, "{line} has not {parts:?}");
        }
    }
}

/// With a timeout around, and no group: the value comes out, the failure is logged.
#[test]
fn a_failed_release_without_a_group_around_is_an_error_in_the_log() {
    let program = || async {
        let outcome = timeout(secs(5), async {
            let _guard = failing("only in the log");
            7
        });
        assert_eq!(outcome.await.ok(), Some(7));
    };
    logs(program, &[["ERROR", file!(), "only in the log"]]);
}

/// Beside a panic without a hook: an error in the log too.
#[test]
fn a_failed_release_beside_a_panic_is_an_error_in_the_log() {
    let program = || async {
        let outcome = group(async |_| {
            let _guard = failing("beside a panic");
            sleep(secs(1)).await;
            panic!("body");
            #[allow(unreachable_code)]
            ok(())
        });
        assert!(catch(outcome).await.is_err());
    };
    logs(program, &[["ERROR", file!(), "beside a panic"]]);
}

/// Detached: a warning that nobody waits, and an error if it fails.
#[test]
fn a_detached_release_is_a_warning_in_the_log_and_an_error_if_it_fails() {
    let program = || async {
        let ledger = Ledger::open();
        drop(failing("said too late"));
        sleep(secs(5)).await;
        assert_eq!(ledger.now(), 5000);
    };
    let warning = ["WARN", file!(), "nobody waits for that"];
    logs(program, &[warning, ["ERROR", file!(), "said too late"]]);
}
