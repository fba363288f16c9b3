//! Tidiness of the sources, for style that no machine checks is an opinion.
//!
//! Each rule names the file and the line, and says what to do. What is over a limit may stand in
//! [`RATCHET`] with its number, which may only shrink.

use std::fs;
use std::sync::LazyLock;

use sana_tests::source::{Crate, Source, files_below, files_ending, root};

/// Lines of production code in a file. A file beyond it holds more than one concept.
const FILE_LINES_MAX: usize = 500;
/// Lines of code in a function, from `fn` to its last brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Assertions per thousand lines of functions in the floors that decide what happens to data.
const ASSERTIONS_PER_KLOC_MIN: usize = 15;

/// What is over a limit: the file, the function (empty: the file itself) and its lines. A number
/// here follows its file down and never up; an entry goes when its limit is kept.
const RATCHET: [(&str, &str, usize); 0] = [];

/// Our crates whose code is shipped or decides what is proven.
static CRATES: LazyLock<Vec<(&str, Crate)>> = LazyLock::new(|| {
    ["engine", "runtime", "sim"].into_iter().map(|name| (name, Crate::read(name))).collect()
});

fn sources() -> impl Iterator<Item = &'static Source> {
    CRATES.iter().flat_map(|(_, sources)| sources.sources.values())
}

fn engine() -> impl Iterator<Item = &'static Source> {
    sources().filter(|source| source.path.starts_with("engine/"))
}

/// Every file of Rust in the repository, shipped or not.
fn all_rust() -> Vec<Source> {
    files_ending("", "rs").iter().map(|path| Source::read(path)).collect()
}

/// Fails with all that was found, and with what to do about it.
#[track_caller]
fn none(found: &[String], what_to_do: &str) {
    assert!(found.is_empty(), "{what_to_do}\n  {}", found.join("\n  "));
}

/// Whether `code` holds `word` with no letter, digit or underscore beside it.
fn has_word(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back().is_some_and(part);
        let after = code[at + word.len()..].chars().next().is_some_and(part);
        !(before && word.starts_with(part) || after && word.ends_with(part))
    })
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let silent = |source: &Source| {
        let first = source.lines.iter().find(|line| !line.text.trim().is_empty());
        first.is_none_or(|line| !line.text.starts_with("//!"))
    };
    let found: Vec<_> = all_rust()
        .iter()
        .filter(|source| silent(source))
        .map(|source| format!("{}:1", source.path))
        .collect();
    none(&found, "open the file with `//!`: one sentence on what it is for");
}

#[test]
fn files_and_functions_are_short() {
    let mut long = Vec::new();
    let mut measured = Vec::new();
    for source in sources() {
        measured.push((&*source.path, String::new(), 1, source.production_lines(), FILE_LINES_MAX));
        for function in source.functions() {
            let lines = function.code_lines;
            measured.push((&*source.path, function.name, function.line, lines, FUNCTION_LINES_MAX));
        }
    }
    for (path, name, line, lines, most) in &measured {
        let allowed = RATCHET.iter().find(|entry| entry.0 == *path && entry.1 == name);
        match allowed {
            None if lines > most => long.push(format!("{path}:{line} {name}: {lines} > {most}")),
            Some((.., held)) if lines > held => {
                long.push(format!(
                    "{path}:{line} {name}: {lines} > {held}, and the ratchet only shrinks"
                ));
            }
            Some((.., held)) if lines < held => {
                long.push(format!(
                    "{path}:{line} {name}: {lines} now: say so in RATCHET, or drop it"
                ));
            }
            _ => {}
        }
    }
    for (path, name, _) in &RATCHET {
        if !measured.iter().any(|entry| entry.0 == *path && entry.1 == *name) {
            long.push(format!("{path} {name}: gone: drop it from RATCHET"));
        }
    }
    none(&long, "split by concept: lines of code per file and per function are limited");
}

#[test]
fn the_engine_does_not_unwrap_and_defines_no_macros() {
    let mut found = Vec::new();
    for source in engine() {
        for (number, line) in source.production() {
            for banned in [concat!(".unwrap", "()"), concat!("macro_", "rules!")] {
                if line.code.contains(banned) {
                    found.push(format!("{}:{number} {banned}", source.path));
                }
            }
        }
    }
    none(&found, "return an error, or `expect` with the reason it cannot happen; write functions");
}

