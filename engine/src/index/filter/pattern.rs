//! Patterns that texts are matched with: globs, and regular expressions.
//!
//! Both become one automaton, which takes time linear in the text whatever the pattern is, and
//! whose size is bounded, as is the memory that a search takes.

use core::fmt;
use core::hash::{Hash, Hasher};
use std::sync::Arc;

use regex_automata::Input;
use regex_automata::meta::{Config, Regex};
use regex_automata::util::syntax;

use crate::base::limits;
use crate::base::value::Scalar;
use crate::format::columns::Zone;
use crate::index::filter::glob;

/// What kind of pattern it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PatternKind {
    /// A glob, which matches a whole text.
    Glob,
    /// A glob that takes upper and lower case for the same.
    GlobAnyCase,
    /// A regular expression, which matches somewhere in a text.
    Regex,
}

/// A pattern, compiled. The same kind and text make the same pattern.
#[derive(Clone)]
pub struct Pattern {
    kind: PatternKind,
    text: Arc<str>,
    /// What every text begins with that matches.
    prefix: Arc<str>,
    regex: Regex,
}

/// Why a text is no pattern.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum BadPattern {
    /// It is longer than it may be.
    #[error("it is longer than {most} bytes")]
    TooLong {
        /// The most there may be.
        most: usize,
    },
    /// It is no glob.
    #[error("{0}")]
    Glob(#[from] glob::BadGlob),
    /// It is no regular expression.
    #[error("{0}")]
    Syntax(String),
    /// It stands for more than can be searched for.
    #[error("it is too large once its repetitions are written out; make it simpler")]
    TooLarge,
}

/// Memory of one search's lazily built automaton, in bytes. It starts over when that is full.
const CACHE_BYTES: usize = 1 << 20;
/// How deep groups of an expression may nest.
const NEST_MAX: u32 = 64;

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// [`BadPattern`] if it is none, or takes too much.
    pub fn new(kind: PatternKind, text: &str) -> Result<Self, BadPattern> {
        let most = limits::FILTERABLE_VALUE_BYTES_MAX;
        if text.len() > most {
            return Err(BadPattern::TooLong { most });
        }
        let (expression, prefix) = match kind {
            PatternKind::Regex => (text.to_owned(), String::new()),
            PatternKind::Glob | PatternKind::GlobAnyCase => {
                let glob = glob::parse(text)?;
                let prefix = if kind == PatternKind::Glob { glob.prefix } else { String::new() };
                (glob.expression, prefix)
            }
        };
        let any_case = kind == PatternKind::GlobAnyCase;
        let syntax = syntax::Config::new().case_insensitive(any_case).nest_limit(NEST_MAX);
        let config = Config::new()
            .nfa_size_limit(Some(limits::PATTERN_BYTES_MAX))
            .hybrid_cache_capacity(CACHE_BYTES);
        let built = Regex::builder().configure(config).syntax(syntax).build(&expression);
        let regex = built.map_err(|error| match (error.size_limit(), error.syntax_error()) {
            (Some(_), _) | (None, None) => BadPattern::TooLarge,
            (None, Some(error)) => BadPattern::Syntax(one_line(&error.to_string())),
        })?;
        Ok(Self { kind, text: text.into(), prefix: prefix.into(), regex })
    }

    /// Whether a text matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.search_half(&Input::new(text).earliest(true)).is_some()
    }

    /// Whether a text in the zone may match.
    pub(super) fn may_match_in(&self, zone: &Zone) -> bool {
        let Scalar::String(min) = &zone.min else { return false };
        let prefix = self.prefix.as_bytes();
        let begins = &min.as_bytes()[..min.len().min(prefix.len())] <= prefix;
        begins && zone.may_reach(&Scalar::String(self.prefix.clone()))
    }
}

