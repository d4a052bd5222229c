//! What the server wants of a connection. Anything that carries bytes can be one: a socket, or a pair
//! of channels in a test.

use std::future::Future;
use std::io;

/// Where connections come from.
pub trait Listener: Send + 'static {
    type Incoming: Incoming;
    type Outgoing: Outgoing;

    /// Waits for the next connection. Dropping the future must lose none.
    fn accept(
        &mut self,
    ) -> impl Future<Output = io::Result<(Self::Incoming, Self::Outgoing)>> + Send;
}

/// The half of a connection that reads.
pub trait Incoming: Send + 'static {
    /// Waits for the next bytes, cut as they come. No bytes are the end. Dropping the future must
    /// lose none.
    fn receive(&mut self) -> impl Future<Output = io::Result<Vec<u8>>> + Send;
}

/// The half of a connection that writes. When it is dropped, the other side sees the end.
pub trait Outgoing: Send + 'static {
    /// Sends a line; `line` is without its end.
    fn send(&mut self, line: &str) -> impl Future<Output = io::Result<()>> + Send;
}

/// So many bytes a line may have.
const LONGEST: usize = 4096;

/// Puts lines together from pieces.
pub struct Lines<I> {
    incoming: I,
    half: Vec<u8>,
}

impl<I: Incoming> Lines<I> {
    pub fn new(incoming: I) -> Self {
        Lines {
            incoming,
            half: Vec::new(),
        }
    }

    /// The next line, without its end; `None` when the client has closed. Half a line at the end is
    /// none.
    ///
    /// # Errors
    ///
    /// Those of the connection; a line that is too long or not UTF-8.
    ///
    /// # Cancel safety
    ///
    /// What was read stays for the next call.
    pub async fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.half.iter().position(|byte| *byte == b'\n') {
                let rest = self.half.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.half, rest);
                line.pop();
                return match String::from_utf8(line) {
                    Ok(line) => Ok(Some(line)),
                    Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
                };
            }
            if self.half.len() > LONGEST {
                let text = format!("a line of more than {LONGEST} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            let piece = self.incoming.receive().await?;
            if piece.is_empty() {
                return Ok(None);
            }
            self.half.extend(piece);
        }
    }
}
