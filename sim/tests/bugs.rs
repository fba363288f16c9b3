//! The pages of bugs found are complete, and their list names each.

use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bugs")
}

/// The pages, by the names of their files.
fn pages() -> Vec<(String, String)> {
    let entries = fs::read_dir(folder()).expect("there are bugs");
    let paths = entries.map(|entry| entry.expect("the folder can be read").path());
    let mut pages: Vec<(String, String)> = paths
        .map(|path| {
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("a page can be read"))
        })
        .filter(|(name, _)| name != "README.md")
        .collect();
    pages.sort_unstable();
    pages
}

#[test]
fn every_page_says_what_it_was_how_it_was_found_and_what_was_done() {
    for (name, page) in pages() {
        let number = name.split('-').next().unwrap_or_default();
        assert!(page.starts_with(&format!("# {number}: ")), "{name} opens with its number");
        for part in ["**What.**", "**Found**", "**Story.**", "**Fix.**"] {
            assert!(page.contains(&format!("\n\n{part}")), "{name} has no paragraph {part}");
        }
    }
}

#[test]
fn the_list_of_bugs_names_each_once_with_its_title() {
    let list = fs::read_to_string(folder().join("README.md")).unwrap();
    let listed: Vec<&str> = list.lines().filter(|line| line.starts_with("- [")).collect();
    let expected: Vec<String> = pages()
        .iter()
        .map(|(name, page)| {
            let title = page.lines().next().unwrap_or_default().trim_start_matches("# ");
            let (number, title) = title.split_once(": ").unwrap_or_default();
            format!("- [{number}]({name}): {title}")
        })
        .collect();
    assert_eq!(listed, expected, "docs/bugs/README.md has a line for each page, in their order");
}
