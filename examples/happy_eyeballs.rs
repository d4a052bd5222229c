//! Happy Eyeballs (RFC 8305): a host has several addresses, some do not work, and the user should
//! not notice.
//!
//! The addresses are tried one after the other, but the next is not kept waiting for long: it is tried
//! when the one before has failed, or has not answered for a while. The first success wins. When
//! `connect` returns, the other attempts have ended and their sockets are closed.
//!
//! ```console
//! $ cargo run --example happy_eyeballs
//! ```

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use async_std::io::{BufReader, ReadExt, WriteExt, prelude::BufReadExt};
use async_std::net::{TcpListener, TcpStream};
use headcount::{GroupError, move_on_after, race_ok, run, sync::Event};

/// How long an address may keep the next one waiting, as the RFC recommends it.
const PATIENCE: Duration = Duration::from_millis(250);

/// The connection to the first address that answers, and what it says.
async fn connect(
    addresses: &[(&'static str, SocketAddr)],
) -> Result<Answer, GroupError<io::Error>> {
    let mut turn = Event::new();
    turn.set();
    let attempts = addresses.iter().map(|&(name, address)| {
        let next = Event::new();
        let turn = std::mem::replace(&mut turn, next.clone());
        async move {
            turn.wait().await;
            println!("trying the one that {name}");
            let mut attempt = pin!(attempt(name, address));
            match move_on_after(PATIENCE, attempt.as_mut()).await {
                Some(Ok(answer)) => Ok(answer),
                Some(Err(error)) => {
                    println!("the one that {name}: {}", error.kind());
                    next.set();
                    Err(error)
                }
                // It goes on, beside the next. That is right since `attempt` does plain I/O and opens no boundary: one
                // that was first polled under the `move_on_after` would have ended with it.
                None => {
                    next.set();
                    attempt.await
                }
            }
        }
    });
    race_ok(attempts).await
}

struct Answer {
    name: &'static str,
    greeting: String,
    _stream: BufReader<TcpStream>,
}

/// Connects, and waits for a line: many a server accepts, and does not answer.
async fn attempt(name: &'static str, address: SocketAddr) -> io::Result<Answer> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let mut greeting = String::new();
    stream.read_line(&mut greeting).await?;
    Ok(Answer {
        name,
        greeting: greeting.trim_end().to_owned(),
        _stream: stream,
    })
}

/// Accepts a connection, says `greeting`, and returns what the client has sent when it has closed.
async fn server(listener: TcpListener, greeting: &str) -> io::Result<usize> {
    let (mut stream, _) = listener.accept().await?;
    stream.write_all(greeting.as_bytes()).await?;
    stream.read_to_end(&mut Vec::new()).await
}

fn main() -> Result<(), GroupError<io::Error>> {
    run(async |g| {
        let silent = TcpListener::bind("127.0.0.1:0").await?;
        let works = TcpListener::bind("127.0.0.1:0").await?;
        let addresses = [
            ("refuses", SocketAddr::from(([127, 0, 0, 1], 1))), // nobody listens there
            ("never answers", silent.local_addr()?),
            ("works", works.local_addr()?),
        ];
        let silent = g.spawn(server(silent, ""));
        g.spawn(server(works, "welcome\n"));

        let answer = connect(&addresses).await.map_err(io::Error::other)?;
        println!(
            "connected to the one that {}: {}",
            answer.name, answer.greeting
        );
        silent.await?;
        println!("the one that never answers has seen its connection closed");
        Ok(())
    })
}
