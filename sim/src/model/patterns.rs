//! The patterns of the workload, each with what it means in plain words: no pattern is compiled.

use sana_engine::namespace::request::Operator;

/// Every pattern that the workload has, and how it is asked.
pub const ALL: [(Operator, &str); 8] = [
    (Operator::Glob, "text *"),
    (Operator::Glob, "*[13]"),
    (Operator::NotGlob, "text ?"),
    (Operator::IGlob, "TEXT 2"),
    (Operator::NotIGlob, "Te*4"),
    (Operator::Regex, "^text [0-2]$"),
    (Operator::Regex, "x"),
    (Operator::Regex, "(1|4)$"),
];

/// Whether a pattern matches a text, complements taken for what they complement.
///
/// # Panics
///
/// If the workload has no such pattern.
pub fn matches(pattern: &str, text: &str) -> bool {
    let last = text.chars().next_back();
    let rest = text.strip_prefix("text ");
    match pattern {
        "text *" => rest.is_some(),
        "*[13]" => matches!(last, Some('1' | '3')),
        "text ?" => rest.is_some_and(|rest| rest.chars().count() == 1),
        "TEXT 2" => text.to_lowercase() == "text 2",
        "Te*4" => text.to_lowercase().starts_with("te") && last == Some('4'),
        "^text [0-2]$" => matches!(rest, Some("0" | "1" | "2")),
        "x" => text.contains('x'),
        "(1|4)$" => matches!(last, Some('1' | '4')),
        other => panic!("the workload has no pattern '{other}'"),
    }
}
