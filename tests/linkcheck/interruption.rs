//! linkcheck, interrupted by real signals in the middle of a request: in a process of its own, for
//! which the test starts its own executable again.

use std::env;
use std::io::{self, BufRead, BufReader};
use std::process::{self, Child, ChildStderr, Command, Stdio};

use super::*;

const ARGS: &str = "HEADCOUNT_LINKCHECK_ARGS";

/// A process that runs linkcheck.
pub struct Run {
    process: Child,
    pub err: BufReader<ChildStderr>,
}

impl Run {
    /// Starts linkcheck with `args`; in the process where it is to run, this call runs it and ends
    /// the process. `test` is the path of the calling test.
    pub fn of(test: &str, args: &[&str]) -> Run {
        if let Ok(args) = env::var(ARGS) {
            // The harness may have begun a line.
            println!();
            let (args, out, err) = (args.lines(), &mut io::stdout(), &mut io::stderr());
            process::exit(linkcheck::linkcheck(args.map(Into::into), out, err).into());
        }
        let mut process = Command::new(env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(ARGS, args.join("\n"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let err = BufReader::new(process.stderr.take().unwrap());
        Run { process, err }
    }

    fn signal(&self, signal: &str) {
        let process = self.process.id().to_string();
        let kill = Command::new("kill").args([signal, &process]).status();
        assert!(kill.unwrap().success());
    }

    /// Returns once the process says that it has taken notice.
    fn takes_notice(&mut self) {
        let mut line = String::new();
        self.err.read_line(&mut line).unwrap();
        assert!(line.starts_with("linkcheck: interrupted"), "{line}");
    }

    pub fn end(mut self) -> Ended {
        let mut err = String::new();
        self.err.read_to_string(&mut err).unwrap();
        let output = self.process.wait_with_output().unwrap();
        Ended {
            code: output.status.code().unwrap().try_into().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err,
        }
    }
}

/// The answer that is a page with these links.
pub fn page(links: &[&str]) -> String {
    let links = links.iter().map(|to| format!("<a href={to}></a>"));
    let body: String = links.collect();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length:";
    format!("{head} {}\r\n\r\n{body}", body.len())
}

/// Starts linkcheck against a site whose start page links to `slow.html` and to `other.html`, and
/// returns the connection on which the first of the two has been asked for. One request at a time.
fn start(test: &str, grace: &str) -> (Run, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let args = ["--url", &url, "--limit", "1", "--timeout", "100"];
    let test = format!("interruption::{test}");
    let run = Run::of(&test, &[&args[..], &["--grace", grace]].concat());
    let mut stream = listener.accept().unwrap().0;
    answer(&mut stream, &page(&["slow.html", "other.html"]));
    let mut request = [0; 1024];
    let length = stream.read(&mut request).unwrap();
    assert!(request[..length].starts_with(b"GET /slow.html "));
    (run, stream)
}

#[test]
fn the_request_under_way_is_finished_and_no_other_is_begun() {
    let (mut run, mut stream) = start(
        "the_request_under_way_is_finished_and_no_other_is_begun",
        "1000",
    );
    run.signal("-INT");
    run.takes_notice();
    stream.write_all(page(&["third.html"]).as_bytes()).unwrap();
    until_closed(stream);
    let ended = run.end();
    ended.ends_with(130).leaves_nobody();
    ended.says("INTERRUPTED by a signal; not looked at: 2 targets");
    ended.says("    /other.html").says("    /third.html");
    ended.says("pages        2, and 0 other files");
    ended.says("  unknown    2 (not reached before the signal)");
    assert!(!ended.out.contains("were cut"), "{}", ended.out);
}

#[test]
fn a_request_that_outlasts_the_grace_is_cut() {
    let (run, stream) = start("a_request_that_outlasts_the_grace_is_cut", "0.1");
    run.signal("-TERM");
    until_closed(stream);
    let ended = run.end();
    ended.ends_with(130).leaves_nobody();
    ended.says("INTERRUPTED by a signal; not looked at: 2 targets");
    ended.says("requests under way were cut: the grace of the shutdown has ended");
    ended.says("pages        1, and 0 other files");
}

#[test]
fn a_second_signal_cuts_the_request_under_way_however_long_the_grace() {
    let (mut run, stream) = start(
        "a_second_signal_cuts_the_request_under_way_however_long_the_grace",
        "1000",
    );
    run.signal("-INT");
    run.takes_notice();
    run.signal("-INT");
    until_closed(stream);
    let ended = run.end();
    ended.ends_with(130).leaves_nobody();
    ended.says("INTERRUPTED by a signal; not looked at: 2 targets");
    ended.says("requests under way were cut: on request (by `signals`): SIGINT");
    ended.says("pages        1, and 0 other files");
}
