//! Deadlines and graces that come when the work ends. The clock moves when nobody else can run, and
//! what is due at one instant happens in every order.

use std::{future::pending, time::Duration};

use headcount::{cancelled, group, time::sleep, timeout};

use crate::{engine::explore, ledger::Ledger};

const SECOND: Duration = Duration::from_secs(1);

/// A value and a timeout never come together, and never neither.
#[test]
fn at_the_instant_of_the_deadline_there_is_a_value_or_a_timeout() {
    explore(|| {
        let ledger = Ledger::new();
        let result = ledger.root(timeout(
            SECOND,
            group(async |g| {
                let witness = ledger.clone();
                let child = g.spawn(ledger.child("child", async move {
                    sleep(SECOND).await;
                    Ok::<_, u32>(witness.keep("output"))
                }));
                let output = child.await;
                ledger.mark("the body went on");
                output.map_err(|_| ledger.fails(1))
            }),
        ));
        match &result {
            Ok(Ok(_output)) => assert!(ledger.has("the body went on")),
            Ok(Err(error)) => panic!("nobody fails: {error}"),
            Err(_) => {}
        }
        drop(result);
        ledger.settle();
    });
}

/// Another thread asks the group to stop: who hears it ends, who ends at the end of the grace does
/// or does not, and who waits for ever is cancelled.
#[test]
fn a_stop_and_an_end_at_once_leave_nobody() {
    explore(|| {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let (handle, witness) = (g.clone(), ledger.clone());
            g.spawn(ledger.child("hears", async move {
                cancelled().await;
                witness.mark("heard");
            }));
            g.spawn(ledger.child("sleeps", sleep(SECOND)));
            g.spawn(ledger.child("waits", pending::<()>()));
            ledger.thread(move || handle.shutdown(SECOND));
            Ok::<_, u32>(())
        }));
        // It has its value: the group was not cancelled from above.
        result.expect("nobody fails");
        assert!(ledger.has("heard"));
        ledger.settle();
    });
}

/// All that ends in the grace ends by itself.
#[test]
fn nobody_is_cut_before_the_grace_is_over() {
    explore(|| {
        let ledger = Ledger::new();
        let result = ledger.root(group(async |g| {
            let (handle, witness) = (g.clone(), ledger.clone());
            g.spawn(ledger.child("child", async move {
                cancelled().await;
                let _guard = witness.defer("guard");
                sleep(SECOND / 2).await;
                witness.mark("in time");
            }));
            ledger.thread(move || handle.shutdown(SECOND));
            Ok::<_, u32>(())
        }));
        result.expect("nobody fails");
        assert!(ledger.has("in time"));
        ledger.settle();
    });
}
