//! The server: a group with one child for each session, and each session a scope of its own.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_channel::Receiver;
use futures_util::future::{Either, select};
use headcount::{CancelScope, GroupError, cancelled, group, scope};

use crate::room::Room;
use crate::transport::{Incoming, Lines, Listener, Outgoing};

/// So long a client may take for its last lines when the server stops. Then its session is cut.
pub const LAST_LINES: Duration = Duration::from_secs(4);

/// Serves until it is asked to stop, by a `shutdown` of a boundary around: then it accepts nobody any
/// more, sends to each client what it has for it, and returns. [`LAST_LINES`] bounds that. A shorter grace of the
/// shutdown cuts who awaits this as well.
///
/// # Errors
///
/// That of the listener. A session that fails ends, and nothing else.
pub async fn serve<L: Listener>(mut listener: L, room: Room) -> Result<(), GroupError<io::Error>> {
    group(async move |sessions| {
        while let Some(connection) = unless_stopped(listener.accept()).await {
            let (incoming, outgoing) = connection?;
            sessions.spawn_named("session", session(room.clone(), incoming, outgoing));
        }
        room.close();
        sessions.shutdown(LAST_LINES);
        Ok(())
    })
    .await
}

/// One client, from its name to its end.
async fn session<I: Incoming, O: Outgoing>(room: Room, incoming: I, outgoing: O) {
    let mut lines = Lines::new(incoming);
    let Some(Ok(Some(name))) = unless_stopped(lines.next()).await else {
        return;
    };
    let cut = CancelScope::new();
    // `Cancelled`: the room has shown it out. An error: the connection is gone. Either way it is over.
    let _ = cut
        .enter(talk(room, name, cut.clone(), lines, outgoing))
        .await;
}

async fn talk<I: Incoming, O: Outgoing>(
    room: Room,
    name: String,
    cut: CancelScope,
    mut lines: Lines<I>,
    outgoing: O,
) -> Result<(), GroupError<io::Error>> {
    let Some((member, outbox)) = room.enter(name, cut) else {
        return Ok(());
    };
    scope(async move |s| {
        s.spawn(send_all(outbox, outgoing));
        loop {
            match unless_stopped(lines.next()).await {
                Some(line) => match line? {
                    Some(text) => member.say(&text),
                    None => break,
                },
                None => {
                    room.close();
                    break;
                }
            }
        }
        // Its outbox ends with what is in it now; the scope waits until that is sent.
        drop(member);
        Ok(())
    })
    .await
}

async fn send_all<O: Outgoing>(outbox: Receiver<Arc<str>>, mut outgoing: O) -> io::Result<()> {
    while let Ok(line) = outbox.recv().await {
        outgoing.send(&line).await?;
    }
    Ok(())
}

/// What `future` gives, or `None` if the server is asked to stop first.
async fn unless_stopped<T>(future: impl Future<Output = T>) -> Option<T> {
    match select(pin!(cancelled()), pin!(future)).await {
        Either::Left(_) => None,
        Either::Right((value, _)) => Some(value),
    }
}
