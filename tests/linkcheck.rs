//! The example `linkcheck` as its users meet it: arguments in, report, error and exit code out.
//! The unit tests of its modules run here too.
#![cfg(all(unix, not(loom)))]

#[path = "../examples/linkcheck/main.rs"]
#[allow(dead_code)]
mod linkcheck;

#[path = "linkcheck/interruption.rs"]
mod interruption;

#[path = "linkcheck/watching.rs"]
mod watching;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;

struct Ended {
    code: u8,
    out: String,
    err: String,
}

impl Ended {
    #[track_caller]
    fn says(&self, line: &str) -> &Self {
        let Ended { code, out, err } = self;
        let said = out.lines().chain(err.lines()).any(|l| l == line);
        assert!(said, "no line `{line}`; code {code}\n{out}\n{err}");
        self
    }

    #[track_caller]
    fn ends_with(&self, code: u8) -> &Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }

    /// A run that took place says, whatever it found, that nobody is left.
    #[track_caller]
    fn leaves_nobody(&self) -> &Self {
        self.says("left behind: 0 (kernel 0, drop guards 0)")
    }
}

fn linkcheck(args: &[&str]) -> Ended {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = linkcheck::linkcheck(args.iter().map(|arg| arg.into()), &mut out, &mut err);
    let [out, err] = [out, err].map(|text| String::from_utf8(text).unwrap());
    Ended { code, out, err }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder with these files in it.
fn site(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// A server that treats the connections that come with one of `handlers` each. Joining its thread
/// waits until all of them are done.
fn server<const N: usize>(handlers: [fn(TcpStream); N]) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        for handler in handlers {
            handler(listener.accept().unwrap().0);
        }
    });
    (url, thread)
}

/// Reads until the client closes the connection: a client that leaks it makes the test hang.
fn until_closed(mut stream: TcpStream) {
    let mut bytes = [0; 1024];
    while matches!(stream.read(&mut bytes), Ok(1..)) {}
}

fn answer(stream: &mut TcpStream, text: &str) {
    let mut request = [0; 1024];
    assert!(stream.read(&mut request).unwrap() > 0);
    stream.write_all(text.as_bytes()).unwrap();
}

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\nx";
const ENDLESS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n";

#[test]
fn a_small_site_is_checked_in_full() {
    let folder = site(&[
        (
            "index.html",
            br#"<link rel=stylesheet href=style.css><img src=gone.png><p id=start>
            <a href=ok.html>1</a><a href=ok.html#here>2</a><a href=ok.html#gone>3</a>
            <a href=missing.html>4</a><a href=latin1.html>5</a><a href=sub>6</a>
            <a href="https://www.example.org/">7</a><a href="http://[">8</a><a href="?q#top">9</a>"#,
        ),
        (
            "ok.html",
            b"<p id=here><a href=missing.html></a><a href=moved.html#start></a>",
        ),
        (
            "moved.html",
            b"<meta http-equiv=refresh content='0; url=index.html'>",
        ),
        ("latin1.html", b"<p>caf\xe9"),
        ("sub/index.html", b"<a href=../index.html#start></a>"),
        ("style.css", b"p {}"),
    ]);
    let json = folder.path().join("report.json");
    let root = text(folder.path());
    let ended = linkcheck(&["--root", root, "--json", text(&json)]);
    ended.ends_with(0).leaves_nobody();
    for line in [
        "broken: /ok.html#gone: no place `#gone` on /ok.html",
        "broken: /missing.html: 404 Not Found",
        "    linked from /ok.html",
        "broken: /latin1.html: not UTF-8 (from byte 6 on)",
        "broken: /gone.png: 404 Not Found",
        "broken: http://[: not a URL: invalid IPv6 address",
        "pages        4, and 1 other files",
        "links        16",
        "  right      9 (#fragments looked up: 5)",
        "  broken     6 (to 5 places)",
        "  elsewhere  1 (not checked: other hosts and schemes)",
    ] {
        ended.says(line);
    }
    linkcheck(&["--root", root, "--strict"]).ends_with(1);

    let json = fs::read_to_string(json).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["links"]["all"], 16);
    assert_eq!(json["broken"].as_array().unwrap().len(), 5);
    assert_eq!(json["left_behind"]["kernel"], 0);
}

#[test]
fn links_to_pages_beyond_the_budget_are_not_broken() {
    let folder = site(&[
        ("index.html", b"<a href=a.html></a><a href=b.html></a>"),
        ("a.html", b"<a href=nowhere.html></a>"),
    ]);
    let ended = linkcheck(&[
        "--root",
        text(folder.path()),
        "--max-pages",
        "1",
        "--strict",
    ]);
    ended.ends_with(0).leaves_nobody();
    ended.says("  beyond     2 (not checked: page budget, see --max-pages)");
}

#[test]
fn no_more_children_are_at_work_than_the_limit_allows() {
    let links: String = (0..60).map(|n| format!("<a href={n}.html></a>")).collect();
    let folder = site(&[("index.html", links.as_bytes())]);
    let json = folder.path().join("report.json");
    let args = ["--limit", "3", "--json", text(&json), "--root"];
    let ended = linkcheck(&[&args[..], &[text(folder.path())]].concat());
    ended.ends_with(0).leaves_nobody();
    ended.says("  broken     60 (to 60 places)");
    let json = fs::read_to_string(json).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let children = &json["children"];
    let working = children["peak_working"].as_u64().unwrap();
    assert!((1..=3).contains(&working), "{children}");
    // All of them are spawned by the one child that reads the start page.
    assert!(children["peak_living"].as_u64().unwrap() > 60, "{children}");
}

