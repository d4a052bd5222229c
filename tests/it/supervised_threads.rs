//! Supervised children on real threads.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc::channel,
};

use headcount::{Options, SupervisedHandle};

use crate::support::{Oops, block_on, done, on_workers, yield_now};

/// Rule 15: the handles are dropped by another thread while the children end and the boundary ends.
#[test]
fn no_supervised_failure_is_lost_or_doubled_on_real_threads() {
    const ROUNDS: usize = 300;
    const CHILDREN: usize = 16;
    on_workers(
        "supervised_threads::no_supervised_failure_is_lost_or_doubled_on_real_threads",
        || {
            let suppressed = Arc::new(AtomicUsize::new(0));
            let (handles, dropped) = channel::<SupervisedHandle<(), Oops>>();
            let dropper = std::thread::spawn(move || {
                let mut count = 0;
                for handle in dropped {
                    if count % 3 == 0 {
                        std::thread::yield_now();
                    }
                    drop(handle);
                    count += 1;
                }
                count
            });
            let mut returned = 0;
            for round in 0..ROUNDS {
                let count = suppressed.clone();
                let options = Options::new().on_suppressed(move |_| {
                    count.fetch_add(1, Ordering::SeqCst);
                });
                let outcome = block_on(options.supervise(async |s| {
                    for n in 0..CHILDREN {
                        let handle = s.spawn(async move {
                            if (n + round) % 2 == 0 {
                                yield_now().await;
                            }
                            if n % 4 == 0 {
                                panic!("a panic");
                            }
                            Err(Oops("an error"))
                        });
                        handles.send(handle).unwrap();
                    }
                    done()
                }));
                if let Err(error) = outcome {
                    assert!(!error.is_cancelled());
                    returned += error.failures().len() + error.cleanup_failures().len();
                }
            }
            drop(handles);
            assert_eq!(dropper.join().unwrap(), ROUNDS * CHILDREN);
            let suppressed = suppressed.load(Ordering::SeqCst);
            assert_eq!(returned + suppressed, ROUNDS * CHILDREN);
        },
    );
}
