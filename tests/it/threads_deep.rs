//! Deep trees on real threads.

use std::{
    future::pending,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use headcount::{Options, TaskGroup, checkpoint, defer, group, run, scope};

use crate::support::{Census, Gate, INLINE, Oops, block_on, done, on_workers, yield_now};

/// Case 37.
#[test]
fn ten_thousand_nested_groups_are_cancelled_in_linear_time() {
    on_workers(
        "threads_deep::ten_thousand_nested_groups_are_cancelled_in_linear_time",
        || assert_linear(Each::Waits),
    );
}

/// Case 37, where each group has a grace, which begins with the request.
#[test]
fn ten_thousand_nested_groups_with_a_grace_are_cancelled_in_linear_time() {
    on_workers(
        "threads_deep::ten_thousand_nested_groups_with_a_grace_are_cancelled_in_linear_time",
        || assert_linear(Each::WaitsInAGrace),
    );
}

/// Case 37, where each child has something to release.
#[test]
fn ten_thousand_nested_groups_release_in_linear_time() {
    on_workers(
        "threads_deep::ten_thousand_nested_groups_release_in_linear_time",
        || assert_linear(Each::Releases),
    );
}

/// What the groups of a chain do.
#[derive(Clone, Copy, PartialEq)]
enum Each {
    Waits,
    WaitsInAGrace,
    Releases,
}

fn assert_linear(each: Each) {
    // Other work on the machine can only make a round worse: the best one counts.
    let round = || {
        let short = cancel_chains(10, 1000, each).as_secs_f64();
        cancel_chains(1, 10_000, each).as_secs_f64() * 10.0 / short
    };
    let best = (0..30).map(|_| round()).find(|ratio| *ratio <= 12.0);
    assert!(
        best.is_some(),
        "ten times the depth always took more than twelve times as long"
    );
}

/// How long it takes from the request to the return of the outermost group, for each chain in turn.
/// All are there before the first is cancelled, so that measures of few long and of many short
/// chains touch the same amount of memory.
fn cancel_chains(count: usize, depth: usize, each: Each) -> Duration {
    let census = Census::default();
    let elapsed = block_on(group(async |g| {
        let mut chains = Vec::new();
        for _ in 0..count {
            let (deepest, go) = (Gate::default(), Gate::default());
            let (reached, gone, census) = (deepest.clone(), go.clone(), census.clone());
            let chain = g.spawn(async move {
                let outcome = group(async move |g| {
                    nest(&g, depth, each, reached, census);
                    gone.wait().await;
                    g.cancel();
                    pending::<Result<(), Oops>>().await
                });
                assert!(outcome.await.unwrap_err().is_cancelled());
            });
            deepest.wait().await;
            chains.push((chain, go));
        }
        assert_eq!(census.living(), count * depth);
        let begun = Instant::now();
        for (chain, go) in chains {
            go.open();
            chain.await.unwrap();
        }
        Ok::<_, Oops>(begun.elapsed())
    }));
    assert_eq!(census.living(), 0);
    elapsed.unwrap()
}

fn nest(
    parent: &TaskGroup<'static, Oops>,
    depth: usize,
    each: Each,
    deepest: Gate,
    census: Census,
) {
    if depth == 0 {
        return deepest.open();
    }
    let tracked = census.tracked();
    parent.spawn(async move {
        let (_tracked, _deferred) = match each {
            Each::Waits | Each::WaitsInAGrace => (Some(tracked), None),
            Each::Releases => (None, Some(defer(tracked, async |_| checkpoint().await))),
        };
        let options = match each {
            Each::WaitsInAGrace => Options::new().grace(Duration::from_secs(3600)),
            Each::Waits | Each::Releases => Options::new(),
        };
        let inner = options.group(async move |g| {
            nest(&g, depth - 1, each, deepest, census);
            pending::<Result<(), Oops>>().await
        });
        inner.await.map_err(|_| Oops("nested"))
    });
}

/// Case 37: the chain ends by itself, from the deepest outwards.
#[test]
fn ten_thousand_nested_groups_end_and_are_freed_without_a_stack_overflow() {
    on_workers(
        "threads_deep::ten_thousand_nested_groups_end_and_are_freed_without_a_stack_overflow",
        || {
            let ended = Arc::new(AtomicUsize::new(0));
            let outcome = run(async |r| {
                let ended = ended.clone();
                r.spawn(chain(10_000, ended));
                done()
            });
            outcome.unwrap();
            assert_eq!(ended.load(Ordering::SeqCst), 10_000);
        },
    );
}

fn chain(
    depth: usize,
    ended: Arc<AtomicUsize>,
) -> Pin<Box<dyn Future<Output = Result<(), Oops>> + Send>> {
    Box::pin(async move {
        if depth == 0 {
            return done();
        }
        let deeper = ended.clone();
        let inner = group(async move |g| {
            g.spawn(chain(depth - 1, deeper));
            done()
        });
        inner.await.map_err(|_| Oops("nested"))?;
        ended.fetch_add(1, Ordering::SeqCst);
        done()
    })
}

/// Case 37: openings one inside the other in one task, ended and cancelled.
#[test]
fn hundreds_of_inline_openings_do_not_overflow_the_stack() {
    on_workers(
        "threads_deep::hundreds_of_inline_openings_do_not_overflow_the_stack",
        || {
            for scopes in [false, true] {
                let (reached, leave) = (Gate::default(), Gate::default());
                leave.open();
                block_on(inline(INLINE, scopes, reached, leave)).unwrap();

                let (reached, never) = (Gate::default(), Gate::default());
                let outcome = block_on(group(async |g| {
                    g.spawn(inline(INLINE, scopes, reached.clone(), never));
                    reached.wait().await;
                    g.cancel();
                    pending::<Result<(), Oops>>().await
                }));
                assert!(outcome.unwrap_err().is_cancelled());
            }
        },
    );
}

/// Opens `reached` in the innermost opening, waits there to `leave`, and returns through all of them.
fn inline(
    depth: usize,
    scopes: bool,
    reached: Gate,
    leave: Gate,
) -> Pin<Box<dyn Future<Output = Result<(), Oops>> + Send>> {
    Box::pin(async move {
        if depth == 0 {
            reached.open();
            yield_now().await;
            leave.wait().await;
            return done();
        }
        let inner = if scopes {
            scope(async move |_| inline(depth - 1, scopes, reached, leave).await).await
        } else {
            group(async move |_| inline(depth - 1, scopes, reached, leave).await).await
        };
        inner.map_err(|_| Oops("nested"))
    })
}
