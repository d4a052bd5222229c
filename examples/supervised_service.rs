//! A service that keeps itself alive: children that end are started again, within limits.
//!
//! The policies are those of Erlang/OTP. What a child leaves behind when it fails (tasks, releases)
//! has ended before it is started again.
//!
//! ```console
//! $ cargo run --example supervised_service
//! ```

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use headcount::sync::{Event, Queue, Taken};
use headcount::{Restart, RestartError, group, run};

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A child that fails is started again, later each time, until it returns.
async fn import() {
    let mut attempt = 0;
    let import = Restart::transient()
        .intensity(5, MINUTE)
        .backoff(MILLISECOND, 2, MILLISECOND * 100)
        .child("import", move || {
            attempt += 1;
            async move {
                println!("import, attempt {attempt}");
                match attempt {
                    1 | 2 => Err("the server is busy"),
                    _ => Ok(()),
                }
            }
        });
    import.run().await.expect("the third attempt succeeds");
    println!("import: done");
}

/// Children that cannot do without each other: when one is started again, all are.
async fn service() {
    let started = Queue::unbounded();
    let start = |child| {
        let (started, mut run) = (started.clone(), 0);
        move || {
            run += 1;
            started
                .try_put(format!("{child}, run {run}"))
                .expect("it is open");
            run
        }
    };
    let (mut start_connection, mut start_reader) = (start("connection"), start("reader"));
    let in_use = Event::new();
    let used = in_use.clone();
    let service = Restart::permanent()
        .one_for_all()
        .child("connection", move || {
            let (run, used) = (start_connection(), used.clone());
            async move {
                used.wait().await;
                match run {
                    1 => Err::<Infallible, _>("connection reset"),
                    _ => pending().await,
                }
            }
        })
        .child("reader", move || {
            start_reader();
            in_use.set();
            pending::<()>()
        });
    // Permanent children never end. Their group ends them.
    let ended = group(async |g| {
        g.spawn(async { service.run().await.map_err(drop) });
        let mut starts = Vec::new();
        while starts.len() < 4 {
            starts.extend(started.get().await.map(Taken::done));
        }
        g.cancel();
        starts.sort();
        Ok(starts)
    });
    for start in ended.await.expect("the body has its value") {
        println!("service: {start}");
    }
}

/// A child that fails again and again is given up, and its error goes up.
async fn hopeless() {
    let feed = Restart::permanent()
        .intensity(3, MINUTE)
        .child("feed", async || Err::<Infallible, _>("no route to host"));
    let error = feed.run().await.expect_err("it never succeeds");
    let error: RestartError<_> = error.into_first().expect("that of the feed");
    println!("given up: {}; {error}", error.gave_up());
}

fn main() -> anyhow::Result<()> {
    run(async |_| {
        import().await;
        service().await;
        hopeless().await;
        Ok::<_, Infallible>(())
    })?;
    Ok(())
}
