//! A hundred thousand children of one opening, on real threads.

use std::{
    collections::HashSet,
    future::pending,
    sync::{Arc, Mutex},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use headcount::time::sleep;

use super::open;
use crate::support::{Oops, block_on, on_these_workers, secs, spin_until};

/// The threads on which its kind was dropped.
#[derive(Clone, Default)]
struct Witness(Arc<Mutex<HashSet<ThreadId>>>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.lock().unwrap().insert(thread::current().id());
    }
}

/// Cancels, from a thread of its own, an opening in which `count` children sleep; how long that
/// takes, from the request until nobody is left.
fn cancel_sleepers(count: usize) -> Duration {
    let watch = Arc::new(Mutex::new(None));
    let canceller = watch.clone();
    let outcome = block_on(open(async move |g| {
        let witness = Witness::default();
        for _ in 0..count {
            let witness = witness.clone();
            g.spawn(async move {
                sleep(secs(3600)).await;
                drop(witness);
            });
        }
        // Those of a scope are polled after this first `Pending` only.
        headcount::checkpoint().await;
        assert_eq!(g.stats().living, count);
        *canceller.lock().unwrap() = Some(thread::spawn(move || {
            let begun = Instant::now();
            g.cancel();
            spin_until(|| g.stats().living == 0);
            // Its own clone is dropped here, after the look.
            let dropped_here = witness.0.lock().unwrap().contains(&thread::current().id());
            assert!(
                !dropped_here,
                "a child was dropped by the thread that cancelled it"
            );
            begun.elapsed()
        }));
        pending::<Result<(), Oops>>().await
    }));
    assert!(outcome.unwrap_err().is_cancelled());
    let canceller = watch.lock().unwrap().take();
    canceller.unwrap().join().unwrap()
}

/// Case 37, rule 18: in linear time, and not by the thread that asks.
#[test]
fn a_hundred_thousand_sleepers_are_cancelled_in_linear_time_by_their_own_executor() {
    let test =
        "wide::a_hundred_thousand_sleepers_are_cancelled_in_linear_time_by_their_own_executor";
    let module = module_path!()
        .trim_start_matches("it::")
        .trim_end_matches("wide");
    on_these_workers(&[1, 2], &format!("{module}{test}"), || {
        // Other work on the machine can only make a round worse: the best one counts.
        let round = || {
            let few: Duration = (0..10).map(|_| cancel_sleepers(10_000)).sum();
            cancel_sleepers(100_000).as_secs_f64() / few.as_secs_f64()
        };
        let best = (0..10).map(|_| round()).find(|ratio| *ratio <= 2.0);
        assert!(
            best.is_some(),
            "ten times the children always took more than twenty times as long"
        );
    });
}
