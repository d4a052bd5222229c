//! One run, put together: who is a child of whom, and who ends whom.
//!
//! ```text
//! run "linkcheck"
//! ├── server                  accepts until it is cancelled
//! │   └── group "server"      a child for each connection
//! ├── progress                a line on stderr, until it is cancelled
//! ├── client connection …     a child for each, cancelled when its request or the crawl is over
//! └── (body)
//!     └── group "crawl"       limit, deadline; a child for each target
//! ```
//!
//! The deadline is that of the crawl alone: when it comes, the crawl's children are dropped where
//! they are, and the body, whose wait for them ends only when the last is gone, takes down the
//! rest as it does after a crawl that came to its end. What was found until then is in the ledger.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_std::net::TcpListener;
use headcount::{Options, TaskGroup};
use url::Url;

use super::args::Args;
use super::census::Census;
use super::client::Client;
use super::crawl::{Crawl, send_out};
use super::ledger::{Destination, Ledger};
use super::report::Report;
use super::server::serve;
use super::site::Site;

/// Where a run begins.
pub enum Start {
    /// At these pages of a folder, which is served for the time of the run.
    Folder { folder: PathBuf, pages: Vec<String> },
    /// At a page that somebody else serves.
    Url(Url),
}

/// How the run's body ended.
struct End {
    origin: Url,
    requests: u64,
    interrupted: bool,
}

/// Checks what `start` names. Children that fail are findings of the report; the error is that of
/// a run that could not take place.
pub fn check(args: &Args, start: Start) -> io::Result<Report> {
    let begin = Instant::now();
    let census = Census::default();
    let ledger = Arc::new(Mutex::new(Ledger::new(args.max_pages)));
    let checked = match &start {
        Start::Folder { folder, .. } => Some(folder.display().to_string()),
        Start::Url(_) => None,
    };

    let end = Options::new().name("linkcheck").run(async |top| {
        census.watch("linkcheck", &top);
        let show = io::stderr().is_terminal().then(|| {
            let show = show_progress(ledger.clone(), census.clone(), begin);
            top.spawn_named("progress", census.child(show))
        });
        let (site, pages, server) = match start {
            Start::Folder { folder, pages } => {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                let address = listener.local_addr()?;
                let origin = format!("http://{address}/");
                let origin = Url::parse(&origin).map_err(io::Error::other)?;
                let server = census.child(serve(listener, folder, census.clone()));
                let server = top.spawn_named("server", server);
                (Site::of_files(origin), pages, Some(server))
            }
            Start::Url(url) => (Site::at(&url), vec![url.to_string()], None),
        };
        let crawl = Arc::new(Crawl {
            client: Client::new(site.origin(), top.clone(), census.clone()),
            site,
            ledger: ledger.clone(),
            census: census.clone(),
            timeout: args.timeout,
            retries: args.retries,
        });
        let interrupted = crawl_from(&crawl, &pages, args).await?;

        crawl.client.close();
        // Children that run until somebody ends them.
        show.inspect(|show| show.cancel());
        server.inspect(|server| server.cancel());
        Ok(End {
            origin: crawl.site.origin().clone(),
            requests: crawl.client.requests(),
            interrupted,
        })
    });
    let end = end.map_err(|e: headcount::GroupError<super::Error>| io::Error::other(e))?;

    let ledger = ledger.lock().unwrap();
    Ok(Report {
        checked,
        origin: end.origin.into(),
        totals: ledger.totals(),
        broken: ledger.broken_links(),
        not_reached: ledger.not_reached(),
        interrupted: end.interrupted.then_some(args.deadline),
        requests: end.requests,
        elapsed: begin.elapsed(),
        peaks: census.peaks(),
        left_behind: census.left_behind(),
    })
}

/// Crawls all there is to crawl; whether the deadline came before the end.
async fn crawl_from(crawl: &Arc<Crawl>, pages: &[String], args: &Args) -> io::Result<bool> {
    let deadline = headcount::Instant::now() + args.deadline;
    let options = Options::new()
        .name("crawl")
        .limit(args.limit)
        .deadline(deadline);
    let crawled = options.group(async |group: TaskGroup<'static, super::Error>| {
        crawl.census.watch("crawl", &group);
        for page in pages {
            let to = crawl.site.destination(crawl.site.origin(), page);
            let Destination::Here { url, fragment } = to else {
                let why = format!("`{page}` is not on the site");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            };
            let visits = crawl.ledger.lock().unwrap().start(url, fragment);
            send_out(crawl, &group, visits);
        }
        Ok(group)
    });
    match crawled.await {
        // The body has a value long before the deadline can cancel what it has spawned.
        Ok(group) => Ok(group.is_cancelled()),
        Err(e) if e.is_cancelled() => Ok(true),
        Err(e) => Err(io::Error::other(e)),
    }
}

/// Keeps a line on a terminal up to date until it is cancelled, and takes it away then.
async fn show_progress(ledger: Arc<Mutex<Ledger>>, census: Census, begin: Instant) {
    struct Line;
    impl Drop for Line {
        fn drop(&mut self) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
    let _line = Line;
    loop {
        headcount::time::sleep(Duration::from_millis(200)).await;
        let totals = ledger.lock().unwrap().counted();
        // A terminal that is gone is no reason to stop.
        let _ = write!(
            io::stderr(),
            "\r\x1b[K{} pages, {} files, {} links, {} broken, {} children, {:.0} s",
            totals.pages,
            totals.files,
            totals.links,
            totals.broken,
            census.living(),
            begin.elapsed().as_secs_f64(),
        );
    }
}
