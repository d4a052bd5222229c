//! What clients do, and what they must hear of each other.
//!
//! The commands between two `Settle` happen at the same time, in an order that the seed decides. So
//! the model numbers these stretches: of what lies in different ones it knows the order.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_channel::Sender;
use headcount::testing::wait_all_blocked;
use headcount::{GroupError, JoinHandle, TaskGroup, group};

use crate::memory::{Network, Piece};
use crate::room::Room;
use crate::server::serve;

/// A seat has one client at a time. What cannot be done (to join on a taken seat) is skipped.
#[derive(Clone, Debug)]
pub enum Command {
    Join(usize),
    /// So many lines at once, cut into pieces of so many bytes.
    Say {
        seat: usize,
        lines: usize,
        piece: usize,
    },
    /// Closes its side, and reads on to the end.
    Leave(usize),
    /// Is gone in the middle of a line: the connection breaks, or only ends.
    Vanish {
        seat: usize,
        breaks: bool,
    },
    /// Waits until everything has come to rest.
    Settle,
}

/// A client, and what became of it.
pub struct Client {
    to_server: Option<Sender<Piece>>,
    hears: JoinHandle<()>,
    heard: Arc<Mutex<Vec<String>>>,
    joined: usize,
    gone: usize,
    vanished: bool,
    /// When it said its lines 0, 1, 2, …
    said: Vec<usize>,
}

/// What happened when, of a client that is still there.
const NEVER: usize = usize::MAX;

type Group = TaskGroup<'static, GroupError<io::Error>>;

/// Plays the commands against a server, stops it in order, and gives back what the clients heard.
pub async fn play(commands: Vec<Command>) -> Vec<Client> {
    let room = Room::default();
    let (network, listener) = Network::new();
    let clients = group(async |g: Group| {
        g.spawn_named("server", serve(listener, room.clone()));
        let mut clients: Vec<Client> = Vec::new();
        let mut seats: BTreeMap<usize, usize> = BTreeMap::new();
        let mut now = 0;
        for command in commands {
            match command {
                Command::Join(seat) if !seats.contains_key(&seat) => {
                    seats.insert(seat, clients.len());
                    clients.push(Client::join(&g, &network, clients.len(), now));
                }
                Command::Say { seat, lines, piece } => {
                    if let Some(&client) = seats.get(&seat) {
                        clients[client].say(lines, piece, now);
                    }
                }
                Command::Leave(seat) => {
                    if let Some(client) = seats.remove(&seat) {
                        clients[client].leave(now);
                    }
                }
                Command::Vanish { seat, breaks } => {
                    if let Some(client) = seats.remove(&seat) {
                        clients[client].vanish(breaks, now);
                    }
                }
                Command::Settle => {
                    wait_all_blocked().await;
                    now += 1;
                }
                Command::Join(_) => {}
            }
        }
        wait_all_blocked().await;
        g.shutdown(Duration::from_secs(3600));
        Ok(clients)
    })
    .await
    .unwrap();
    assert!(room.is_empty());
    clients
}

impl Client {
    fn join(g: &Group, network: &Network, number: usize, now: usize) -> Client {
        let (to_server, from_server) = network.connect();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = g.spawn_named(format!("ears of u{number}"), {
            let heard = heard.clone();
            async move {
                while let Ok(line) = from_server.recv().await {
                    heard.lock().unwrap().push(line);
                }
            }
        });
        let hello = format!("u{number}\n").into_bytes();
        to_server.try_send(Ok(hello)).unwrap();
        Client {
            to_server: Some(to_server),
            hears,
            heard,
            joined: now,
            gone: NEVER,
            vanished: false,
            said: Vec::new(),
        }
    }

    fn say(&mut self, lines: usize, piece: usize, now: usize) {
        let mut bytes = Vec::new();
        for _ in 0..lines {
            bytes.extend(format!("{}\n", self.said.len()).into_bytes());
            self.said.push(now);
        }
        for piece in bytes.chunks(piece) {
            self.send(Ok(piece.to_vec()));
        }
    }

    fn leave(&mut self, now: usize) {
        self.gone = now;
        self.to_server = None;
    }

    fn vanish(&mut self, breaks: bool, now: usize) {
        self.send(Ok(b"half a line".to_vec()));
        if breaks {
            self.send(Err(io::ErrorKind::ConnectionReset.into()));
        }
        self.leave(now);
        self.vanished = true;
        self.hears.cancel();
    }

    fn send(&self, piece: Piece) {
        let to_server = self.to_server.as_ref().expect("it has a seat");
        to_server.try_send(piece).expect("the server reads");
    }

    /// Is what happened at `when` among what this client must hear?
    fn hears_of(&self, when: usize) -> bool {
        self.joined < when && when < self.gone
    }

    /// Is it among what this client may hear?
    fn may_hear_of(&self, when: usize) -> bool {
        self.joined <= when && when <= self.gone
    }

    /// Who said which line, in the order in which this client heard it.
    fn conversation(&self) -> Vec<(usize, usize)> {
        let heard = self.heard.lock().unwrap();
        let lines = heard.iter().filter_map(|line| line.split_once(": "));
        lines
            .map(|(name, text)| (name[1..].parse().unwrap(), text.parse().unwrap()))
            .collect()
    }

    fn announced(&self, line: &str) -> usize {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|heard| *heard == line).count()
    }
}

/// Everybody has heard what was said while present, all of it, once, in order, and nothing else.
pub fn verify(clients: &[Client]) {
    let conversations: Vec<_> = clients.iter().map(Client::conversation).collect();
    for (number, hearer) in clients.iter().enumerate() {
        for (other, speaker) in clients.iter().enumerate() {
            let lines: Vec<usize> = of(&conversations[number], |speaker| speaker == other)
                .map(|(_, line)| line)
                .collect();
            let who = format!("what u{number} heard of u{other}: {lines:?}");
            assert!(
                lines.windows(2).all(|pair| pair[0] + 1 == pair[1]),
                "not in order, or with gaps: {who}"
            );
            for (line, &when) in speaker.said.iter().enumerate() {
                // Who vanishes may take its last lines along.
                let arrived = !speaker.vanished || when < speaker.gone;
                if arrived && (hearer.hears_of(when) || number == other) {
                    assert!(lines.contains(&line), "{line} is missing: {who}");
                }
                if !hearer.may_hear_of(when) {
                    assert!(!lines.contains(&line), "{line} is not for it: {who}");
                }
            }
            let comes = hearer.announced(&format!("* u{other} is here"));
            let goes = hearer.announced(&format!("* u{other} has left"));
            assert!(comes <= 1 && goes <= 1, "announced twice: {who}");
            assert!(comes == 1 || !hearer.hears_of(speaker.joined), "{who}");
            assert!(goes == 1 || !hearer.hears_of(speaker.gone), "{who}");
            assert!(goes == 0 || speaker.gone != NEVER, "{who}");
        }
    }
    for (number, mine) in conversations.iter().enumerate() {
        for theirs in &conversations[..number] {
            let common = of(mine, |_| true).filter(|line| theirs.contains(line));
            assert!(
                common.eq(of(theirs, |_| true).filter(|line| mine.contains(line))),
                "two clients heard the same in different orders: {mine:?}, {theirs:?}"
            );
        }
    }
}

fn of(
    conversation: &[(usize, usize)],
    whose: impl Fn(usize) -> bool,
) -> impl Iterator<Item = (usize, usize)> {
    let lines = conversation.iter().copied();
    lines.filter(move |(speaker, _)| whose(*speaker))
}
