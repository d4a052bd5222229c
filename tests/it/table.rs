//! The table of cases and rules in `README.md` names tests that exist.

use std::{collections::BTreeSet, fs, path::Path};

/// Collects the names of the test functions in a file, or in the files below a folder.
fn tests_in(path: &Path, names: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            tests_in(&entry.unwrap().path(), names);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let source = fs::read_to_string(path).unwrap();
        let mut lines = source.lines();
        while let Some(line) = lines.next() {
            if line.trim() == "#[test]" {
                let function = lines.find_map(|line| line.trim().strip_prefix("fn "));
                let name = function.unwrap().split('(').next().unwrap();
                names.insert(name.to_owned());
            }
        }
    }
}

#[test]
fn the_table_of_the_contract_names_tests_that_exist() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut tests = BTreeSet::new();
    tests_in(&folder, &mut tests);
    let table = fs::read_to_string(folder.join("it/README.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let numbers = rows
        .clone()
        .filter_map(|row| row.split(' ').nth(1)?.parse::<u32>().ok());
    assert!(numbers.eq((1..=44).chain(1..=32)), "44 cases and 32 rules");
    let cells = rows.filter_map(|row| row.split('|').nth(3));
    let named: BTreeSet<_> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(named.len() > 100, "the table was read: {}", named.len());
    let missing: Vec<_> = named
        .into_iter()
        .filter(|name| !tests.contains(*name))
        .collect();
    assert!(missing.is_empty(), "the table names no test: {missing:?}");
}