/// The last line of a report that draws the expression above it.
fn one_line(report: &str) -> String {
    report.lines().last().unwrap_or_default().to_owned()
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.text) == (other.kind, &other.text)
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.kind, &self.text).hash(state);
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({:?})", self.kind, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(kind: PatternKind, pattern: &str, text: &str) -> bool {
        let pattern = Pattern::new(kind, pattern).unwrap_or_else(|bad| panic!("{pattern}: {bad}"));
        pattern.matches(text)
    }

    #[test]
    fn a_glob_matches_whole_texts() {
        let rows = [
            ("*.rs", "lib.rs", true),
            ("*.rs", "a/b/lib.rs", true),
            ("*.rs", "lib.rs2", false),
            ("?.rs", "é.rs", true),
            ("?.rs", ".rs", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[]x]", "]", true),
            ("[a-]", "-", true),
            ("{foo,b{a,e}r}.*", "ber.txt", true),
            ("{foo,b{a,e}r}.*", "bir.txt", false),
            ("a,b", "a,b", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("**/foo", "foo", true),
            ("**/foo", "a/b/foo", true),
            ("**/foo", "afoo", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "axb", false),
            ("a/**", "a/", true),
            ("a/**", "a", false),
            ("a**b", "axyzb", true),
            ("a*", "a\nb", true),
            ("(a|b)", "a", false),
            ("(a|b)", "(a|b)", true),
            ("", "", true),
            ("", "a", false),
        ];
        for (glob, text, expected) in rows {
            assert_eq!(matches(PatternKind::Glob, glob, text), expected, "{glob} on {text}");
        }
        assert!(matches(PatternKind::GlobAnyCase, "ÄB*", "äbc"));
        assert!(!matches(PatternKind::Glob, "AB*", "abc"));
        for bad in ["[a", "{a", "a}", "a\\", "[z-a]"] {
            let refused = Pattern::new(PatternKind::Glob, bad);
            assert!(matches!(refused, Err(BadPattern::Glob(_))), "{bad}");
        }
    }

    #[test]
    fn an_expression_matches_somewhere_and_may_be_anchored() {
        assert!(matches(PatternKind::Regex, "b+", "abbc"));
        assert!(!matches(PatternKind::Regex, "^b+", "abbc"));
        assert!(matches(PatternKind::Regex, "(?i)É$", "caffé"));
        assert!(matches(PatternKind::Regex, "", "anything"));
        for bad in ["(", "a{2", "(?=a)", "(a)\\1", "[z-a]"] {
            let refused = Pattern::new(PatternKind::Regex, bad);
            assert!(matches!(refused, Err(BadPattern::Syntax(_))), "{bad}: {refused:?}");
        }
    }

    #[test]
    fn what_would_take_too_much_is_refused_and_the_rest_is_linear() {
        let nested = "(".repeat(70) + &")".repeat(70);
        assert!(Pattern::new(PatternKind::Regex, &nested).is_err());
        let repeats = Pattern::new(PatternKind::Regex, "((a{100}){100}){100}");
        assert_eq!(repeats, Err(BadPattern::TooLarge));
        let long = "x".repeat(4_097);
        assert!(matches!(Pattern::new(PatternKind::Glob, &long), Err(BadPattern::TooLong { .. })));
        // A backtracking matcher would not live to see the end of this.
        assert!(!matches(PatternKind::Regex, "^(a+)+$", &("a".repeat(50_000) + "b")));
        assert!(!matches(PatternKind::Regex, "(a*)*(a*)*c", &"a".repeat(50_000)));
    }

    #[test]
    fn a_zone_without_the_beginning_of_a_glob_is_passed_over() {
        let glob = |text| Pattern::new(PatternKind::Glob, text).unwrap();
        let may = |text, min, max| glob(text).may_match_in(&Zone::of_texts(min, max));
        assert!(may("foo*", "fa", "fz"));
        assert!(may("foo*", "foo", "foo"));
        assert!(may("foo*", "fooz", "g"));
        assert!(!may("foo*", "fop", "g"));
        assert!(!may("foo*", "a", "fon"));
        assert!(may("*", "a", "b"));
        assert!(may("foo/**", "foo/", "foo/x"));
    }
}
