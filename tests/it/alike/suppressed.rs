//! `Options::on_suppressed`: what cannot be carried by the panic that resumes (rule 14).

use std::{
    error::Error,
    fmt,
    future::pending,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use headcount::{Options, defer, time::sleep, timeout};

use super::{open, open_with};
use crate::support::{
    Ledger, Oops, PanicOnDrop, SEEDS, catch, done, drops_later_panicking, message, secs, sim,
};

/// What a hook was told: the task, what it says, and whether it panicked.
type Told = (Option<String>, String, bool);

#[derive(Clone, Default)]
struct Hook(Arc<Mutex<Vec<Told>>>);

impl Hook {
    fn options(&self) -> Options {
        let told = self.0.clone();
        Options::new().on_suppressed(move |suppressed| {
            let file = suppressed.location().file();
            // The bodies' openings are called in the files that load this one.
            assert!(
                file.contains("suppressed") || file.contains("in_a_"),
                "{file}"
            );
            let name = suppressed.name().map(str::to_owned);
            let one = (name, suppressed.text().to_owned(), suppressed.is_panic());
            told.lock().unwrap().push(one);
        })
    }

    #[track_caller]
    fn expect(&self, expected: &[(Option<&str>, &str, bool)]) {
        let told = self.0.lock().unwrap();
        let told = told.iter();
        let mut told: Vec<_> = told.map(|(n, t, p)| (n.as_deref(), &**t, *p)).collect();
        told.sort_unstable();
        assert_eq!(told, expected);
    }
}

async fn panics_after(time: u64, text: &'static str) {
    sleep(secs(time)).await;
    panic!("{text}");
}

/// Rule 14: one panic goes to the opener and to nobody else.
#[test]
fn a_single_panic_or_error_is_not_suppressed() {
    sim(SEEDS, || async {
        let hook = Hook::default();
        let outcome = open_with(hook.options(), async |g| {
            g.spawn(panics_after(1, "only"));
            done()
        });
        assert_eq!(message(&*catch(outcome).await.unwrap_err()), "only");
        let outcome = open_with(hook.options(), async |g| {
            g.spawn(async { Err::<(), _>(Oops("a")) });
            Err::<(), _>(Oops("b"))
        });
        outcome.await.unwrap_err();
        hook.expect(&[]);
    });
}

/// Rule 14: further panics, of a child, of a destructor and of the body.
#[test]
fn further_panics_go_to_the_hook() {
    sim(SEEDS, || async {
        let hook = Hook::default();
        let outcome = open_with(hook.options(), async |g| {
            g.spawn_named("drops", drops_later_panicking("second"));
            g.spawn_named("panics", panics_after(1, "first"));
            let _guard = PanicOnDrop("of the body");
            pending::<Result<(), Oops>>().await
        });
        assert_eq!(message(&*catch(outcome).await.unwrap_err()), "first");
        hook.expect(&[(None, "of the body", true), (Some("drops"), "second", true)]);
    });
}

/// Rule 14: errors beside a panic, whichever came first.
#[test]
fn errors_beside_a_panic_go_to_the_hook() {
    sim(SEEDS, || async {
        let hook = Hook::default();
        let outcome = open_with(hook.options().name("opening"), async |g| {
            g.spawn_named("drops", drops_later_panicking("panic"));
            let failing = async {
                sleep(secs(1)).await;
                Err::<(), _>(Oops("child"))
            };
            g.spawn_named("fails", failing);
            done()
        });
        assert_eq!(message(&*catch(outcome).await.unwrap_err()), "panic");
        hook.expect(&[(Some("fails"), "Oops(\"child\")", false)]);

        let hook = Hook::default();
        let outcome = open_with(hook.options().name("opening"), async |g| {
            g.spawn_named("drops", drops_later_panicking("panic"));
            sleep(secs(1)).await;
            Err::<(), _>(Oops("body"))
        });
        assert_eq!(message(&*catch(outcome).await.unwrap_err()), "panic");
        hook.expect(&[(Some("opening"), "Oops(\"body\")", false)]);
    });
}

/// Rule 14: the error of a release panics when it is shown, and again when it is dropped.
#[test]
fn an_error_beside_a_panic_may_panic_when_it_is_shown_or_dropped() {
    #[derive(Debug)]
    struct Vicious;

    impl fmt::Display for Vicious {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("shown")
        }
    }

    impl Drop for Vicious {
        fn drop(&mut self) {
            panic!("dropped")
        }
    }

    impl Error for Vicious {}

    sim(SEEDS, || async {
        let hook = Hook::default();
        let outcome = open_with(hook.options(), async |g| {
            g.spawn_named("first", panics_after(1, "first"));
            let _guard = defer((), async |()| Err::<(), _>(Vicious));
            pending::<Result<(), Oops>>().await
        });
        assert_eq!(message(&*catch(outcome).await.unwrap_err()), "first");
        let text = "an error that panicked when shown: shown";
        hook.expect(&[(None, text, false)]);
    });
}

