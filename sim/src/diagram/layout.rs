//! Where everything is: a column for each lane, and for each scene a height.

use std::collections::BTreeMap;

use crate::story::{Act, Lane, Scene};

/// Where lanes and scenes are, in pixels.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The middle of each lane.
    lanes: BTreeMap<Lane, i64>,
    /// The lanes from left to right.
    pub(super) order: Vec<(Lane, i64)>,
    /// The height of each scene.
    pub(super) heights: Vec<i64>,
    /// Times between scenes that are worth a word: where, and how long.
    pub(super) gaps: Vec<(i64, u64)>,
    pub(super) width: i64,
    pub(super) height: i64,
}

/// Where there are more objects than this, the others share a lane.
const OBJECTS_MOST: usize = 8;
/// A line of text.
const LINE: i64 = 20;
/// What is drawn and has no line.
const SILENT: i64 = 5;
/// From a lane to the next.
const CLIENT_WIDE: i64 = 84;
const NODE_WIDE: i64 = 120;
const OBJECT_WIDE: i64 = 126;
const MARGIN: i64 = 50;
/// Time between scenes beyond this is told, in the story's time.
const GAP_LEAST: u64 = 2_000;

impl Layout {
    pub(super) fn of(scenes: &[Scene], lines: &[Option<String>]) -> Self {
        let (lanes, order, width) = lanes(scenes);
        let (mut heights, mut gaps) = (Vec::with_capacity(scenes.len()), Vec::new());
        let (mut y, mut before) = (LINE, scenes.first().map_or(0, |scene| scene.at));
        for (scene, line) in scenes.iter().zip(lines) {
            let passed = scene.at.saturating_sub(before);
            before = scene.at;
            if passed >= GAP_LEAST {
                gaps.push((y + LINE / 2, passed));
                y += LINE;
            }
            // A longer time is farther, but not in proportion: most of it nothing happens.
            y += i64::from(64 - passed.leading_zeros()) * 2;
            y += if line.is_some() { LINE } else { SILENT };
            heights.push(y);
        }
        Self { lanes, order, heights, gaps, width, height: y + 2 * LINE }
    }

    /// The middle of a lane.
    pub(super) fn x(&self, lane: &Lane) -> i64 {
        self.lanes.get(lane).copied().unwrap_or(self.width - MARGIN)
    }
}

/// The middle of each lane; the lanes that are drawn; how wide they are together.
fn lanes(scenes: &[Scene]) -> (BTreeMap<Lane, i64>, Vec<(Lane, i64)>, i64) {
    let (mut known, mut objects) = (BTreeMap::new(), Vec::new());
    for lane in scenes.iter().flat_map(|scene| named(&scene.act)) {
        if known.insert(lane.clone(), 0).is_none() && matches!(lane, Lane::Object(_)) {
            objects.push(lane.clone());
        }
    }
    let others = known.keys().filter(|lane| !matches!(lane, Lane::Object(_))).cloned();
    let has_more = objects.len() > OBJECTS_MOST;
    let mut order = Vec::new();
    let mut x = MARGIN - CLIENT_WIDE;
    for lane in others.chain(objects.iter().take(OBJECTS_MOST).cloned()) {
        x += match lane {
            Lane::Client(_) => CLIENT_WIDE,
            Lane::Node(_) | Lane::Actor(..) | Lane::Head(_) => NODE_WIDE,
            Lane::Object(_) => OBJECT_WIDE,
        };
        order.push((lane, x));
    }
    if has_more {
        x += OBJECT_WIDE;
        order.push((Lane::Object("others".into()), x));
        known.extend(objects.drain(OBJECTS_MOST..).map(|lane| (lane, x)));
    }
    known.extend(order.iter().cloned());
    (known, order, x + MARGIN)
}

/// The lanes that a scene has to do with.
fn named(act: &Act) -> Vec<&Lane> {
    match act {
        Act::Does(who, _) | Act::Starts(who, _) | Act::Crashes(who) => vec![who],
        Act::Stands { who, .. } => vec![who],
        Act::Asks { client, node, .. } | Act::Told { client, node, .. } => vec![client, node],
        Act::Sent { from, to, .. } => vec![from, to],
        Act::Note(_)
        | Act::Astray { .. }
        | Act::Performed { .. }
        | Act::Heard { .. }
        | Act::Breaks(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_stand_before_nodes_and_heads_before_other_objects() {
        let mut scenes = Vec::new();
        let mut sent = |from: usize, to: Lane| {
            let (letter, machine, text) = (0, "", String::new());
            let from = Lane::Node(from);
            let act = Act::Sent { letter, from, to, machine, text, brief: None, is_read: true };
            scenes.push(Scene { at: 0, act });
        };
        (0..20).for_each(|n| sent(1, Lane::Object(format!("object {n}"))));
        sent(0, Lane::Head("ns0".into()));
        let (client, node) = (Lane::Client(3), Lane::Node(0));
        let act = Act::Asks { client, node, op: 1, text: String::new() };
        scenes.push(Scene { at: 100_000, act });
        let lines: Vec<Option<String>> = scenes.iter().map(|_| None).collect();
        let layout = Layout::of(&scenes, &lines);
        let names: Vec<String> = layout.order.iter().map(|(lane, _)| lane.to_string()).collect();
        assert_eq!(names[..5], ["client 3", "node 0", "node 1", "head of ns0", "object 0"]);
        assert_eq!((names.len(), names.last().map(String::as_str)), (13, Some("others")));
        assert!(layout.order.is_sorted_by_key(|(_, x)| *x));
        assert!(layout.heights.is_sorted() && layout.gaps.len() == 1);
        let object = |n: usize| layout.x(&Lane::Object(format!("object {n}")));
        assert_eq!((object(8), object(19)), (object(9), object(8)));
    }
}