#[test]
fn bad_arguments_are_told_and_nothing_is_run() {
    for (args, line) in [
        (&["--limit", "0"][..], "--limit 0"),
        (&["--url", "https://localhost/"], "https is not supported"),
        (&["docs"], "docs"),
    ] {
        let ended = linkcheck(args);
        ended.ends_with(2);
        assert!(ended.err.starts_with("linkcheck: "), "{}", ended.err);
        assert!(ended.err.contains(line), "{}", ended.err);
        assert_eq!((ended.err.lines().count(), &*ended.out), (1, ""));
    }
    let help = linkcheck(&["--help"]);
    help.ends_with(0).says("Exit codes:");
}

#[test]
fn a_root_that_cannot_be_read_is_told() {
    let folder = site(&[("page.html", b""), ("empty/note.txt", b"")]);
    // Not even the superuser may read this one.
    std::os::unix::fs::symlink("circle", folder.path().join("circle")).unwrap();
    for name in ["absent", "page.html", "circle"] {
        let path = folder.path().join(name);
        let why = fs::read_dir(&path).unwrap_err();
        let line = format!("linkcheck: {}: {why}", path.display());
        linkcheck(&["--root", text(&path)]).ends_with(2).says(&line);
    }
    let path = folder.path().join("empty");
    let line = format!("linkcheck: {}: there are no HTML pages", path.display());
    linkcheck(&["--root", text(&path)]).ends_with(2).says(&line);
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_the_run() {
    let folder = site(&[("index.html", b"")]);
    let json = folder.path().join("absent/report.json");
    let ended = linkcheck(&["--root", text(folder.path()), "--json", text(&json)]);
    let why = fs::File::create(&json).unwrap_err();
    let line = format!("linkcheck: {}: {why}", json.display());
    ended.ends_with(2).says(&line);
    assert_eq!(ended.out, "");
}

#[test]
fn a_refused_connection_is_tried_again_and_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let why = TcpStream::connect(address).unwrap_err();
    let ended = linkcheck(&["--url", &format!("http://{address}/"), "--retries", "1"]);
    ended.ends_with(2).leaves_nobody();
    ended.says(&format!("broken: /: {why} (2 attempts)"));
    ended.says("    the start page");
}

#[test]
fn a_request_that_fails_in_a_passing_way_is_repeated() {
    let (url, thread) = server([
        |_| {},
        |mut stream| {
            answer(
                &mut stream,
                "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            )
        },
        |mut stream| {
            answer(&mut stream, PAGE);
            until_closed(stream);
        },
    ]);
    let ended = linkcheck(&["--url", &url]);
    ended.ends_with(0).leaves_nobody();
    ended.says("pages        1, and 0 other files");
    thread.join().unwrap();
}

#[test]
fn a_page_that_never_comes_is_given_up_and_its_connection_closed() {
    let (url, thread) = server([until_closed]);
    let ended = linkcheck(&["--url", &url, "--retries", "0", "--timeout", "0.3"]);
    ended.ends_with(2).leaves_nobody();
    ended.says("broken: /: no answer within 300ms");
    thread.join().unwrap();
}

#[test]
fn a_page_that_stops_half_way_is_given_up_and_its_connection_closed() {
    let (url, thread) = server([|mut stream| {
        answer(&mut stream, &format!("{ENDLESS}half"));
        until_closed(stream);
    }]);
    let ended = linkcheck(&["--url", &url, "--retries", "0", "--timeout", "1"]);
    ended.ends_with(2).leaves_nobody();
    ended.says("broken: /: did not end within 1s (4 bytes came)");
    thread.join().unwrap();
}

#[test]
fn a_page_that_never_ends_is_given_up_and_its_connection_closed() {
    let (url, thread) = server([|mut stream| {
        answer(&mut stream, ENDLESS);
        while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
    }]);
    let ended = linkcheck(&["--url", &url, "--retries", "0"]);
    ended.ends_with(2).leaves_nobody();
    ended.says("broken: /: too large, or it never ends: more than 20 MiB");
    thread.join().unwrap();
}

#[test]
fn the_deadline_ends_the_run_with_a_partial_report() {
    let (url, thread) = server([|mut stream| {
        let body = "<a href=slow.html></a><a href=slow.html#x></a>";
        let length = body.len();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length:";
        answer(&mut stream, &format!("{head} {length}\r\n\r\n{body}"));
        until_closed(stream);
    }]);
    let ended = linkcheck(&["--url", &url, "--deadline", "1"]);
    ended.ends_with(4).leaves_nobody();
    ended.says("DEADLINE of 1s reached; not looked at: 1 targets");
    ended.says("    /slow.html");
    ended.says("pages        1, and 0 other files");
    ended.says("  unknown    2 (not reached before the deadline)");
    thread.join().unwrap();
}
