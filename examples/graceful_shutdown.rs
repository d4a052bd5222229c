//! The three stages of a stop: ask, cancel, cut.
//!
//! 1. `shutdown(grace)` asks. Who takes part finishes what it has begun, and returns.
//! 2. When the grace is over, the rest is cancelled. What it had deferred is released all the same.
//! 3. `Options::grace` bounds that too, for a release that hangs.
//!
//! In a program, `Options::stop_on_signals` calls `shutdown` at the first Ctrl-C.
//!
//! ```console
//! $ cargo run --example graceful_shutdown
//! ```

use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use headcount::sync::{Event, Queue};
use headcount::{
    Deferred, GroupError, Options, cancelled, checkpoint, defer, group, run, time::sleep,
};

/// A connection says goodbye, which takes a while; so a destructor could not do it.
fn connect(of: &'static str) -> Deferred<&'static str> {
    defer(of, async |of| {
        checkpoint().await;
        println!("  {of}: connection closed");
    })
}

/// Works on jobs until it is asked to stop: never in the middle of one.
async fn polite(jobs: Queue<u32>) {
    let _connection = connect("polite worker");
    loop {
        let job = match select(pin!(cancelled()), pin!(jobs.get())).await {
            Either::Left(_) => break,
            Either::Right((job, _)) => job.expect("nobody closes the queue"),
        };
        sleep(Duration::from_millis(1)).await; // stands for the work
        job.done();
    }
    println!("  polite worker: finished");
}

/// Does not look whether it should stop.
async fn stubborn(ready: Event) {
    let _connection = connect("stubborn worker");
    ready.set();
    pending().await
}

fn main() -> Result<(), GroupError<Infallible>> {
    run(async |_| {
        println!("asked, with a grace of an hour:");
        group(async |g| {
            let jobs = Queue::unbounded();
            g.spawn(polite(jobs.clone()));
            for job in 0..10 {
                jobs.put(job).await.expect("it is open");
            }
            jobs.join().await;
            g.shutdown(Duration::from_secs(3600));
            Ok::<_, Infallible>(())
        })
        .await
        .expect("who finishes in time has not failed");
        println!("  and returned as soon as all had finished");

        println!("asked, with a grace of 20 ms:");
        group(async |g| {
            let ready = Event::new();
            g.spawn(stubborn(ready.clone()));
            ready.wait().await;
            g.shutdown(Duration::from_millis(20));
            Ok::<_, Infallible>(())
        })
        .await
        .expect("the body has its value; a cancelled child is no failure");

        println!("a release that hangs, with 20 ms for releases:");
        let bounded = Options::new().grace(Duration::from_millis(20));
        let cut = bounded.group(async |_| {
            let _connection = defer((), async |()| pending::<()>().await);
            Ok::<_, Infallible>(())
        });
        let error = cut.await.expect_err("a release that was cut is told");
        for failure in error.cleanup_failures() {
            println!("  {}", failure.error());
        }
        Ok(())
    })
}
