//! What comes out: the report for people and the one for programs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::census::{LeftBehind, Peaks};
use super::ledger::{Broken, Totals};

/// How much of a list the report for people shows; the JSON has all of it.
const SHOWN: usize = 50;
const SHOWN_PAGES: usize = 3;

/// What ended a run before it came to its end.
#[derive(Clone, Debug)]
pub enum Interruption {
    /// This deadline.
    Deadline(Duration),
    /// SIGINT or SIGTERM. If requests under way were cut, with the reason.
    Signal { cut: Option<String> },
}

/// All about one run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The folder, if one was served.
    pub checked: Option<String>,
    pub origin: String,
    pub totals: Totals,
    pub broken: Vec<Broken>,
    /// Paths that were due and not looked at when the run was interrupted.
    pub not_reached: Vec<Arc<str>>,
    pub interruption: Option<Interruption>,
    pub requests: u64,
    pub elapsed: Duration,
    pub peaks: Peaks,
    pub left_behind: LeftBehind,
}

impl Report {
    /// As `--help` lists them.
    pub fn exit_code(&self, strict: bool) -> u8 {
        if !self.left_behind.nobody() {
            return 3;
        }
        match self.interruption {
            // What a shell tells of a program that SIGINT ended.
            Some(Interruption::Signal { .. }) => 130,
            Some(Interruption::Deadline(_)) => 4,
            None if self.totals.pages == 0 => 2,
            None if strict && self.totals.broken > 0 => 1,
            None => 0,
        }
    }