#[test]
fn nothing_is_left_to_be_done_later() {
    let banned = [
        concat!("to", "do!"),
        concat!("unimple", "mented!"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("#[ig", "nore"),
        concat!("allow(dead", "_code)"),
    ];
    let mut found = Vec::new();
    for source in all_rust() {
        for (at, line) in source.lines.iter().enumerate() {
            for word in banned.iter().filter(|word| has_word(&line.text, word)) {
                found.push(format!("{}:{} {word}", source.path, at + 1));
            }
        }
    }
    none(&found, "do it now, or take it out and file an issue");
}

#[test]
fn the_engine_names_nothing_impure() {
    let words =
        ["Instant", "SystemTime", "HashMap", "HashSet", "RandomState", "tokio", "async_std"];
    let modules = ["thread", "fs", "net", "env", "process", "io"];
    let mut found = Vec::new();
    for source in engine() {
        for named in source.paths() {
            let [first, second, ..] = &*named.parts else { continue };
            let of_std = first == "std" && modules.contains(&&**second);
            if of_std || matches!(&**first, "rand" | "getrandom" | "libc") {
                found.push(format!("{}:{} {}", source.path, named.line, named.parts.join("::")));
            }
        }
        for (number, line) in source.production() {
            for word in words.iter().filter(|word| has_word(&line.code, word)) {
                found.push(format!("{}:{number} {word}", source.path));
            }
        }
    }
    none(
        &found,
        "time, entropy and configuration are arguments; maps are `BTreeMap`; I/O is a round",
    );
}

#[test]
fn what_decides_about_data_asserts_what_it_believes() {
    let floors = ["engine/src/ops/", "engine/src/namespace/", "engine/src/fleet/"];
    let (mut lines, mut assertions) = (0, 0);
    for source in
        engine().filter(|source| floors.iter().any(|floor| source.path.starts_with(floor)))
    {
        lines += source.functions().iter().map(|function| function.code_lines).sum::<usize>();
        let counted = source.production().filter(|(_, line)| {
            ["assert!", "assert_eq!", "assert_ne!"].iter().any(|word| line.code.contains(word))
        });
        assertions += counted.count();
    }
    assert!(
        assertions * 1000 >= lines * ASSERTIONS_PER_KLOC_MIN,
        "{assertions} assertions in {lines} lines of ops, namespace and fleet: at least \
         {ASSERTIONS_PER_KLOC_MIN} per thousand. Assert what the head must satisfy where it is made"
    );
}

#[test]
fn every_source_is_reached_by_a_mod() {
    let dead: Vec<_> = CRATES.iter().flat_map(|(_, sources)| sources.dead.clone()).collect();
    none(&dead, "no `mod` reaches these files: name them in their parent, or delete them");
}

/// The files a person reads or a tool runs, with their text. What cargo writes is not ours.
fn texts() -> Vec<(String, String)> {
    let names = files_below("").into_iter().filter(|path| !path.ends_with("Cargo.lock"));
    let read = |path: String| Some((path.clone(), fs::read_to_string(root().join(path)).ok()?));
    names.filter_map(read).collect()
}

#[test]
fn the_tree_names_no_machine_and_no_package_host() {
    let folders = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let hosts = [
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("python", "hosted"),
        concat!("npm", "js"),
        concat!("proxy.go", "lang"),
        concat!("deb.deb", "ian"),
    ];
    let mut found = Vec::new();
    for (path, text) in texts() {
        for (at, line) in text.lines().enumerate() {
            // A folder of that name inside another path is no place on a machine.
            let absolute = |folder: &&&str| {
                line.match_indices(**folder).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    before.is_none_or(|c| !c.is_alphanumeric() && !"._-/}$".contains(c))
                })
            };
            let words =
                folders.iter().filter(absolute).chain(hosts.iter().filter(|h| line.contains(**h)));
            found.extend(words.map(|word| format!("{path}:{} {word}", at + 1)));
        }
    }
    none(&found, "say it without the place: paths from the root of the repository, names of tools");
}

#[test]
fn the_documentation_points_at_files_that_exist() {
    let mut found = Vec::new();
    for path in files_ending("", "md") {
        let text = fs::read_to_string(root().join(&path)).expect("documentation is text");
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (at, line) in text.lines().enumerate() {
            let links = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
            let links = links.filter(|link| !link.is_empty() && !link.contains("://"));
            for link in links.filter(|link| !root().join(folder).join(link).exists()) {
                found.push(format!("{path}:{} links to {link}", at + 1));
            }
            for name in line.split('`').skip(1).step_by(2).filter(|name| is_path(name)) {
                if !root().join(name).exists() {
                    found.push(format!("{path}:{} names {name}", at + 1));
                }
            }
        }
    }
    none(&found, "the file is not there: correct the name");
}

/// Whether a word in backticks is the path of a file or folder of ours.
fn is_path(word: &str) -> bool {
    let tops = ["engine/", "runtime/", "sim/", "tests/", "benches/", "docs/", "fuzz/", ".ci/"];
    tops.iter().any(|top| word.starts_with(top)) && !word.contains([' ', '*', '<', '{', '…', ','])
}
