//! `unblock`: a blocking closure as something to await (rules 14, 21, 27 and 31).

use std::{
    future::pending,
    pin::pin,
    sync::mpsc::{Receiver, Sender, channel},
};

use futures_concurrency::future::Race;
use headcount::{
    BlockingToken, CancelScope, Options, checkpoint, group, shield,
    time::{Instant, interval, sleep},
    timeout, tree, unblock,
};

use crate::support::{
    Census, FEW, Flag, Layer, Ledger, Oops, SEEDS, block_on, catch, done, message, nested, ok,
    poll_once, secs, sim, yield_now,
};

/// Lets closures block their threads in virtual time, whatever is cancelled meanwhile.
#[derive(Clone)]
struct Blocks(BlockingToken);

impl Blocks {
    fn block(&self, time: u64) {
        let until = Instant::now() + secs(time);
        while Instant::now() < until {
            // Its closure has ended long ago: asking only lets others run.
            assert!(!self.0.is_cancelled());
        }
    }
}

/// Runs `program` under so many schedules, in a group where time moves second by second.
fn sim_with_blocks<F, Fut>(seeds: u64, program: F)
where
    F: Fn(Blocks) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    sim(seeds, move || async move {
        let outcome = group(async |g| {
            let token = g.spawn_blocking(Ok::<_, Oops>).await.unwrap();
            g.spawn_daemon(async {
                let mut ticks = interval(secs(1));
                loop {
                    ticks.tick().await;
                }
            });
            program(Blocks(token)).await;
            done()
        });
        outcome.await.unwrap();
    });
}

/// The hidden group and its child: who hangs in a closure is found by it.
#[test]
fn a_tree_shows_the_place_where_unblock_was_called() {
    sim(FEW, || async {
        let place = format!("tests/it/unblocks.rs:{}:", line!() + 1);
        let tree = unblock(|| tree().to_string()).await;
        assert_eq!(tree.matches(&place).count(), 2, "{tree}");
    });
}

/// The value, through every nesting.
#[test]
fn unblock_gives_the_value_of_its_closure() {
    for layer in Layer::ALL {
        sim_with_blocks(FEW, move |blocks| async move {
            let ledger = Ledger::open();
            let value = nested(&[layer], async {
                unblock(move || {
                    blocks.block(2);
                    5
                })
                .await
            });
            assert_eq!(value.await, 5);
            assert_eq!(ledger.now(), 2000);
        });
    }
}

/// Rule 14: the panic of the closure is that of the awaiter.
#[test]
fn the_panic_of_the_closure_comes_out_of_unblock() {
    sim(SEEDS, || async {
        let payload = catch(unblock(|| panic!("closure"))).await;
        let payload: Result<(), _> = payload;
        assert_eq!(message(&*payload.unwrap_err()), "closure");
        let outcome = catch(group(async |g| {
            g.spawn(async { unblock(|| std::panic::panic_any("in a child")).await });
            pending::<Result<(), Oops>>().await
        }));
        assert_eq!(message(&*outcome.await.unwrap_err()), "in a child");
    });
}

/// Rules 27 and 31: a timeout waits for the closure, and reports then; its value is dropped.
#[test]
fn a_timeout_over_a_running_closure_waits_for_it() {
    for layer in Layer::ALL {
        sim_with_blocks(FEW, move |blocks| async move {
            let (ledger, census) = (Ledger::open(), Census::default());
            let tracked = census.tracked();
            let work = nested(&[layer], async {
                let value = unblock(move || {
                    blocks.block(3);
                    tracked
                });
                drop(value.await);
                unreachable!("resumed")
            });
            let outcome: Result<(), _> = timeout(secs(1), work).await;
            outcome.unwrap_err();
            assert_eq!((census.born(), census.living()), (1, 0));
            assert_eq!(ledger.now(), 3000);
        });
    }
}

/// Rule 21: what the awaiter owns outlives the closure.
#[test]
fn what_the_awaiter_owns_outlives_its_closure() {
    sim_with_blocks(SEEDS / 5, |blocks| async move {
        let ledger = Ledger::open();
        let cancel_scope = CancelScope::with_timeout(secs(1));
        let outcome = cancel_scope.enter(async {
            let _folder = ledger.mark("folder");
            let inside = ledger.clone();
            unblock(move || {
                blocks.block(2);
                inside.note("closure ends");
            })
            .await;
            ledger.note("never");
        });
        outcome.await.unwrap_err();
        ledger.expect(&[(2000, "closure ends"), (2000, "folder cut")]);
    });
}

