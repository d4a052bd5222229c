//! The opener's promises on real threads: who cancels, who closes, who runs.

use std::{
    future::{Future, pending, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{channel, sync_channel},
    },
    thread::{self, ThreadId},
};

use headcount::{cancelled, group, run};

use crate::support::{
    Census, Flag, Gate, Oops, PollCount, block_on, done, ok, on_workers, spin_until, yield_now,
};

/// Case 4.
#[test]
fn a_kept_handle_refuses_after_the_end_on_real_threads() {
    on_workers(
        "threads::a_kept_handle_refuses_after_the_end_on_real_threads",
        || {
            let (census, polls) = (Census::default(), PollCount::default());
            for _ in 0..1000 {
                let kept = block_on(group(async |g| {
                    g.spawn(yield_now());
                    ok(g.clone())
                }));
                let (kept, tracked) = (kept.unwrap(), census.tracked());
                let refused = kept.spawn(polls.of(async move { drop(tracked) }));
                assert_eq!(census.living(), 0);
                assert!(refused.is_finished());
                assert!(block_on(refused).unwrap_err().is_cancelled());
                assert!(kept.try_spawn(async {}).err().unwrap().is_closed());
            }
            assert_eq!(polls.get(), 0);
        },
    );
}

/// Rule 19: a child that waits when it is cancelled is not polled again, so the code after its
/// `cancelled()`, which would resolve, does not run.
#[test]
fn a_waiting_child_that_is_cancelled_does_not_go_on() {
    on_workers(
        "threads::a_waiting_child_that_is_cancelled_does_not_go_on",
        || {
            for _ in 0..5000 {
                let (waits, went_on) = (Flag::default(), Flag::default());
                let (waiting, going_on) = (waits.clone(), went_on.clone());
                let outcome = block_on(group(async |g| {
                    let child = g.spawn(async move {
                        let mut asked = pin!(cancelled());
                        poll_fn(|cx| {
                            let polled = asked.as_mut().poll(cx);
                            if polled.is_pending() {
                                waiting.set();
                            }
                            polled
                        })
                        .await;
                        going_on.set();
                    });
                    while !waits.is_set() {
                        yield_now().await;
                    }
                    child.cancel();
                    let _ = child.await;
                    done()
                }));
                outcome.unwrap();
                assert!(!went_on.is_set());
            }
        },
    );
}

/// Rule 2: a foreign thread spawns while the group closes. Each future is run to its end before the
/// opener returns, or dropped unpolled.
#[test]
fn no_child_slips_in_after_the_close() {
    on_workers("threads::no_child_slips_in_after_the_close", || {
        const TURNS: usize = 100_000;
        let (send, receive) = sync_channel::<Option<headcount::TaskGroup<'static, Oops>>>(1);
        let counts: Arc<[AtomicUsize; 3]> = Arc::default();
        let foreign = {
            let counts = counts.clone();
            thread::spawn(move || {
                let mut handles = Vec::new();
                while let Some(group) = receive.recv().unwrap() {
                    let child = Racer {
                        counts: counts.clone(),
                        polled: false,
                    };
                    handles.push(group.spawn(child.run()));
                }
                handles
            })
        };
        let [ended, dropped_unpolled, in_between] = &*counts;
        for _ in 0..TURNS {
            let outcome = block_on(group(async |g| {
                send.send(Some(g.clone())).unwrap();
                done()
            }));
            outcome.unwrap();
            assert_eq!(in_between.load(Ordering::SeqCst), 0);
        }
        send.send(None).unwrap();
        let handles = foreign.join().unwrap();
        let mut values = 0;
        for handle in handles {
            assert!(handle.is_finished());
            match block_on(handle) {
                Ok(()) => values += 1,
                Err(error) => assert!(error.is_cancelled()),
            }
        }
        let ended = ended.load(Ordering::SeqCst);
        assert_eq!(ended, values);
        assert_eq!(ended + dropped_unpolled.load(Ordering::SeqCst), TURNS);
    });
}

/// Counts those that ended, those dropped unpolled, and those polled and not dropped yet.
struct Racer {
    counts: Arc<[AtomicUsize; 3]>,
    polled: bool,
}

