//! A program while somebody looks at its tree.

use std::{
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use super::{group, yields_once};

/// How many children live at a time.
const WAVE: u64 = 1_000;
const LOOKS_A_SECOND: u32 = 10;

pub fn in_waves(count: u64) {
    for _ in 0..count / WAVE {
        group::spawn_join(WAVE, yields_once);
    }
}

/// The same, with a thread that takes a snapshot of everything ten times a second, the first at once.
pub fn in_waves_looked_at(count: u64) {
    let (over, heard) = channel::<()>();
    let looker = thread::spawn(move || {
        let mut seen = 0;
        loop {
            seen += headcount::tree().entries().len();
            let pause = Duration::from_secs(1) / LOOKS_A_SECOND;
            if heard.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return seen;
            }
        }
    });
    in_waves(count);
    drop(over);
    std::hint::black_box(looker.join().unwrap());
}

/// With ages, polls and busy times.
pub fn spawn_join_timed(count: u64) {
    headcount::record_times(true);
    group::spawn_join_trivial(count);
    headcount::record_times(false);
}
