//! `Sequencer`.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::{SECOND, Trace, checkpoint, failure, spawn};
use crate::testing::{Sequencer, Sim, assert_checkpoints, assert_no_checkpoints, explore};
use crate::time::sleep;
use crate::{group, timeout};

#[test]
fn steps_come_in_their_order_whoever_takes_them() {
    explore(0..50, || async {
        let (trace, sequencer) = (Trace::default(), Sequencer::new());
        let outcome = group(async |g| {
            for task in 0..4 {
                let (trace, sequencer) = (trace.clone(), sequencer.clone());
                g.spawn(async move {
                    for round in 0..3 {
                        let step = round * 4 + (task + round) % 4;
                        let _turn = sequencer.step(step).await;
                        trace.push(format!("{step} "));
                        // Nobody else comes in between, however long it takes.
                        checkpoint().await;
                        sleep(SECOND).await;
                        trace.push(format!("{step} "));
                    }
                });
            }
            Ok::<_, Infallible>(())
        });
        outcome.await.unwrap();
        let expected: String = (0..12).map(|step| format!("{step} {step} ")).collect();
        assert_eq!(trace.take().concat(), expected);
    });
}

#[test]
fn a_step_whose_turn_it_is_waits_for_nothing() {
    Sim::new(0).run(async {
        let sequencer = Sequencer::new();
        let first = assert_no_checkpoints(sequencer.step(0)).await;
        let other = sequencer.clone();
        spawn(async move { drop(assert_checkpoints(other.step(1)).await) });
        sleep(SECOND).await;
        drop(first);
        sleep(SECOND).await;
        drop(assert_no_checkpoints(sequencer.step(2)).await);
        assert_eq!(format!("{sequencer:?}"), "Sequencer { next: 3, .. }");
    });
}

#[test]
fn a_step_used_twice_panics_and_names_both_places() {
    let line = line!() + 4;
    let text = failure(|| {
        Sim::new(0).run(async {
            let sequencer = Sequencer::new();
            let _first = sequencer.step(0).await;
            let _again = sequencer.step(0).await;
        })
    });
    assert!(text.contains("step 0 of the sequencer made at "), "{text}");
    let places = format!("at {0}:{line}:36 and at {0}:{1}:36", file!(), line + 1);
    assert!(text.contains(&places), "{places} is not in {text}");
    // Whether its turn has come yet or not.
    let text = failure(|| {
        Sim::new(0).run(async {
            let sequencer = Sequencer::new();
            for _ in 0..2 {
                let step = sequencer.step(1);
                spawn(async move { drop(step.await) });
            }
            pending::<()>().await;
        })
    });
    assert!(text.contains("was used twice"), "{text}");
}

#[test]
fn a_task_that_is_dropped_in_its_turn_lets_the_next_one_follow() {
    explore(0..20, || async {
        let sequencer = Sequencer::new();
        let outcome = group(async |g| {
            let step = sequencer.step(0);
            let first = g.spawn(async move {
                let _turn = step.await;
                pending::<()>().await;
            });
            let second = g.spawn({
                let step = sequencer.step(1);
                async move { drop(step.await) }
            });
            sleep(SECOND).await;
            assert!(!second.is_finished());
            first.cancel();
            second.await.unwrap();
            Ok::<_, Infallible>(())
        });
        outcome.await.unwrap();
    });
}

#[test]
fn a_task_that_is_dropped_before_its_turn_breaks_the_sequence_for_all_that_wait() {
    let line = line!() + 6;
    for seed in 0..20 {
        let text = failure(|| {
            Sim::new(seed).run(async {
                let sequencer = Sequencer::new();
                let _turn = sequencer.step(0).await;
                let (late, limited) = (sequencer.step(3), sequencer.step(1));
                spawn(async move { drop(late.await) });
                assert!(timeout(SECOND, limited).await.is_err());
                pending::<()>().await;
            })
        });
        assert!(text.contains("is broken"), "{text}");
        let places = format!("its step 1 at {0}:{line}:", file!());
        assert!(text.contains(&places), "{places} is not in {text}");
        assert!(text.contains("so step 3 at "), "{text}");
    }
}

#[test]
fn no_step_of_a_broken_sequence_gets_a_turn() {
    for step in [0, 1, 7] {
        let text = failure(|| {
            Sim::new(0).run(async move {
                let sequencer = Sequencer::new();
                {
                    let mut waits = pin!(sequencer.step(2));
                    poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx).is_pending())).await;
                }
                drop(sequencer.step(step).await);
            })
        });
        assert!(text.contains(&format!("so step {step} at ")), "{text}");
    }
}

#[test]
fn a_step_that_is_dropped_unpolled_was_never_taken() {
    Sim::new(0).run(async {
        let sequencer = Sequencer::new();
        drop(sequencer.step(0));
        drop(sequencer.step(0).await);
    });
}

#[test]
fn a_skipped_step_is_named_with_those_who_wait_for_it() {
    let line = line!() + 4;
    let text = failure(|| {
        Sim::new(5).run(async {
            let sequencer = Sequencer::new();
            let (first, late, later) = (sequencer.step(0), sequencer.step(2), sequencer.step(4));
            spawn(async move { drop(late.await) });
            spawn(async move { drop(later.await) });
            drop(first.await);
            pending::<()>().await;
        })
    });
    assert!(text.contains("deadlock"), "{text}");
    assert!(text.contains("Step 1 of the sequencer made at "), "{text}");
    assert!(text.contains("is missing: nobody takes it."), "{text}");
    for step in [2, 4] {
        let waits = format!(" Step {step} at {}:{line}:", file!());
        assert!(text.contains(&waits), "{waits} is not in {text}");
    }
}

#[test]
fn a_turn_that_never_ends_is_named() {
    let text = failure(|| {
        Sim::new(5).run(async {
            let sequencer = Sequencer::new();
            let _kept = sequencer.step(0).await;
            drop(sequencer.step(1).await);
        })
    });
    assert!(text.contains("Step 0 of the sequencer made at "), "{text}");
    assert!(text.contains("has the turn."), "{text}");
    // One that nobody waits for is not worth a word.
    let text = failure(|| {
        Sim::new(5).run(async {
            let sequencer = Sequencer::new();
            let _kept = sequencer.step(0).await;
            pending::<()>().await;
        })
    });
    assert!(!text.contains("sequencer made"), "{text}");
}

#[cfg(all(feature = "async-std", not(loom)))]
#[test]
fn steps_come_in_their_order_on_real_threads() {
    let (trace, sequencer) = (Trace::default(), Sequencer::new());
    let outcome = crate::run(async |g| {
        for task in 0..4 {
            let (trace, sequencer) = (trace.clone(), sequencer.clone());
            g.spawn(async move {
                for round in 0..50 {
                    let step = round * 4 + (task + round) % 4;
                    let _turn = sequencer.step(step).await;
                    trace.push(step.to_string());
                }
            });
        }
        Ok::<_, Infallible>(())
    });
    outcome.unwrap();
    let expected: Vec<_> = (0..200).map(|step: usize| step.to_string()).collect();
    assert_eq!(trace.take(), expected);
}
