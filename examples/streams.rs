//! Streams: results as they come, many items some at a time, and a child that produces.
//!
//! What Python calls `as_completed`, a `Semaphore` around each item, and an async generator.
//!
//! ```console
//! $ cargo run --example streams
//! ```

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use headcount::{JoinError, as_completed, checkpoint, defer, map_concurrent, run, time::sleep};

async fn fetch(site: &'static str, millis: u64) -> Result<&'static str, Infallible> {
    sleep(Duration::from_millis(millis)).await; // stands for a request
    Ok(site)
}

fn main() -> anyhow::Result<()> {
    run(async |g| {
        // The quickest comes first.
        let mut sites = as_completed([fetch("slow", 500), fetch("quick", 0), fetch("medium", 250)]);
        while let Some(site) = sites.next().await {
            println!("got {}", site.expect("nothing fails here"));
        }

        // Many items, three at a time. A slow reader holds them up: memory does not grow.
        let busy = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let squares = map_concurrent(1..=100_u64, 3, |n| {
            let busy = busy.clone();
            async move {
                busy[1].fetch_max(busy[0].fetch_add(1, Relaxed) + 1, Relaxed);
                checkpoint().await; // stands for work
                busy[0].fetch_sub(1, Relaxed);
                n * n
            }
        });
        let first: Vec<u64> = squares.in_order().take(5).collect().await;
        println!("squares: {first:?}");
        println!(
            "never more than 3 at a time: {}",
            busy[1].load(Relaxed) <= 3
        );

        // A generator runs in a child, one page ahead of its reader. When the reader has enough, the
        // child is cancelled, and what it deferred is released.
        let mut pages = g.spawn_stream(1, async |feed| {
            let _connection = defer((), async |()| println!("connection closed"));
            for page in 1.. {
                feed.send(format!("page {page}")).await;
            }
        });
        while let Some(page) = pages.try_next().await? {
            println!("{page}");
            if page == "page 3" {
                break;
            }
        }
        drop(pages);
        Ok::<_, JoinError>(())
    })?;
    println!("nobody is left");
    Ok(())
}