/// Rule 31: one that has not begun is dropped unrun.
#[test]
fn a_closure_that_has_not_begun_is_dropped_unrun() {
    sim(SEEDS, || async {
        let (ran, census) = (Flag::default(), Census::default());
        let (inside, tracked) = (ran.clone(), census.tracked());
        let cancelled = CancelScope::new();
        cancelled.cancel();
        let outcome = cancelled.enter(unblock(move || {
            inside.set();
            drop(tracked);
        }));
        outcome.await.unwrap_err();
        assert_eq!((census.born(), census.living()), (1, 0));
        assert!(!ran.is_set());
    });
}

/// Rule 31: the same for one that waits for a thread; one that has begun runs to its end.
#[test]
fn a_closure_that_has_not_begun_when_it_is_cancelled_never_runs() {
    let (begun, unbegun) = (Flag::default(), Flag::default());
    let seen = (begun.clone(), unbegun.clone());
    sim(SEEDS, move || {
        let (begun, unbegun) = seen.clone();
        async move {
            let (ran, cancel_scope) = (Flag::default(), CancelScope::new());
            let (inside, outside, remote) = (ran.clone(), ran.clone(), cancel_scope.clone());
            let outcome = group(async |g| {
                let canceller = g.spawn(async move {
                    for _ in 0..3 {
                        yield_now().await;
                    }
                    remote.cancel();
                    ok(outside.is_set())
                });
                let _ = cancel_scope.enter(unblock(move || inside.set())).await;
                Ok::<bool, Oops>(canceller.await.unwrap())
            });
            let had_begun = outcome.await.unwrap();
            assert_eq!(ran.is_set(), had_begun);
            if had_begun { begun } else { unbegun }.set();
        }
    });
    assert!(begun.is_set() && unbegun.is_set(), "both were tried");
}

/// Rule 31: nor if its awaiter is polled on, because something beside it has to drain.
#[test]
fn a_closure_that_was_taken_back_does_not_run_while_its_awaiter_is_polled_on() {
    sim(SEEDS, || async {
        let (ran, ledger) = (Flag::default(), Ledger::open());
        let inside = ran.clone();
        let cancelled = CancelScope::new();
        cancelled.cancel();
        let outcome = cancelled.enter(async {
            let mut closure = pin!(unblock(move || inside.set()));
            let mut drains = pin!(group(async |_| {
                let _guard = ledger.deferred("beside", secs(2));
                pending::<Result<(), Oops>>().await
            }));
            std::future::poll_fn(|cx| {
                assert!(closure.as_mut().poll(cx).is_pending());
                drains.as_mut().poll(cx)
            })
            .await
        });
        assert!(outcome.await.is_err());
        assert!(!ran.is_set());
        ledger.expect(&[(0, "beside releasing"), (2000, "beside released")]);
    });
}

/// Rule 1: dropped by a foreign race, its boundary waits for the closure; the value is lost.
#[test]
fn the_boundary_of_an_unblock_dropped_by_a_race_waits_for_the_closure() {
    sim_with_blocks(SEEDS / 5, |blocks| async move {
        let (ledger, census) = (Ledger::open(), Census::default());
        let outcome = group(async |_| {
            let (inside, tracked) = (ledger.clone(), census.tracked());
            let loses = async {
                unblock(move || {
                    blocks.block(3);
                    inside.note("closure ends");
                    drop(tracked);
                })
                .await;
                "loser"
            };
            let wins = async {
                sleep(secs(1)).await;
                "winner"
            };
            let won = (loses, wins).race().await;
            ledger.note("raced");
            ok(won)
        });
        assert_eq!(outcome.await.unwrap(), "winner");
        ledger.expect(&[(1000, "raced"), (3000, "closure ends")]);
        assert_eq!((census.living(), ledger.now()), (0, 3000));
    });
}

/// Rules 12 and 14: dropped by a race, the panic of the closure climbs to the boundary.
#[test]
fn the_panic_of_a_closure_dropped_by_a_race_resumes_in_the_boundary() {
    sim_with_blocks(SEEDS / 5, |blocks| async move {
        let outcome = catch(group(async |_| {
            let loses = async {
                unblock(move || {
                    blocks.block(3);
                    panic!("late");
                })
                .await
            };
            let wins = async {
                sleep(secs(1)).await;
                5
            };
            ok((loses, wins).race().await)
        }));
        assert_eq!(message(&*outcome.await.unwrap_err()), "late");
    });
}

