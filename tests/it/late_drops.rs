//! Code of the user that the kernel runs late: destructors, and how errors are shown. Whatever it does,
//! the kernel goes on.

use std::{
    fmt,
    future::{Future, pending},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Wake, Waker},
};

use headcount::{JoinHandle, Scope, TaskGroup, group, scope, shield, time::sleep};

use crate::support::{
    Census, Ledger, Oops, SEEDS, Tracked, done, ok, poll_for, poll_once, secs, sim,
};

/// An error that cannot be shown.
struct Mute;

impl fmt::Debug for Mute {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no words for it")
    }
}

/// An error that cannot be dropped.
#[derive(Debug)]
struct Sticky;

impl Drop for Sticky {
    fn drop(&mut self) {
        panic!("it sticks")
    }
}

/// A group is dropped, and its last child fails only then, so that the child itself hands its error
/// on. What the boundary around returned as cleanup failures.
async fn fails_after_the_drop<E: fmt::Debug + Send + 'static>(
    ledger: Ledger,
    error: impl FnOnce() -> E + Send + 'static,
) -> Vec<String> {
    let outcome = group(async |_| {
        let mut inner = Box::pin(group(async |g| {
            let child = g.spawn(async move {
                shield(sleep(secs(2))).await;
                Err::<(), _>(error())
            });
            drop(child);
            pending::<Result<(), E>>().await
        }));
        assert!(poll_once(&mut inner).await.is_pending());
        sleep(secs(1)).await;
        drop(inner);
        done()
    })
    .await;
    ledger.note("returned");
    let error = outcome.unwrap_err();
    let failures = error.cleanup_failures().iter();
    failures
        .map(|failure| failure.error().to_string())
        .collect()
}

/// Rule 12: the panic in `Debug` neither loses the failure nor keeps the group from ending.
#[test]
fn an_error_that_cannot_be_shown_climbs_all_the_same() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let climbed = fails_after_the_drop(ledger.clone(), || Mute).await;
        assert_eq!(climbed.len(), 1);
        assert!(climbed[0].contains("no words for it"), "{climbed:?}");
        ledger.expect(&[(2000, "returned")]);
    });
}

/// Rules 12 and 14: the same for a panic in the destructor of the error.
#[test]
fn an_error_that_cannot_be_dropped_climbs_all_the_same() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let climbed = fails_after_the_drop(ledger.clone(), || Sticky).await;
        assert_eq!(climbed, ["Sticky"]);
        ledger.expect(&[(2000, "returned")]);
    });
}

/// Spawns into a scope when it is dropped.
struct SpawnsLate {
    scope: Scope<'static, Oops>,
    tracked: Option<Tracked>,
    late: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Drop for SpawnsLate {
    fn drop(&mut self) {
        let (own, tracked) = (self.scope.clone(), self.tracked.take());
        let child = self.scope.spawn(async move {
            let _kept = (own, tracked);
            pending::<()>().await;
        });
        *self.late.lock().unwrap() = Some(child);
    }
}

/// Rules 2 and 4: the destructor of a child that the opener never got to see spawns a sibling.
#[test]
fn a_child_that_is_spawned_while_its_scope_is_dropped_is_dropped_too() {
    sim(SEEDS, || async {
        let (census, late) = (Census::default(), Arc::default());
        let opened = Arc::new(Mutex::new(None));
        let own = opened.clone();
        let mut inner = Box::pin(scope(async move |s: Scope<'static, Oops>| {
            *own.lock().unwrap() = Some(s);
            pending::<Result<(), Oops>>().await
        }));
        assert!(poll_once(&mut inner).await.is_pending());
        let kept = opened.lock().unwrap().take().unwrap();
        let guard = SpawnsLate {
            scope: kept.clone(),
            tracked: Some(census.tracked()),
            late: Arc::clone(&late),
        };
        let unseen = kept.spawn(async move {
            let _guard = guard;
        });
        drop(inner);
        drop(kept);
        assert_eq!((census.born(), census.living()), (1, 0));
        let late = late.lock().unwrap().take().unwrap();
        assert!(unseen.await.unwrap_err().is_cancelled());
        assert!(late.await.unwrap_err().is_cancelled());
    });
}

/// A waker that panics when it is dropped.
struct StickyWaker;

impl Wake for StickyWaker {
    fn wake(self: Arc<Self>) {}
}

impl Drop for StickyWaker {
    fn drop(&mut self) {
        panic!("the waker sticks")
    }
}

/// Rule 7: the output of a child whose handle went badly is freed as any other.
#[test]
fn a_handle_whose_waker_cannot_be_dropped_gives_up_the_output() {
    sim(SEEDS, || async {
        let census = Census::default();
        let outcome = group(async |g| {
            let output = census.tracked();
            let mut handle = g.spawn(async move {
                sleep(secs(1)).await;
                ok(output)
            });
            let waker = Waker::from(Arc::new(StickyWaker));
            let polled = Pin::new(&mut handle).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            let _ = catch_unwind(AssertUnwindSafe(|| drop(waker)));
            let _ = catch_unwind(AssertUnwindSafe(|| drop(handle)));
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!((census.born(), census.living()), (1, 0));
    });
}

/// A value that is not returned is dropped while the group is still open: what its destructor spawns
/// is waited for.
#[test]
fn a_child_that_the_destructor_of_a_value_spawns_is_waited_for() {
    struct Spawns(TaskGroup<'static, Oops>, Ledger);

    impl Drop for Spawns {
        fn drop(&mut self) {
            drop(self.0.spawn(self.1.sleeper("late child", secs(1))));
        }
    }

    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let _failing = ledger.deferred_failing("failing", secs(1));
            ok(Spawns(g, ledger.clone()))
        })
        .await;
        assert_eq!(outcome.err().unwrap().cleanup_failures().len(), 1);
        ledger.note("returned");
        ledger.expect(&[
            (0, "failing releasing"),
            (1000, "failing released"),
            (2000, "late child done"),
            (2000, "returned"),
        ]);
    });
}

/// The output of a child goes when nothing lives below it any more, if nobody can read it.
#[test]
fn an_unread_output_is_dropped_after_what_lives_below_its_child() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let (output, below) = (ledger.mark("output"), ledger.sleeper("below", secs(3)));
            drop(g.spawn(async move {
                let mut lost = Box::pin(group(async move |g| {
                    g.spawn(shield(below));
                    pending::<Result<(), Oops>>().await
                }));
                assert!(poll_for(&mut lost, secs(1)).await.is_pending());
                drop(lost);
                Ok(output)
            }));
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(3000, "below done"), (3000, "output cut")]);
    });
}
