//! Reads our own sources, for the tests that hold the rules of the house.
//!
//! This is no parser of Rust. It knows comments, strings, braces, `mod x;`, `fn` and paths, which is
//! enough to count lines, to find the end of a function and to see who names whom. What it cannot
//! see (a macro that hides a path) the house does not allow.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
///
/// # Panics
///
/// If this crate does not lie in a folder.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the crate lies in the workspace").to_path_buf()
}

/// Every file below `folder` of the repository, by its path from the root, in the order of the
/// names. Build products, stores, and what version control keeps are left out.
///
/// # Panics
///
/// If a folder cannot be read.
pub fn files_below(folder: &str) -> Vec<String> {
    const SKIPPED: [&str; 8] = [
        "target",
        ".git",
        "venv",
        "work",
        "artifacts",
        "sana-data",
        "__pycache__",
        ".pytest_cache",
    ];
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
        for entry in entries {
            let path = entry.expect("a listed entry can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if SKIPPED.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(from_root(&path));
            }
        }
    }
    found.sort();
    found
}

/// The files below `folder` whose names end in `.` and `ending`.
///
/// # Panics
///
/// If a folder cannot be read.
pub fn files_ending(folder: &str, ending: &str) -> Vec<String> {
    let ends = |path: &String| Path::new(path).extension().is_some_and(|found| found == ending);
    files_below(folder).into_iter().filter(ends).collect()
}

fn from_root(path: &Path) -> String {
    let root = root();
    path.strip_prefix(&root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// One line of a source.
#[derive(Clone, Debug)]
pub struct Line {
    /// As it stands in the file.
    pub text: String,
    /// Without comments and without what stands between quotes.
    pub code: String,
    /// Whether it belongs to the build that is shipped.
    pub production: bool,
}

impl Line {
    /// Whether it counts as a line of production code: not blank, not a comment, not a test.
    pub fn counts(&self) -> bool {
        self.production && !self.code.trim().is_empty()
    }
}

/// One file of Rust.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path from the root of the repository.
    pub path: String,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// A function with a body.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line it begins in, counted from one.
    pub line: usize,
    /// How many lines of code it has, from `fn` to its last brace.
    pub code_lines: usize,
}

/// A path such as `crate::base::id`, somewhere in the code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// The line, counted from one.
    pub line: usize,
    /// The parts between the colons.
    pub parts: Vec<String>,
}

impl Source {
    /// Reads the file at `path`, from the root of the repository.
    ///
    /// # Panics
    ///
    /// If it cannot be read.
    pub fn read(path: &str) -> Self {
        let text = fs::read_to_string(root().join(path))
            .unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
        Self::parse(path, &text)
    }

    /// Takes `text` as the file at `path`.
    pub fn parse(path: &str, text: &str) -> Self {
        let code = code_of(text);
        let tests = test_lines(&code);
        let both = text.lines().zip(code.lines()).enumerate();
        let lines = both
            .map(|(at, (text, code))| Line {
                text: text.into(),
                code: code.into(),
                production: !tests.contains(&at),
            })
            .collect();
        Self { path: path.into(), lines }
    }

    /// The lines that belong to the shipped build, with their numbers, counted from one.
    pub fn production(&self) -> impl Iterator<Item = (usize, &Line)> {
        let numbered = self.lines.iter().enumerate().map(|(at, line)| (at + 1, line));
        numbered.filter(|(_, line)| line.production)
    }

    /// How many lines of production code there are.
    pub fn production_lines(&self) -> usize {
        self.lines.iter().filter(|line| line.counts()).count()
    }

    /// The functions of the production code.
    pub fn functions(&self) -> Vec<Function> {
        let code = self.production_code();
        let mut functions = Vec::new();
        for (at, word) in words(&code) {
            if word != "fn" {
                continue;
            }
            let name: String = code[at + 2..]
                .trim_start()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let Some(end) = end_of_item(&code, at).filter(|_| !name.is_empty()) else { continue };
            if !code[at..end].ends_with('}') {
                continue;
            }
            let body = code[at..end].lines().filter(|line| !line.trim().is_empty());
            functions.push(Function { name, line: line_at(&code, at), code_lines: body.count() });
        }
        functions
    }

