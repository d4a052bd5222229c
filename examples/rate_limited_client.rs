//! An HTTP client that sends at most so many requests a second.
//!
//! The usual way to write this is a bug: a semaphore of n around each request, with a sleep of 1/n
//! second behind it. That allows n requests *in flight*, each in its place for 1/n second and the time
//! of the request; so with n = 5 and a quick server it sends 25 a second, and to a slow server too few.
//! Here a place stands for a request sent within the last second: it is given back one second after
//! it was taken, whatever becomes of the request.
//!
//! ```console
//! $ cargo run --example rate_limited_client
//! ```

mod http;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_std::net::TcpListener;
use headcount::sync::CapacityLimiter;
use headcount::{GroupError, Instant, TaskGroup, gather, run, time::sleep};
use hyper::StatusCode;

/// At most `requests` are sent within any time of `per`.
#[derive(Clone, Copy)]
struct Rate {
    requests: usize,
    per: Duration,
}

#[derive(Clone)]
struct RateLimitedClient {
    server: SocketAddr,
    rate: Rate,
    places: CapacityLimiter,
    /// Where the places wait until they are given back.
    group: TaskGroup<'static, io::Error>,
    /// When each request was sent, for the report.
    sent: Arc<Mutex<Vec<Instant>>>,
}

impl RateLimitedClient {
    fn new(server: SocketAddr, rate: Rate, group: TaskGroup<'static, io::Error>) -> Self {
        RateLimitedClient {
            server,
            rate,
            places: CapacityLimiter::new(rate.requests),
            group,
            sent: Arc::default(),
        }
    }

    async fn fetch(&self, path: String) -> io::Result<String> {
        let place = self.places.acquire().await;
        self.sent.lock().unwrap().push(Instant::now());
        let per = self.rate.per;
        // A daemon: nobody waits for it when all the answers are there.
        self.group.spawn_daemon(async move {
            sleep(per).await;
            drop(place);
        });
        match http::get(self.server, &path).await? {
            (StatusCode::OK, text) => Ok(text),
            (status, _) => Err(io::Error::other(status.to_string())),
        }
    }

    async fn fetch_many(&self, paths: impl Iterator<Item = String>) -> io::Result<Vec<String>> {
        let requests = paths.map(|path| {
            let client = self.clone();
            async move { client.fetch(path).await }
        });
        gather(requests).await.map_err(io::Error::other)
    }

    /// The most requests that were sent within the time of the rate.
    fn busiest(&self) -> usize {
        let sent = self.sent.lock().unwrap();
        let within = |first: &Instant| {
            let window = *first..*first + self.rate.per;
            sent.iter().filter(|at| window.contains(at)).count()
        };
        sent.iter().map(within).max().unwrap_or(0)
    }
}

fn main() -> Result<(), GroupError<io::Error>> {
    run(async |g| {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        g.spawn_daemon(http::serve(listener, async |path| {
            (StatusCode::OK, format!("the page {path}"))
        }));

        let rate = Rate {
            requests: 5,
            per: Duration::from_millis(200), // a second, if you have the time
        };
        let client = RateLimitedClient::new(address, rate, g);
        let pages = client
            .fetch_many((1..=20).map(|n| format!("/posts/{n}")))
            .await?;
        println!("fetched {} pages, the last is {}", pages.len(), pages[19]);
        println!(
            "the most requests within {:?}: {}",
            rate.per,
            client.busiest()
        );
        Ok(())
    })
}
