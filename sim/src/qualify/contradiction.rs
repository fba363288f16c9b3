//! The fewest replies that contradict each other, for people.
//!
//! Once it is known that no order explains a history, the part of it is looked for in which that shows
//! already: the latest beginning from which, whatever state the object was in then, the replies have
//! no order. Of what is left every reply is left out that is not needed. A write that is left out
//! may have happened all the same, so it is allowed for.

use std::fmt;

use sana_engine::base::name::Key;

use super::history::{Entry, History};
use super::projection::Object;
use super::register::State;
use super::search::{self, Found, Op};

/// Replies that no store that keeps its promises can have given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contradiction {
    /// The object; of a listing, the prefix.
    pub key: Key,
    /// What is wrong.
    pub why: Why,
    /// The replies that contradict each other, in the order of their beginnings.
    pub replies: Vec<Entry>,
    /// Other writes that were under way and may explain something. With all of them it is still one.
    pub others: usize,
}

/// What kind of contradiction it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// No store may reply so, whatever it holds.
    Impossible(&'static str),
    /// A tag is the name of one content.
    OneTagTwoContents,
    /// There is no order, whatever the object was before.
    NoOrder,
    /// There is no order that begins with no object.
    NoOrderFromNothing,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, why, replies, others } = self;
        match why {
            Why::Impossible(why) => writeln!(f, "{key}: {why}")?,
            Why::OneTagTwoContents => writeln!(f, "{key}: one tag stands for two contents")?,
            Why::NoOrder => writeln!(
                f,
                "{key}: in no order can these requests be answered so, each at one moment between \
                 its two numbers, whatever was there before"
            )?,
            Why::NoOrderFromNothing => writeln!(
                f,
                "{key}: in no order can these requests be answered so, each at one moment between \
                 its two numbers, if there was nothing before"
            )?,
        }
        for entry in replies {
            writeln!(f, "  {entry}")?;
        }
        if *others > 0 {
            writeln!(f, "  ({others} other writes of that time may or may not have happened)")?;
        }
        Ok(())
    }
}

/// The fewest requests on this object that have no order, given that the one at `at` cannot have been
/// answered as it was.
pub(super) fn narrow(history: &History, object: &Object, at: usize, most: usize) -> Contradiction {
    let (mut ops, first, why) = window(object, at, most);
    let breaks = |ops: &[Op]| matches!(search::order(ops, &first, most), Found::None { .. });
    let mut stride = ops.len().next_power_of_two();
    while stride > 0 {
        let mut from = 0;
        while from < ops.len() {
            let until = (from + stride).min(ops.len());
            let fewer: Vec<Op> = ops
                .iter()
                .enumerate()
                .filter_map(|(place, op)| {
                    let is_kept = !(from..until).contains(&place);
                    if is_kept { Some(op.clone()) } else { doubted(op) }
                })
                .collect();
            if fewer != ops && breaks(&fewer) {
                // What was dropped made room: the next stride begins earlier.
                from = (from + stride).saturating_sub(ops.len() - fewer.len());
                ops = fewer;
            } else {
                from += stride;
            }
        }
        stride /= 2;
    }
    let replies = ops.iter().filter(|op| op.must);
    let replies: Vec<Entry> =
        replies.filter_map(|op| history.entries.get(op.entry).cloned()).collect();
    let others = ops.len() - replies.len();
    Contradiction { key: object.key.clone(), why, replies, others }
}

/// The same request, of which it is not known whether it happened; `None` if it changes nothing.
fn doubted(op: &Op) -> Option<Op> {
    op.deed.changes().then(|| Op { must: false, ..op.clone() })
}

/// The requests of the shortest time that ends with the one at `at` in which no order is found
/// whatever there was before; or all of them from the beginning, where there was nothing.
fn window(object: &Object, at: usize, most: usize) -> (Vec<Op>, Vec<State>, Why) {
    let last = &object.ops[at];
    let until = last.end.unwrap_or(u64::MAX);
    let begins: Vec<u64> =
        object.ops.iter().map(|op| op.begin).filter(|begin| *begin <= last.begin).collect();
    let breaks = |back: usize| {
        let from = begins[begins.len().saturating_sub(back)];
        let ops = cut(&object.ops, from, until);
        let found = search::order(&ops, &object.states, most);
        matches!(found, Found::None { .. }).then_some(ops)
    };
    let mut back = 1;
    loop {
        if let Some(ops) = breaks(back) {
            let shortest = (back / 2 + 1..back).find_map(breaks);
            return (shortest.unwrap_or(ops), object.states.clone(), Why::NoOrder);
        }
        if back >= begins.len() {
            let ops = cut(&object.ops, 0, until);
            return (ops, vec![None], Why::NoOrderFromNothing);
        }
        back = (back * 2).min(begins.len());
    }
}

/// The requests that can have taken effect in this time. What reaches over its edges may have.
fn cut(ops: &[Op], from: u64, until: u64) -> Vec<Op> {
    let within = ops.iter().filter(|op| op.begin < until && op.end.is_none_or(|end| end > from));
    within
        .filter_map(|op| {
            let is_inside = op.begin >= from && op.end.is_some_and(|end| end <= until);
            if is_inside { Some(op.clone()) } else { doubted(op) }
        })
        .collect()
}
