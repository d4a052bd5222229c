//! The contract, case by case and rule by rule. `README.md` beside this file says which test holds what.
#![cfg(not(loom))]
// The tests of `alike` hold for both openings, so their files are loaded once for each.
#![allow(clippy::duplicate_mod)]

mod support;

mod adoption;
mod as_completed;
mod blocking;
mod boundaries;
mod collect;
mod collect_misuse;
mod computes;
mod contract;
mod deadlines;
mod deadlines_reported;
mod deadlines_seen;
mod deep;
mod finalizers;
mod forgotten;
mod graces;
mod graces_nested;
mod in_a_group;
mod in_a_scope;
mod intervals;
mod kept_handles;
mod late_drops;
mod logs;
mod map_concurrent;
mod misuse;
mod peers;
mod peers_threads;
mod produced;
mod releases_adopted;
mod releases_brackets;
mod releases_closed;
mod releases_eager;
mod releases_inside;
mod releases_late;
mod releases_logged;
mod releases_order;
mod releases_places;
mod releases_threads;
mod restarts;
mod restarts_of_siblings;
mod runs;
mod scopes;
mod scopes_absorb;
mod scopes_misuse;
mod scopes_reach;
mod shapes;
mod shields;
mod shields_joined;
mod shields_switched;
mod shutdowns;
mod shutdowns_nested;
mod starts;
mod starts_edges;
mod starts_forgotten;
mod starts_nested;
mod supervised;
mod supervised_threads;
mod supervised_unread;
mod sync_events;
mod sync_limiters;
mod sync_locks;
mod sync_queues;
mod table;
mod threads;
mod threads_blocking;
mod threads_deep;
mod threads_group;
mod timeouts;
mod timeouts_of_groups;
mod unblocks;
#[cfg(not(shuttle))]
mod watchdogs;
