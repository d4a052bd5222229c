//! Chunks of cells are freed outside of the lock of their group.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use headcount::{Options, group, testing::Sim};

use crate::{all_ended, watch::Watch, workers::on_these_workers, yield_now};

/// Here that of a chunk which was not used up.
#[test]
fn a_group_that_closes_frees_no_chunk_under_its_lock() {
    let name = "locks::a_group_that_closes_frees_no_chunk_under_its_lock";
    on_these_workers(&[1], name, || {
        let outcome = Sim::new(0).run(group(async |g| {
            (0..21 + 20).for_each(|_| drop(g.spawn(async {})));
            all_ended(&g).await;
            Ok::<_, ()>(Watch::over(&g))
        }));
        assert!(outcome.unwrap().end() > 0, "no chunk was freed");
    });
}

/// Here those of children that ended in line for a place, in front of others.
#[test]
fn a_place_that_is_handed_on_frees_no_chunk_under_the_lock() {
    let name = "locks::a_place_that_is_handed_on_frees_no_chunk_under_the_lock";
    on_these_workers(&[1], name, || {
        let outcome = Sim::new(0).run(Options::new().limit(1).group(async |g| {
            let gate = Arc::new(AtomicBool::new(false));
            let opened = gate.clone();
            g.spawn(async move {
                while !opened.load(Ordering::SeqCst) {
                    yield_now().await;
                }
            });
            // Four fill a chunk, which stays. The 16 and the 64 that end in line fill one each.
            (0..4).for_each(|_| drop(g.spawn(async {})));
            let in_line: Vec<_> = (0..16 + 64).map(|_| g.spawn(async {})).collect();
            // So many wait on that the dead stay in line.
            (0..100).for_each(|_| drop(g.spawn(async {})));
            in_line.iter().for_each(|child| child.cancel());
            drop(in_line);
            while g.stats().living > 105 {
                yield_now().await;
            }
            // With the next chunk, the group itself lets go of the two.
            (0..64).for_each(|_| drop(g.spawn(async {})));
            let watch = Watch::over(&g);
            gate.store(true, Ordering::SeqCst);
            while g.stats().living > 0 {
                yield_now().await;
            }
            Ok::<_, ()>(watch)
        }));
        assert!(outcome.unwrap().end() > 0, "no chunk was freed");
    });
}
