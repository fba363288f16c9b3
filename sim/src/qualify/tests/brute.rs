//! Small histories, for which every order is tried in the plainest way. Nothing is shared with the
//! search but the history: no numbers for contents, no requests that go first, no ways that are
//! dropped; and the tag of a version whose reply was lost is not known before somebody sees it.

use std::collections::{BTreeMap, BTreeSet};

use sana_engine::base::blob::Blob;
use sana_engine::machine::request::{Reply, Request, Tag, When};

use super::played::{mutated, play};
use crate::choices::Choices;
use crate::qualify::history::{Entry, History};
use crate::qualify::{Rules, Verdict, check};
use crate::store::{Kind, Tags, part};

#[derive(Clone)]
struct Object {
    body: Blob,
    /// Not known before somebody sees it.
    tag: Option<Tag>,
    /// Tags that it does not have, for a condition on them did not hold.
    not: BTreeSet<Tag>,
}

/// The object of a brute search, and what stands of the history's order.
#[derive(Clone)]
struct Attempt<'a> {
    entries: &'a [&'a Entry],
    /// Which entries have taken effect.
    done: u32,
    object: Option<Object>,
    /// The content that each tag stands for.
    tags: BTreeMap<Tag, Blob>,
}

/// Whether a history of one object has an order.
fn has_order(history: &History) -> bool {
    let says = |entry: &&Entry| match entry.reply {
        Reply::Throttled => false,
        Reply::Lost => matches!(entry.request, Request::Put { .. } | Request::Delete { .. }),
        _ => true,
    };
    let entries: Vec<&Entry> = history.entries.iter().filter(says).collect();
    // A tag that was told with a content stands for it, whenever that was.
    let mut tags = BTreeMap::new();
    for entry in &entries {
        let told = match (&entry.request, &entry.reply) {
            (Request::Put { body, .. }, Reply::Stored { tag })
            | (Request::Get { range: None, .. }, Reply::Found { tag, body }) => (tag, body),
            _ => continue,
        };
        if tags.insert(told.0.clone(), told.1.clone()).is_some_and(|before| before != *told.1) {
            return false;
        }
    }
    Attempt { entries: &entries, done: 0, object: None, tags }.succeeds()
}

impl Attempt<'_> {
    fn succeeds(&self) -> bool {
        let is_left = |place: usize| self.done >> place & 1 == 0;
        let left: Vec<usize> = (0..self.entries.len()).filter(|place| is_left(*place)).collect();
        let must = |place: &&usize| self.entries[**place].reply != Reply::Lost;
        let Some(first_end) = left.iter().filter(must).map(|it| self.entries[*it].end).min() else {
            return true;
        };
        let may_be_next = left.iter().filter(|place| self.entries[**place].begin <= first_end);
        let mut next = may_be_next.flat_map(|place| self.after(*place));
        next.any(|next| next.succeeds())
    }

    /// What can be once this entry has taken effect.
    fn after(&self, place: usize) -> Vec<Self> {
        let Entry { request, reply, .. } = self.entries[place];
        let mut after = self.clone();
        after.done |= 1 << place;
        match (request, reply) {
            (Request::Delete { .. }, _) => {
                after.object = None;
                vec![after]
            }
            (Request::Put { when, .. }, Reply::Refused) => after
                .judged(when)
                .into_iter()
                .filter(|(holds, _)| !holds)
                .map(|(_, it)| it)
                .collect(),
            (Request::Put { body, when, .. }, reply) => {
                let tag = match reply {
                    Reply::Stored { tag } => Some(tag.clone()),
                    _ => None,
                };
                let put = |(_, mut it): (bool, Self)| {
                    it.object =
                        Some(Object { body: body.clone(), tag: tag.clone(), not: BTreeSet::new() });
                    it
                };
                after.judged(when).into_iter().filter(|(holds, _)| *holds).map(put).collect()
            }
            (Request::Get { .. }, Reply::Missing) => {
                if after.object.is_none() {
                    vec![after]
                } else {
                    Vec::new()
                }
            }
            (Request::Get { unless: Some(tag), .. }, Reply::NotModified) => after.at(tag),
            (Request::Get { range, unless, .. }, Reply::Found { tag, body })
                if unless.as_ref() != Some(tag) =>
            {
                let is_it = after.object.as_ref().is_some_and(|object| {
                    let whole = &object.body;
                    range.map_or_else(|| whole.clone(), |range| part(whole, range)) == *body
                });
                if is_it { after.told(tag) } else { Vec::new() }
            }
            (Request::List { after: start, .. }, Reply::Listed { objects, .. }) => {
                let size = after.object.as_ref().map(|object| object.body.len() as u64);
                let listed = objects.first().map(|listed| listed.bytes);
                if start.is_some() || size == listed { vec![after] } else { Vec::new() }
            }
            _ => Vec::new(),
        }
    }

    /// Whether a condition holds, each way in which it can be.
    fn judged(self, when: &When) -> Vec<(bool, Self)> {
        let When::Matches(tag) = when else {
            return vec![(self.object.is_none(), self)];
        };
        let mut other = self.clone();
        let mut ways: Vec<(bool, Self)> =
            self.clone().at(tag).into_iter().map(|it| (true, it)).collect();
        match &mut other.object {
            Some(object) if object.tag.is_none() => {
                object.not.insert(tag.clone());
                ways.push((false, other));
            }
            _ if ways.is_empty() => ways.push((false, other)),
            _ => {}
        }
        ways
    }

    /// What can be if the object is at this tag, of which somebody was told.
    fn at(self, tag: &Tag) -> Vec<Self> {
        if self.tags.contains_key(tag) { self.told(tag) } else { Vec::new() }
    }

    /// What can be if the object is at this tag.
    fn told(mut self, tag: &Tag) -> Vec<Self> {
        let Some(Object { body, tag: held, not }) = &mut self.object else { return Vec::new() };
        let stands_for = self.tags.entry(tag.clone()).or_insert_with(|| body.clone());
        let is_other = held.as_ref().is_some_and(|held| held != tag) || not.contains(tag);
        if stands_for != body || is_other {
            return Vec::new();
        }
        *held = Some(tag.clone());
        vec![self]
    }
}

#[test]
fn the_search_agrees_with_trying_every_order() {
    let (mut fit, mut contradict) = (0, 0);
    for seed in 0..3_000 {
        let tags = if seed % 2 == 0 { Tags::Counted { last: 0 } } else { Tags::Digested };
        let kind = Kind::ALL[seed as usize % 4].1;
        let played = play(&["k/a"], kind, tags, seed, 10);
        let changed = mutated(&played, &mut Choices::seeded(seed + 90_000));
        for history in [Some(played), changed].into_iter().flatten() {
            let expected = has_order(&history);
            let verdict = check(&history, Rules::default());
            let found = matches!(verdict, Verdict::Fits(_));
            assert_eq!(found, expected, "seed {seed}: {verdict:?}\n{}", told(&history));
            if expected { fit += 1 } else { contradict += 1 }
        }
    }
    println!("{fit} fit, {contradict} do not");
    assert!(fit >= 2_000 && contradict >= 1_500, "{fit} fit, {contradict} do not");
}

fn told(history: &History) -> String {
    history.entries.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
