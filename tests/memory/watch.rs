//! Looks whether a chunk of cells is freed while the lock of its group is held.

use std::{
    ops::Range,
    process,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use headcount::TaskGroup;

/// What a chunk of 64 cells may measure.
const CHUNK: Range<usize> = 4 * 1024..16 * 1024;

/// Are frees of that size looked at?
static WATCHED: AtomicBool = AtomicBool::new(false);
static QUESTIONS: AtomicUsize = AtomicUsize::new(0);
static ANSWERS: AtomicUsize = AtomicUsize::new(0);

/// Told by the allocator.
pub fn freed(bytes: usize) {
    if CHUNK.contains(&bytes) && WATCHED.load(Ordering::Relaxed) {
        ask();
    }
}

/// Who frees a chunk waits until another thread has had the lock of its group.
fn ask() {
    let question = QUESTIONS.fetch_add(1, Ordering::SeqCst) + 1;
    for _ in 0..PATIENCE {
        if ANSWERS.load(Ordering::SeqCst) >= question {
            return;
        }
        thread::yield_now();
    }
    eprintln!("a chunk was freed under the lock of its group");
    process::abort();
}

/// So often another thread gets its turn; it needs one or two.
const PATIENCE: usize = 10_000_000;

/// Watches the frees until the group has ended; gives how many there were.
pub struct Watch(thread::JoinHandle<()>);

impl Watch {
    pub fn over(g: &TaskGroup<'static, ()>) -> Self {
        let g = g.clone();
        WATCHED.store(true, Ordering::SeqCst);
        Watch(thread::spawn(move || {
            while WATCHED.load(Ordering::SeqCst) {
                let asked = QUESTIONS.load(Ordering::SeqCst);
                // Takes the lock.
                g.stats();
                ANSWERS.store(asked, Ordering::SeqCst);
                thread::yield_now();
            }
        }))
    }

    pub fn end(self) -> usize {
        WATCHED.store(false, Ordering::SeqCst);
        self.0.join().unwrap();
        QUESTIONS.load(Ordering::SeqCst)
    }
}
