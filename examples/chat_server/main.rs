//! A chat server over TCP, and three who chat.
//!
//! [`server`] and [`room`] know nothing of sockets; here they meet real ones. The same files run under
//! the simulator, over a network of channels and in thousands of schedules, in `tests/chat`.
//!
//! ```console
//! $ cargo run --example chat_server                             # three clients, then it stops
//! $ cargo run --example chat_server -- --listen 127.0.0.1:4000  # until Ctrl-C; join it with `nc`
//! ```

mod room;
mod server;
mod tcp;
mod transport;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_std::io::{BufReader, WriteExt, prelude::BufReadExt};
use async_std::net::{Shutdown, TcpListener, TcpStream};
use headcount::{GroupError, Options};
use lexopt::prelude::*;

use room::Room;
use server::{LAST_LINES, serve};

/// So long the server may take to stop. Longer than its sessions have, or a client that does not read would cut
/// who awaits the server, and not its session alone.
const GRACE: Duration = LAST_LINES.saturating_add(Duration::from_secs(1));

fn main() -> anyhow::Result<()> {
    let mut listen = None;
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("listen") => listen = Some(args.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    match listen {
        Some(address) => listen_on(address)?,
        None => demonstrate()?,
    }
    Ok(())
}

/// Serves until Ctrl-C. A second one does not wait for slow clients.
fn listen_on(address: SocketAddr) -> Result<(), GroupError<io::Error>> {
    let options = Options::new().stop_on_signals(GRACE);
    options.run(async |_| {
        let listener = TcpListener::bind(address).await?;
        println!(
            "listening on {}; the first line is your name",
            listener.local_addr()?
        );
        serve(listener, Room::default())
            .await
            .map_err(io::Error::other)
    })
}

/// Three clients with real connections. Each line is printed by who reads it.
fn demonstrate() -> Result<(), GroupError<io::Error>> {
    let room = Room::default();
    headcount::run(async |g| {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let served = serve(listener, room.clone());
        g.spawn_named("server", async { served.await.map_err(io::Error::other) });

        let mut ann = Client::join(address, "ann").await?;
        let mut bob = Client::join(address, "bob").await?;
        ann.read().await?;
        ann.say("hello, bob").await?;
        ann.read().await?;
        bob.read().await?;

        // Gone without a goodbye.
        let cleo = Client::join(address, "cleo").await?;
        ann.read().await?;
        bob.read().await?;
        drop(cleo);
        ann.read().await?;
        bob.read().await?;

        bob.leave()?;
        bob.read().await?;
        ann.read().await?;

        // The server stops while ann is there. She is sent what was said, then the end.
        ann.say("am I alone?").await?;
        ann.read().await?;
        g.shutdown(GRACE);
        ann.read().await
    })?;
    println!(
        "the server has ended, and the room is empty: {}",
        room.is_empty()
    );
    Ok(())
}

struct Client {
    name: &'static str,
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects and waits until it is in the room.
    async fn join(server: SocketAddr, name: &'static str) -> io::Result<Self> {
        let stream = BufReader::new(TcpStream::connect(server).await?);
        let mut client = Client { name, stream };
        client.say(name).await?;
        client.read().await?;
        Ok(client)
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        let line = format!("{text}\n");
        self.stream.get_mut().write_all(line.as_bytes()).await
    }

    /// Prints the next line from the server.
    async fn read(&mut self) -> io::Result<()> {
        let mut line = String::new();
        match self.stream.read_line(&mut line).await? {
            0 => println!("{:>4} | (the end)", self.name),
            _ => println!("{:>4} | {}", self.name, line.trim_end()),
        }
        Ok(())
    }

    /// Says nothing any more; what the server has to say still comes.
    fn leave(&mut self) -> io::Result<()> {
        self.stream.get_ref().shutdown(Shutdown::Write)
    }
}
