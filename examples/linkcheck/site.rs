//! What is checked: a folder of HTML, or a site that somebody else serves.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use url::{Position, Url};

use super::ledger::Destination;

/// The documentation to check when none is named, and what to say about the choice.
pub fn documentation() -> Result<(PathBuf, Option<String>), String> {
    let toolchain = toolchain_documentation();
    if let Ok(folder) = &toolchain {
        if folder.is_dir() {
            return Ok((folder.clone(), None));
        }
    }
    let missing = match toolchain {
        Ok(folder) => format!(
            "the Rust documentation is not installed ({} is missing)",
            folder.display()
        ),
        Err(why) => format!("the Rust documentation was not found ({why})"),
    };
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let own = target.join("doc");
    if own.is_dir() {
        let note = format!("{missing}; checking {} instead", own.display());
        return Ok((own, Some(note)));
    }
    Err(format!(
        "{missing}, and neither is there the output of `cargo doc` in {}: \
         install the `rust-docs` component, run `cargo doc`, or name a folder with --root",
        own.display()
    ))
}

fn toolchain_documentation() -> Result<PathBuf, String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(&rustc).args(["--print", "sysroot"]).output();
    let output =
        output.map_err(|e| format!("`{}` does not run: {e}", Path::new(&rustc).display()))?;
    if !output.status.success() {
        return Err(format!(
            "`rustc --print sysroot` ended with {}",
            output.status
        ));
    }
    let sysroot = String::from_utf8_lossy(&output.stdout);
    Ok(Path::new(sysroot.trim_end()).join("share/doc/rust/html"))
}

/// The paths at which a crawl of `folder` begins: its `index.html`; in the output of `cargo doc`,
/// which has none of its own, that of each crate; else all its pages.
pub fn start_pages(folder: &Path) -> io::Result<Vec<String>> {
    let mut pages = Vec::new();
    let mut indexes = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if path.join("index.html").is_file() {
            indexes.push(format!("{name}/index.html"));
        } else if name.ends_with(".html") {
            pages.push(name.to_owned());
        }
    }
    let mut starts = if pages.iter().any(|page| page == "index.html") {
        vec!["index.html".to_owned()]
    } else if !indexes.is_empty() {
        indexes
    } else {
        pages
    };
    starts.sort();
    Ok(starts)
}

/// Decides which links stay on the site, and when two of them mean the same page.
#[derive(Clone, Debug)]
pub struct Site {
    origin: Url,
    /// Plain files: a query changes nothing, and a folder means its `index.html`.
    files: bool,
}

impl Site {
    /// A site of plain files at this origin.
    pub fn of_files(origin: Url) -> Self {
        let files = true;
        Site { origin, files }
    }

    /// Whatever is served at the host of this URL.
    pub fn at(url: &Url) -> Self {
        let mut origin = url.clone();
        origin.set_path("/");
        origin.set_query(None);
        origin.set_fragment(None);
        let files = false;
        Site { origin, files }
    }

    pub fn origin(&self) -> &Url {
        &self.origin
    }

    /// The full URL of what [`Destination::Here`] names by its path.
    pub fn url(&self, path: &str) -> Result<Url, url::ParseError> {
        self.origin.join(path)
    }

    /// Where a link leads that is written on a page (or in a `Location`) with this base.
    pub fn destination(&self, base: &Url, link: &str) -> Destination {
        let mut url = match base.join(link) {
            Ok(url) => url,
            Err(why) => {
                return Destination::Invalid {
                    text: link.to_owned(),
                    why: format!("not a URL: {why}"),
                };
            }
        };
        if url.origin() != self.origin.origin() {
            return Destination::Elsewhere;
        }
        if self.files {
            url.set_query(None);
            if url.path().ends_with('/') {
                url.set_path(&format!("{}index.html", url.path()));
            }
        }
        Destination::Here {
            url: url[Position::BeforePath..Position::AfterQuery].to_owned(),
            fragment: url.fragment().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(url: &str, fragment: Option<&str>) -> Destination {
        Destination::Here {
            url: url.to_owned(),
            fragment: fragment.map(str::to_owned),
        }
    }

    #[test]
    fn links_are_resolved_against_the_page_they_are_on() {
        let base = Url::parse("http://127.0.0.1:80/a/b.html?q").unwrap();
        let site = Site::at(&base);
        let to = |link| site.destination(&base, link);
        assert_eq!(to("c.html#x"), here("/a/c.html", Some("x")));
        assert_eq!(to("../d/?q=1"), here("/d/?q=1", None));
        assert_eq!(to("#é"), here("/a/b.html?q", Some("%C3%A9")));
        assert_eq!(to("//127.0.0.1/e"), here("/e", None));
    }

    #[test]
    fn other_hosts_ports_and_schemes_are_elsewhere() {
        let base = Url::parse("http://127.0.0.1:8000/").unwrap();
        let site = Site::of_files(base.clone());
        for link in [
            "https://127.0.0.1:8000/",
            "http://127.0.0.1/",
            "//localhost:8000/",
            "mailto:a@b.example",
            "javascript:void(0)",
            "data:,x",
            "file:///a",
        ] {
            assert_eq!(site.destination(&base, link), Destination::Elsewhere);
        }
        let invalid = site.destination(&base, "http://[");
        assert!(matches!(invalid, Destination::Invalid { .. }));
    }

    #[test]
    fn for_plain_files_a_query_changes_nothing_and_a_folder_is_its_index() {
        let base = Url::parse("http://127.0.0.1:8000/std/vec/index.html").unwrap();
        let site = Site::of_files(base.clone());
        let to = |link| site.destination(&base, link);
        assert_eq!(to("?search=x"), here("/std/vec/index.html", None));
        assert_eq!(to("../#y"), here("/std/index.html", Some("y")));
    }

    #[test]
    fn a_folder_without_an_index_starts_at_those_of_its_subfolders_or_at_all_its_pages() {
        let folder = tempfile::tempdir().unwrap();
        let add = |path: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        let starts = || start_pages(folder.path()).unwrap();
        assert_eq!(starts(), Vec::<String>::new());
        add("b.html");
        add("a.html");
        add("note.txt");
        assert_eq!(starts(), ["a.html", "b.html"]);
        add("krate/index.html");
        assert_eq!(starts(), ["krate/index.html"]);
        add("index.html");
        assert_eq!(starts(), ["index.html"]);
    }
}
