//! The client: HTTP requests to one host, over connections that are kept and used again.
//!
//! 1. Each connection is driven by a child of the group that the client was given, so the group
//!    does not end before the last connection is closed.
//! 2. A connection goes back to the idle ones only after its last answer was read to the end.
//!    Wherever else a request stops (an error, a timeout, the run's deadline), its `Connection` is
//!    dropped and cancels the driver: no answer can be taken for that of a later request.
//! 3. Nothing waits for a connection whose driver has ended.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use async_std::net::TcpStream;
use headcount::{JoinHandle, TaskGroup};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use smol_hyper::rt::FuturesIo;
use url::Url;

use super::census::Census;

/// More than this is not read of any page.
pub const MAX_BODY: usize = 20 << 20;

pub struct Client {
    host: String,
    port: u16,
    authority: String,
    group: TaskGroup<'static, super::Error>,
    census: Census,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    addresses: Option<Arc<[SocketAddr]>>,
    idle: Vec<Connection>,
    requests: u64,
}

/// An answer, as far as the crawl needs it.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub location: Option<String>,
    pub is_html: bool,
    /// Of a successful `GET` of HTML; of nothing else is it read.
    pub body: Vec<u8>,
}

/// Why there is no answer, and whether there may be one next time.
#[derive(Debug)]
pub struct Failure {
    pub why: String,
    pub passing: bool,
}

impl Failure {
    fn passing(why: String) -> Self {
        let passing = true;
        Failure { why, passing }
    }
}

/// How far a request came; looked at when its time is over.
#[derive(Debug, Default)]
pub struct Progress {
    pub connected: bool,
    pub answered: bool,
    pub received: usize,
}

struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.cancel();
    }
}

impl Client {
    /// Requests go to the host of `origin`; connections live in `group`.
    pub fn new(origin: &Url, group: TaskGroup<'static, super::Error>, census: Census) -> Self {
        let host = origin.host_str().unwrap_or_default();
        Client {
            // IPv6 addresses stand in brackets in URLs only.
            host: host.trim_matches(['[', ']']).to_owned(),
            port: origin.port_or_known_default().unwrap_or(80),
            authority: origin[url::Position::BeforeHost..url::Position::AfterPort].to_owned(),
            group,
            census,
            state: Mutex::default(),
        }
    }

    pub async fn request(
        &self,
        method: Method,
        path: &str,
        progress: &mut Progress,
    ) -> Result<Answer, Failure> {
        let mut connection = self.connection().await?;
        progress.connected = true;
        self.state.lock().unwrap().requests += 1;
        let request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(HOST, &self.authority)
            .body(Empty::new())
            .map_err(|e| Failure {
                why: format!("not a valid request: {e}"),
                passing: false,
            })?;
        let Connection { sender, driver } = &mut connection;
        let response = while_driven(driver, sender.send_request(request)).await;
        let response = response.ok_or_else(|| Failure::passing("connection closed".into()))?;
        let mut response = response.map_err(|e| Failure::passing(reason(&e)))?;
        progress.answered = true;

        let header = |name| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let mut answer = Answer {
            status: response.status(),
            location: header(LOCATION),
            is_html: header(CONTENT_TYPE).is_some_and(|t| is_html(&t)),
            body: Vec::new(),
        };
        let wanted = method == Method::GET && answer.status.is_success() && answer.is_html;
        if wanted {
            answer.body = read(&mut response, progress).await?;
        }
        // A body that is not wanted is not read either, and takes its connection with it.
        if wanted || response.body().is_end_stream() {
            self.state.lock().unwrap().idle.push(connection);
        }
        Ok(answer)
    }

    /// How many requests were sent.
    pub fn requests(&self) -> u64 {
        self.state.lock().unwrap().requests
    }

    /// Closes the idle connections.
    pub fn close(&self) {
        let idle = std::mem::take(&mut self.state.lock().unwrap().idle);
        drop(idle);
    }

    async fn connection(&self) -> Result<Connection, Failure> {
        loop {
            let idle = self.state.lock().unwrap().idle.pop();
            let Some(mut connection) = idle else { break };
            // The server may have closed it meanwhile.
            let Connection { sender, driver } = &mut connection;
            if let Some(Ok(())) = while_driven(driver, sender.ready()).await {
                return Ok(connection);
            }
        }
        self.connect()
            .await
            .map_err(|e| Failure::passing(e.to_string()))
    }

    async fn connect(&self) -> io::Result<Connection> {
        let addresses = self.addresses().await?;
        let stream = TcpStream::connect(&addresses[..]).await?;
        stream.set_nodelay(true)?;
        let handshake = handshake(FuturesIo::new(stream)).await;
        let (sender, driver) = handshake.map_err(io::Error::other)?;
        let driver = async move {
            // What goes wrong is told to the request that it goes wrong for.
            let _ = driver.await;
        };
        let driver = self.census.child(driver);
        let driver = self.group.spawn_named("client connection", driver);
        Ok(Connection { sender, driver })
    }

    async fn addresses(&self) -> io::Result<Arc<[SocketAddr]>> {
        let known = self.state.lock().unwrap().addresses.clone();
        if let Some(addresses) = known {
            return Ok(addresses);
        }
        let target = (self.host.clone(), self.port);
        let found = headcount::unblock(move || target.to_socket_addrs()).await?;
        let addresses: Arc<[SocketAddr]> = found.collect();
        self.state.lock().unwrap().addresses = Some(addresses.clone());
        Ok(addresses)
    }
}

/// Waits for `future` as long as the driver of its connection lives.
///
/// hyper answers what a driver leaves behind, but not what is handed to a driver in the very moment
/// in which it ends: that would wait for the whole timeout.
async fn while_driven<F: Future>(driver: &mut JoinHandle<()>, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        if Pin::new(&mut *driver).poll(cx).is_pending() {
            return Poll::Pending;
        }
        // The last thing the driver did may have been to answer.
        match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => Poll::Ready(None),
        }
    })
    .await
}

/// Reads a body, but not for ever.
async fn read(
    response: &mut Response<Incoming>,
    progress: &mut Progress,
) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(frame) = response.frame().await {
        let frame = frame.map_err(|e| Failure::passing(reason(&e)))?;
        if let Some(data) = frame.data_ref() {
            body.extend_from_slice(data);
            progress.received = body.len();
        }
        if body.len() > MAX_BODY {
            return Err(Failure {
                why: format!(
                    "too large, or it never ends: more than {} MiB",
                    MAX_BODY >> 20
                ),
                passing: false,
            });
        }
    }
    Ok(body)
}

fn is_html(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    ["text/html", "application/xhtml+xml"].contains(&essence.to_ascii_lowercase().as_str())
}

/// hyper's errors keep the interesting part in their source.
fn reason(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
