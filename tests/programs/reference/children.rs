//! Children and their handles.

use super::{Child, End, Known, Sure, Unknown, What, World, code::Around, time::Time};
use crate::programs::grammar::{Fate, Id, Spawn, Way};

impl World {
    /// The group of the new child, and its place there.
    pub(super) fn spawn(
        &mut self,
        id: Id,
        spawn: &Spawn,
        now: Time,
        around: &Around,
    ) -> Sure<(Id, Option<usize>)> {
        let target = around.group(spawn.up);
        let group = target.id;
        if !target.around || spawn.bomb {
            return Err(Unknown);
        }
        let supervised = around.supervised.contains(&group);
        let cut = target.cut.or(self.requested(id));
        let mut end = End::Cut;
        let at_once = cut.at.nanos == now.nanos;
        // Cancelled before its first poll, but let in, it ends when its own executor drops it.
        let mut ended = match at_once && cut.at > now {
            true => now.next_turn(),
            false => now,
        };
        if at_once && (cut.by != around.task || !cut.at.is_same_turn(now)) {
            return Err(Unknown);
        }
        // Cancelled before its first poll, it is never polled.
        if !at_once && cut.at > now {
            let mut inside = Around {
                task: id,
                cut,
                shielded: false,
                inline: around.scopes_of_children.contains(&group),
                base: self.nodes.len(),
                ..around.clone()
            };
            let inner = inside.groups.iter_mut().rev();
            for seen in inner.take_while(|seen| seen.id != group) {
                seen.around = false;
            }
            self.enter_node(group);
            ended = now.next_turn();
            end = self.block(&spawn.block, &mut ended, &inside)?;
            if matches!(end, End::Error(_) | End::Panic(_)) && !supervised {
                let failed = self.groups.entry(group).or_default();
                match end {
                    End::Panic(by) => failed.panics.push((ended, by)),
                    _ => failed.errors += 1,
                }
                self.cause(
                    ended,
                    What::Request {
                        whom: group,
                        by: id,
                    },
                );
            }
        }
        self.known.insert(id, Known::Ended(ended.nanos));
        if !at_once && cut.at > now {
            let alone = ended;
            ended = self.leave_node(alone);
            if target.cut.ties(alone, ended) {
                return Err(Unknown);
            }
        }
        // A refused future comes back to the code that spawned, without a handle.
        let refused = spawn.way == Way::Try && !supervised && cut.at <= now;
        let children = &mut self.groups.entry(group).or_default().children;
        children.push(Child {
            id,
            by: around.task,
            spawned: now,
            ended,
            daemon: spawn.way == Way::Daemon && !supervised,
            end,
            read: matches!(spawn.fate, Fate::Leaked | Fate::Shared),
        });
        Ok((group, (!refused).then_some(children.len() - 1)))
    }

    /// Awaits a handle.
    pub(super) fn join(
        &mut self,
        group: Id,
        child: usize,
        now: &mut Time,
        around: &Around,
    ) -> Sure<End> {
        let supervised = around.supervised.contains(&group);
        let Child { end, ended, .. } = self.groups[&group].children[child];
        let failed = matches!(end, End::Error(_) | End::Panic(_)) && !supervised;
        if failed && around.shielded {
            return Err(Unknown);
        }
        // It stays pending for who is cancelled by its failure, or with it, or has been before.
        let seen = ended.max(*now);
        let is_value = !failed && end != End::Cut;
        let pending = !is_value && around.is_cut(seen)?;
        if ended.nanos > now.nanos || pending {
            let until = if pending { Time::NEVER } else { ended };
            if !self.wait(until, now, around)? {
                return Ok(End::Cut);
            }
        } else if ended.nanos == now.nanos && ended > *now {
            return Err(Unknown);
        }
        if supervised {
            let group = self.groups.entry(group).or_default();
            group.children[child].read = true;
        }
        Ok(End::Value)
    }
}
