//! Records what [linkcheck](linkcheck/main.rs) does, and makes a page of it.
//!
//! `cargo run --features timeline --example timeline -- FOLDER` writes `timeline.json`, for
//! <https://ui.perfetto.dev>, and `timeline.html`, which needs nothing else, into that folder.

#[path = "linkcheck/main.rs"]
#[allow(dead_code, reason = "it has a `main` of its own")]
mod linkcheck;

use std::{
    env,
    fmt::Write as _,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use headcount::timeline;

const PAGES: usize = 120;

fn main() -> io::Result<()> {
    let folder = env::args_os()
        .nth(1)
        .map_or_else(PathBuf::new, PathBuf::from);
    for file in make(&folder)? {
        println!("wrote {}", file.display());
    }
    Ok(())
}

/// Writes both files, and says where they are.
pub fn make(folder: &Path) -> io::Result<[PathBuf; 2]> {
    let site = tempfile::tempdir()?;
    build_site(site.path())?;
    let [json, page] = ["timeline.json", "timeline.html"].map(|name| folder.join(name));

    let recording = timeline::record(File::create(&json)?)?;
    let mut report = Vec::new();
    let root = site.path().as_os_str();
    let arguments = ["--limit", "12", "--deadline", "5", "--root"].map(Into::into);
    let code = linkcheck::linkcheck(
        arguments.into_iter().chain([root.to_owned()]),
        &mut report,
        &mut io::stderr(),
    );
    recording.finish()?;
    let report = String::from_utf8_lossy(&report);
    if code != 0 || !report.contains("left behind: 0 ") {
        return Err(io::Error::other(format!("linkcheck: {code}\n{report}")));
    }

    timeline::html(File::open(&json)?, File::create(&page)?)?;
    Ok([json, page])
}

/// Pages of different lengths with links to each other; some lead nowhere.
fn build_site(folder: &Path) -> io::Result<()> {
    for number in 0..PAGES {
        let mut page = format!("<title>Page {number}</title>\n");
        for link in 0..12 {
            let to = (number * 7 + link * link + 1) % (PAGES + 2);
            _ = writeln!(
                page,
                "<h2 id=h{link}>Part {link}</h2><a href=page{to}.html#h{link}>next</a>"
            );
            page.push_str(&"<p>Words that somebody has to read. ".repeat(number * 13 % 700));
        }
        fs::write(folder.join(format!("page{number}.html")), page)?;
    }
    fs::write(
        folder.join("index.html"),
        "<a href=page0.html>All of it</a>",
    )
}
