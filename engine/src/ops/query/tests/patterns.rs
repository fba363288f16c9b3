//! Patterns by brute force: small languages, read and matched without any automaton.

use std::collections::BTreeSet;

/// Whether a glob without `**` and backslashes matches a whole text.
pub(super) fn glob(glob: &str, text: &str, any_case: bool) -> bool {
    let folded = |text: &str| if any_case { text.to_lowercase() } else { text.to_owned() };
    let text: Vec<char> = folded(text).chars().collect();
    expanded(&folded(glob)).iter().any(|glob| {
        let mut places = BTreeSet::from([0]);
        let mut rest = glob.chars().peekable();
        while let Some(c) = rest.next() {
            places = match c {
                '*' => {
                    places.first().map_or(BTreeSet::new(), |first| (*first..=text.len()).collect())
                }
                '?' => stepped(&places, &text, |_| true),
                '[' => {
                    let negated = rest.next_if_eq(&'!').is_some();
                    let class: String = rest.by_ref().take_while(|c| *c != ']').collect();
                    stepped(&places, &text, |c| in_class(&class, c) != negated)
                }
                c => stepped(&places, &text, |other| other == c),
            };
        }
        places.contains(&text.len())
    })
}

/// A glob for each choice between braces, which do not nest.
fn expanded(glob: &str) -> Vec<String> {
    let Some((before, rest)) = glob.split_once('{') else { return vec![glob.to_owned()] };
    let (choices, after) = rest.split_once('}').unwrap();
    let after = expanded(after);
    let choices = choices.split(',');
    choices
        .flat_map(|choice| after.iter().map(move |after| format!("{before}{choice}{after}")))
        .collect()
}

fn stepped(
    places: &BTreeSet<usize>,
    text: &[char],
    fits: impl Fn(char) -> bool,
) -> BTreeSet<usize> {
    let fitting = places.iter().filter(|place| text.get(**place).is_some_and(|c| fits(*c)));
    fitting.map(|place| place + 1).collect()
}

fn in_class(class: &str, c: char) -> bool {
    match class.chars().collect::<Vec<_>>()[..] {
        [low, '-', high] => (low..=high).contains(&c),
        _ => class.contains(c),
    }
}

/// Whether an expression of letters, `.`, `^`, `$`, `[a-z]`, `( | )`, `*`, `+` and `?` matches somewhere.
pub(super) fn regex(expression: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let parsed = alternatives(&mut expression.chars().peekable());
    !reach(&parsed, &text, &(0..=text.len()).collect()).is_empty()
}

enum Node {
    Class(String),
    Any,
    Begin,
    End,
    Either(Vec<Vec<(Self, Option<char>)>>),
}

type Parts = Vec<Vec<(Node, Option<char>)>>;

fn alternatives(rest: &mut core::iter::Peekable<core::str::Chars<'_>>) -> Parts {
    let mut all = vec![Vec::new()];
    while let Some(c) = rest.next_if(|c| *c != ')') {
        let node = match c {
            '|' => {
                all.push(Vec::new());
                continue;
            }
            '(' => {
                let inner = alternatives(rest);
                assert_eq!(rest.next(), Some(')'));
                Node::Either(inner)
            }
            '[' => Node::Class(rest.by_ref().take_while(|c| *c != ']').collect()),
            '.' => Node::Any,
            '^' => Node::Begin,
            '$' => Node::End,
            c => Node::Class(c.into()),
        };
        let times = rest.next_if(|c| "*+?".contains(*c));
        all.last_mut().unwrap().push((node, times));
    }
    all
}

/// Where matching can go on that began at one of these places.
fn reach(parts: &Parts, text: &[char], from: &BTreeSet<usize>) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    for sequence in parts {
        let mut places = from.clone();
        for (node, times) in sequence {
            let once = |places: &BTreeSet<usize>| match node {
                Node::Class(class) => stepped(places, text, |c| in_class(class, c)),
                Node::Any => stepped(places, text, |_| true),
                Node::Begin => places.iter().copied().filter(|place| *place == 0).collect(),
                Node::End => places.iter().copied().filter(|place| *place == text.len()).collect(),
                Node::Either(inner) => reach(inner, text, places),
            };
            places = match times {
                None => once(&places),
                Some('?') => &places | &once(&places),
                Some(times) => {
                    let mut all = if *times == '*' { places.clone() } else { once(&places) };
                    loop {
                        let next = &all | &once(&all);
                        if next == all {
                            break all;
                        }
                        all = next;
                    }
                }
            };
        }
        reached.extend(places);
    }
    reached
}
