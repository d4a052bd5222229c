//! What is freed when, seen through guards. How many bytes it is, the test binary `memory` counts.

use std::{
    future::{pending, poll_fn},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Poll, Waker},
};

use headcount::{JoinHandle, time::sleep};

use super::open;
use crate::support::{
    Census, FEW, Gate, Ledger, Oops, Relay, SEEDS, done, ok, secs, sim, yield_now,
};

/// Rule 7, case 36 in small.
#[test]
fn a_finished_child_is_freed_while_its_opening_lives_on() {
    sim(SEEDS, || async {
        let (census, outputs) = (Census::default(), Census::default());
        let outcome = open(async |g| {
            for _ in 0..20 {
                let (tracked, output) = (census.tracked(), outputs.tracked());
                g.spawn(async move {
                    sleep(secs(1)).await;
                    tracked.assert_alive();
                    ok(output)
                });
            }
            sleep(secs(2)).await;
            assert_eq!((census.living(), outputs.living()), (0, 0));
            done()
        })
        .await;
        outcome.unwrap();
    });
}

/// Rule 7.
#[test]
fn a_live_handle_keeps_the_output_and_nothing_else() {
    sim(SEEDS, || async {
        let (census, outputs) = (Census::default(), Census::default());
        let outcome = open(async |g| {
            let [read, unread] = [(); 2].map(|()| {
                let (tracked, output) = (census.tracked(), outputs.tracked());
                g.spawn(async move {
                    tracked.assert_alive();
                    ok(output)
                })
            });
            sleep(secs(1)).await;
            assert_eq!((census.living(), outputs.living()), (0, 2));
            drop(unread);
            assert_eq!(outputs.living(), 1);
            let output = read.await.unwrap();
            output.assert_alive();
            drop(output);
            assert_eq!(outputs.living(), 0);
            done()
        })
        .await;
        outcome.unwrap();
    });
}

/// Rule 13: the output can be had after the opening has ended.
#[test]
fn a_handle_kept_past_the_end_still_gives_the_output() {
    sim(SEEDS, || async {
        let outputs = Census::default();
        let handles = open(async |g| {
            let handles = [(); 2].map(|()| {
                let output = outputs.tracked();
                g.spawn(async move {
                    sleep(secs(1)).await;
                    ok(output)
                })
            });
            ok(handles)
        })
        .await;
        let [read, unread] = handles.unwrap();
        assert!(read.is_finished() && unread.is_finished());
        assert_eq!(outputs.living(), 2);
        read.await.unwrap().assert_alive();
        assert_eq!(outputs.living(), 1);
        drop(unread);
        assert_eq!(outputs.living(), 0);
    });
}

/// No cycle: a child owns the last handle of its own opening and the handle to itself.
#[test]
fn a_child_that_owns_its_opening_and_itself_is_freed() {
    sim(SEEDS, || async {
        for cancelled in [false, true] {
            let census = Census::default();
            let outcome = open(async |g| {
                let own: Arc<Mutex<Option<JoinHandle<()>>>> = Arc::default();
                let (tracked, group, slot) = (census.tracked(), g.clone(), own.clone());
                let handle = g.spawn(async move {
                    let _owned = (tracked, group, slot);
                    if cancelled {
                        pending::<()>().await;
                    }
                    sleep(secs(1)).await;
                });
                *own.lock().unwrap() = Some(handle);
                drop(own);
                if cancelled {
                    sleep(secs(1)).await;
                    g.cancel();
                    pending::<()>().await;
                }
                done()
            })
            .await;
            assert_eq!(outcome.is_err(), cancelled);
            assert_eq!(census.living(), 0);
        }
    });
}

