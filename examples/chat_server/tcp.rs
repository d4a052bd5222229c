//! The transport of the real server.

use std::io;

use async_std::io::{ReadExt, WriteExt};
use async_std::net::{Shutdown, TcpListener, TcpStream};

use crate::transport::{Incoming, Listener, Outgoing};

impl Listener for TcpListener {
    type Incoming = TcpStream;
    type Outgoing = Writer;

    async fn accept(&mut self) -> io::Result<(TcpStream, Writer)> {
        let (stream, _) = TcpListener::accept(self).await?;
        Ok((stream.clone(), Writer(stream)))
    }
}

impl Incoming for TcpStream {
    async fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut piece = vec![0; 1024];
        let length = self.read(&mut piece).await?;
        piece.truncate(length);
        Ok(piece)
    }
}

/// The half that writes. The other half keeps the socket open, so this one says when it ends.
pub struct Writer(TcpStream);

impl Outgoing for Writer {
    async fn send(&mut self, line: &str) -> io::Result<()> {
        self.0.write_all(format!("{line}\n").as_bytes()).await
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Fails if the client has gone.
        let _ = self.0.shutdown(Shutdown::Write);
    }
}
