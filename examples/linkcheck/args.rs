//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use url::Url;

pub const HELP: &str = "\
Checks the links of HTML pages: each link and each #fragment, through real HTTP.

Usage: linkcheck [OPTIONS]

Without --root or --url it takes the documentation that the Rust toolchain installs, or else the
output of `cargo doc`. A folder is served on a loopback port for the time of the run.

Options:
      --root DIR       check the HTML pages of this folder
      --url URL        check the site at this http:// URL, from this page on
      --max-pages N    read at most N pages [default: 2000]
      --limit N        at most N requests at a time [default: 32]
      --timeout S      seconds for one request, its body included [default: 10]
      --retries N      repeat a request that fails in a passing way N times [default: 2]
      --deadline S     seconds for the whole run [default: 300]
      --grace S        seconds for the requests under way after Ctrl-C [default: 2]
      --json FILE      also write the report to this file, as JSON
      --strict         exit with 1 if there are broken links
      --watch          show what is running, as a tree on stderr, every half second
  -h, --help           print this

Links to other hosts and other schemes than http are counted, not checked. Links to pages beyond
--max-pages are counted as not checked, not as broken.

Ctrl-C (SIGINT, or SIGTERM) ends the run in order: no new request is begun, those under way have the
grace, and the report tells what was done. A second one cuts them at once.

Exit codes:
  0  the run was completed (broken links are reported, but see --strict)
  1  with --strict: there are broken links
  2  nothing could be checked: bad arguments, a folder that cannot be read, no page at the start
  3  children were left behind, or the two counts of them disagree: a bug in headcount
  4  the deadline came before the end; the report is partial
130  interrupted by a signal; the report is partial
";

/// How long requests under way may take once the run is interrupted.
const GRACE: Duration = Duration::from_secs(2);

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Help,
    Check(Args),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Args {
    pub source: Source,
    pub max_pages: usize,
    pub limit: usize,
    pub timeout: Duration,
    pub retries: u32,
    pub deadline: Duration,
    pub grace: Duration,
    pub json: Option<PathBuf>,
    pub strict: bool,
    pub watch: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The documentation on this machine.
    Installed,
    Folder(PathBuf),
    Url(Url),
}

impl Default for Args {
    fn default() -> Self {
        Args {
            source: Source::Installed,
            max_pages: 2000,
            limit: 32,
            timeout: Duration::from_secs(10),
            retries: 2,
            deadline: Duration::from_secs(300),
            grace: GRACE,
            json: None,
            strict: false,
            watch: false,
        }
    }
}

/// Reads the arguments after the program's name. The error is one line for the user.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    read(Parser::from_args(args)).map_err(|e| e.to_string())
}

fn read(mut parser: Parser) -> Result<Command, lexopt::Error> {
    let mut args = Args::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("root") => {
                let folder = PathBuf::from(parser.value()?);
                name_source(&mut args, Source::Folder(folder))?;
            }
            Arg::Long("url") => {
                let url = value(&mut parser, "--url", http_url)?;
                name_source(&mut args, Source::Url(url))?;
            }
            Arg::Long("max-pages") => args.max_pages = value(&mut parser, "--max-pages", positive)?,
            Arg::Long("limit") => args.limit = value(&mut parser, "--limit", positive)?,
            Arg::Long("timeout") => args.timeout = value(&mut parser, "--timeout", seconds)?,
            Arg::Long("retries") => args.retries = value(&mut parser, "--retries", whole)?,
            Arg::Long("deadline") => args.deadline = value(&mut parser, "--deadline", seconds)?,
            Arg::Long("grace") => args.grace = value(&mut parser, "--grace", seconds)?,
            Arg::Long("json") => args.json = Some(parser.value()?.into()),
            Arg::Long("strict") => args.strict = true,
            Arg::Long("watch") => args.watch = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Check(args))
}

/// The value of an option, read by `read`; the error says which option it is about.
fn value<T>(
    parser: &mut Parser,
    option: &str,
    read: fn(&str) -> Result<T, String>,
) -> Result<T, lexopt::Error> {
    let text = parser.value()?.string()?;
    read(&text).map_err(|why| format!("{option} {text}: {why}").into())
}

fn name_source(args: &mut Args, source: Source) -> Result<(), String> {
    if args.source != Source::Installed {
        return Err("name only one folder or URL to check".into());
    }
    args.source = source;
    Ok(())
}

fn whole<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| "not a whole number".into())
}

fn positive(text: &str) -> Result<usize, String> {
    match whole(text)? {
        0 => Err("must be at least 1".into()),
        n => Ok(n),
    }
}

/// The longest time that is taken: nobody waits longer, and sums of times stay within bounds.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time.min(LONGEST)),
        _ => Err("not a positive number of seconds".into()),
    }
}

fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| e.to_string())?;
    match url.scheme() {
        "http" => Ok(url),
        "https" => Err("https is not supported, only http".into()),
        other => Err(format!("the scheme is `{other}`, not http")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Command, String> {
        parse(text.split_whitespace().map(OsString::from))
    }

    #[test]
    fn without_arguments_the_defaults_hold() {
        assert_eq!(parse_text(""), Ok(Command::Check(Args::default())));
    }

    #[test]
    fn each_option_is_read() {
        let text = "--root docs --max-pages=7 --limit 3 --timeout .5 --retries 0 --deadline 1e3 \
                    --grace 60 --json out.json --strict --watch";
        let expected = Args {
            source: Source::Folder("docs".into()),
            max_pages: 7,
            limit: 3,
            timeout: Duration::from_millis(500),
            retries: 0,
            deadline: Duration::from_secs(1000),
            grace: Duration::from_secs(60),
            json: Some("out.json".into()),
            strict: true,
            watch: true,
        };
        assert_eq!(parse_text(text), Ok(Command::Check(expected)));
        let url = Source::Url(Url::parse("http://localhost:8000/a").unwrap());
        let parsed = parse_text("--url http://localhost:8000/a");
        assert!(matches!(parsed, Ok(Command::Check(args)) if args.source == url));
        assert_eq!(parse_text("--strict -h --nonsense"), Ok(Command::Help));
    }

    #[test]
    fn bad_arguments_are_told_in_one_line() {
        for (text, part) in [
            ("--nonsense", "--nonsense"),
            ("docs", "docs"),
            ("--root", "--root"),
            ("--root a --url http://b", "only one"),
            ("--limit 0", "--limit 0: must be at least 1"),
            ("--max-pages -3", "whole number"),
            ("--retries many", "whole number"),
            ("--timeout 0", "positive"),
            ("--timeout -1", "positive"),
            ("--deadline NaN", "positive"),
            ("--grace 0", "positive"),
            ("--deadline soon", "number of seconds"),
            ("--url ftp://a", "`ftp`"),
            ("--url https://a", "https is not supported"),
            ("--url a/b", "relative URL"),
            ("--strict=yes", "yes"),
        ] {
            let error = parse_text(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains('\n'), "{text}: {error}");
        }
    }
}