/// Case 43: a waker that outlives the child it woke.
#[test]
fn a_waker_kept_past_the_end_keeps_nothing_alive_and_wakes_nothing() {
    sim(SEEDS, || async {
        let census = Census::default();
        let wakers: Arc<Mutex<Vec<Waker>>> = Arc::default();
        let outcome = open(async |g| {
            for _ in 0..3 {
                let (tracked, wakers) = (census.tracked(), wakers.clone());
                g.spawn(async move {
                    let mut polls = 0;
                    poll_fn(move |cx| {
                        tracked.assert_alive();
                        wakers.lock().unwrap().push(cx.waker().clone());
                        polls += 1;
                        if polls == 3 {
                            return Poll::Ready(());
                        }
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    })
                    .await;
                });
            }
            done()
        })
        .await;
        outcome.unwrap();
        assert_eq!(census.living(), 0);
        let wakers = std::mem::take(&mut *wakers.lock().unwrap());
        assert_eq!(wakers.len(), 9);
        wakers.iter().for_each(Waker::wake_by_ref);
        sleep(secs(1)).await;
        wakers.into_iter().for_each(Waker::wake);
    });
}

/// The handle may be kept for long, and the task that opened ends.
#[test]
fn a_handle_kept_past_the_end_keeps_no_waker_of_the_opener() {
    sim(FEW, || async {
        for cancelled in [false, true] {
            let relay = Relay::here().await;
            let handles = Mutex::new(None);
            let mut opening = pin!(open(async |g| {
                *handles.lock().unwrap() = Some(g.clone());
                let child = g.spawn(yield_now());
                yield_now().await;
                if cancelled {
                    g.cancel();
                }
                yield_now().await;
                ok(child)
            }));
            let idle = relay.kept();
            let child = loop {
                match relay.poll(&mut opening) {
                    Poll::Ready(outcome) => break outcome,
                    Poll::Pending => yield_now().await,
                }
            };
            assert_eq!(child.is_err(), cancelled);
            assert!(handles.lock().unwrap().is_some());
            assert_eq!(relay.kept(), idle);
        }
    });
}

/// Wakers are woken while the child lives, from another task, far more often than it needs.
#[test]
fn needless_wakes_do_no_harm() {
    sim(SEEDS, || async {
        let (ledger, gate) = (Ledger::open(), Gate::default());
        let outcome = open(async |g| {
            for _ in 0..3 {
                let (wait, ledger) = (gate.wait(), ledger.clone());
                g.spawn(async move {
                    wait.await;
                    ledger.note("through");
                });
            }
            for _ in 0..5 {
                gate.rattle();
                sleep(secs(1)).await;
                assert_eq!(gate.waiting(), 3);
            }
            gate.open();
            ok::<Result<(), Oops>>(Ok(()))
        })
        .await;
        outcome.unwrap().unwrap();
        assert_eq!(ledger.count("through"), 3);
        assert_eq!(ledger.now(), 5000);
    });
}

#[repr(align(64))]
struct Aligned<T>(T);

/// Rule 7, for outputs and futures that are small, large, or ask for an alignment of their own; each
/// output once read, once dropped before its child has ended, and once after.
#[test]
fn an_output_of_any_size_and_alignment_is_handed_over_or_dropped_once() {
    fn is_aligned<T>(value: &Aligned<T>) -> bool {
        std::ptr::from_ref(value).addr() % 64 == 0
    }
    sim(SEEDS, || async {
        let outputs = Census::default();
        let outcome = open(async |g| {
            let small = [(); 3].map(|()| {
                let output = Arc::new(outputs.tracked());
                g.spawn(async move { ok(output) })
            });
            let large = [(); 3].map(|()| {
                let output = outputs.tracked();
                g.spawn(async move { ok((output, [7_u64; 4])) })
            });
            let aligned = [(); 3].map(|()| {
                let output = Aligned(outputs.tracked());
                g.spawn(async move {
                    sleep(secs(0)).await;
                    assert!(is_aligned(&output), "inside the future");
                    ok(output)
                })
            });
            let ([small, one, two], [large, three, four], [aligned, five, six]) =
                (small, large, aligned);
            drop((one, three, five));
            sleep(secs(1)).await;
            assert_eq!(outputs.living(), 6, "three have nobody who reads them");
            drop((two, four, six));
            assert_eq!(outputs.living(), 3);
            small.await.unwrap().assert_alive();
            let (output, words) = large.await.unwrap();
            output.assert_alive();
            assert_eq!(words, [7; 4]);
            drop(output);
            let output = aligned.await.unwrap();
            assert!(is_aligned(&output), "handed over");
            output.0.assert_alive();
            drop(output);
            assert_eq!(outputs.living(), 0);
            done()
        })
        .await;
        outcome.unwrap();
    });
}
