//! A network of channels.

use std::io;

use async_channel::{Receiver, Sender, bounded, unbounded};

use crate::transport::{Incoming, Listener, Outgoing};

/// What a read gives.
pub type Piece = io::Result<Vec<u8>>;
type Connection = (Receiver<Piece>, Sender<String>);

pub struct Network(Sender<Connection>);

impl Network {
    /// The network, and the listener of its server.
    pub fn new() -> (Network, Receiver<Connection>) {
        let (connections, listener) = unbounded();
        (Network(connections), listener)
    }

    /// The client's side of a new connection. One line is under way to it at a time.
    pub fn connect(&self) -> (Sender<Piece>, Receiver<String>) {
        let (to_server, incoming) = unbounded();
        let (outgoing, from_server) = bounded(1);
        self.0.try_send((incoming, outgoing)).expect("it listens");
        (to_server, from_server)
    }
}

impl Listener for Receiver<Connection> {
    type Incoming = Receiver<Piece>;
    type Outgoing = Sender<String>;

    async fn accept(&mut self) -> io::Result<Connection> {
        let connection = self.recv().await;
        connection.map_err(|_| io::ErrorKind::ConnectionAborted.into())
    }
}

impl Incoming for Receiver<Piece> {
    async fn receive(&mut self) -> Piece {
        self.recv().await.unwrap_or(Ok(Vec::new()))
    }
}

impl Outgoing for Sender<String> {
    async fn send(&mut self, line: &str) -> io::Result<()> {
        let sent = Sender::send(self, line.to_owned()).await;
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
