//! Whoever gives up in line, behind others who wait on, leaves nothing there.

use std::{future::pending, mem};

use futures_util::future::poll_immediate;
use headcount::{Options, sync::CapacityLimiter, testing::Sim};

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

#[test]
fn who_gives_up_in_the_line_of_a_limiter_piles_nothing_up() {
    let name = "lines::who_gives_up_in_the_line_of_a_limiter_piles_nothing_up";
    on_these_workers(&[1], name, || {
        Sim::new(0).run(async {
            let limiter = CapacityLimiter::new(1);
            let _held = limiter.acquire().await;
            let mut first = Box::pin(limiter.acquire());
            assert!(poll_immediate(&mut first).await.is_none());
            let mut last = Box::pin(limiter.acquire());
            let mut warm = Warm::default();
            for turn in 0..TURNS {
                warm.look(turn);
                let mut next = Box::pin(limiter.acquire());
                assert!(poll_immediate(&mut next).await.is_none());
                last = next;
            }
            warm.check();
            drop(last);
        });
    });
}