/// Rule 14: a boundary inside without a hook uses the one around; one with a hook its own.
#[test]
fn the_nearest_hook_around_is_called() {
    for own in [false, true] {
        sim(SEEDS, move || async move {
            let (outer, inner) = (Hook::default(), Hook::default());
            let options = match own {
                true => inner.options(),
                false => Options::new(),
            };
            let opening = open_with(outer.options(), async |g| {
                let child = g.spawn_named("opens", async {
                    // One more boundary without a hook in between.
                    let between = open(async |_| {
                        let broken = open_with(options, async |g| {
                            g.spawn_named("drops", drops_later_panicking("second"));
                            panics_after(1, "first").await;
                            done()
                        });
                        Ok::<_, Oops>(message(&*catch(broken).await.unwrap_err()).to_owned())
                    });
                    between.await.map_err(|_| Oops("between"))
                });
                Ok::<_, Oops>(child.await.unwrap())
            });
            assert_eq!(opening.await.unwrap(), "first");
            let second = [(Some("drops"), "second", true)];
            let (told, silent) = if own { (inner, outer) } else { (outer, inner) };
            told.expect(&second);
            silent.expect(&[]);
        });
    }
}

/// Rule 14: a hook that panics changes nothing of what comes out, and is called for the next.
#[test]
fn a_hook_that_panics_does_no_harm() {
    sim(SEEDS, || async {
        let (ledger, calls) = (Ledger::open(), Arc::new(Mutex::new(0)));
        let counted = calls.clone();
        let options = Options::new().on_suppressed(move |_| {
            *counted.lock().unwrap() += 1;
            std::panic::panic_any("hook");
        });
        let outcome = open_with(options, async |g| {
            for text in ["second", "third"] {
                g.spawn(drops_later_panicking(text));
            }
            sleep(secs(1)).await;
            g.spawn(panics_after(1, "first"));
            ledger.forever("body").await;
            done()
        });
        assert_eq!(message(&*catch(outcome).await.unwrap_err()), "first");
        assert_eq!(*calls.lock().unwrap(), 2);
        ledger.expect(&[(2000, "body cut")]);
    });
}

/// Rules 12 and 14: what a dropped opening leaves behind has the hook of who inherits it.
#[test]
fn a_second_panic_of_a_dropped_opening_goes_to_the_hook_around() {
    sim(SEEDS, || async {
        let hook = Hook::default();
        let outcome = open_with(hook.options(), async |_| {
            let mut dropped = Box::pin(open(async |g| {
                for name in ["one", "two"] {
                    g.spawn_named(name, drops_later_panicking(name));
                }
                done()
            }));
            assert!(crate::support::poll_once(&mut dropped).await.is_pending());
            sleep(secs(1)).await;
            drop(dropped);
            pending::<Result<(), Oops>>().await
        });
        let payload = catch(outcome).await.unwrap_err();
        let (first, second) = match message(&*payload) {
            "one" => ("one", "two"),
            _ => ("two", "one"),
        };
        assert_eq!(message(&*payload), first);
        hook.expect(&[(Some(second), second, true)]);
    });
}

/// Panics when it is polled, and again when it is dropped.
struct PanicsTwice;

impl Future for PanicsTwice {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        panic!("first");
    }
}

impl Drop for PanicsTwice {
    fn drop(&mut self) {
        panic!("second");
    }
}

/// Rule 14: a second panic inside a timeout or cancel scope goes to the hook around.
#[test]
fn a_second_panic_inside_a_timeout_goes_to_the_hook_around() {
    sim(SEEDS, || async {
        let hook = Hook::default();
        let outcome = open_with(hook.options(), async |_| {
            let payload = catch(timeout(secs(1), PanicsTwice)).await.map(drop);
            assert_eq!(message(&*payload.unwrap_err()), "first");
            done()
        });
        outcome.await.unwrap();
        hook.expect(&[(None, "second", true)]);
    });
}
