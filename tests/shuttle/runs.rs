//! `run`, whose children borrow from the thread that it blocks.

use std::{
    future::pending,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use headcount::{checkpoint, group, run};

use crate::{
    engine::{explore, explore_all},
    ledger::Ledger,
};

/// Something on the stack that nobody may look at after `run`.
struct Lent<'a> {
    there: &'a AtomicBool,
    ledger: Ledger,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if !self.there.load(Ordering::SeqCst) {
            self.ledger
                .breaks("a child outlived what it borrows".to_owned());
        }
    }
}

#[test]
fn children_of_a_run_end_before_what_they_borrow() {
    explore_all(1, || {
        let ledger = Ledger::new();
        let (there, sum) = (AtomicBool::new(true), AtomicU32::new(0));
        let result = run(async |g| {
            for number in 1..=3 {
                let (lent, sum) = (
                    Lent {
                        there: &there,
                        ledger: ledger.clone(),
                    },
                    &sum,
                );
                g.spawn(ledger.child("child", async move {
                    let _lent = lent;
                    checkpoint().await;
                    sum.fetch_add(number, Ordering::SeqCst);
                    Ok::<_, u32>(())
                }));
            }
            Ok(())
        });
        there.store(false, Ordering::SeqCst);
        ledger.over();
        result.expect("nobody fails");
        assert_eq!(sum.into_inner(), 6);
        ledger.settle();
    });
}

#[test]
fn a_failed_run_returns_after_everybody_who_borrows() {
    explore(|| {
        let ledger = Ledger::new();
        let there = AtomicBool::new(true);
        let lent = || Lent {
            there: &there,
            ledger: ledger.clone(),
        };
        let result = run(async |g| {
            let (waits, fails) = (lent(), lent());
            g.spawn(ledger.child("waits", async move {
                let _lent = waits;
                let inner = group(async |g| {
                    g.spawn(std::future::ready(()));
                    pending::<Result<(), u32>>().await
                });
                inner.await.map_err(|_| 9)
            }));
            let witness = ledger.clone();
            g.spawn(ledger.child("fails", async move {
                let _lent = fails;
                checkpoint().await;
                Err::<(), u32>(witness.fails(1))
            }));
            Ok(())
        });
        there.store(false, Ordering::SeqCst);
        ledger.over();
        ledger.told_by(&result);
        ledger.settle();
    });
}
