//! Deep trees under the simulator.

use std::{
    future::pending,
    pin::Pin,
    sync::{Arc, Mutex},
};

use headcount::{TaskGroup, defer, group, scope, time::sleep};

use crate::support::{Census, Gate, INLINE, Oops, SEEDS, secs, sim, yield_now};

/// Case 37: through spawned children.
#[test]
fn a_chain_of_nested_groups_is_cancelled_from_the_outermost() {
    for (seeds, depth) in [(SEEDS, 200), (3, 10_000)] {
        sim(seeds, move || cancelled_chain(depth));
    }
}

async fn cancelled_chain(depth: usize) {
    let census = Census::default();
    let outcome = group(async |g| {
        let deepest = Gate::default();
        nest(&g, depth, deepest.clone(), census.clone());
        deepest.wait().await;
        sleep(secs(1)).await;
        assert_eq!((census.born(), census.living()), (depth, depth));
        g.cancel();
        pending::<Result<(), Oops>>().await
    })
    .await;
    assert!(outcome.unwrap_err().is_cancelled());
    assert_eq!(census.living(), 0);
}

fn nest(parent: &TaskGroup<'static, Oops>, depth: usize, deepest: Gate, census: Census) {
    if depth == 0 {
        return deepest.open();
    }
    let tracked = census.tracked();
    parent.spawn(async move {
        let _tracked = tracked;
        let inner = group(async move |g| {
            nest(&g, depth - 1, deepest, census);
            pending::<Result<(), Oops>>().await
        });
        inner.await.map_err(|_| Oops("nested"))
    });
}

/// Case 37, rule 23: each group of the chain owes a release; the innermost runs first.
#[test]
fn a_chain_of_nested_groups_releases_from_the_innermost() {
    for (seeds, depth) in [(SEEDS, 50), (1, 10_000)] {
        sim(seeds, move || async move {
            let order = Arc::new(Mutex::new(Vec::new()));
            let outcome = group(async |g| {
                let deepest = Gate::default();
                owe(&g, depth, deepest.clone(), order.clone());
                deepest.wait().await;
                g.cancel();
                pending::<Result<(), Oops>>().await
            })
            .await;
            assert!(outcome.unwrap_err().is_cancelled());
            let order = order.lock().unwrap();
            assert!(order.iter().copied().eq(1..=depth), "{order:?}");
        });
    }
}

fn owe(
    parent: &TaskGroup<'static, Oops>,
    depth: usize,
    deepest: Gate,
    order: Arc<Mutex<Vec<usize>>>,
) {
    if depth == 0 {
        return deepest.open();
    }
    parent.spawn(async move {
        let _guard = defer(order.clone(), async move |order| {
            yield_now().await;
            order.lock().unwrap().push(depth);
        });
        let inner = group(async move |g| {
            owe(&g, depth - 1, deepest, order);
            pending::<Result<(), Oops>>().await
        });
        inner.await.map_err(|_| Oops("nested"))
    });
}

/// Case 37: inline, where polls recurse.
#[test]
fn hundreds_of_inline_openings_are_cancelled_from_the_outermost() {
    sim(SEEDS, || async {
        for scopes in [false, true] {
            let (reached, census) = (Gate::default(), Census::default());
            let outcome = group(async |g| {
                g.spawn(inline(INLINE, scopes, reached.clone(), census.clone()));
                reached.wait().await;
                sleep(secs(1)).await;
                g.cancel();
                pending::<Result<(), Oops>>().await
            })
            .await;
            assert!(outcome.unwrap_err().is_cancelled());
            assert_eq!((census.born(), census.living()), (INLINE, 0));
        }
    });
}

fn inline(
    depth: usize,
    scopes: bool,
    reached: Gate,
    census: Census,
) -> Pin<Box<dyn Future<Output = Result<(), Oops>> + Send>> {
    Box::pin(async move {
        if depth == 0 {
            reached.open();
            yield_now().await;
            return pending().await;
        }
        let _tracked = census.tracked();
        let inner = if scopes {
            scope(async move |_| inline(depth - 1, scopes, reached, census).await).await
        } else {
            group(async move |_| inline(depth - 1, scopes, reached, census).await).await
        };
        inner.map_err(|_| Oops("nested"))
    })
}
