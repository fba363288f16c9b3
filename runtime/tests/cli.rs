//! The binary as a person or a script uses it: every verb, good and bad input, exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sana_runtime::entropy;
use serde_json::{Value, json};

/// A folder for a store, which ends with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = place.join(format!("cli-{:032x}", entropy::seed()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sana"));
        command.args(arguments).env("SANA_STORE", self.store()).env_remove("SANA_API_KEY");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        // A command that fails early does not read all of it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// What a command prints that must succeed.
    fn told(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(code(&output), 0, "{arguments:?}: {}", errors(&output));
        printed(&output)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.told(arguments)).unwrap()
    }

    /// The error of a command that must end with this code.
    #[track_caller]
    fn refused(&self, expected: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(code(&output), expected, "{arguments:?}: {}", errors(&output));
        errors(&output)
    }

    /// Three documents in the namespace `shop`.
    fn shop() -> Self {
        let scratch = Self::new();
        let lines = "{\"id\":1,\"name\":\"chair\",\"price\":30}\n\
                     {\"id\":2,\"name\":\"table\",\"price\":80}\n\
                     {\"id\":3,\"name\":\"lamp\",\"price\":15}\n";
        let output = scratch.run_with(&["upsert", "shop"], lines);
        assert_eq!(code(&output), 0, "{}", errors(&output));
        assert!(printed(&output).starts_with("3 documents written to shop"));
        scratch
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The part of an object, of all in the store, whose name ends so.
fn file_ending(folder: &Path, end: &str) -> Option<PathBuf> {
    fs::read_dir(folder).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return file_ending(&path, end);
        }
        path.to_str().unwrap().ends_with(end).then_some(path)
    })
}

#[test]
fn without_a_command_it_says_what_to_do_next() {
    let scratch = Scratch::new();
    let said = scratch.refused(2, &[]);
    assert!(said.contains("What to do next") && said.contains("sana serve"), "{said}");
    let help = scratch.told(&["--help"]);
    assert!(help.contains("Exit codes:") && help.contains("Examples:"), "{help}");
    for verb in [
        "serve",
        "namespaces",
        "create",
        "get",
        "query",
        "upsert",
        "patch",
        "delete",
        "flush",
        "compact",
        "schema",
        "metadata",
        "recall",
        "inspect",
        "verify",
        "completions",
    ] {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb} is not in {help}");
        let help = scratch.told(&["help", verb]);
        let teaches = help.contains("Examples:") || ["serve", "completions"].contains(&verb);
        assert!(teaches, "{verb}: {help}");
    }
}

#[test]
fn a_wrong_command_line_is_code_2() {
    let scratch = Scratch::shop();
    for wrong in [
        &["no-such-verb"][..],
        &["get", "shop"],
        &["get", "bad name", "1"],
        &["query", "shop", "--filter", "[\"price\","],
        &["query", "shop", "-", "--limit", "3"],
        &["query", "shop", "--limit", "many"],
        &["delete", "shop"],
        &["delete", "shop", "1", "--all"],
        &["delete", "shop", "--all"],
        &["patch", "shop", "--filter", "[\"price\",\"Lt\",3]"],
        &["create", "x", "--schema", "[1]"],
        &["completions", "no-such-shell"],
        &["flush", "shop", "--wait", "soon"],
    ] {
        scratch.refused(2, wrong);
    }
    for wrong in [
        &["serve", "--api-key", ""][..],
        &["serve", "--log", "a=b=c"],
        &["serve", "--listen", "0.0.0.0:0"],
        &["serve", "--listen", "127.0.0.1:0", "--store", "ftp://x"],
        &["serve", "--listen", "127.0.0.1:0", "--store", "s3://"],
        &["query", "shop", "--store", "gopher://x"],
        &["query", "shop", "--store", "memory:x"],
    ] {
        scratch.refused(2, wrong);
    }
    assert_eq!(scratch.told(&["query", "shop"]).lines().count(), 4, "nothing was changed");
}

