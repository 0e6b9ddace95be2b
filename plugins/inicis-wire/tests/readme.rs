//! The README's table of options against the tests that it names.

use std::fs;
use std::path::Path;

#[test]
fn every_row_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = fs::read_to_string(root.join("plugins/inicis/README.md")).unwrap();
    let table = readme.split("## Options of a payment").nth(1).unwrap().split("Always sent:").next().unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 20, "{rows:?}");
    for row in rows {
        let last = row.trim_end_matches('|').rsplit(" | ").next().unwrap();
        let named: Vec<_> = last.split('`').filter_map(|word| word.split_once("::")).collect();
        assert!(!named.is_empty(), "no test shows: {row}");
        for (file, test) in named {
            let places = ["plugins/inicis-wire/tests", "tests/e2e/tests/it"];
            let found = places.iter().any(|place| {
                let source = fs::read_to_string(root.join(place).join(format!("{file}.rs")));
                source.is_ok_and(|source| source.contains(&format!("fn {test}(")))
            });
            assert!(found, "there is no test {file}::{test}: {row}");
        }
    }
}
