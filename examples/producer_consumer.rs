//! Producers and consumers around a bounded queue.
//!
//! As in Python's `asyncio.Queue`, `join` waits until every item has been dealt with. Other than
//! there, a consumer that is cancelled with an item in hand does not lose it (and `join` does not
//! wait for ever): the item goes back to the queue, for another consumer.
//!
//! ```console
//! $ cargo run --example producer_consumer
//! ```

use std::convert::Infallible;
use std::future::pending;
use std::sync::Mutex;
use std::time::Duration;

use headcount::sync::{Event, Queue};
use headcount::{GroupError, run, scope, time::sleep};

async fn produce(queue: &Queue<String>, producer: &str) {
    for n in 0..5 {
        let item = format!("{producer}-{n}");
        // Waits while the queue is full.
        queue.put(item).await.expect("nobody closes the queue");
    }
}

async fn consume(queue: &Queue<String>, processed: &Mutex<Vec<String>>) {
    while let Some(item) = queue.get().await {
        sleep(Duration::from_millis(5)).await; // stands for work; if this is cancelled, `item` goes back
        processed.lock().unwrap().push(item.done());
    }
}

fn main() -> Result<(), GroupError<Infallible>> {
    let queue = Queue::bounded(5);
    let processed = Mutex::new(Vec::new());
    run(async |g| {
        let (queue, processed) = (&queue, &processed);

        // This consumer gets stuck with the first item.
        let has_one = Event::new();
        let stuck = g.spawn({
            let has_one = has_one.clone();
            async move {
                let _item = queue.get().await;
                has_one.set();
                pending::<()>().await
            }
        });
        queue.put("first".to_owned()).await.expect("it is open");
        has_one.wait().await;
        stuck.cancel();
        stuck.await.expect_err("it was cancelled, and has ended");
        println!("items that are back in the queue: {}", queue.len());

        // Daemons are cancelled when everybody else has ended: consumers need not be told to stop.
        for _ in 0..3 {
            g.spawn_daemon(consume(queue, processed));
        }
        // A scope of two producers, which returns when both have produced everything.
        let producers = scope(async |s| {
            s.spawn(produce(queue, "ham"));
            s.spawn(produce(queue, "spam"));
            Ok::<_, Infallible>(())
        });
        producers.await.expect("producers cannot fail");
        queue.join().await;
        println!("every item is done; unfinished: {}", queue.unfinished());
        Ok(())
    })?;
    let mut processed = processed.into_inner().unwrap();
    processed.sort();
    println!("processed: {}", processed.join(" "));
    Ok(())
}
