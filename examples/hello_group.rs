//! The first steps: start tasks, wait for them, and lose none of them.
//!
//! What Python calls `asyncio.run`, `create_task`, `TaskGroup` and `timeout` is here `run`, `spawn`,
//! `group` and `timeout`. Other than there, nothing can go on after the call that started it.
//!
//! ```console
//! $ cargo run --example hello_group
//! ```

use std::sync::Arc;
use std::time::Duration;

use headcount::{JoinError, group, run, time::sleep, timeout};

async fn fetch(what: &str) -> Result<String, JoinError> {
    sleep(Duration::from_millis(50)).await; // stands for a request
    Ok(format!("data from /{what}"))
}

fn main() -> anyhow::Result<()> {
    run(async |g| {
        // Spawned tasks run from here on, in parallel. A handle waits for the value of one.
        let users = g.spawn(fetch("users"));
        let posts = g.spawn(fetch("posts"));
        println!("both requests are under way");
        println!("{}, {}", users.await?, posts.await?);

        // One that fails cancels its siblings. The group returns when all have ended, and says who it
        // was. The group around goes on: this error is an ordinary value.
        let failed = group(async |inner| {
            inner.spawn_named("comments", async { Err::<(), _>("no route to host") });
            inner.spawn(sleep(Duration::from_secs(3600)));
            Ok(())
        });
        let error = failed.await.expect_err("one of them fails");
        for failure in error.failures() {
            let who = failure.name().unwrap_or("a task without a name");
            println!("{who} failed: {}", failure.error());
        }

        // A timeout that comes back has ended everything inside.
        let alive = Arc::new(());
        let crowd = group(async |inner| {
            for _ in 0..100 {
                let alive = alive.clone();
                inner.spawn(async move {
                    sleep(Duration::from_secs(3600)).await;
                    drop(alive);
                });
            }
            Ok::<_, JoinError>(())
        });
        if timeout(Duration::from_millis(50), crowd).await.is_err() {
            println!("timed out; still alive: {}", Arc::strong_count(&alive) - 1);
        }
        Ok::<_, JoinError>(())
    })?;
    println!("nobody is left");
    Ok(())
}
