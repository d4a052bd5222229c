//! Who is present, and what has still to be sent to them.
//!
//! Everything happens in one step under one lock, without an await: so all members hear everything in
//! the same order, and nobody can be cancelled between two halves of a change.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_channel::{Receiver, Sender};
use headcount::CancelScope;

/// So many lines may wait for a slow reader, before it is shown out.
pub const BACKLOG: usize = 256;

/// The room of a server. Clones are the same room.
#[derive(Clone, Default)]
pub struct Room(Arc<Mutex<Members>>);

#[derive(Default)]
struct Members {
    entered: u64,
    closed: bool,
    present: BTreeMap<u64, Present>,
}

struct Present {
    name: String,
    outbox: Sender<Arc<str>>,
    session: CancelScope,
}

/// A member of the room, who leaves it when this is dropped: in order or not.
pub struct Member {
    room: Room,
    id: u64,
}

impl Room {
    /// Lets somebody in and tells everybody; `None` if the room is closed.
    ///
    /// The receiver has what is to be sent to the new member, and ends when it has left. If it falls
    /// behind by more than [`BACKLOG`] lines, its `session` is cancelled.
    pub fn enter(
        &self,
        name: String,
        session: CancelScope,
    ) -> Option<(Member, Receiver<Arc<str>>)> {
        let (outbox, lines) = async_channel::bounded(BACKLOG);
        let mut members = self.lock();
        if members.closed {
            return None;
        }
        members.entered += 1;
        let id = members.entered;
        let hello = format!("* {name} is here");
        let present = Present {
            name,
            outbox,
            session,
        };
        members.present.insert(id, present);
        members.tell(hello);
        drop(members);
        let room = self.clone();
        Some((Member { room, id }, lines))
    }

    /// Sees everybody off and lets nobody in any more.
    pub fn close(&self) {
        let mut members = self.lock();
        members.closed = true;
        members.present.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.lock().present.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// Tells everybody, the one who speaks included.
    pub fn say(&self, text: &str) {
        let mut members = self.room.lock();
        if let Some(Present { name, .. }) = members.present.get(&self.id) {
            let line = format!("{name}: {text}");
            members.tell(line);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut members = self.room.lock();
        // Who was shown out, or is seen off, is not here any more.
        if let Some(Present { name, .. }) = members.present.remove(&self.id) {
            members.tell(format!("* {name} has left"));
        }
    }
}

impl Members {
    fn tell(&mut self, line: String) {
        let mut lines = VecDeque::from([Arc::<str>::from(line)]);
        while let Some(line) = lines.pop_front() {
            self.present.retain(|_, member| {
                let kept = member.outbox.try_send(line.clone()).is_ok();
                if !kept {
                    member.session.cancel();
                    lines.push_back(format!("* {} was too slow", member.name).into());
                }
                kept
            });
        }
    }
}