impl Racer {
    async fn run(mut self) {
        self.counts[2].fetch_add(1, Ordering::SeqCst);
        self.polled = true;
        yield_now().await;
        self.counts[0].fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        match self.polled {
            true => self.counts[2].fetch_sub(1, Ordering::SeqCst),
            false => self.counts[1].fetch_add(1, Ordering::SeqCst),
        };
    }
}

/// Case 13, rule 18: four threads cancel at once; none of them drops a child.
#[test]
fn threads_cancel_a_group_and_drop_nothing_themselves() {
    on_workers(
        "threads::threads_cancel_a_group_and_drop_nothing_themselves",
        || {
            for _ in 0..200 {
                let (gate, droppers) = (Gate::default(), Arc::<Mutex<Vec<ThreadId>>>::default());
                let (send, receive) = channel::<headcount::TaskGroup<'static, Oops>>();
                let foreign = {
                    let gate = gate.clone();
                    thread::spawn(move || {
                        let group = receive.recv().unwrap();
                        spin_until(|| gate.waiting() == 8);
                        let cancellers = [(); 4].map(|()| {
                            let group = group.clone();
                            thread::spawn(move || {
                                group.cancel();
                                group.cancel();
                                assert!(group.is_cancelled());
                                thread::current().id()
                            })
                        });
                        cancellers.map(|canceller| canceller.join().unwrap())
                    })
                };
                let outcome = block_on(group(async |g| {
                    for _ in 0..8 {
                        let (guard, wait) = (Dropper(droppers.clone()), gate.wait());
                        g.spawn(async move {
                            let _guard = guard;
                            wait.await;
                        });
                    }
                    send.send(g).unwrap();
                    pending::<Result<(), Oops>>().await
                }));
                assert!(outcome.unwrap_err().is_cancelled());
                let cancellers = foreign.join().unwrap();
                let droppers = droppers.lock().unwrap();
                assert_eq!(droppers.len(), 8);
                assert!(droppers.iter().all(|id| !cancellers.contains(id)));
            }
        },
    );
}

/// Notes the thread that drops it.
struct Dropper(Arc<Mutex<Vec<ThreadId>>>);

impl Drop for Dropper {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(thread::current().id());
    }
}

/// Rule 3: on the thread that spawns, no child is polled inside the call.
#[test]
fn spawn_runs_nothing_inside_the_call_on_real_threads() {
    std::thread_local!(static SPAWNING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });
    on_workers(
        "threads::spawn_runs_nothing_inside_the_call_on_real_threads",
        || {
            let inside = Arc::new(AtomicUsize::new(0));
            let outcome = run(async |r| {
                let (spawner, inside) = (r.clone(), inside.clone());
                // From a worker, where the executor could be tempted to run it at once.
                r.spawn(async move {
                    for _ in 0..10_000 {
                        let inside = inside.clone();
                        SPAWNING.set(true);
                        spawner.spawn(async move {
                            if SPAWNING.get() {
                                inside.fetch_add(1, Ordering::SeqCst);
                            }
                        });
                        SPAWNING.set(false);
                    }
                });
                done()
            });
            outcome.unwrap();
            assert_eq!(inside.load(Ordering::SeqCst), 0);
        },
    );
}

/// Rule 4.
#[test]
fn a_cancelled_group_ends_however_fast_its_children_spawn_on_real_threads() {
    on_workers(
        "threads::a_cancelled_group_ends_however_fast_its_children_spawn_on_real_threads",
        || {
            for _ in 0..20 {
                let (census, count) = (Census::default(), Arc::new(AtomicUsize::new(0)));
                let outcome = block_on(group(async |g| {
                    breed(g, census.clone(), count.clone());
                    pending::<Result<(), Oops>>().await
                }));
                assert!(outcome.unwrap_err().is_cancelled());
                assert_eq!(census.living(), 0);
            }
        },
    );
}

fn breed(group: headcount::TaskGroup<'static, Oops>, census: Census, count: Arc<AtomicUsize>) {
    let (children, tracked) = (group.clone(), census.tracked());
    group.spawn(async move {
        loop {
            tracked.assert_alive();
            breed(children.clone(), census.clone(), count.clone());
            if count.fetch_add(1, Ordering::SeqCst) == 1000 {
                children.cancel();
            }
            yield_now().await;
        }
    });
}