    fn requests_a_second(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    pub fn to_json(&self) -> Value {
        let totals = &self.totals;
        let broken = self.broken.iter().map(|link| {
            let from = link.linked_from.iter().map(|page| &**page);
            json!({ "url": link.url, "why": link.why, "linked_from": from.collect::<Vec<_>>() })
        });
        let not_reached = self.not_reached.iter().map(|path| &**path);
        let groups = self.peaks.groups.iter();
        let groups = groups.map(|(name, peak)| json!({ "name": name, "peak": peak }));
        json!({
            "folder": self.checked,
            "origin": self.origin,
            "pages": totals.pages,
            "files": totals.files,
            "links": {
                "all": totals.links,
                "right": totals.right,
                "broken": totals.broken,
                "external": totals.external,
                "beyond_page_budget": totals.beyond_budget,
                "not_reached": totals.not_reached,
                "fragments_looked_up": totals.fragments,
            },
            "broken": broken.collect::<Vec<_>>(),
            "deadline_reached": matches!(self.interruption, Some(Interruption::Deadline(_))),
            "interrupted_by_signal": matches!(self.interruption, Some(Interruption::Signal { .. })),
            "not_reached": not_reached.collect::<Vec<_>>(),
            "requests": self.requests,
            "seconds": self.elapsed.as_secs_f64(),
            "requests_a_second": self.requests_a_second(),
            "children": {
                "spawned": self.peaks.spawned,
                "peak_living": self.peaks.living,
                "peak_working": self.peaks.working,
                "groups": groups.collect::<Vec<_>>(),
            },
            "left_behind": {
                "kernel": self.left_behind.kernel,
                "drop_guards": self.left_behind.guards,
            },
        })
    }

    fn write_broken(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for link in self.broken.iter().take(SHOWN) {
            writeln!(f, "broken: {}: {}", link.url, link.why)?;
            for page in link.linked_from.iter().take(SHOWN_PAGES) {
                writeln!(f, "    linked from {page}")?;
            }
            match link.linked_from.len() {
                0 => writeln!(f, "    the start page")?,
                n if n > SHOWN_PAGES => writeln!(f, "    and {} more", n - SHOWN_PAGES)?,
                _ => {}
            }
        }
        if self.broken.len() > SHOWN {
            let more = self.broken.len() - SHOWN;
            writeln!(f, "and {more} more (--json FILE writes all of them)")?;
        }
        Ok(())
    }

    fn write_interruption(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(interruption) = &self.interruption else {
            return Ok(());
        };
        match interruption {
            Interruption::Deadline(deadline) => write!(f, "DEADLINE of {deadline:?} reached")?,
            Interruption::Signal { .. } => f.write_str("INTERRUPTED by a signal")?,
        }
        let count = self.not_reached.len();
        writeln!(f, "; not looked at: {count} targets")?;
        for path in self.not_reached.iter().take(SHOWN_PAGES) {
            writeln!(f, "    {path}")?;
        }
        if count > SHOWN_PAGES {
            writeln!(f, "    and {} more", count - SHOWN_PAGES)?;
        }
        if let Interruption::Signal { cut: Some(why) } = interruption {
            writeln!(f, "requests under way were cut: {why}")?;
        }
        Ok(())
    }

    fn write_numbers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = &self.totals;
        match &self.checked {
            Some(folder) => writeln!(f, "checked      {folder}, served at {}", self.origin)?,
            None => writeln!(f, "checked      {}", self.origin)?,
        }
        writeln!(
            f,
            "pages        {}, and {} other files",
            totals.pages, totals.files
        )?;
        writeln!(f, "links        {}", totals.links)?;
        let (right, fragments) = (totals.right, totals.fragments);
        writeln!(
            f,
            "  right      {right} (#fragments looked up: {fragments})"
        )?;
        let places = self.broken.len();
        writeln!(f, "  broken     {} (to {places} places)", totals.broken)?;
        writeln!(
            f,
            "  elsewhere  {} (not checked: other hosts and schemes)",
            totals.external
        )?;
        if totals.beyond_budget > 0 {
            let beyond = totals.beyond_budget;
            writeln!(
                f,
                "  beyond     {beyond} (not checked: page budget, see --max-pages)"
            )?;
        }
        if totals.not_reached > 0 {
            let end = match self.interruption {
                Some(Interruption::Signal { .. }) => "signal",
                _ => "deadline",
            };
            writeln!(
                f,
                "  unknown    {} (not reached before the {end})",
                totals.not_reached
            )?;
        }
        let (seconds, rate) = (self.elapsed.as_secs_f64(), self.requests_a_second());
        writeln!(
            f,
            "requests     {} in {seconds:.2} s, {rate:.0} a second",
            self.requests
        )?;
        let Peaks {
            spawned,
            living,
            working,
            groups,
        } = &self.peaks;
        writeln!(
            f,
            "children     {spawned} spawned, at most {working} of the crawl at work at a time"
        )?;
        let groups: Vec<_> = groups
            .iter()
            .map(|(name, peak)| format!("{name} {peak}"))
            .collect();
        let groups = groups.join(", ");
        writeln!(
            f,
            "peak of living children: {living} (queued ones included; by group: {groups})"
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_broken(f)?;
        self.write_interruption(f)?;
        self.write_numbers(f)?;
        let LeftBehind { kernel, guards } = self.left_behind;
        let left = kernel.max(guards);
        writeln!(
            f,
            "left behind: {left} (kernel {kernel}, drop guards {guards})"
        )?;
        if kernel != guards {
            writeln!(f, "THE COUNTS DISAGREE: this is a bug in headcount")?;
        } else if left > 0 {
            writeln!(f, "CHILDREN WERE LEFT BEHIND: this is a bug in headcount")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            checked: None,
            origin: "http://127.0.0.1:8000/".into(),
            totals: Totals {
                pages: 2,
                links: 3,
                right: 2,
                broken: 1,
                ..Totals::default()
            },
            broken: vec![Broken {
                url: "/a.html#x".into(),
                why: "no place `#x` on /a.html".into(),
                linked_from: (0..5).map(|n| format!("/{n}.html").into()).collect(),
            }],
            not_reached: Vec::new(),
            interruption: None,
            requests: 4,
            elapsed: Duration::from_secs(2),
            peaks: Peaks {
                spawned: 6,
                living: 5,
                working: 2,
                groups: vec![("crawl", 3)],
            },
            left_behind: LeftBehind {
                kernel: 0,
                guards: 0,
            },
        }
    }

    #[test]
    fn the_report_says_what_is_broken_and_where_it_is_linked_from() {
        let text = report().to_string();
        for line in [
            "broken: /a.html#x: no place `#x` on /a.html",
            "    linked from /2.html",
            "    and 2 more",
            "requests     4 in 2.00 s, 2 a second",
            "left behind: 0 (kernel 0, drop guards 0)",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }

    #[test]
    fn the_exit_code_tells_the_gravest_thing() {
        let mut report = report();
        assert_eq!((report.exit_code(false), report.exit_code(true)), (0, 1));
        report.totals.pages = 0;
        assert_eq!(report.exit_code(true), 2);
        report.interruption = Some(Interruption::Deadline(Duration::from_secs(1)));
        assert_eq!(report.exit_code(true), 4);
        report.interruption = Some(Interruption::Signal { cut: None });
        assert_eq!(report.exit_code(true), 130);
        report.left_behind.guards = 1;
        assert_eq!(report.exit_code(true), 3);
    }

    #[test]
    fn counts_that_disagree_and_children_left_behind_are_loud() {
        let mut report = report();
        report.left_behind.kernel = 2;
        let text = report.to_string();
        assert!(text.contains("left behind: 2 (kernel 2, drop guards 0)\nTHE COUNTS DISAGREE"));
        report.left_behind.guards = 2;
        assert!(report.to_string().contains("\nCHILDREN WERE LEFT BEHIND"));
    }

    #[test]
    fn the_json_has_all_pages_that_link_to_a_broken_place() {
        let json = report().to_json();
        assert_eq!(
            json["broken"][0]["linked_from"].as_array().unwrap().len(),
            5
        );
        assert_eq!(json["left_behind"]["drop_guards"], 0);
    }
}
