//! The process group that a process leads: signals to it, and whether somebody lives there.
//!
//! The number of a group is the leader's, and is given to nobody else while a member lives or is a zombie, be the
//! leader reaped or not. So as long as somebody is there, a signal hits the group that is meant. Once it is empty,
//! its number is free; but numbers are given out in a circle, so not again at once, and then only for one that makes a
//! group of its own. Whoever sends a signal therefore has seen the leader or another member a moment ago, and a group
//! that was found empty is sent nothing any more. Emptiness is what the system says of the number; that a look at all
//! processes finds nobody but zombies proves nothing, since meanwhile one may have handed over to another.

use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group},
};

use super::Ask;

fn number(leader: u32) -> Option<Pid> {
    i32::try_from(leader).ok().and_then(Pid::from_raw)
}

/// To the whole group; if there is none, to the process that would lead it. One that has ended already is no
/// error.
pub(super) fn signal(leader: u32, reaped: bool, ask: Ask) {
    let signal = match ask {
        Ask::ToEnd => Signal::TERM,
        Ask::Kill => Signal::KILL,
    };
    let Some(leader) = number(leader) else { return };
    // A process that leads no group is alone; one that was reaped is nobody's.
    if kill_process_group(leader, signal).is_err() && !reaped {
        _ = kill_process(leader, signal);
    }
}

/// Is somebody in the group, be it a zombie?
pub(super) fn exist(leader: u32) -> bool {
    number(leader).is_some_and(|group| test_kill_process_group(group) != Err(Errno::SRCH))
}

/// The members of a group whose leader was reaped.
#[derive(Default)]
pub(super) struct Members {
    /// One that was alive at the last look.
    #[cfg(target_os = "linux")]
    witness: Option<u32>,
}

impl Members {
    /// Is one of them seen to live? One that may not be signalled is.
    pub(super) fn live(&mut self, leader: u32) -> bool {
        exist(leader) && self.are_no_zombies(leader)
    }

    /// A zombie can be sent signals until it is reaped. That is for its parent to do, mostly the init of the
    /// system, and there are those that take their time, or that never do it.
    #[cfg(target_os = "linux")]
    fn are_no_zombies(&mut self, leader: u32) -> bool {
        if !linux::shows_processes() {
            return true;
        }
        let lives = |id: &u32| linux::lives_in(*id, leader);
        let look = || linux::all().find(lives);
        // A second look, for the sake of those that were started during the first.
        self.witness = self.witness.filter(lives).or_else(look).or_else(look);
        self.witness.is_some()
    }

    #[cfg(not(target_os = "linux"))]
    fn are_no_zombies(&mut self, _: u32) -> bool {
        true
    }
}

/// What the file system `/proc` tells.
#[cfg(target_os = "linux")]
mod linux {
    use std::{ffi::OsStr, fs, process};

    /// Is it there, and does it show the processes that we see?
    pub(super) fn shows_processes() -> bool {
        let id = process::id().to_string();
        fs::read_link("/proc/self").is_ok_and(|shown| shown.as_os_str() == OsStr::new(&id))
    }

    pub(super) fn all() -> impl Iterator<Item = u32> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
    }

    /// Is it in the group, and no zombie?
    pub(super) fn lives_in(id: u32, group: u32) -> bool {
        let stat = fs::read(format!("/proc/{id}/stat")).unwrap_or_default();
        is_living_member(&String::from_utf8_lossy(&stat), group)
    }

    /// After the name, which may contain anything: the state, the parent, the group, and fourteen fields further
    /// on the number of threads. (If the first thread has ended before others, it looks like a zombie.)
    pub(super) fn is_living_member(stat: &str, group: u32) -> bool {
        let Some((_, rest)) = stat.rsplit_once(')') else {
            return false;
        };
        let fields: Vec<_> = rest.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok());
        let ended = matches!(fields.first(), Some(&("Z" | "X"))) && number(17) <= Some(1);
        number(2) == Some(group) && !ended
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::linux::*;

    fn stat(state: char, group: u32, threads: u32) -> String {
        format!(
            "7 (a) R 1 9 (b) {state} 1 {group} 3 0 -1 4 9 0 1 0 0 0 0 0 20 0 {threads} 0 1474387 0"
        )
    }

    #[test]
    fn a_zombie_is_no_living_member_of_its_group() {
        assert!(is_living_member(&stat('S', 9, 1), 9));
        assert!(is_living_member(&stat('T', 9, 1), 9));
        assert!(!is_living_member(&stat('Z', 9, 1), 9));
        assert!(!is_living_member(&stat('S', 8, 1), 9));
        assert!(!is_living_member("", 9), "it has gone");
        assert!(is_living_member(&stat('Z', 9, 2), 9), "threads go on");
    }

    #[test]
    fn the_system_shows_this_process() {
        if shows_processes() {
            let id = std::process::id();
            assert!(all().any(|other| other == id));
            let group = rustix::process::getpgrp().as_raw_pid().unsigned_abs();
            assert!(lives_in(id, group) && !lives_in(id, group + 1));
        }
    }
}
