//! `current_deadline`: the earliest deadline around, out to the nearest shield (rule 26).

use headcount::{
    CancelScope, Instant, Options, checkpoint, current_deadline, group, shield, time::sleep,
    timeout,
};

use crate::support::{FEW, Layer, SEEDS, done, nested, nestings, secs, sim};

/// Case 24, with scopes and shields.
#[test]
fn the_effective_deadline_is_the_earliest_out_to_the_nearest_shield() {
    sim(SEEDS, || async {
        let start = Instant::now();
        let after = |n| Some(start + secs(n));
        assert_eq!(current_deadline(), None);
        let outer = CancelScope::with_timeout(secs(5));
        let outcome = outer.enter(async {
            assert_eq!(current_deadline(), after(5));
            for (inner, seen) in [(10, 5), (3, 3)] {
                let inner = CancelScope::with_timeout(secs(inner));
                let looks = inner.enter(async { current_deadline() });
                assert_eq!(looks.await.unwrap(), after(seen));
            }
            let shielded = CancelScope::with_timeout(secs(10));
            shielded.shield(true);
            let outcome = shielded.enter(async {
                assert_eq!(current_deadline(), after(10));
                let inside = timeout(secs(20), async { current_deadline() }).await;
                assert_eq!(inside.unwrap(), after(10));
                shielded.shield(false);
                assert_eq!(current_deadline(), after(5));
                shielded.shield(true);
                assert_eq!(current_deadline(), after(10));
            });
            outcome.await.unwrap();
            assert_eq!(shield(async { current_deadline() }).await, None);
            assert_eq!(current_deadline(), after(5));
        });
        outcome.await.unwrap();
        assert_eq!(current_deadline(), None);
    });
}

/// Rule 26: it holds for everything below, and follows when it is moved.
#[test]
fn a_moved_deadline_is_seen_by_everything_below() {
    for nesting in nestings(2) {
        sim(FEW, || {
            let nesting = nesting.clone();
            async move {
                let start = Instant::now();
                let moved = CancelScope::with_timeout(secs(5));
                // The timeouts of the nesting itself are far away.
                let far = nesting.contains(&Layer::Timeout);
                let inside = moved.clone();
                let tree = nested(&nesting, async move {
                    for at in [3, 7, 1] {
                        inside.set_deadline(Some(start + secs(at)));
                        assert_eq!(current_deadline(), Some(start + secs(at)));
                        checkpoint().await;
                        assert_eq!(current_deadline(), Some(start + secs(at)));
                    }
                    inside.set_deadline(None);
                    assert_eq!(current_deadline().is_some(), far);
                    sleep(secs(9)).await;
                });
                moved.enter(tree).await.unwrap();
                assert_eq!(Instant::now(), start + secs(9));
            }
        });
    }
}

/// Rule 6: a child sees the deadlines around its group, and none of those around the spawn call.
#[test]
fn a_child_sees_the_deadlines_around_its_group() {
    sim(SEEDS, || async {
        let start = Instant::now();
        let outer = CancelScope::with_timeout(secs(9));
        let opening = Options::new().deadline(start + secs(7)).group(async |g| {
            assert_eq!(current_deadline(), Some(start + secs(7)));
            let spawns = timeout(secs(2), async {
                assert_eq!(current_deadline(), Some(start + secs(2)));
                g.spawn(async move {
                    assert_eq!(current_deadline(), Some(start + secs(7)));
                    sleep(secs(3)).await;
                    assert_eq!(current_deadline(), Some(start + secs(7)));
                });
            });
            spawns.await.unwrap();
            done()
        });
        outer.enter(opening).await.unwrap().unwrap();
        assert_eq!(Instant::now(), start + secs(3));
    });
}

/// Rule 26: sections that have ended, and scopes that nobody has entered, count for nobody.
#[test]
fn a_deadline_counts_only_inside_its_section() {
    sim(SEEDS, || async {
        let unentered = CancelScope::with_timeout(secs(1));
        unentered.set_deadline(Some(Instant::now()));
        let ended = CancelScope::with_timeout(secs(1));
        let inner = group(async |_| {
            ended.enter(checkpoint()).await.unwrap();
            assert_eq!(current_deadline(), None);
            sleep(secs(2)).await;
            done()
        });
        inner.await.unwrap();
        assert!(!ended.cancel_called() && !unentered.cancel_called());
    });
}
