//! What is printed: JSON for scripts, tables for people, nothing to who went away.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde_json::Value;
use tracing_subscriber::EnvFilter;

use super::failure::Failed;

/// Standard output. What is printed is there once it was flushed.
pub(super) struct Output {
    to: BufWriter<StdoutLock<'static>>,
}

/// Characters of a cell beyond which the rest is left out.
const CELL_CHARACTERS_MAX: usize = 64;

/// Says something beside the output. Whoever went away does not want to know.
pub(super) fn tell(message: &str) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Sends log lines beside the output. Those that nobody can read any more are lost.
pub(super) fn log(filter: EnvFilter) {
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    lines.log_internal_errors(false).init();
}

impl Output {
    pub(super) fn new() -> Self {
        Self { to: BufWriter::new(io::stdout().lock()) }
    }

    /// Prints a line.
    pub(super) fn line(&mut self, line: &str) -> Result<(), Failed> {
        Ok(writeln!(self.to, "{line}")?)
    }

    /// Prints a value on one line.
    pub(super) fn json(&mut self, value: &Value) -> Result<(), Failed> {
        self.line(&value.to_string())
    }

    /// Prints a value for people to read.
    pub(super) fn pretty(&mut self, value: &Value) -> Result<(), Failed> {
        self.line(&format!("{value:#}"))
    }

    /// Prints rows under headings, in columns.
    pub(super) fn table(&mut self, headings: &[&str], rows: &[Vec<String>]) -> Result<(), Failed> {
        let width = |place: usize| {
            let cells = rows.iter().filter_map(|row| row.get(place)).map(|cell| characters(cell));
            cells.chain([characters(headings[place])]).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..headings.len()).map(width).collect();
        let headings = headings.iter().map(|heading| (*heading).to_owned()).collect();
        for row in [headings].iter().chain(rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(core::iter::repeat_n(' ', width - characters(cell) + 2));
            }
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    /// Sends what was printed on its way.
    pub(super) fn flush(&mut self) -> Result<(), Failed> {
        Ok(self.to.flush()?)
    }
}

/// A value as a cell of a table. What a terminal would take for a command is spelled out.
pub(super) fn cell(value: Option<&Value>) -> String {
    let whole = match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let mut shown = String::new();
    for (place, character) in whole.chars().enumerate() {
        if place == CELL_CHARACTERS_MAX {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A number with its thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

fn characters(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_is_short_and_gives_terminals_no_orders() {
        assert_eq!(cell(None), "");
        assert_eq!(cell(Some(&json!([1, "a"]))), r#"[1,"a"]"#);
        assert_eq!(cell(Some(&json!("a\u{1b}[2Jb\n"))), "a\\u{1b}[2Jb\\n");
        assert_eq!(characters(&cell(Some(&json!("ä".repeat(100))))), CELL_CHARACTERS_MAX + 1);
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }
}
