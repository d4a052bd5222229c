//! Spawners that are leaked while they stand in line for a place: they hold nobody up once the code in
//! which they waited has ended.

use std::{mem, time::Duration};

use headcount::{Options, TaskGroup, group, time::sleep};

use crate::support::{Ledger, Oops, SEEDS, done, poll_once, secs, sim};

type Group = TaskGroup<'static, Oops>;

/// Stands in line, and is leaked there.
async fn leak_a_spawner(g: &Group) {
    let mut spawner = Box::pin(g.spawn_when_free(async {}));
    assert!(poll_once(&mut spawner).await.is_pending());
    mem::forget(spawner);
}

/// The same, after a child that works, and before one that stands in line behind the spawner.
async fn leak_between_two(g: &Group, ledger: &Ledger) {
    g.spawn(ledger.sleeper("first", secs(1)));
    leak_a_spawner(g).await;
    g.spawn(ledger.sleeper("behind", secs(1)));
}

/// The body ends before its spawner had its turn.
#[test]
fn a_spawner_that_the_body_has_forgotten_in_line_is_passed_over() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = Options::new().limit(1).group(async |g: Group| {
            leak_between_two(&g, &ledger).await;
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[(1000, "first done"), (2000, "behind done")]);
    });
}

/// The place is granted while the body goes on, which could still use it; then it goes to the next.
#[test]
fn a_place_that_a_forgotten_spawner_was_granted_goes_on_when_the_body_ends() {
    sim(SEEDS, || async {
        let ledger = Ledger::open();
        let outcome = Options::new().limit(1).group(async |g: Group| {
            leak_between_two(&g, &ledger).await;
            sleep(secs(3)).await;
            ledger.note("the body ends");
            done()
        });
        outcome.await.unwrap();
        ledger.expect(&[
            (1000, "first done"),
            (3000, "the body ends"),
            (4000, "behind done"),
        ]);
    });
}

/// The spawner stood in line in a child, of this group or of another.
#[test]
fn a_spawner_that_a_child_has_forgotten_in_line_is_passed_over_when_the_child_ends() {
    for outside in [false, true] {
        sim(SEEDS, move || async move {
            let ledger = Ledger::open();
            let outcome = group(async |outer: Group| {
                let inner = Options::new().limit(1).group(async |g: Group| {
                    let spawner = g.clone();
                    let leaks = async move {
                        leak_a_spawner(&spawner).await;
                        sleep(secs(2)).await;
                    };
                    match outside {
                        true => {
                            g.spawn(ledger.sleeper("first", secs(1)));
                            outer.spawn(leaks)
                        }
                        false => g.spawn(leaks),
                    };
                    sleep(Duration::from_millis(1)).await;
                    g.spawn(ledger.sleeper("behind", secs(1)));
                    done()
                });
                inner.await.map_err(|_| Oops("inner"))
            });
            outcome.await.unwrap();
            match outside {
                true => ledger.expect(&[(1000, "first done"), (3000, "behind done")]),
                false => ledger.expect(&[(3000, "behind done")]),
            }
        });
    }
}
