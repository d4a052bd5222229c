//! linkcheck with `--watch`, in a process of its own, since it writes to the real stderr.

use std::io::BufRead;

use super::interruption::{Run, page};
use super::*;

/// The page that is asked for last has its answer once the tree has shown who waits for it.
#[test]
fn the_tree_shows_the_page_that_a_request_waits_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let test = "watching::the_tree_shows_the_page_that_a_request_waits_for";
    let args = ["--watch", "--url", &url, "--limit", "1", "--timeout", "100"];
    let mut run = Run::of(test, &args);
    let mut stream = listener.accept().unwrap().0;
    answer(&mut stream, &page(&["slow.html"]));
    let mut request = [0; 1024];
    let length = stream.read(&mut request).unwrap();
    assert!(request[..length].starts_with(b"GET /slow.html "));

    let mut tree = String::new();
    let waits = |line: &str| line.contains("task `/slow.html` at ") && line.contains(": waiting");
    while !tree.lines().any(waits) {
        let read = run.err.read_line(&mut tree).unwrap();
        assert!(read > 0, "it has ended\n{tree}");
    }
    for part in [
        "run `linkcheck` at ",
        "group `crawl` at ",
        "task `client connection",
        "1 at a time",
    ] {
        assert!(tree.contains(part), "no `{part}` in\n{tree}");
    }
    stream.write_all(page(&[]).as_bytes()).unwrap();
    until_closed(stream);
    run.end().ends_with(0).leaves_nobody();
    // On a terminal only.
    assert!(!tree.contains('\x1b'), "{tree}");
}
