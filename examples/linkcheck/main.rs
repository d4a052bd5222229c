//! Checks the links of tens of thousands of pages, and shows that nobody is left behind.
//!
//! `cargo run --release --example linkcheck -- --help` tells the options and exit codes. Begin to
//! read with [`check`], which says who is a child of whom.

mod args;
mod census;
mod check;
mod client;
mod crawl;
mod html;
mod ledger;
mod report;
mod server;
mod site;
mod watch;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;

use args::{Args, Command, Source};
use check::Start;
use report::Report;

/// What a failed child or body of one of the groups returns. That a link is broken is no failure.
pub type Error = io::Error;

fn main() -> ExitCode {
    let args = std::env::args_os().skip(1);
    ExitCode::from(linkcheck(args, &mut io::stdout(), &mut io::stderr()))
}

/// The program; returns its exit code.
pub fn linkcheck(
    args: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    // Where nobody reads, nothing can be said: errors of writing are passed over.
    let args = match args::parse(args) {
        Ok(Command::Help) => {
            let _ = out.write_all(args::HELP.as_bytes());
            return 0;
        }
        Ok(Command::Check(args)) => args,
        Err(why) => {
            let _ = writeln!(err, "linkcheck: {why} (--help lists the options)");
            return 2;
        }
    };
    match run(&args, err) {
        Ok(report) => {
            let _ = write!(out, "{report}");
            report.exit_code(args.strict)
        }
        Err(why) => {
            let _ = writeln!(err, "linkcheck: {why}");
            2
        }
    }
}

fn run(args: &Args, err: &mut dyn Write) -> Result<Report, String> {
    let start = start(&args.source, err)?;
    // Opened first: it would be a pity to find out after the run.
    let json = match &args.json {
        Some(path) => Some((
            path,
            File::create(path).map_err(|e| named(path.display(), e))?,
        )),
        None => None,
    };
    let report = check::check(args, start).map_err(|e| e.to_string())?;
    if let Some((path, mut file)) = json {
        let written = writeln!(file, "{:#}", report.to_json());
        written.map_err(|e| named(path.display(), e))?;
    }
    Ok(report)
}

fn start(source: &Source, err: &mut dyn Write) -> Result<Start, String> {
    let folder = match source {
        Source::Url(url) => return Ok(Start::Url(url.clone())),
        Source::Folder(folder) => folder.clone(),
        Source::Installed => {
            let (folder, note) = site::documentation()?;
            if let Some(note) = note {
                let _ = writeln!(err, "linkcheck: {note}");
            }
            folder
        }
    };
    let pages = site::start_pages(&folder).map_err(|e| named(folder.display(), e))?;
    match pages.is_empty() {
        true => Err(format!("{}: there are no HTML pages", folder.display())),
        false => Ok(Start::Folder { folder, pages }),
    }
}

fn named(what: impl std::fmt::Display, error: io::Error) -> String {
    format!("{what}: {error}")
}
