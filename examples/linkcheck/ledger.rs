//! What is known so far: each target once, and each link with its one outcome.
//!
//! 1. Each target is handed out for a visit at most once.
//! 2. Each link that was ever added is, at any time, in exactly one place: counted as right,
//!    external or broken, or kept with a target whose state is not known yet. So a report can be
//!    made whenever the run stops, and its numbers add up.
//! 3. Redirects end: a target that is reached through more than [`MAX_REDIRECTS`] of them has
//!    failed, and so has a link that follows more of them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::html::{Anchors, Kind};

/// How many redirects are followed one after the other.
pub const MAX_REDIRECTS: u32 = 5;

/// The number of a target.
pub type Id = u32;

/// Stands for the command line where a page is expected that links to a target.
const START: Id = Id::MAX;

/// A link as it was found on a page, made absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub kind: Kind,
    pub to: Destination,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// On the site that is checked; `url` is the path there and, if it matters, the query.
    Here {
        url: String,
        fragment: Option<String>,
    },
    /// On another host, or of another scheme.
    Elsewhere,
    /// Not a URL at all.
    Invalid { text: String, why: String },
}

/// A target to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    pub id: Id,
    pub url: Arc<str>,
    /// Whether it is to be fetched and read; otherwise only its existence matters.
    pub read: bool,
}

/// What a visit found.
#[derive(Debug)]
pub enum Outcome {
    Page { anchors: Anchors, links: Vec<Link> },
    File,
    Redirect(Destination),
    Failed(String),
}

enum State {
    /// A page beyond the page budget, in `waiting`.
    Waiting,
    /// Handed out.
    Pending,
    Page {
        anchors: Anchors,
        refresh: Option<Id>,
    },
    File,
    Redirect(Id),
    External,
    Failed(Arc<str>),
}

struct Target {
    url: Arc<str>,
    state: State,
    /// How many redirects led here.
    redirects: u32,
    /// Holds a place in the page budget.
    budgeted: bool,
    /// Links that wait until the state of this target is known.
    links: Vec<Reference>,
}

struct Reference {
    from: Id,
    /// What was written there; redirects lead elsewhere.
    written: Id,
    fragment: Option<Box<str>>,
}

/// Why a place is broken, and the pages that link to it.
type Findings = (Arc<str>, Vec<Id>);

/// A broken link with all the pages that contain it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub url: String,
    pub why: String,
    /// Empty for a start page.
    pub linked_from: Vec<Arc<str>>,
}

/// The numbers of the report. `links` is the sum of all below it but `fragments`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub pages: usize,
    pub files: usize,
    pub links: u64,
    pub right: u64,
    pub broken: u64,
    pub external: u64,
    pub beyond_budget: u64,
    pub not_reached: u64,
    /// Links with a fragment that was looked up on its page.
    pub fragments: u64,
}

pub struct Ledger {
    max_pages: usize,
    budgeted: usize,
    ids: HashMap<Arc<str>, Id>,
    targets: Vec<Target>,
    waiting: VecDeque<Id>,
    broken: BTreeMap<(Id, Option<Box<str>>), Findings>,
    totals: Totals,
}

impl Ledger {
    pub fn new(max_pages: usize) -> Self {
        Ledger {
            max_pages,
            budgeted: 0,
            ids: HashMap::new(),
            targets: Vec::new(),
            waiting: VecDeque::new(),
            broken: BTreeMap::new(),
            totals: Totals::default(),
        }
    }

    /// Where to begin.
    pub fn start(&mut self, url: String, fragment: Option<String>) -> Vec<Visit> {
        let (kind, to) = (Kind::Page, Destination::Here { url, fragment });
        let mut visits = Vec::new();
        self.add_link(START, Link { kind, to }, &mut visits);
        visits
    }

    /// Whether a file that turns out to be a page may be read within the budget; if so, the place
    /// is taken.
    pub fn may_read(&mut self, id: Id) -> bool {
        self.take_place(id)
    }

    /// Enters what the visit of `id` found; returns what is to be visited now.
    pub fn enter(&mut self, id: Id, outcome: Outcome) -> Vec<Visit> {
        let mut visits = Vec::new();
        let is_page = matches!(outcome, Outcome::Page { .. });
        let state = match outcome {
            Outcome::Page { anchors, links } => {
                self.totals.pages += 1;
                let mut refresh = None;
                for link in links {
                    let is_refresh = link.kind == Kind::Refresh;
                    let target = self.add_link(id, link, &mut visits);
                    // A page that only reloads itself leads nowhere else.
                    refresh = refresh.or(target.filter(|to| is_refresh && *to != id));
                }
                State::Page { anchors, refresh }
            }
            Outcome::File => {
                self.totals.files += 1;
                State::File
            }
            Outcome::Redirect(to) => self.redirect(id, to, &mut visits),
            Outcome::Failed(why) => State::Failed(why.into()),
        };
        let target = &mut self.targets[id as usize];
        target.state = state;
        let links = std::mem::take(&mut target.links);
        // A place that was not needed after all goes to the next page that waits for one.
        if target.budgeted && !is_page {
            target.budgeted = false;
            self.budgeted -= 1;
            while let Some(&next) = self.waiting.front() {
                if !self.take_place(next) {
                    break;
                }
                self.waiting.pop_front();
                visits.push(self.hand_out(next, true));
            }
        }
        for link in links {
            self.settle(id, link);
        }
        visits
    }

