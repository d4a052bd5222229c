//! The children that `ci/instructions.sh` counts: so many of one kind.

use std::{
    convert::Infallible,
    future::pending,
    hint::black_box,
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_std::{
    stream::StreamExt,
    task::{block_on, sleep, yield_now},
};
use headcount::{JoinError, group, map_concurrent, scope, timeout};

async fn trivial(n: u64) {
    black_box(n);
}

async fn yields(n: u64) {
    yield_now().await;
    black_box(n);
}

static PARKED: AtomicU64 = AtomicU64::new(0);

async fn parks() {
    PARKED.fetch_add(1, Ordering::Relaxed);
    pending().await
}

async fn run(kind: &str, count: u64) {
    match kind {
        "spawn" => {
            let children = group(async |g| {
                (0..count).for_each(|n| drop(g.spawn(trivial(n))));
                Ok::<_, Infallible>(())
            });
            children.await.unwrap();
        }
        "handles" => {
            let children = group(async |g| {
                let spawn = |n| g.spawn(async move { Ok(black_box(n)) });
                for handle in (0..count).map(spawn).collect::<Vec<_>>() {
                    handle.await?;
                }
                Ok::<_, JoinError>(())
            });
            children.await.unwrap();
        }
        "yields" => {
            let children = group(async |g| {
                (0..count).for_each(|n| drop(g.spawn(yields(n))));
                Ok::<_, Infallible>(())
            });
            children.await.unwrap();
        }
        "cancelled" => {
            let children = group(async |g| {
                (0..count).for_each(|_| drop(g.spawn(parks())));
                while PARKED.load(Ordering::Relaxed) < count {
                    sleep(Duration::from_millis(10)).await;
                }
                g.cancel();
                pending::<Result<(), Infallible>>().await
            });
            children.await.unwrap_err();
        }
        "mapped" => {
            let mut outputs = pin!(map_concurrent(0..count, 64, async |n| black_box(n)));
            while outputs.next().await.is_some() {}
        }
        "inline" => {
            let children = scope(async |s| {
                (0..count).for_each(|n| drop(s.spawn(trivial(n))));
                Ok::<_, Infallible>(())
            });
            children.await.unwrap();
        }
        "groups" => {
            for n in 0..count {
                let child = group(async |g| {
                    g.spawn(trivial(n));
                    Ok::<_, Infallible>(())
                });
                child.await.unwrap();
            }
        }
        "timeouts" => {
            for n in 0..count {
                timeout(Duration::from_secs(9), yields(n)).await.unwrap();
            }
        }
        _ => panic!("no such kind of children: {kind}"),
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (kind, count) = (arguments.next(), arguments.next());
    let (kind, count) = kind.zip(count).expect("a kind of children, and a number");
    block_on(run(&kind, count.parse().expect("a number")));
}
