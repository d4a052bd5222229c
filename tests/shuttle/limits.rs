//! The line under a limit, against ends and requests.

use headcount::{Options, checkpoint};

use crate::{
    engine::{explore, explore_all},
    ledger::Ledger,
};

/// A child that leaves a mark when it has run.
fn child(ledger: &Ledger, name: &'static str) -> impl Future<Output = ()> + use<> {
    let witness = ledger.clone();
    ledger.child(name, async move {
        checkpoint().await;
        witness.mark(name);
    })
}

/// Places go from one child to the next: all of them run, one at a time.
#[test]
fn every_child_in_line_has_its_turn() {
    explore_all(1, || {
        let ledger = Ledger::new();
        let opening = Options::new().limit(1).group(async |g| {
            for name in ["one", "two", "three"] {
                g.spawn(child(&ledger, name));
            }
            Ok::<_, u32>(())
        });
        ledger.root(opening).expect("nobody fails");
        for name in ["one", "two", "three"] {
            assert!(ledger.has(name), "{name} did not run");
        }
        assert_eq!(ledger.most_at_once(), 1);
        ledger.settle();
    });
}

/// A queued child is cancelled while its place comes: the place goes on to the next.
#[test]
fn a_place_is_not_lost_with_the_child_it_was_for() {
    explore_all(1, || {
        let ledger = Ledger::new();
        let opening = Options::new().limit(1).group(async |g| {
            g.spawn(child(&ledger, "one"));
            let two = g.spawn(child(&ledger, "two"));
            g.spawn(child(&ledger, "three"));
            ledger.thread(move || two.cancel());
            Ok::<_, u32>(())
        });
        ledger.root(opening).expect("nobody fails");
        assert!(ledger.has("one") && ledger.has("three"));
        assert_eq!(ledger.most_at_once(), 1);
        ledger.settle();
    });
}

/// Two wait in line, one as a child and one as a spawner, while the group is cancelled.
#[test]
fn a_line_breaks_up_when_the_group_is_cancelled() {
    explore(|| {
        let ledger = Ledger::new();
        let opening = Options::new().limit(1).group(async |g| {
            g.spawn(child(&ledger, "one"));
            g.spawn(child(&ledger, "two"));
            let handle = g.clone();
            ledger.thread(move || handle.cancel());
            g.spawn_when_free(child(&ledger, "three")).await;
            Ok::<_, u32>(())
        });
        if let Err(error) = ledger.root(opening) {
            assert!(error.is_cancelled());
        }
        assert!(ledger.most_at_once() <= 1);
        ledger.settle();
    });
}