#[test]
fn what_is_not_there_is_code_3_and_looking_for_it_makes_nothing() {
    let scratch = Scratch::new();
    for verb in ["namespaces", "verify"] {
        let said = scratch.refused(3, &[verb]);
        assert!(said.contains("there is no store in") && said.contains("--store"), "{said}");
    }
    let delete = ["delete", "shop", "--all", "--yes"];
    for absent in [&["metadata", "shop"][..], &["get", "shop", "1"], &["flush", "shop"], &delete] {
        scratch.refused(3, absent);
    }
    assert!(!scratch.store().exists());
    let mut look = scratch.command(&["get", "shop", "1", "--store", "memory-x"]);
    assert_eq!(code(&look.current_dir(&scratch.0).output().unwrap()), 3);
    assert!(!scratch.0.join("memory-x").exists());
    let scratch = Scratch::shop();
    for absent in [
        &["metadata", "none"][..],
        &["schema", "none"],
        &["get", "none", "1"],
        &["query", "none"],
        &["recall", "none"],
        &["inspect", "none"],
        &["verify", "none"],
        &["flush", "none"],
        &["compact", "none"],
        &["delete", "none", "1"],
        &["delete", "none", "--all", "--yes"],
    ] {
        let said = scratch.refused(3, absent);
        assert!(said.contains("namespace 'none' was not found"), "{absent:?}: {said}");
    }
    assert_eq!(scratch.told(&["namespaces"]), "shop\n");
}

