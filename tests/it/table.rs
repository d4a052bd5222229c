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

#[test]
fn the_book_for_users_of_asyncio_names_sections_tests_and_messages_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let book = fs::read_to_string(root.join("docs/from-asyncio.md")).unwrap();
    let mut tests = BTreeSet::new();
    tests_in(&root.join("tests"), &mut tests);
    let sections: BTreeSet<String> = book
        .lines()
        .filter_map(|line| line.strip_prefix("##"))
        .map(|title| title.trim_start_matches('#').trim().to_lowercase())
        .map(|title| {
            title
                .replace(' ', "-")
                .replace(['.', ',', ':', '/', '\''], "")
        })
        .collect();
    let links: Vec<_> = book
        .split("](#")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .collect();
    assert!(links.len() > 25, "links to sections: {}", links.len());
    for link in links {
        assert!(sections.contains(link), "no section has the name {link}");
    }
    let named: Vec<_> = book
        .split("test `")
        .skip(1)
        .filter_map(|rest| rest.split('`').next())
        .collect();
    assert!(named.len() > 3, "tests: {}", named.len());
    for name in named {
        assert!(tests.contains(name), "there is no test {name}");
    }
    let messages: BTreeSet<_> = book
        .split("`tests/ui/")
        .skip(1)
        .filter_map(|rest| rest.split(".rs`").next())
        .collect();
    assert!(messages.len() > 3, "messages: {}", messages.len());
    for name in messages {
        let message = fs::read_to_string(root.join(format!("tests/ui/{name}.stderr"))).unwrap();
        let quoted = name == "opening_unused" || book.contains(message.trim());
        assert!(
            quoted,
            "the page quotes another message than that of {name}"
        );
    }
}
