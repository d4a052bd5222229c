//! Every example, run as its readers run it: what it prints is what `tests/examples` says.
#![cfg(not(any(loom, shuttle)))]

use std::collections::BTreeSet;
use std::env::{self, consts::EXE_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes a test of each example, named like it, and the list of them.
macro_rules! prints_what_is_expected {
    ($($name:ident)*) => {
        mod prints_what_is_expected {
            $(#[test]
            fn $name() {
                super::check(stringify!($name));
            })*
        }
        const RUN_HERE: &[&str] = &[$(stringify!($name)),*];
    };
}

prints_what_is_expected! {
    bank_account chat_server cpu_and_io fetch_users graceful_shutdown happy_eyeballs hello_group
    producer_consumer rate_limited_client streams supervised_service
}

/// The output of one depends on what it is let loose on, the other needs a feature; they have tests of their own,
/// `tests/linkcheck.rs` and `tests/timeline_example.rs`.
const RUN_ELSEWHERE: &[&str] = &["linkcheck", "timeline"];

fn check(name: &str) {
    let program = built(name);
    let output = Command::new(&program)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{}\n{out}{err}", output.status);
    assert_eq!(err, "", "an example writes nothing to its standard error");
    let expected = folder("tests/examples").join(format!("{name}.txt"));
    let expected = fs::read_to_string(expected).unwrap();
    assert_eq!(without_measurements(&out), expected.replace("\r\n", "\n"));
}

/// The executable of an example. It is beside that of this test, and built by the same `cargo test`.
fn built(name: &str) -> PathBuf {
    let this = env::current_exe().unwrap();
    let profile = this.parent().and_then(Path::parent).unwrap();
    let program = profile.join("examples").join(format!("{name}{EXE_SUFFIX}"));
    assert!(
        program.exists(),
        "{} is not there: `cargo test` builds it, `cargo test --test examples` alone does not; run \
         `cargo build --examples` first",
        program.display()
    );
    program
}

/// Puts `#` for each number of seconds that was measured: the last two words of a line, as in `0.12 s`.
fn without_measurements(out: &str) -> String {
    let masked = out.lines().map(|line| {
        let seconds = line
            .strip_suffix(" s")
            .and_then(|rest| rest.rsplit_once(' '));
        match seconds {
            Some((what, number)) if number.parse::<f64>().is_ok() => format!("{what} # s\n"),
            _ => format!("{line}\n"),
        }
    });
    masked.collect()
}

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What cargo takes for an example: a file, or a folder with a `main.rs`.
fn examples() -> BTreeSet<String> {
    let entries = fs::read_dir(folder("examples")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| {
            path.extension().is_some_and(|is| is == "rs") || path.join("main.rs").exists()
        })
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_example_is_run_and_nothing_is_expected_of_one_that_is_gone() {
    let run = RUN_HERE.iter().chain(RUN_ELSEWHERE);
    assert_eq!(examples(), run.map(ToString::to_string).collect());
    let expected = fs::read_dir(folder("tests/examples")).unwrap();
    let expected = expected.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = RUN_HERE.iter().map(|name| format!("{name}.txt"));
    assert_eq!(expected.collect::<BTreeSet<_>>(), names.collect());
}

#[test]
fn every_example_has_a_row_in_the_index() {
    let index = fs::read_to_string(folder("examples/README.md")).unwrap();
    for name in examples() {
        let row = format!("| [{name}]({name}");
        let rows = index.lines().filter(|line| line.starts_with(&row)).count();
        assert_eq!(rows, 1, "rows that begin with `{row}`");
    }
}
