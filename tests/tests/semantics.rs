//! Every decision in `docs/semantics.md` has a test, and the page names one that exists.

use std::fs;

use sana_tests::source::{files_ending, root};

#[test]
fn every_decision_names_a_test_that_exists() {
    let page = fs::read_to_string(root().join("docs/semantics.md")).expect("the page is there");
    let sources: Vec<String> = ["rs", "py"]
        .into_iter()
        .flat_map(|ending| files_ending("", ending))
        .map(|path| fs::read_to_string(root().join(path)).expect("sources are text"))
        .collect();
    let mut decisions = 0;
    let mut missing = Vec::new();
    for (at, line) in page.lines().enumerate().filter(|(_, line)| line.starts_with("| ")) {
        let last = line.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default().trim();
        if last == "test" {
            continue;
        }
        decisions += 1;
        let name = last.trim_matches('`');
        let named = |source: &String| {
            source.contains(&format!("fn {name}(")) || source.contains(&format!("def {name}("))
        };
        if !sources.iter().any(named) {
            missing.push(format!("docs/semantics.md:{} {last}", at + 1));
        }
    }
    assert!(decisions > 30, "the page was not read: {decisions} decisions");
    assert!(missing.is_empty(), "no such test:\n  {}", missing.join("\n  "));
}