    /// Every path of two parts or more in the production code, groups in braces taken apart.
    pub fn paths(&self) -> Vec<Named> {
        let code = self.production_code();
        let bytes = code.as_bytes();
        let mut named = Vec::new();
        let mut next = 0;
        for (at, word) in words(&code) {
            let follows = at >= 2 && &code[at - 2..at] == "::";
            if at < next || follows || !code[at + word.len()..].starts_with("::") {
                continue;
            }
            let (found, end) = path_at(&code, at);
            next = end.min(bytes.len());
            named.extend(
                found.into_iter().map(|(at, parts)| Named { line: line_at(&code, at), parts }),
            );
        }
        named
    }

    /// The modules that live in files of their own, and whether they are for tests only.
    pub fn modules(&self) -> Vec<(String, bool)> {
        let mut modules = Vec::new();
        for line in &self.lines {
            let code = line.code.trim();
            let code = code.strip_prefix("pub(crate) ").unwrap_or(code);
            let code = code.strip_prefix("pub(super) ").unwrap_or(code);
            let code = code.strip_prefix("pub ").unwrap_or(code);
            let name = code.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'));
            modules.extend(name.map(|name| (name.trim().to_owned(), !line.production)));
        }
        modules
    }

    /// The code with its line breaks, empty lines standing for tests.
    fn production_code(&self) -> String {
        let mut code = String::new();
        for line in &self.lines {
            if line.production {
                code.push_str(&line.code);
            }
            code.push('\n');
        }
        code
    }
}

/// The sources of one crate, from its roots along `mod`.
#[derive(Clone, Debug, Default)]
pub struct Crate {
    /// What is reached, by path. Of a module for tests only, no line is production.
    pub sources: BTreeMap<String, Source>,
    /// Files of the source folder that no `mod` reaches.
    pub dead: Vec<String>,
}

impl Crate {
    /// Reads the crate that lies in `folder`.
    ///
    /// # Panics
    ///
    /// If a source cannot be read, or a `mod` names a file that is not there.
    pub fn read(folder: &str) -> Self {
        let rust = files_ending(&format!("{folder}/src"), "rs");
        let is_root = |path: &&String| {
            let inside = path.strip_prefix(&format!("{folder}/src/")).unwrap_or_default();
            matches!(inside, "lib.rs" | "main.rs") || inside.starts_with("bin/")
        };
        let mut waiting: Vec<(String, bool)> =
            rust.iter().filter(is_root).map(|path| (path.clone(), false)).collect();
        let mut found = Self::default();
        while let Some((path, for_tests)) = waiting.pop() {
            let mut source = Source::read(&path);
            if for_tests {
                source.lines.iter_mut().for_each(|line| line.production = false);
            }
            for (module, only_tests) in source.modules() {
                let file = file_of_module(&path, &module, &rust);
                waiting.push((file, for_tests || only_tests));
            }
            found.sources.insert(path, source);
        }
        found.dead = rust.into_iter().filter(|path| !found.sources.contains_key(path)).collect();
        found
    }
}

fn file_of_module(declared_in: &str, module: &str, files: &[String]) -> String {
    let (folder, name) = declared_in.rsplit_once('/').unwrap_or(("", declared_in));
    let own = match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        other => format!("{folder}/{}", other.trim_end_matches(".rs")),
    };
    let candidates = [format!("{own}/{module}.rs"), format!("{own}/{module}/mod.rs")];
    let found = candidates.into_iter().find(|path| files.contains(path));
    found.unwrap_or_else(|| panic!("{declared_in}: there is no file for `mod {module};`"))
}

