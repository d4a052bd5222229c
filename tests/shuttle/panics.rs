//! Panics against each other. They are raised without the hook of the process, which would print
//! each of them.

use std::{future::pending, panic::resume_unwind};

use headcount::{Options, checkpoint};

use crate::{
    engine::{explore, explore_all},
    ledger::Ledger,
};

fn panics(ledger: &Ledger, number: u32) -> ! {
    resume_unwind(Box::new(ledger.fails(number).to_string()))
}

fn text(payload: Box<dyn std::any::Any + Send>) -> String {
    *payload.downcast::<String>().expect("a planted panic")
}

/// One resumes in the opener, the other goes to the hook.
#[test]
fn of_two_panics_neither_is_lost() {
    explore_all(1, || {
        let ledger = Ledger::new();
        let hook = ledger.hook();
        let opening = Options::new().on_suppressed(hook).group(async |g| {
            for number in [1, 2] {
                let witness = ledger.clone();
                g.spawn(ledger.child("panics", async move {
                    checkpoint().await;
                    panics(&witness, number)
                }));
            }
            pending::<Result<(), u32>>().await
        });
        let payload = ledger.root_caught(opening).expect_err("it panics");
        ledger.told_text(&text(payload));
        ledger.settle();
    });
}

/// The panic resumes, and the error goes to the hook.
#[test]
fn beside_a_panic_an_error_is_not_lost() {
    explore(|| {
        let ledger = Ledger::new();
        let hook = ledger.hook();
        let opening = Options::new().on_suppressed(hook).group(async |g| {
            let witness = ledger.clone();
            g.spawn(ledger.child("panics", async move {
                checkpoint().await;
                panics(&witness, 1)
            }));
            let witness = ledger.clone();
            g.spawn(ledger.child("fails", async move {
                checkpoint().await;
                Err::<(), u32>(witness.fails(2))
            }));
            pending::<Result<(), u32>>().await
        });
        match ledger.root_caught(opening) {
            Ok(result) => {
                assert!(!ledger.has_raised(1), "a panic beats errors");
                ledger.told_by(&result);
            }
            Err(payload) => ledger.told_text(&text(payload)),
        }
        ledger.settle();
    });
}

/// A child is cancelled from another thread, and its destructor panics.
#[test]
fn the_panic_of_a_cancelled_childs_destructor_is_not_lost() {
    struct Bad(Ledger);

    impl Drop for Bad {
        fn drop(&mut self) {
            panics(&self.0, 1);
        }
    }

    explore(|| {
        let ledger = Ledger::new();
        let opening = Options::new().group(async |g| {
            let (handle, bad) = (g.clone(), Bad(ledger.clone()));
            g.spawn(ledger.child("child", async move {
                let _bad = bad;
                checkpoint().await;
            }));
            g.spawn(ledger.child("sibling", async { checkpoint().await }));
            ledger.thread(move || handle.cancel());
            Ok::<_, u32>(())
        });
        let payload = ledger.root_caught(opening).expect_err("it panics");
        ledger.told_text(&text(payload));
        ledger.settle();
    });
}
