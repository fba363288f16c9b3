//! The floors: who may import whom. The picture in `docs/architecture.md`, held.

use std::process::Command;

use sana_tests::source::{Crate, root};

/// For each floor of the engine, those it stands on. A floor may always name itself.
const FLOORS: [(&str, &[&str]); 8] = [
    ("base", &[]),
    ("machine", &["base"]),
    ("format", &["base"]),
    ("index", &["base", "format"]),
    ("namespace", &["base", "format", "index"]),
    ("fleet", &["base", "format"]),
    ("ops", &["base", "machine", "format", "index", "namespace", "fleet"]),
    ("service", &["base", "machine", "format", "index", "namespace", "fleet", "ops"]),
];

/// For each crate, those of ours it may depend on, for any purpose.
const CRATES: [(&str, &[&str]); 5] = [
    ("engine", &[]),
    ("runtime", &["sana-engine"]),
    ("sim", &["sana-engine"]),
    ("tests", &["sana-engine", "sana-runtime", "sana-sim"]),
    ("benches", &["sana-engine", "sana-runtime", "sana-sim"]),
];

/// Crates that would bring a runtime, HTTP, files, clocks, threads or entropy into the engine.
const IMPURE: [&str; 31] = [
    "async-io",
    "async-std",
    "chrono",
    "crossbeam",
    "fastrand",
    "fs2",
    "getrandom",
    "h2",
    "http",
    "hyper",
    "hyper-util",
    "jiff",
    "libc",
    "memmap2",
    "mio",
    "nix",
    "num_cpus",
    "object_store",
    "parking_lot",
    "quanta",
    "rand",
    "rayon",
    "reqwest",
    "rustix",
    "smol",
    "socket2",
    "tempfile",
    "time",
    "tokio",
    "ureq",
    "windows-sys",
];

fn is_floor(name: &str) -> bool {
    FLOORS.iter().any(|(floor, _)| *floor == name)
}

/// The modules a file stands in, from the root of its crate.
fn modules_of(path: &str) -> Vec<&str> {
    let inside = path.strip_prefix("engine/src/").unwrap_or(path);
    let inside = inside.trim_end_matches(".rs");
    inside.trim_end_matches("/mod").split('/').filter(|part| *part != "lib").collect()
}

/// The floor a path leads to, if it stays in the crate.
fn floor_named<'a>(file: &[&'a str], parts: &'a [String]) -> Option<&'a str> {
    let ups = parts.iter().take_while(|part| *part == "super").count();
    match parts.first().map(String::as_str) {
        Some("crate") => parts.get(1).map(String::as_str),
        Some("super") if ups < file.len() => file.first().copied(),
        Some("super") => parts.get(ups).map(String::as_str).filter(|name| is_floor(name)),
        _ => None,
    }
}

#[test]
fn each_floor_of_the_engine_names_only_those_below() {
    let mut found = Vec::new();
    for source in Crate::read("engine").sources.values() {
        let file = modules_of(&source.path);
        let Some(own) = file.first() else { continue };
        let Some((_, below)) = FLOORS.iter().find(|(floor, _)| floor == own) else {
            found.push(format!("{}:1 `{own}` is no floor: give it a row in FLOORS", source.path));
            continue;
        };
        for named in source.paths() {
            let Some(floor) = floor_named(&file, &named.parts) else { continue };
            if floor != *own && !below.contains(&floor) {
                let path = named.parts.join("::");
                found.push(format!("{}:{} {path}", source.path, named.line));
            }
        }
    }
    assert!(
        found.is_empty(),
        "these names look up or across; move what is shared down a floor, or pass it in\n  {}",
        found.join("\n  ")
    );
}

#[test]
fn our_crates_depend_one_way() {
    for (name, allowed) in CRATES {
        let path = root().join(name).join("Cargo.toml");
        let manifest = std::fs::read_to_string(&path).expect("every crate has a manifest");
        let dependencies = manifest.lines().filter_map(|line| {
            let word = line.split(['.', '=', ' ']).next()?;
            word.starts_with("sana-").then_some(word)
        });
        for dependency in dependencies {
            assert!(
                allowed.contains(&dependency),
                "{name}/Cargo.toml depends on {dependency}; it may depend on {allowed:?}"
            );
        }
    }
}

#[test]
fn the_engine_brings_no_runtime_http_file_or_clock_crate() {
    let text = tree("sana-engine", "normal");
    let names: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"sana-engine"), "cargo tree does not name the engine: {text}");
    let found: Vec<_> = names.iter().filter(|name| IMPURE.contains(name)).collect();
    assert!(found.is_empty(), "the engine must do without {found:?}:\n{text}");
}

#[test]
fn no_bug_is_planted_in_the_server() {
    let has_bugs = |package| tree(package, "normal,features").contains("\"planted\"");
    assert!(has_bugs("sana-sim"), "the simulator's bugs are not seen: the test looks at nothing");
    assert!(!has_bugs("sana-runtime"), "the server is built with the feature `planted`");
}

/// What a package is built of, as Cargo tells.
fn tree(package: &str, edges: &str) -> String {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", package, "-e", edges, "--prefix", "none"])
        .current_dir(root())
        .output()
        .expect("cargo runs, for it runs this test");
    let errors = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "cargo tree failed: {errors}");
    String::from_utf8_lossy(&tree.stdout).into_owned()
}