/// Rule 22: a shielded closure delivers its value first.
#[test]
fn a_shielded_unblock_delivers_its_value() {
    sim_with_blocks(SEEDS / 5, |blocks| async move {
        let ledger = Ledger::open();
        let outcome = timeout(secs(1), async {
            let value = shield(unblock(move || {
                blocks.block(3);
                5
            }));
            assert_eq!(value.await, 5);
            ledger.note("delivered");
            checkpoint().await;
            ledger.note("never");
        });
        outcome.await.unwrap_err();
        ledger.expect(&[(3000, "delivered")]);
    });
}

/// Rule 31: under a failing sibling, too, the group waits for the closure.
#[test]
fn a_failure_beside_a_running_closure_waits_for_it() {
    sim_with_blocks(SEEDS / 5, |blocks| async move {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            g.spawn(unblock(move || blocks.block(3)));
            g.spawn(ledger.failing("a", secs(1)));
            done()
        });
        assert_eq!(outcome.await.unwrap_err().into_first(), Some(Oops("a")));
        assert_eq!(ledger.now(), 3000);
    });
}

/// Rule 31, on real threads: the scope returns after the closure that it could not stop.
#[test]
fn a_cancelled_awaiter_waits_for_its_closure_on_a_real_thread() {
    for _ in 0..20 {
        let (waits, waiting): (Sender<()>, Receiver<()>) = channel();
        let (begun, begins): (Sender<()>, Receiver<()>) = channel();
        let (go_on, may_end): (Sender<()>, Receiver<()>) = channel();
        let ended = Flag::default();
        let inside = ended.clone();
        let cancel_scope = CancelScope::new();
        let remote = cancel_scope.clone();
        let canceller = std::thread::spawn(move || {
            waiting.recv().unwrap();
            begins.recv().unwrap();
            remote.cancel();
            go_on.send(()).unwrap();
        });
        let outcome = block_on(async {
            let mut entered = pin!(cancel_scope.enter(unblock(move || {
                begun.send(()).unwrap();
                may_end.recv().unwrap();
                inside.set();
            })));
            assert!(poll_once(&mut entered).await.is_pending());
            waits.send(()).unwrap();
            entered.await
        });
        outcome.unwrap_err();
        assert!(ended.is_set());
        canceller.join().unwrap();
    }
}

/// Rule 29: time stands still while a closure runs that does not wait for it.
#[test]
fn a_closure_that_computes_takes_no_virtual_time() {
    sim(FEW, || async {
        let start = Instant::now();
        assert_eq!(unblock(|| (0..1000).sum::<u64>()).await, 499_500);
        assert_eq!(Instant::now(), start);
    });
}

/// Rules 10 and 17: a release that fails or panics takes no value, and climbs past `unblock`.
#[test]
fn a_failed_release_of_a_closure_climbs_and_the_value_is_given() {
    sim(SEEDS / 5, || async {
        let ledger = Ledger::open();
        let outcome = group(async |_| {
            let (fails, panics) = (ledger.clone(), ledger.clone());
            let values = unblock(move || {
                drop(fails.deferred_failing("fails", secs(1)));
                7
            });
            assert_eq!(values.await, 7);
            let values = unblock(move || {
                drop(panics.deferred_panicking("panics", secs(1)));
                8
            });
            assert_eq!(values.await, 8);
            done()
        });
        let error = outcome.await.unwrap_err();
        let texts = error.cleanup_failures().iter().map(ToString::to_string);
        let texts: Vec<_> = texts.collect();
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert!(texts[0].ends_with("fails") && texts[1].ends_with("panics"));
        assert_eq!(ledger.now(), 2000);
    });
}

/// Rule 17: nor is the failure lost if there is no value, or if a grace cuts the release.
#[test]
fn a_failed_release_of_a_cancelled_closure_is_returned_by_the_group_around() {
    for (grace, ends) in [(secs(60), 5000), (secs(2), 3000)] {
        sim(SEEDS / 5, move || async move {
            let ledger = Ledger::open();
            let bounded = Options::new().grace(grace).group(async |_| {
                let notes = ledger.clone();
                unblock(move || drop(notes.deferred_failing("fails", secs(5)))).await;
                ledger.note("resumed");
                done()
            });
            let error = timeout(secs(1), bounded).await.unwrap().unwrap_err();
            assert_eq!(error.cleanup_failures().len(), 1);
            assert!(!ledger.contains("resumed"));
            assert_eq!(ledger.now(), ends);
        });
    }
}