    fn redirect(&mut self, from: Id, to: Destination, visits: &mut Vec<Visit>) -> State {
        let redirects = self.targets[from as usize].redirects + 1;
        match to {
            Destination::Here { .. } if redirects > MAX_REDIRECTS => {
                State::Failed(format!("more than {MAX_REDIRECTS} redirects").into())
            }
            Destination::Here { url, .. } => {
                State::Redirect(self.target(url, true, redirects, visits))
            }
            Destination::Elsewhere => State::External,
            Destination::Invalid { text, why } => {
                State::Failed(format!("redirects to `{text}`, {why}").into())
            }
        }
    }

    /// Adds one link; the target it leads to, if that is on this site.
    fn add_link(&mut self, from: Id, link: Link, visits: &mut Vec<Visit>) -> Option<Id> {
        self.totals.links += 1;
        let (target, fragment) = match link.to {
            Destination::Here { url, fragment } => {
                let read = link.kind != Kind::File;
                (self.target(url, read, 0, visits), fragment)
            }
            Destination::Elsewhere => {
                self.totals.external += 1;
                return None;
            }
            Destination::Invalid { text, why } => {
                let state = State::Failed(why.into());
                (self.insert(text.into(), state, 0), None)
            }
        };
        let reference = Reference {
            from,
            written: target,
            fragment: fragment.map(Into::into),
        };
        self.settle(target, reference);
        Some(target)
    }

    fn target(&mut self, url: String, read: bool, redirects: u32, visits: &mut Vec<Visit>) -> Id {
        if let Some(id) = self.ids.get(url.as_str()) {
            return *id;
        }
        let id = self.insert(url.into(), State::Waiting, redirects);
        if !read || self.take_place(id) {
            visits.push(self.hand_out(id, read));
        } else {
            self.waiting.push_back(id);
        }
        id
    }

    fn insert(&mut self, url: Arc<str>, state: State, redirects: u32) -> Id {
        if let Some(id) = self.ids.get(&url) {
            return *id;
        }
        let id = self.targets.len() as Id;
        self.ids.insert(url.clone(), id);
        self.targets.push(Target {
            url,
            state,
            redirects,
            budgeted: false,
            links: Vec::new(),
        });
        id
    }

    fn take_place(&mut self, id: Id) -> bool {
        let free = self.budgeted < self.max_pages;
        if free {
            self.budgeted += 1;
            self.targets[id as usize].budgeted = true;
        }
        free
    }

    fn hand_out(&mut self, id: Id, read: bool) -> Visit {
        let target = &mut self.targets[id as usize];
        target.state = State::Pending;
        let url = target.url.clone();
        Visit { id, url, read }
    }

    /// Counts a link, or keeps it with the target that decides about it.
    fn settle(&mut self, mut target: Id, link: Reference) {
        for _ in 0..=MAX_REDIRECTS {
            let at = &mut self.targets[target as usize];
            match &at.state {
                State::Waiting | State::Pending => return at.links.push(link),
                State::File => return self.totals.right += 1,
                State::External => return self.totals.external += 1,
                State::Redirect(to) => target = *to,
                State::Failed(why) => {
                    let why = why.clone();
                    return self.broken(link, why);
                }
                State::Page { anchors, refresh } => {
                    let Some(fragment) = &link.fragment else {
                        return self.totals.right += 1;
                    };
                    if anchors.resolves(fragment) {
                        self.totals.fragments += 1;
                        return self.totals.right += 1;
                    }
                    // Pages that only send their reader on take the fragment along.
                    let Some(to) = refresh else {
                        self.totals.fragments += 1;
                        let why = format!("no place `#{fragment}` on {}", at.url).into();
                        return self.broken(link, why);
                    };
                    target = *to;
                }
            }
        }
        self.broken(link, "redirects in a circle".into());
    }

    fn broken(&mut self, link: Reference, why: Arc<str>) {
        self.totals.broken += 1;
        let entry = self.broken.entry((link.written, link.fragment));
        let (_, from) = entry.or_insert_with(|| (why, Vec::new()));
        from.push(link.from);
    }

    /// The numbers now; `beyond_budget` and `not_reached` are those it would have if all stopped.
    pub fn totals(&self) -> Totals {
        let mut totals = self.totals;
        for target in &self.targets {
            match target.state {
                State::Waiting => totals.beyond_budget += target.links.len() as u64,
                State::Pending => totals.not_reached += target.links.len() as u64,
                _ => {}
            }
        }
        totals
    }

    /// Those numbers of [`totals`](Self::totals) that need no walk over all targets.
    pub fn counted(&self) -> Totals {
        self.totals
    }

    /// The broken links in the order in which their targets were found.
    pub fn broken_links(&self) -> Vec<Broken> {
        let url = |id: &Id| self.targets.get(*id as usize).map(|t| t.url.clone());
        let links = self.broken.iter();
        let listed = links.map(|((target, fragment), (why, from))| Broken {
            url: match fragment {
                Some(fragment) => format!("{}#{fragment}", self.targets[*target as usize].url),
                None => self.targets[*target as usize].url.to_string(),
            },
            why: why.to_string(),
            linked_from: from.iter().filter_map(url).collect(),
        });
        listed.collect()
    }

    /// What was handed out and never came back.
    pub fn not_reached(&self) -> Vec<Arc<str>> {
        let pending = |target: &&Target| matches!(target.state, State::Pending);
        let targets = self.targets.iter().filter(pending);
        targets.map(|target| target.url.clone()).collect()
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
