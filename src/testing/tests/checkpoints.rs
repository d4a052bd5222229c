//! `assert_checkpoints` and `assert_no_checkpoints`.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Counted, SECOND, failure};
use crate::testing::{Sim, assert_checkpoints, assert_no_checkpoints, elapsed};
use crate::time::sleep;
use crate::{checkpoint, group, scope, timeout, unblock};

#[test]
fn what_passes_a_checkpoint_satisfies_the_one_and_fails_the_other() {
    for n in 0..4 {
        let passes = move || async move {
            match n {
                0 => checkpoint().await,
                1 => sleep(Duration::ZERO).await,
                2 => unblock(|| ()).await,
                _ => {
                    ready(()).await;
                    checkpoint().await;
                    checkpoint().await;
                    ready(()).await;
                }
            }
            n
        };
        assert_eq!(Sim::new(0).run(assert_checkpoints(passes())), n);
        let line = line!() + 1;
        let text = failure(|| Sim::new(0).run(assert_no_checkpoints(passes())));
        assert!(text.contains("passed a checkpoint"), "{text}");
        assert!(text.contains(&format!("{}:{line}:", file!())), "{text}");
    }
}

#[test]
fn what_passes_none_satisfies_the_other_and_fails_the_one() {
    for n in 0..3 {
        let passes_none = move || async move {
            match n {
                0 => ready(()).await,
                1 => scope(async |_| Ok::<_, Infallible>(())).await.unwrap(),
                // What runs elsewhere meanwhile is another task's.
                _ => drop(timeout(SECOND, ready(())).await),
            }
            n
        };
        assert_eq!(Sim::new(0).run(assert_no_checkpoints(passes_none())), n);
        let line = line!() + 1;
        let text = failure(|| Sim::new(0).run(assert_checkpoints(passes_none())));
        assert!(text.contains("without a checkpoint"), "{text}");
        assert!(text.contains(&format!("{}:{line}:", file!())), "{text}");
    }
}

#[test]
fn a_forbidden_checkpoint_is_told_at_once_and_drops_the_future() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let guard = Counted(dropped.clone());
    let text = failure(|| {
        Sim::new(0).run(assert_no_checkpoints(async move {
            let _guard = guard;
            pending::<()>().await;
        }))
    });
    assert!(text.contains("passed a checkpoint"), "{text}");
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn a_checkpoint_that_is_not_reached_because_of_a_cancellation_is_not_missed() {
    Sim::new(0).run(async {
        let outcome = group(async |g| {
            g.spawn(assert_checkpoints(sleep(SECOND * 60))).cancel();
            let limited = timeout(SECOND, assert_checkpoints(pending::<()>()));
            assert!(limited.await.is_err());
            Ok::<_, Infallible>(())
        });
        outcome.await.unwrap();
        assert_eq!(elapsed(), SECOND);
    });
}

#[cfg(all(feature = "async-std", not(loom)))]
#[test]
fn both_hold_outside_of_a_simulation_too() {
    let outcome = crate::run(async |_| {
        assert_checkpoints(checkpoint()).await;
        assert_no_checkpoints(ready(())).await;
        Ok::<_, Infallible>(())
    });
    outcome.unwrap();
    let text = failure(|| {
        crate::run(async |_| {
            assert_checkpoints(ready(())).await;
            Ok::<_, Infallible>(())
        })
    });
    assert!(text.contains("without a checkpoint"), "{text}");
}