/// `text` with the same line breaks, without comments and without what stands between quotes.
fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::new();
    let mut at = 0;
    while at < chars.len() {
        let end = match (chars[at], chars.get(at + 1)) {
            ('/', Some('/')) => end_where(&chars, at, |rest| rest[0] == '\n'),
            ('/', Some('*')) => end_of_block_comment(&chars, at),
            ('"', _) => end_of_string(&chars, at),
            ('r', Some('"' | '#')) if !is_word(&chars, at) && raw_hashes(&chars, at).is_some() => {
                end_of_raw_string(&chars, at)
            }
            ('\'', _) => end_of_char(&chars, at),
            _ => at,
        };
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            // A string is still something: a line with nothing else is a line of code.
            if chars[at] != '/' {
                code.push_str("\"\"");
            }
            code.extend(chars[at..end].iter().filter(|c| **c == '\n').flat_map(|_| ['\n', ' ']));
            at = end;
        }
    }
    code
}

/// Whether the character before this one belongs to a word, `b` of a byte string aside.
fn is_word(chars: &[char], at: usize) -> bool {
    let part = |at: usize| chars[at].is_alphanumeric() || chars[at] == '_';
    at > 0 && part(at - 1) && !(chars[at - 1] == 'b' && (at < 2 || !part(at - 2)))
}

fn end_where(chars: &[char], at: usize, stop: impl Fn(&[char]) -> bool) -> usize {
    (at..chars.len()).find(|end| stop(&chars[*end..])).unwrap_or(chars.len())
}

fn end_of_block_comment(chars: &[char], at: usize) -> usize {
    let (mut depth, mut end) = (0_usize, at);
    while end < chars.len() {
        match chars[end..] {
            ['/', '*', ..] => (depth, end) = (depth + 1, end + 2),
            ['*', '/', ..] => (depth, end) = (depth - 1, end + 2),
            _ => end += 1,
        }
        if depth == 0 {
            break;
        }
    }
    end
}

fn end_of_string(chars: &[char], at: usize) -> usize {
    let mut end = at + 1;
    while end < chars.len() && chars[end] != '"' {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(chars.len())
}

/// How many `#` stand between the `r` and the quote, if it is a raw string.
fn raw_hashes(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    (chars.get(at + 1 + hashes) == Some(&'"')).then_some(hashes)
}

fn end_of_raw_string(chars: &[char], at: usize) -> usize {
    let hashes = raw_hashes(chars, at).unwrap_or_default();
    let closes = |rest: &[char]| {
        rest[0] == '"' && rest[1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    (end_where(chars, at + 2 + hashes, closes) + 1 + hashes).min(chars.len())
}

/// The end of a character, or `at` if the quote begins a lifetime.
fn end_of_char(chars: &[char], at: usize) -> usize {
    match chars[at + 1..] {
        ['\\', _, ..] => end_where(chars, at + 3, |rest| rest[0] == '\'') + 1,
        [_, '\'', ..] => at + 3,
        _ => at,
    }
}

/// The lines, from zero, of items that are compiled for tests only.
fn test_lines(code: &str) -> BTreeSet<usize> {
    let mut lines = BTreeSet::new();
    let mut from = 0;
    while let Some(at) = code[from..].find("#[cfg(test)]").map(|at| at + from) {
        let end = end_of_item(code, at + "#[cfg(test)]".len()).unwrap_or(code.len());
        lines.extend(line_at(code, at) - 1..line_at(code, end.saturating_sub(1)));
        from = end;
    }
    lines
}

/// The end of the item that begins at or after `at`: behind its closing brace or its semicolon.
fn end_of_item(code: &str, at: usize) -> Option<usize> {
    let (mut round, mut curly) = (0_i32, 0_i32);
    for (offset, c) in code[at..].char_indices() {
        match c {
            '(' | '[' => round += 1,
            ')' | ']' => round -= 1,
            '{' => curly += 1,
            '}' => curly -= 1,
            _ => {}
        }
        if round == 0 && curly == 0 && matches!(c, '}' | ';') {
            return Some(at + offset + 1);
        }
    }
    None
}

fn line_at(code: &str, at: usize) -> usize {
    code[..at.min(code.len())].matches('\n').count() + 1
}

/// The words of the code, with where they begin.
fn words(code: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, c) in code.char_indices().chain([(code.len(), ' ')]) {
        let part = c.is_alphanumeric() || c == '_';
        match (start, part) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                words.push((from, &code[from..at]));
                start = None;
            }
            _ => {}
        }
    }
    words
}

