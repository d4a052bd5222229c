//! The example `timeline`: what it writes is a record by the rules, with all of linkcheck's children. In a
//! program of its own, since it records all that goes on in one.
#![cfg(all(unix, not(any(loom, shuttle))))]

#[path = "../examples/timeline.rs"]
#[allow(dead_code)]
mod example;
#[path = "timeline/record.rs"]
#[allow(dead_code)]
mod record;

use std::fs;

#[test]
fn what_the_example_writes_is_complete_and_by_the_rules() {
    let folder = tempfile::tempdir().unwrap();
    let [json, page] = example::make(folder.path()).unwrap();
    let record = record::Record::read(&fs::read(json).unwrap());
    let crawl = record.named("crawl").pid;
    // A page each, and the two that are not there.
    let children = record.of("child").filter(|child| child.pid == crawl);
    assert!(children.count() >= 120);
    for slice in record.of("child").chain(record.of("boundary")) {
        assert_ne!(slice.outcome(), "unfinished", "{slice:?}");
    }
    assert!(
        !record.marks.is_empty(),
        "the run ends by cancelling its server"
    );
    let page = fs::read_to_string(page).unwrap();
    assert!(page.len() > 100_000);
}
