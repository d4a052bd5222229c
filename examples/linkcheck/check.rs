//! One run, put together: who is a child of whom, and who ends whom.
//!
//! ```text
//! run "linkcheck"
//! ├── signals                 headcount's own: SIGINT and SIGTERM
//! ├── (a daemon)              says so on stderr if the run is interrupted
//! ├── (a daemon)              shows this tree on stderr, with --watch
//! ├── server                  accepts until it is cancelled
//! │   └── group "server"      a child for each connection
//! ├── progress                a line on stderr, until it is cancelled; not with --watch
//! ├── client connection …     a child for each, cancelled when its request or the crawl is over
//! └── (body)
//!     └── group "crawl"       limit, deadline; a child for each target
//! ```
//!
//! The deadline is that of the crawl alone: when it comes, the crawl's children are dropped where
//! they are, and the body, whose wait for them ends only when the last is gone, takes down the
//! rest as it does after a crawl that came to its end. What was found until then is in the ledger.
//!
//! A signal asks the whole run to stop. The crawl's children then begin nothing new, so the crawl
//! ends with the requests under way, and the body goes on as ever. Only if that takes longer than
//! the grace, or with a second signal, everybody is dropped where they are, the body too; so what
//! the report needs is kept outside of it.

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
use super::report::{Interruption, Report};
use super::server::serve;
use super::site::Site;
use super::watch::watch;

/// Takes away the line on which the cursor of a terminal is.
const CLEAR: &str = "\r\x1b[K";

/// Where a run begins.
pub enum Start {
    /// At these pages of a folder, which is served for the time of the run.
    Folder { folder: PathBuf, pages: Vec<String> },
    /// At a page that somebody else serves.
    Url(Url),
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
    let (site, pages, served) = prepare(start)?;

    let mut kept = None;
    let options = Options::new().name("linkcheck");
    let end = options.stop_on_signals(args.grace).run(async |top| {
        census.watch("linkcheck", &top);
        top.spawn_daemon(census.child(tell_of_interruption(args.grace)));
        if args.watch {
            top.spawn_daemon(census.child(watch(begin)));
        }
        let show = (io::stderr().is_terminal() && !args.watch).then(|| {
            let show = show_progress(ledger.clone(), census.clone(), begin);
            top.spawn_named("progress", census.child(show))
        });
        let server = served.map(|(listener, folder)| {
            let server = serve(listener, folder, census.clone());
            top.spawn_named("server", census.child(server))
        });
        let crawl = Arc::new(Crawl {
            client: Client::new(site.origin(), top.clone(), census.clone()),
            site,
            ledger: ledger.clone(),
            census: census.clone(),
            timeout: args.timeout,
            retries: args.retries,
        });
        kept = Some((top.clone(), crawl.clone()));
        let in_time = crawl_from(&crawl, &pages, args).await?;

        crawl.client.close();
        // Children that run until somebody ends them.
        show.inspect(|show| show.cancel());
        server.inspect(|server| server.cancel());
        Ok(in_time)
    });
    let (top, crawl) = kept.expect("a body is polled once, whatever comes");
    let interruption = match end {
        Ok(_) if top.is_shutting_down() => Some(Interruption::Signal { cut: None }),
        Ok(in_time) => (!in_time).then_some(Interruption::Deadline(args.deadline)),
        // Nothing but signals cancels the run.
        Err(e) if e.is_cancelled() => Some(Interruption::Signal {
            cut: e.reason().map(ToString::to_string),
        }),
        Err(e) => return Err(io::Error::other(e)),
    };

    let ledger = ledger.lock().unwrap();
    Ok(Report {
        checked,
        origin: crawl.site.origin().to_string(),
        totals: ledger.totals(),
        broken: ledger.broken_links(),
        not_reached: ledger.not_reached(),
        interruption,
        requests: crawl.client.requests(),
        elapsed: begin.elapsed(),
        peaks: census.peaks(),
        left_behind: census.left_behind(),
    })
}

/// A folder, and where it is to be served.
type Served = (TcpListener, PathBuf);

fn prepare(start: Start) -> io::Result<(Site, Vec<String>, Option<Served>)> {
    match start {
        Start::Folder { folder, pages } => {
            let listener = async_std::task::block_on(TcpListener::bind("127.0.0.1:0"))?;
            let origin = format!("http://{}/", listener.local_addr()?);
            let origin = Url::parse(&origin).map_err(io::Error::other)?;
            Ok((Site::of_files(origin), pages, Some((listener, folder))))
        }
        Start::Url(url) => Ok((Site::at(&url), vec![url.to_string()], None)),
    }
}

/// Crawls all there is to crawl; whether that came to its end before the deadline.
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
        Ok(group) => Ok(!group.is_cancelled()),
        Err(e) if e.is_cancelled() => Ok(false),
        Err(e) => Err(io::Error::other(e)),
    }
}

/// Says what a signal has begun.
async fn tell_of_interruption(grace: Duration) {
    headcount::cancelled().await;
    // This daemon is cancelled at the end of every run, which may come in this very poll.
    if !headcount::is_shutting_down() {
        return;
    }
    // Where the line of the progress is.
    let clear = match io::stderr().is_terminal() {
        true => CLEAR,
        false => "",
    };
    let _ = writeln!(
        io::stderr(),
        "{clear}linkcheck: interrupted; requests under way have {grace:?}, or until the next signal"
    );
}

/// Keeps a line on a terminal up to date until it is cancelled, and takes it away then.
async fn show_progress(ledger: Arc<Mutex<Ledger>>, census: Census, begin: Instant) {
    struct Line;
    impl Drop for Line {
        fn drop(&mut self) {
            let _ = write!(io::stderr(), "{CLEAR}");
        }
    }
    let _line = Line;
    loop {
        headcount::time::sleep(Duration::from_millis(200)).await;
        let totals = ledger.lock().unwrap().counted();
        // A terminal that is gone is no reason to stop.
        let _ = write!(
            io::stderr(),
            "{CLEAR}{} pages, {} files, {} links, {} broken, {} children, {:.0} s",
            totals.pages,
            totals.files,
            totals.links,
            totals.broken,
            census.living(),
            begin.elapsed().as_secs_f64(),
        );
    }
}