type PathsAndEnd = (Vec<(usize, Vec<String>)>, usize);

/// The paths that begin at `at`: one, or as many as the groups in braces make of it.
fn path_at(code: &str, at: usize) -> PathsAndEnd {
    let word: String =
        code[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let end = at + word.len();
    let head = || vec![word.clone()];
    let Some(rest) = code[end..].strip_prefix("::") else {
        return (vec![(at, head())], end);
    };
    let behind = end + 2;
    let prefixed = |paths: Vec<(usize, Vec<String>)>| {
        paths.into_iter().map(|(at, tail)| (at, [head(), tail].concat())).collect()
    };
    match rest.chars().next() {
        Some('{') => {
            let (paths, end) = group_at(code, behind);
            (prefixed(paths), end)
        }
        Some(c) if c.is_alphanumeric() || c == '_' => {
            let (paths, end) = path_at(code, behind);
            (prefixed(paths), end)
        }
        // A star, or the angle of a type.
        _ => (vec![(at, head())], behind),
    }
}

/// The paths of a group, whose opening brace is at `at`.
fn group_at(code: &str, at: usize) -> PathsAndEnd {
    let mut paths = Vec::new();
    let mut next = at + 1;
    while let Some(c) = code[next..].chars().next() {
        if c == '}' {
            return (paths, next + 1);
        }
        if c.is_alphanumeric() || c == '_' {
            let (more, end) = path_at(code, next);
            paths.extend(more);
            next = end;
        } else {
            next += c.len_utf8();
        }
    }
    (paths, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r##"//! Words.
use crate::{base::{id::Row, name}, format::head};
/* { not code */
fn short() -> char { '{' }

fn long(text: &str) -> String {
    // One line of comment.
    let raw = r#"}"#;
    format!("{raw}{{ {}", text)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod more {
    use crate::ops::commit;
    fn third() {}
}

pub mod after;
"##;

    #[test]
    fn comments_and_quotes_are_not_code() {
        let source = Source::parse("a.rs", SAMPLE);
        assert_eq!(source.lines.len(), SAMPLE.lines().count());
        assert_eq!(source.lines[0].code, "");
        assert_eq!(source.lines[3].code, "fn short() -> char { \"\" }");
        assert_eq!(source.lines[7].code.trim(), "let raw = \"\";");
    }

    #[test]
    fn functions_end_at_their_own_brace_and_tests_do_not_count() {
        let functions = Source::parse("a.rs", SAMPLE).functions();
        let found: Vec<_> = functions.iter().map(|f| (&*f.name, f.line, f.code_lines)).collect();
        assert_eq!(found, [("short", 4, 1), ("long", 6, 4)]);
    }

    #[test]
    fn modules_behind_the_tests_are_production_again() {
        let modules = Source::parse("a.rs", SAMPLE).modules();
        assert_eq!(modules, [("tests".to_owned(), true), ("after".to_owned(), false)]);
    }

    #[test]
    fn groups_are_taken_apart_into_paths() {
        let paths = Source::parse("a.rs", SAMPLE).paths();
        let found: Vec<_> = paths.iter().map(|named| named.parts.join("::")).collect();
        assert_eq!(found, ["crate::base::id::Row", "crate::base::name", "crate::format::head"]);
    }
}