#[test]
fn namespaces_are_created_listed_described_and_deleted() {
    let scratch = Scratch::new();
    let schema = r#"{"vector":{"type":"[2]f32","ann":true},"tags":"[]string"}"#;
    let create =
        ["create", "docs", "--id", "string", "--schema", schema, "--metric", "cosine_distance"];
    assert!(scratch.told(&create).starts_with("docs is there"));
    scratch.told(&["create", "shop"]);
    assert_eq!(scratch.told(&["namespaces"]), "docs\nshop\n");
    assert_eq!(scratch.told(&["namespaces", "--prefix", "s"]), "shop\n");
    assert_eq!(scratch.json(&["namespaces", "--json"]), json!(["docs", "shop"]));
    let shown = scratch.json(&["schema", "docs", "--json"]);
    assert_eq!(shown["id"]["type"], "string");
    assert_eq!(shown["tags"]["type"], "[]string");
    let table = scratch.told(&["schema", "docs"]);
    assert!(table.contains("vector") && table.contains("[2]f32"), "{table}");
    let changed = scratch.json(&["schema", "shop", r#"{"price":"float"}"#, "--json"]);
    assert_eq!(changed["price"]["type"], "float");
    scratch.refused(4, &["schema", "shop", r#"{"price":"string"}"#]);
    scratch.refused(4, &["create", "x", "--id", "float"]);
    assert_eq!(scratch.json(&["metadata", "shop", "--json"])["schema"]["id"]["type"], "uint");
    assert!(scratch.told(&["metadata", "shop"]).contains("created_at"));
    assert!(scratch.told(&["delete", "docs", "--all", "--yes"]).contains("docs is deleted"));
    assert_eq!(scratch.told(&["namespaces"]), "shop\n");
}

#[test]
fn documents_are_written_changed_found_and_deleted() {
    let scratch = Scratch::shop();
    assert_eq!(scratch.told(&["get", "shop", "2"]), "{\"id\":2,\"name\":\"table\",\"price\":80}\n");
    let some = scratch.json(&["get", "shop", "3", "1", "--include", "name", "--json"]);
    assert_eq!(some, json!([{"id": 1, "name": "chair"}, {"id": 3, "name": "lamp"}]));
    let missing = scratch.refused(3, &["get", "shop", "1", "7"]);
    assert!(missing.contains("shop has no document 7"), "{missing}");
    scratch.refused(4, &["get", "shop", "chair"]);

    let patch = "{\"id\":1,\"price\":25}\n{\"id\":99,\"price\":1}\n";
    assert!(printed(&scratch.run_with(&["patch", "shop"], patch)).starts_with("1 documents"));
    let cheap =
        ["query", "shop", "--filter", r#"["price","Lt",30]"#, "--rank", r#"["price","desc"]"#];
    let table = scratch.told(&[&cheap[..], &["--include", "price,name"]].concat());
    let lines: Vec<Vec<&str>> =
        table.lines().map(|line| line.split_whitespace().collect()).collect();
    let expected = [vec!["id", "name", "price"], vec!["1", "chair", "25"], vec!["3", "lamp", "15"]];
    assert_eq!(lines, expected);
    let answer = scratch.json(&[&cheap[..], &["--limit", "1", "--json"]].concat());
    assert_eq!(answer["rows"], json!([{"id": 1}]));
    let figures = r#"{"n":["Count"],"sum":["Sum","price"]}"#;
    let answer = scratch.json(&["query", "shop", "--aggregate", figures, "--json"]);
    assert_eq!(answer["aggregations"], json!({"n": 3, "sum": 120}));
    let body = r#"{"limit":2,"include_attributes":["name"],"rank_by":["id","desc"]}"#;
    let whole = scratch.run_with(&["query", "shop", "-", "--json"], body);
    let whole: Value = serde_json::from_str(&printed(&whole)).unwrap();
    assert_eq!(whole["rows"][0], json!({"id": 3, "name": "lamp"}));
    assert_eq!(code(&scratch.run_with(&["query", "shop", "-"], "{")), 4);
    scratch.refused(4, &["query", "shop", "--filter", r#"["no","Eq",1]"#]);

    let set = ["patch", "shop", "--filter", r#"["price","Gt",20]"#, "--set", r#"{"sale":true}"#];
    assert!(scratch.told(&set).starts_with("2 documents"));
    let dear = ["delete", "shop", "--filter", r#"["name","Eq","none"]"#];
    assert!(scratch.told(&dear).starts_with("0 documents"));
    assert!(scratch.told(&["delete", "shop", "1", "3"]).starts_with("2 documents"));
    assert_eq!(scratch.told(&["query", "shop"]).lines().collect::<Vec<_>>(), ["id", "2"]);
}

#[test]
fn documents_are_found_under_every_spelling_of_their_uuid_and_strings_as_they_are() {
    let scratch = Scratch::new();
    scratch.told(&["create", "uuids", "--id", "uuid"]);
    let id = "769c134d-07b8-4225-954a-b6cc5ffc320c";
    let line = format!("{{\"id\":\"{id}\"}}\n");
    assert_eq!(code(&scratch.run_with(&["upsert", "uuids"], &line)), 0);
    for spelled in [id, "769C134D07B84225954AB6CC5FFC320C", &format!("urn:uuid:{id}")] {
        assert_eq!(scratch.told(&["get", "uuids", spelled]), line);
    }
    scratch.refused(4, &["get", "uuids", "chair"]);
    assert_eq!(code(&scratch.run_with(&["upsert", "texts"], "{\"id\":\"chair\"}\n")), 0);
    let missing = scratch.refused(3, &["get", "texts", "chair", "Chair"]);
    assert!(missing.contains("texts has no document Chair"), "{missing}");
}

#[test]
fn uploads_are_cut_into_batches_and_a_bad_line_says_where_to_go_on() {
    let scratch = Scratch::new();
    let line = |id: u32| format!("{{\"id\":{id},\"a\":{}}}\n", id % 7);
    let file = scratch.0.join("lines.jsonl");
    fs::write(&file, (1..=500).map(line).collect::<Vec<_>>().concat()).unwrap();
    let file = file.to_str().unwrap();
    let report = scratch.json(&["upsert", "many", file, "--batch-bytes", "1kB", "--json"]);
    assert_eq!((&report["rows_upserted"], &report["lines"]), (&json!(500), &json!(500)));
    assert!(report["requests"].as_u64().unwrap() > 5, "{report}");
    let repeated = format!("{}{}{}", line(1), "{\"id\":1,\"a\":70}\n", line(2));
    assert_eq!(code(&scratch.run_with(&["upsert", "many"], &repeated)), 0);
    assert_eq!(scratch.json(&["get", "many", "1"]), json!({"id": 1, "a": 70}));

    let broken = format!("{}{}{{\"id\":\n{}", line(600), line(601), line(602));
    let output = scratch.run_with(&["upsert", "many"], &broken);
    assert_eq!(code(&output), 4);
    let said = errors(&output);
    assert!(said.contains("--skip 2") && said.contains("line 3"), "{said}");
    assert_eq!(scratch.json(&["get", "many", "601"])["id"], 601);
    scratch.refused(3, &["get", "many", "602"]);
    let rest = broken.replace("{\"id\":\n", "{\"id\":603}\n");
    let output = scratch.run_with(&["upsert", "many", "--skip", "2", "--json"], &rest);
    let report: Value = serde_json::from_str(&printed(&output)).unwrap();
    assert_eq!((&report["rows_upserted"], &report["lines"]), (&json!(2), &json!(4)));

    let wrong = scratch.run_with(&["upsert", "many"], "{\"id\":\"text\"}\n");
    assert_eq!(code(&wrong), 4);
    assert!(errors(&wrong).contains("nothing was written"), "{}", errors(&wrong));
    scratch.refused(1, &["upsert", "many", "no/such/file"]);
}

#[test]
fn an_index_is_made_and_merged_on_demand_and_can_be_looked_at() {
    let scratch = Scratch::shop();
    let before = scratch.json(&["inspect", "shop", "--json"]);
    assert_eq!(before["log"]["entries"][0]["operations"], 3);
    let report = scratch.json(&["flush", "shop", "--json"]);
    assert_eq!(
        report,
        json!({"commits_indexed": 1, "segments_before": 0, "segments": 1, "documents": 3})
    );
    scratch.told(&["delete", "shop", "2"]);
    scratch.told(&["flush", "shop"]);
    let two = scratch.json(&["inspect", "shop", "--json"]);
    assert_eq!(two["segments"].as_array().unwrap().len(), 2);
    let report = scratch.json(&["compact", "shop", "--json"]);
    assert_eq!((&report["segments"], &report["documents"]), (&json!(1), &json!(2)));
    let one = scratch.json(&["inspect", "shop", "--json"]);
    assert_eq!(one["segments"][0]["rows"], 2);
    assert_eq!(one["log"]["entries"], json!([]));
    assert_eq!(one["trash"][0]["objects"].as_array().map(Vec::len), Some(2));
    let text = scratch.told(&["inspect", "shop"]);
    assert!(text.contains("segments: 1") && text.contains("heads/shop"), "{text}");
    assert_eq!(
        scratch.json(&["compact", "shop", "--json"])["segments"],
        1,
        "again changes nothing"
    );
    assert_eq!(scratch.json(&["recall", "shop", "--json"])["avg_recall"], 1.0);
    assert!(scratch.told(&["recall", "shop", "--num", "3"]).contains("avg_recall"));
}

#[test]
fn damage_is_found_and_named_with_code_5() {
    let scratch = Scratch::shop();
    scratch.told(&["flush", "shop"]);
    scratch.told(&["create", "other"]);
    assert!(scratch.told(&["verify"]).contains("shop: whole"));
    let reports = scratch.json(&["verify", "shop", "--json"]);
    assert_eq!((&reports[0]["whole"], &reports[0]["objects"]), (&json!(true), &json!(3)));
    let file = file_ending(&scratch.store(), ".segment@").unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let output = scratch.run(&["verify"]);
    assert_eq!(code(&output), 5, "{}", errors(&output));
    assert!(printed(&output).contains("other: whole"), "{}", printed(&output));
    assert!(printed(&output).contains("shop: DAMAGED"), "{}", printed(&output));
    assert!(printed(&output).contains(".segment"), "{}", printed(&output));
    let head = file_ending(&scratch.store(), "other@").unwrap();
    let bytes = fs::read(&head).unwrap();
    fs::write(&head, &bytes[..5_000]).unwrap();
    let output = scratch.run(&["verify", "other"]);
    assert_eq!(code(&output), 5, "a head that cannot be read: {}", errors(&output));
    assert!(printed(&output).contains("other: DAMAGED"), "{}", printed(&output));
    fs::write(&head, &bytes).unwrap();
    fs::remove_file(&file).unwrap();
    let output = scratch.run(&["verify", "shop", "--json"]);
    assert_eq!(code(&output), 5);
    let reports: Value = serde_json::from_str(&printed(&output)).unwrap();
    assert!(reports[0]["findings"][0].as_str().unwrap().contains("is not there"), "{reports}");
}

#[test]
fn who_stops_reading_gets_no_error() {
    let scratch = Scratch::new();
    let line = |id: u32| format!("{{\"id\":{id},\"text\":\"{id:0100}\"}}\n");
    let lines = (0..5_000).map(line).collect::<Vec<_>>().concat();
    assert_eq!(code(&scratch.run_with(&["upsert", "many"], &lines)), 0);
    let query = ["query", "many", "--limit", "5000", "--all-attributes"];
    let mut child = scratch.command(&query).spawn().unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), errors(&output)), (0, String::new()));
}

#[test]
fn a_server_whose_log_nobody_reads_stops_in_order() {
    let scratch = Scratch::new();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--store", "memory:", "--log", "trace"];
    let mut child = scratch.command(&serve).spawn().unwrap();
    drop(child.stderr.take());
    let mut greeting = [0; 10];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut greeting).unwrap();
    drop(stdout);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn shells_can_complete_every_verb() {
    let scratch = Scratch::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = scratch.told(&["completions", shell]);
        assert!(
            ["upsert", "verify", "--json"]
                .iter()
                .all(|word| script.contains(word.trim_start_matches('-'))),
            "{shell}"
        );
    }
}
