//! Globs, as regular expressions.
//!
//! | glob              | matches                                                     |
//! |-------------------|-------------------------------------------------------------|
//! | `?`               | one character                                               |
//! | `*`               | any characters, also none, also `/`                         |
//! | `**/` at the beginning, `/**/`, `/**` at the end | any folders: none, some, one or more  |
//! | `[ab]` `[a-z]`    | one of these characters; `[!ab]` or `[^ab]` one of the others |
//! | `{a,b}`           | either; may be nested                                       |
//! | `\x`              | `x` itself                                                  |
//!
//! These are the rules of the crate `globset`, which the wire names, except that `?` is a character
//! and not a byte. A glob matches a whole text.

/// What is wrong with a glob.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum BadGlob {
    /// A `[` without its `]`.
    #[error("a `[` is not closed")]
    Class,
    /// The ends of a range are in the wrong order.
    #[error("the range {0}-{1} is empty")]
    Range(char, char),
    /// A `{` without its `}`.
    #[error("a `{{` is not closed")]
    Open,
    /// A `}` without its `{`.
    #[error("a `}}` was not opened")]
    Close,
    /// A backslash at the end.
    #[error("a backslash stands at the end")]
    Escape,
}

/// A glob taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Glob {
    /// The expression that matches what the glob matches.
    pub(super) expression: String,
    /// What every text begins with that it matches.
    pub(super) prefix: String,
}

/// Takes a glob apart.
pub(super) fn parse(glob: &str) -> Result<Glob, BadGlob> {
    let mut parser = Parser { rest: glob, before: None, expression: String::new(), depth: 0 };
    // Texts may have several lines.
    parser.expression.push_str("(?s)\\A");
    parser.parse()?;
    parser.expression.push_str("\\z");
    let literal = glob.find(['?', '*', '[', '{', '\\', '}']).unwrap_or(glob.len());
    // A `/**` may stand for no folder at all, and then its slash is not there.
    let prefix = glob[..literal].trim_end_matches('/').to_owned();
    Ok(Glob { expression: parser.expression, prefix })
}

struct Parser<'a> {
    rest: &'a str,
    before: Option<char>,
    expression: String,
    depth: usize,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn literal(&mut self, c: char) {
        if c.is_alphanumeric() {
            self.expression.push(c);
        } else {
            push_escaped(&mut self.expression, c);
        }
    }

    fn parse(&mut self) -> Result<(), BadGlob> {
        loop {
            let before = self.before;
            let Some(c) = self.next() else { break };
            self.before = Some(c);
            match c {
                '?' => self.expression.push('.'),
                '*' => self.star(before),
                '[' => self.class()?,
                '{' => {
                    self.depth += 1;
                    self.expression.push_str("(?:");
                }
                '}' => {
                    self.depth = self.depth.checked_sub(1).ok_or(BadGlob::Close)?;
                    self.expression.push(')');
                }
                ',' if self.depth > 0 => self.expression.push('|'),
                '\\' => {
                    let escaped = self.next().ok_or(BadGlob::Escape)?;
                    self.literal(escaped);
                }
                '/' if self.rest == "**" => {
                    self.rest = "";
                    self.expression.push_str("/.*");
                }
                '/' if self.rest.starts_with("**/") => {
                    self.skip_repeated();
                    self.expression.push_str("(?:/|/.*/)");
                    self.before = Some('/');
                }
                c => self.literal(c),
            }
        }
        if self.depth > 0 { Err(BadGlob::Open) } else { Ok(()) }
    }

    /// A star was read. `before` stood before it.
    fn star(&mut self, before: Option<char>) {
        if before.is_none() && self.rest.starts_with("*/") {
            self.rest = &self.rest[2..];
            self.skip_repeated();
            self.expression.push_str("(?:/?|.*/)");
            self.before = Some('/');
        } else {
            self.rest = self.rest.trim_start_matches('*');
            self.expression.push_str(".*");
        }
    }

    /// Any folders twice are any folders.
    fn skip_repeated(&mut self) {
        while let Some(rest) = self.rest.strip_prefix("**/") {
            self.rest = rest;
        }
    }

    /// A `[` was read. A `]` that comes first is one of the characters.
    fn class(&mut self) -> Result<(), BadGlob> {
        self.expression.push('[');
        if let Some(rest) = self.rest.strip_prefix(['!', '^']) {
            self.rest = rest;
            self.expression.push('^');
        }
        let mut first = true;
        loop {
            let low = self.next().ok_or(BadGlob::Class)?;
            if low == ']' && !first {
                break;
            }
            first = false;
            let range = self.rest.strip_prefix('-').filter(|rest| !rest.starts_with(']'));
            push_escaped(&mut self.expression, low);
            if let Some(rest) = range {
                self.rest = rest;
                let high = self.next().ok_or(BadGlob::Class)?;
                if high < low {
                    return Err(BadGlob::Range(low, high));
                }
                self.expression.push('-');
                push_escaped(&mut self.expression, high);
            }
        }
        self.expression.push(']');
        Ok(())
    }
}

/// A character that stands for itself, whatever it means elsewhere.
fn push_escaped(expression: &mut String, c: char) {
    expression.extend(c.escape_unicode());
}
