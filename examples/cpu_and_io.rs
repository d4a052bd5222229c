//! What waits and what computes: tasks, threads that block, and cores.
//!
//! | the work | take | it runs on |
//! |---|---|---|
//! | awaits (network, timers) | `spawn` | async-std's threads, one for each core |
//! | blocks (files, C libraries) | `unblock`, `spawn_blocking` | threads for blocking work, up to 500 |
//! | computes for long | `compute` | rayon's threads, one for each core |
//!
//! All three are waited for, like any child. There is no global lock as in Python, so nothing here
//! needs a second process.
//!
//! ```console
//! $ cargo run --release --example cpu_and_io
//! ```

use std::convert::Infallible;
use std::thread;
use std::time::Duration;

use headcount::{GroupError, Instant, compute, group, run, sync::Event, time::sleep, unblock};
use rayon::prelude::*;

const WAIT: Duration = Duration::from_millis(100);
const NUMBERS: u64 = 2_000_000;

async fn measured<T>(what: &str, work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let value = work.await;
    println!("{what:<36} {:.2} s", start.elapsed().as_secs_f64());
    value
}

fn digits(n: u64) -> u64 {
    n.to_string()
        .bytes()
        .map(|digit| u64::from(digit - b'0'))
        .sum()
}

fn main() -> Result<(), GroupError<Infallible>> {
    run(async |g| {
        let tasks = group(async |inner| {
            for _ in 0..10 {
                inner.spawn(sleep(WAIT));
            }
            Ok::<_, Infallible>(())
        });
        let waited = measured("10 tasks that wait for 100 ms", tasks).await;
        waited.expect("nothing fails here");

        let closures = group(async |inner| {
            for _ in 0..10 {
                inner.spawn(unblock(|| thread::sleep(WAIT)));
            }
            Ok::<_, Infallible>(())
        });
        let blocked = measured("10 closures that block for 100 ms", closures).await;
        blocked.expect("nothing fails here");

        // In a task, this would keep a thread from other tasks.
        let sum = compute(|_| (0..NUMBERS).map(digits).sum::<u64>());
        let one = measured("a computation on one core", sum).await;
        let sum = compute(|_| (0..NUMBERS).into_par_iter().map(digits).sum::<u64>());
        let all = measured("the same on all cores", sum).await;
        println!("both computed the same: {}", one == all);

        // No thread can be stopped from outside. A closure that blocks for long asks its token.
        let begun = Event::new();
        let closure = g.spawn_blocking({
            let begun = begun.clone();
            move |token| {
                begun.set();
                while !token.is_cancelled() {
                    thread::sleep(Duration::from_millis(1));
                }
                println!("the closure was asked to stop, and has tidied up");
            }
        });
        begun.wait().await;
        closure.cancel();
        let ended = closure.await.is_ok();
        println!("it has ended, and was waited for: {ended}");
        Ok(())
    })
}
