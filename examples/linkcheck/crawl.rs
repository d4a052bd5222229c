//! The crawl: a bounded group in which each child looks at one target and spawns the next ones.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use headcount::TaskGroup;
use hyper::{Method, StatusCode};

use super::census::Census;
use super::client::{Answer, Client, Failure, Progress};
use super::html;
use super::ledger::{Destination, Ledger, Link, Outcome, Visit};
use super::site::Site;

/// The pause before the first repetition of a request; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(50);

/// What all children of a crawl share.
pub struct Crawl {
    pub site: Site,
    pub client: Client,
    pub ledger: Arc<Mutex<Ledger>>,
    pub census: Census,
    /// For one request, its body included.
    pub timeout: Duration,
    /// How often a request is repeated that failed in a passing way.
    pub retries: u32,
}

type Group = TaskGroup<'static, super::Error>;

/// Spawns a child for each of the targets. Those beyond the group's limit queue.
pub fn send_out(crawl: &Arc<Crawl>, group: &Group, visits: Vec<Visit>) {
    for visit in visits {
        let name = visit.url.to_string();
        let child = visit_target(crawl.clone(), group.clone(), visit);
        group.spawn_named(name, crawl.census.child(child));
    }
}

/// One child: looks at its target, and spawns children of the same group for what it finds there.
async fn visit_target(crawl: Arc<Crawl>, group: Group, visit: Visit) {
    // Asked to stop: nothing new is begun, and the target stays among those not looked at.
    if headcount::is_shutting_down() {
        return;
    }
    let _working = crawl.census.working();
    let outcome = crawl.look_at(&visit).await;
    let next = crawl.ledger.lock().unwrap().enter(visit.id, outcome);
    send_out(&crawl, &group, next);
}

impl Crawl {
    async fn look_at(&self, visit: &Visit) -> Outcome {
        if !visit.read {
            let answer = match self.ask(Method::HEAD, &visit.url).await {
                Ok(answer) => answer,
                Err(why) => return Outcome::Failed(why),
            };
            // It may be a page after all, and not every server knows `HEAD`.
            let refused = [StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED];
            let undecided =
                refused.contains(&answer.status) || (answer.status.is_success() && answer.is_html);
            if !undecided {
                return self.judge(&visit.url, answer).await;
            }
            if !self.ledger.lock().unwrap().may_read(visit.id) {
                return Outcome::File;
            }
        }
        match self.ask(Method::GET, &visit.url).await {
            Ok(answer) => self.judge(&visit.url, answer).await,
            Err(why) => Outcome::Failed(why),
        }
    }

    /// Sends a request, and again if it fails in a way that may pass.
    async fn ask(&self, method: Method, path: &str) -> Result<Answer, String> {
        let mut pause = PAUSE;
        let mut repeated = 0;
        loop {
            let failure = match self.ask_once(method.clone(), path).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !failure.passing || repeated == self.retries {
                return Err(match repeated {
                    0 => failure.why,
                    _ => format!("{} ({} attempts)", failure.why, repeated + 1),
                });
            }
            headcount::time::sleep(pause).await;
            pause *= 2;
            repeated += 1;
        }
    }

    async fn ask_once(&self, method: Method, path: &str) -> Result<Answer, Failure> {
        // The request borrows this: when the timeout returns, nothing of the request is left.
        let mut progress = Progress::default();
        let request = self.client.request(method, path, &mut progress);
        let answer = match headcount::timeout(self.timeout, request).await {
            Ok(answer) => answer?,
            Err(_) => {
                let (within, bytes) = (self.timeout, progress.received);
                let why = match progress {
                    Progress {
                        connected: false, ..
                    } => format!("no connection within {within:?}"),
                    Progress {
                        answered: false, ..
                    } => format!("no answer within {within:?}"),
                    _ => format!("did not end within {within:?} ({bytes} bytes came)"),
                };
                return Err(Failure { why, passing: true });
            }
        };
        let busy = [408, 429, 500, 502, 503, 504];
        match busy.contains(&answer.status.as_u16()) {
            true => Err(Failure {
                why: answer.status.to_string(),
                passing: true,
            }),
            false => Ok(answer),
        }
    }

    async fn judge(&self, path: &str, answer: Answer) -> Outcome {
        if answer.status.is_redirection() {
            return match (answer.location, self.site.url(path)) {
                (Some(location), Ok(url)) => {
                    Outcome::Redirect(self.site.destination(&url, &location))
                }
                _ => Outcome::Failed(format!("{} without a location", answer.status)),
            };
        }
        if !answer.status.is_success() {
            return Outcome::Failed(answer.status.to_string());
        }
        if !answer.is_html {
            return Outcome::File;
        }
        let (site, path) = (self.site.clone(), path.to_owned());
        // Some pages have many megabytes: reading those must not hold up the other tasks.
        headcount::unblock(move || read_page(&site, &path, answer.body)).await
    }
}

/// Takes a page apart.
pub fn read_page(site: &Site, path: &str, body: Vec<u8>) -> Outcome {
    let text = match String::from_utf8(body) {
        Ok(text) => text,
        Err(e) => {
            let valid = e.utf8_error().valid_up_to();
            return Outcome::Failed(format!("not UTF-8 (from byte {valid} on)"));
        }
    };
    let page = html::read(&text);
    let base = match site.url(path) {
        Ok(url) => match page.base.as_deref().map(|base| url.join(base)) {
            Some(Ok(base)) => base,
            // The standard has a base that is no URL ignored.
            Some(Err(_)) | None => url,
        },
        Err(e) => return Outcome::Failed(format!("not a URL: {e}")),
    };
    let link = |(kind, text): (_, String)| -> Link {
        let to: Destination = site.destination(&base, &text);
        Link { kind, to }
    };
    let links = page.links.into_iter().map(link).collect();
    let anchors = page.anchors;
    Outcome::Page { anchors, links }
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    fn read(html: &[u8]) -> Outcome {
        let site = Site::of_files(Url::parse("http://127.0.0.1:8000/").unwrap());
        read_page(&site, "/a/b.html", html.to_vec())
    }

    fn urls(outcome: Outcome) -> Vec<String> {
        let Outcome::Page { links, .. } = outcome else {
            panic!("{outcome:?}")
        };
        let url = |link: Link| match link.to {
            Destination::Here { url, .. } => url,
            other => format!("{other:?}"),
        };
        links.into_iter().map(url).collect()
    }

    #[test]
    fn links_are_taken_from_the_base_of_the_page() {
        assert_eq!(urls(read(b"<a href=c.html>")), ["/a/c.html"]);
        assert_eq!(urls(read(b"<base href=/d/><a href=c.html>")), ["/d/c.html"]);
        assert_eq!(
            urls(read(b"<base href=http://[><a href=c.html>")),
            ["/a/c.html"]
        );
        assert_eq!(
            urls(read(b"<base href=//x.example><a href=c.html>")),
            ["Elsewhere"]
        );
    }

    #[test]
    fn a_page_that_is_not_utf_8_says_from_where_on() {
        let outcome = read(b"<a href=c.html>\xff");
        assert!(matches!(outcome, Outcome::Failed(why) if why == "not UTF-8 (from byte 15 on)"));
    }
}
