//! HTTP on a loopback port, for the examples: a server and a client of a few lines each, by hyper.
//!
//! hyper leaves it to its user where connections run. Here they are children, so none outlives the
//! call that opened it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use async_std::net::{TcpListener, TcpStream};
use headcount::{GroupError, group, scope};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, client, server};
use smol_hyper::rt::FuturesIo;

/// Gives each request the answer for its path, until it is cancelled.
pub async fn serve<F, Fut>(listener: TcpListener, answer: F) -> io::Result<Infallible>
where
    F: Fn(String) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = (StatusCode, String)> + Send + 'static,
{
    let ended: Result<_, GroupError<io::Error>> = group(async move |connections| {
        loop {
            let (stream, _) = listener.accept().await?;
            connections.spawn_named("server connection", converse(stream, answer.clone()));
        }
    })
    .await;
    ended.map_err(io::Error::other)
}

async fn converse<F, Fut>(stream: TcpStream, answer: F)
where
    F: Fn(String) -> Fut + Clone,
    Fut: Future<Output = (StatusCode, String)>,
{
    let service = service_fn(|request: Request<_>| {
        let answer = answer(request.uri().path().to_owned());
        async move {
            let (status, text) = answer.await;
            let mut response = Response::new(Full::<Bytes>::from(text));
            *response.status_mut() = status;
            Ok::<_, Infallible>(response)
        }
    });
    // A client that goes away in the middle of a request is its own affair.
    let _ = server::conn::http1::Builder::new()
        .serve_connection(FuturesIo::new(stream), service)
        .await;
}

/// Gets `path` over a connection of its own.
pub async fn get(server: SocketAddr, path: &str) -> io::Result<(StatusCode, String)> {
    let request = Request::get(path)
        .header(HOST, server.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let stream = TcpStream::connect(server).await?;
    let handshake = client::conn::http1::handshake(FuturesIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(io::Error::other)?;
    let answer: Result<_, GroupError<io::Error>> = scope(async |s| {
        // Moves the bytes while the body waits. A daemon, so it is gone when the answer is there; and
        // if it fails, it takes the body with it.
        s.spawn_daemon(async { connection.await.map_err(io::Error::other) });
        let response = sender.send_request(request).await;
        let response = response.map_err(io::Error::other)?;
        let status = response.status();
        let body = response.collect().await.map_err(io::Error::other)?;
        let text = String::from_utf8(body.to_bytes().into()).map_err(io::Error::other)?;
        Ok((status, text))
    })
    .await;
    answer.map_err(io::Error::other)
}
