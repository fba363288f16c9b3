//! Runs that once broke something, made short, do not any more: one file each, in `traces`.
//!
//! `sana-sim shrink SEED --test sim/tests/traces/NAME.txt` adds one. A trace tells decisions by their
//! places; where the world asks for others, what is told in vain is calm. So a trace may come to mean
//! less than it did, and never something wrong.

use std::fs;
use std::path::Path;

use sana_sim::story::Story;
use sana_sim::trace::Trace;

/// The files, by name, and the trace of each: what is no comment.
fn traces() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let entries = fs::read_dir(folder).expect("the folder of traces is there");
    let mut traces: Vec<(String, String)> = entries
        .map(|entry| {
            let path = entry.expect("the folder can be read").path();
            let text = fs::read_to_string(&path).expect("a trace can be read");
            let trace = text.lines().find(|line| !line.starts_with('#')).unwrap_or_default();
            (
                path.file_name().expect("a file has a name").to_string_lossy().into_owned(),
                trace.to_owned(),
            )
        })
        .collect();
    traces.sort_unstable();
    traces
}

#[test]
fn runs_that_broke_something_do_not_any_more() {
    let traces = traces();
    assert!(!traces.is_empty());
    for (name, text) in traces {
        let trace: Trace = text.parse().unwrap_or_else(|wrong| {
            panic!("{name}: {wrong}; shrink its failure anew with the fix taken out, or delete it")
        });
        let broken = trace.run(Story::silent()).broken;
        assert_eq!(broken, None, "{name}; `sana-sim replay {text}` tells it");
    }
}
