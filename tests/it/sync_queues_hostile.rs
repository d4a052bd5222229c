//! `sync::Queue` among destructors and wakers that panic, or destroy who waits.

use std::{future::Future, pin::Pin, sync::Arc};

use headcount::{defer, group, sync::Queue, time::sleep};

use crate::support::{
    BadWaker, Census, FEW, Ledger, LeftTask, Oops, PanicOnDrop, catch, done, message, ok,
    on_these_workers, secs, sim,
};

/// Those that came back too.
#[test]
fn every_item_of_a_queue_is_dropped_though_the_destructor_of_one_panics() {
    sim(FEW, || async {
        let ledger = Ledger::open();
        let outcome = group(async |g| {
            let notes = ledger.clone();
            let child = g.spawn(async move {
                let queue = Queue::unbounded();
                for text in ["came back", "new"] {
                    let notes = notes.clone();
                    let guard = defer(text, move |text| async move { notes.note(text) });
                    let item = (PanicOnDrop(text), guard);
                    assert!(queue.try_put(item).is_ok());
                }
                drop(queue.get().await);
            });
            let _ = child.await;
            done()
        });
        let payload = catch(outcome).await.unwrap_err();
        assert_eq!(message(&*payload), "came back");
        assert_eq!((ledger.count("came back"), ledger.count("new")), (1, 1));
    });
}

/// Polls once with such a waker, which may panic in that.
async fn poll_badly<F: Future>(bad: &BadWaker, fut: F) -> Pin<Box<F>> {
    let mut fut = Box::pin(fut);
    let _ = catch(async { bad.poll(&mut fut).is_pending() }).await;
    fut
}

/// Wakers of foreign executors, which stand first in each line.
#[test]
fn a_waker_that_panics_keeps_nobody_else_from_going_on() {
    for bad in [BadWaker::Cloned, BadWaker::Called, BadWaker::Dropped] {
        let bad = Arc::new(bad);
        sim(FEW, move || {
            let bad = bad.clone();
            async move {
                let queue = Queue::<u8>::bounded(2);
                let outcome = group(async |g| {
                    let get = poll_badly(&bad, queue.get()).await;
                    let waits = queue.clone();
                    let consumer = g.spawn(async move { ok(waits.get().await.unwrap().done()) });
                    sleep(secs(1)).await;
                    queue.try_put(1).unwrap();
                    queue.try_put(2).unwrap();
                    assert_eq!(consumer.await.unwrap(), 1);
                    drop(get);
                    queue.try_put(3).unwrap();

                    let put = poll_badly(&bad, queue.put(4)).await;
                    let waits = queue.clone();
                    g.spawn(async move { waits.put(5).await.map_err(|_| Oops("closed")) });
                    sleep(secs(1)).await;
                    assert_eq!(queue.try_get().unwrap().done(), 2);
                    drop(put);

                    let join = poll_badly(&bad, queue.join()).await;
                    let waits = queue.clone();
                    g.spawn(async move { waits.join().await });
                    sleep(secs(1)).await;
                    assert_eq!(queue.drain(), [3, 5]);
                    drop(join);
                    done()
                });
                outcome.await.unwrap();
                assert_eq!((queue.len(), queue.unfinished()), (0, 0));
            }
        });
    }
}

/// The waker of a task that its executor has left destroys that task, and the turn goes to the next.
#[test]
fn a_put_may_destroy_the_task_that_it_wakes() {
    let name = "sync_queues_hostile::a_put_may_destroy_the_task_that_it_wakes";
    on_these_workers(&[1], name, || {
        let (census, queue) = (Census::default(), Queue::<&str>::unbounded());
        for _ in 0..3 {
            let (queue, owned) = (queue.clone(), census.tracked());
            LeftTask::leave(async move {
                queue.get().await.unwrap().done();
                drop(owned);
            });
        }
        assert_eq!(census.living(), 3);
        queue.try_put("item").unwrap();
        assert_eq!((census.living(), queue.drain()), (0, vec!["item"]));
    });
}
