//! `explore`, and misuse.

use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{SECOND, Trace, failure, spawn, spawn_blocking};
use crate::kernel::context;
use crate::runtime::Runtime;
use crate::testing::explore::{advice, asked_for, explore_all};
use crate::testing::sim::Sim;
use crate::time::sleep;

#[test]
fn misuse_panics_with_advice() {
    let text = failure(|| Sim::new(0).run(async { context::runtime().block_on(async {}) }));
    assert!(text.contains("await `headcount::group`"), "{text}");
    let text = failure(|| {
        Sim::new(0).run(async {
            spawn_blocking(|| {
                let runtime = context::runtime();
                runtime.block_on(async { context::runtime().block_on(async {}) });
            });
            sleep(SECOND).await;
        })
    });
    assert!(text.contains("inside the body of another `run`"), "{text}");
    let text = failure(|| Sim::new(0).run(async { Sim::new(1).run(async {}) }));
    assert!(text.contains("plain test function"), "{text}");
    let text = failure(|| {
        Sim::new(0).run(async {
            spawn_blocking(|| Sim::new(1).run(async {}));
            sleep(SECOND).await;
        })
    });
    assert!(text.contains("plain test function"), "{text}");
    #[cfg(all(feature = "async-std", not(loom)))]
    {
        let nested = async { failure(|| Sim::new(1).run(async {})) };
        let text = Runtime::AsyncStd.block_on(nested);
        assert!(text.contains("plain test function"), "{text}");
    }
}

#[test]
fn explore_stops_at_the_first_seed_that_fails() {
    let tried = AtomicUsize::new(0);
    let text = failure(|| {
        explore_all(None, 10..20, Location::caller(), || {
            let fails = tried.fetch_add(1, Ordering::SeqCst) == 4;
            async move { assert!(!fails, "the fifth fails") }
        })
    });
    assert_eq!(text, "the fifth fails");
    assert_eq!(tried.load(Ordering::SeqCst), 5);
    let text = advice(14, Location::caller());
    assert!(text.contains("HEADCOUNT_SEED=14"), "{text}");
    assert!(text.contains("Sim::new(14)"), "{text}");
}

#[test]
fn explore_runs_only_the_seeds_that_are_asked_for() {
    let order = || {
        let trace = Trace::default();
        let all = trace.clone();
        (trace, move || {
            let trace = all.clone();
            async move {
                for task in 0..8 {
                    let trace = trace.clone();
                    spawn(async move { trace.push(task.to_string()) });
                }
                sleep(SECOND).await;
            }
        })
    };
    let (trace, test) = order();
    explore_all(Some(42..=42), 0..3, Location::caller(), test);
    assert_eq!(trace.take().concat(), "51670234");
    let (trace, test) = order();
    explore_all(Some(10..=15), 0..3, Location::caller(), test);
    assert_eq!(trace.take().len(), 6 * 8);
    let (trace, test) = order();
    explore_all(None, 0..3, Location::caller(), test);
    assert_eq!(trace.take().len(), 3 * 8);
}

#[test]
fn explore_without_seeds_or_with_a_bad_variable_is_refused() {
    let text = failure(|| explore_all(None, [], Location::caller(), || async {}));
    assert!(text.contains("no seeds"), "{text}");
    assert_eq!(asked_for(None), None);
    assert_eq!(asked_for(Some("".into())), None);
    let seeds = |text: &str| asked_for(Some(text.into())).unwrap();
    assert_eq!(seeds("18446744073709551615"), u64::MAX..=u64::MAX);
    assert_eq!(seeds("3..5"), 3..=4);
    for nonsense in ["twelve", "5..5", "5..3", "..", "1..", "-1..4"] {
        let text = failure(|| seeds(nonsense));
        assert!(text.contains("has to be a number"), "{text}");
        assert!(text.contains(nonsense), "{text}");
    }
}
