//! Whoever gives up in line, behind others who wait on, leaves nothing there.

use std::{
    future::{Future, pending},
    mem,
};

use futures_util::future::poll_immediate;
use headcount::{
    Options,
    sync::{CapacityLimiter, Event, Queue},
    testing::Sim,
};

use crate::{live, workers::on_these_workers, yield_now};

const TURNS: usize = 20_000;

/// What lived when all was warm.
#[derive(Default)]
struct Warm(isize);

impl Warm {
    /// Before each turn.
    fn look(&mut self, turn: usize) {
        if turn == TURNS / 10 {
            self.0 = live();
        }
    }

    fn check(self) {
        let grown = live() - self.0;
        assert!(grown < 64 * 1024, "{grown} bytes more");
    }
}

/// The next comes before the last goes, so that it never stands at an end of the line.
#[test]
fn children_that_are_cancelled_in_line_pile_nothing_up() {
    let name = "lines::children_that_are_cancelled_in_line_pile_nothing_up";
    on_these_workers(&[1], name, || {
        let outcome = Sim::new(0).run(Options::new().limit(1).group(async |g| {
            g.spawn(pending::<()>());
            g.spawn(async {});
            let mut last = g.spawn(async {});
            let mut warm = Warm::default();
            for turn in 0..TURNS {
                warm.look(turn);
                mem::replace(&mut last, g.spawn(async {})).cancel();
                while g.stats().living > 3 {
                    yield_now().await;
                }
            }
            warm.check();
            g.cancel();
            pending::<Result<(), ()>>().await
        }));
        assert!(outcome.unwrap_err().is_cancelled());
    });
}

#[test]
fn spawners_that_give_up_in_line_pile_nothing_up() {
    let name = "lines::spawners_that_give_up_in_line_pile_nothing_up";
    on_these_workers(&[1], name, || {
        let outcome = Sim::new(0).run(Options::new().limit(1).group(async |g| {
            g.spawn(pending::<()>());
            let mut warm = Warm::default();
            for turn in 0..TURNS {
                warm.look(turn);
                let waited = poll_immediate(Box::pin(g.spawn_when_free(async {}))).await;
                assert!(waited.is_none());
            }
            warm.check();
            g.cancel();
            pending::<Result<(), ()>>().await
        }));
        assert!(outcome.unwrap_err().is_cancelled());
    });
}

/// Between one that waits before all of them, and one that comes after.
async fn give_up_in_line<F: Future>(wait: impl Fn() -> F) {
    let mut first = Box::pin(wait());
    assert!(poll_immediate(&mut first).await.is_none());
    let mut last = Box::pin(wait());
    let mut warm = Warm::default();
    for turn in 0..TURNS {
        warm.look(turn);
        let mut next = Box::pin(wait());
        assert!(poll_immediate(&mut next).await.is_none());
        last = next;
    }
    warm.check();
    drop(last);
}

#[test]
fn who_gives_up_in_the_line_of_a_limiter_piles_nothing_up() {
    let name = "lines::who_gives_up_in_the_line_of_a_limiter_piles_nothing_up";
    on_these_workers(&[1], name, || {
        Sim::new(0).run(async {
            let limiter = CapacityLimiter::new(1);
            let _held = limiter.acquire().await;
            give_up_in_line(|| limiter.acquire()).await;
        });
    });
}

#[test]
fn who_gives_up_in_the_line_of_an_event_or_a_queue_piles_nothing_up() {
    let name = "lines::who_gives_up_in_the_line_of_an_event_or_a_queue_piles_nothing_up";
    on_these_workers(&[1], name, || {
        Sim::new(0).run(async {
            let (event, queue) = (Event::new(), Queue::bounded(1));
            give_up_in_line(|| event.wait()).await;
            give_up_in_line(|| queue.get()).await;
            queue.put(0).await.unwrap();
            give_up_in_line(|| queue.put(1)).await;
            give_up_in_line(|| queue.join()).await;
        });
    });
}

#[test]
fn an_unbounded_queue_gives_back_what_many_items_took() {
    let name = "lines::an_unbounded_queue_gives_back_what_many_items_took";
    on_these_workers(&[1], name, || {
        Sim::new(0).run(async {
            let (before, queue) = (live(), Queue::unbounded());
            for n in 0..TURNS {
                queue.try_put(n).unwrap();
            }
            let taken: Vec<_> = std::iter::from_fn(|| queue.try_get()).collect();
            drop(taken);
            for n in 0..TURNS {
                queue.try_put(n).unwrap();
                queue.try_get().unwrap().done();
            }
            assert_eq!(queue.len(), TURNS);
            while let Some(item) = queue.try_get() {
                item.done();
            }
            let grown = live() - before;
            assert!(grown < 8 * 1024, "{grown} bytes more");
        });
    });
}
