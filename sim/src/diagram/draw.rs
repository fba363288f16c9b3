//! Draws the lanes and the arrows, and puts the lines beside them.

use std::collections::BTreeMap;

use crate::diagram::arrows::Arrow;
use crate::diagram::layout::Layout;
use crate::diagram::{Picture, escape, put};
use crate::story::{Act, Lane, Scene, Time};

/// How far a request gets that never arrives, of the way in hundredths.
const LOST_AT: i64 = 62;
/// How far a request gets that is turned away.
const TURNED_AT: i64 = 88;

/// Adds the story with its picture.
pub(super) fn stage(
    page: &mut String,
    picture: &Picture<'_>,
    scenes: &[Scene],
    lines: &[Option<String>],
    layout: &Layout,
    arrows: &[Arrow<'_>],
) {
    let Layout { width, height, .. } = layout;
    page.push_str("<div class=\"stage\"><div class=\"corner\"></div><div class=\"names\">");
    for (lane, x) in &layout.order {
        let kind = kind(lane);
        put(
            page,
            format_args!(
                "<b class=\"{kind}\" style=\"left:{x}px\">{}</b>",
                escape(&lane.to_string())
            ),
        );
    }
    put(page, format_args!("</div>\n<div class=\"text\" style=\"height:{height}px\">\n"));
    text(page, picture.time, scenes, lines, layout, arrows);
    put(page, format_args!("</div>\n<svg width=\"{width}\" height=\"{height}\">\n"));
    let pen = Pen { scenes, layout, time: picture.time };
    pen.lanes(page);
    for (n, arrow) in arrows.iter().enumerate() {
        pen.arrow(page, n, arrow);
    }
    pen.talk(page);
    pen.marks(page);
    page.push_str("</svg></div>\n");
}

const fn kind(lane: &Lane) -> &'static str {
    match lane {
        Lane::Client(_) => "client",
        Lane::Node(_) | Lane::Actor(..) => "node",
        Lane::Head(_) => "head",
        Lane::Object(_) => "object",
    }
}

fn text(
    page: &mut String,
    time: Time,
    scenes: &[Scene],
    lines: &[Option<String>],
    layout: &Layout,
    arrows: &[Arrow<'_>],
) {
    let mut arrow_of = BTreeMap::new();
    for (n, arrow) in arrows.iter().enumerate() {
        arrow_of.extend(arrow.moments().map(|moment| (moment, n)));
    }
    for (n, (scene, line)) in scenes.iter().zip(lines).enumerate() {
        let Some(line) = line else { continue };
        let (y, line) = (layout.heights[n], escape(line));
        let kind = match &scene.act {
            Act::Breaks(_) => "breaks",
            Act::Crashes(_) | Act::Astray { .. } => "bad",
            Act::Told { is_good: false, .. } | Act::Performed { is_good: false, .. } => "warn",
            Act::Performed { is_late: true, .. } => "lately",
            Act::Asks { .. } | Act::Told { .. } => "said",
            Act::Note(_) => "note",
            _ => "plain",
        };
        let arrow = arrow_of.get(&n).map_or(String::new(), |arrow| format!(" data-a=\"{arrow}\""));
        let at = time.show(scene.at);
        put(
            page,
            format_args!(
                "<div class=\"line {kind}\" style=\"top:{}px\" data-t=\"{line}\"{arrow}><i>{}</i>{line}</div>\n",
                y - 10,
                at.trim_start(),
            ),
        );
    }
    for (y, passed) in &layout.gaps {
        let seconds = *passed as f64 / 1_000.0;
        put(
            page,
            format_args!("<div class=\"gap\" style=\"top:{}px\">{seconds:.1} s pass</div>", y - 4),
        );
    }
}

/// What draws a story.
struct Pen<'a> {
    scenes: &'a [Scene],
    layout: &'a Layout,
    time: Time,
}

impl Pen<'_> {
    fn at(&self, scene: usize) -> String {
        self.time.show(self.scenes[scene].at).trim_start().to_owned()
    }

    /// A line for each lane, as far as there is somebody.
    fn lanes(&self, page: &mut String) {
        let (bottom, heights) = (self.layout.height, &self.layout.heights);
        for (lane, x) in &self.layout.order {
            let kind = kind(lane);
            put(page, format_args!("<path class=\"lane {kind}\" d=\"M{x} 0V{bottom}\"/>"));
            if matches!(lane, Lane::Node(_) | Lane::Actor(..)) {
                for (from, to) in self.lives(lane) {
                    put(page, format_args!("<path class=\"life\" d=\"M{x} {from}V{to}\"/>"));
                }
            }
        }
        // While a client waits, its lane is thick; so is a node's that stands still.
        let mut asked = BTreeMap::new();
        for (scene, y) in self.scenes.iter().zip(heights) {
            match &scene.act {
                Act::Asks { client, .. } => {
                    asked.insert(client, *y);
                }
                Act::Told { client, .. } => {
                    if let Some(from) = asked.remove(client) {
                        self.waits(page, client, from, *y);
                    }
                }
                Act::Stands { who, until } => {
                    let over = self.scenes.partition_point(|scene| scene.at < *until);
                    let to = heights.get(over).unwrap_or(&bottom);
                    let x = self.layout.x(who);
                    put(page, format_args!("<path class=\"stands\" d=\"M{x} {y}V{to}\"/>"));
                }
                _ => {}
            }
        }
        for (client, from) in asked {
            self.waits(page, client, from, bottom);
        }
    }

    fn waits(&self, page: &mut String, client: &Lane, from: i64, to: i64) {
        let x = self.layout.x(client);
        put(page, format_args!("<path class=\"waits\" d=\"M{x} {from}V{to}\"/>"));
    }

    /// From when to when somebody's memory lasts.
    fn lives(&self, lane: &Lane) -> Vec<(i64, i64)> {
        let mut lives = Vec::new();
        let mut since = matches!(lane, Lane::Actor(..)).then_some(0);
        for (scene, y) in self.scenes.iter().zip(&self.layout.heights) {
            match &scene.act {
                Act::Starts(who, _) if who == lane => since = Some(*y),
                Act::Crashes(who) if who == lane => {
                    lives.extend(since.take().map(|since| (since, *y)));
                    // An actor begins again by itself.
                    since = matches!(lane, Lane::Actor(..)).then_some(*y + 8);
                }
                _ => {}
            }
        }
        lives.extend(since.map(|since| (since, self.layout.height)));
        lives
    }

    fn arrow(&self, page: &mut String, n: usize, arrow: &Arrow<'_>) {
        let (x, to) = (self.layout.x(arrow.from), self.layout.x(arrow.to));
        let heights = &self.layout.heights;
        let sent = heights[arrow.sent];
        let card = escape(&self.card(arrow));
        let kind = arrow.kind();
        put(page, format_args!("<g class=\"arrow {kind}\" id=\"a{n}\" data-t=\"{card}\">"));
        let part = |hundredths: i64| x + (to - x) * hundredths / 100;
        match (arrow.performed, arrow.heard) {
            (Some((at, _, is_good)), heard) => {
                let y = heights[at];
                put(page, format_args!("<path class=\"hit\" d=\"M{x} {sent}L{to} {y}\"/>"));
                put(page, format_args!("<path class=\"there\" d=\"M{x} {sent}L{to} {y}\"/>"));
                put(page, format_args!("<circle cx=\"{to}\" cy=\"{y}\" r=\"3.5\"/>"));
                if let Some(brief) = arrow.brief.filter(|_| is_good) {
                    put(
                        page,
                        format_args!(
                            "<text x=\"{}\" y=\"{}\">{}</text>",
                            to + 8,
                            y + 4,
                            escape(brief)
                        ),
                    );
                }
                match heard {
                    Some((at, reply, is_awaited)) if reply != "LOST" => {
                        let back = heights[at];
                        let vain = if is_awaited { "" } else { " vain" };
                        put(
                            page,
                            format_args!("<path class=\"back{vain}\" d=\"M{to} {y}L{x} {back}\"/>"),
                        );
                    }
                    _ if arrow.astray.is_some() && !arrow.is_late => {
                        let (x, y) = (part(58), y + 12);
                        put(
                            page,
                            format_args!("<path class=\"back\" d=\"M{to} {}L{x} {y}\"/>", y - 12),
                        );
                        cross(page, x, y);
                    }
                    _ => {}
                }
            }
            (None, heard) if arrow.astray.is_some() => {
                let turned = heard.filter(|(_, reply, _)| *reply != "LOST");
                let end = part(if turned.is_some() { TURNED_AT } else { LOST_AT });
                let y = turned.map_or(sent + 10, |(at, ..)| i64::midpoint(sent, heights[at]));
                put(page, format_args!("<path class=\"hit\" d=\"M{x} {sent}L{end} {y}\"/>"));
                put(page, format_args!("<path class=\"there\" d=\"M{x} {sent}L{end} {y}\"/>"));
                cross(page, end, y);
                if let Some((at, ..)) = heard {
                    put(
                        page,
                        format_args!("<path class=\"back\" d=\"M{end} {y}L{x} {}\"/>", heights[at]),
                    );
                }
            }
            // Still on its way at the end.
            (None, _) => {
                let (end, y) = (part(70), self.layout.height);
                put(page, format_args!("<path class=\"there vain\" d=\"M{x} {sent}L{end} {y}\"/>"));
            }
        }
        page.push_str("</g>\n");
    }

    /// What is to be known of a request.
    fn card(&self, arrow: &Arrow<'_>) -> String {
        let (from, machine) = (arrow.from, arrow.machine);
        let mut card = format!("{} {from}, {machine}\n{}", self.at(arrow.sent), arrow.text);
        if let Some((_, text)) = arrow.astray {
            put(&mut card, format_args!("\n✕ {text}"));
        }
        if let Some((at, reply, _)) = arrow.performed {
            let late = if arrow.is_late { ", when nobody waited for it" } else { "" };
            put(&mut card, format_args!("\n{} → {reply}{late}", self.at(at)));
        }
        if let Some((at, reply, is_awaited)) = arrow.heard {
            let vain = if is_awaited { "" } else { ", and nobody waits" };
            put(&mut card, format_args!("\n{} heard: {reply}{vain}", self.at(at)));
        }
        card
    }

    /// What clients ask and are told.
    fn talk(&self, page: &mut String) {
        for (scene, y) in self.scenes.iter().zip(&self.layout.heights) {
            let (from, to, kind, text) = match &scene.act {
                Act::Asks { client, node, text, op } => {
                    (client, node, "ask", format!("#{op} {text}"))
                }
                Act::Told { client, node, text, op, is_good } => (
                    node,
                    client,
                    if *is_good { "good" } else { "refused" },
                    format!("#{op} {text}"),
                ),
                _ => continue,
            };
            let (x, to) = (self.layout.x(from), self.layout.x(to));
            let tip = if to > x { to - 7 } else { to + 7 };
            let (card, wing) = (escape(&text), if to > x { -6 } else { 6 });
            put(
                page,
                format_args!(
                    "<g class=\"talk {kind}\" data-t=\"{card}\"><path class=\"hit\" d=\"M{x} {y}H{to}\"/>\
                     <path d=\"M{x} {y}H{tip}m{wing} -4L{tip} {y}l{wing} 4\"/></g>\n"
                ),
            );
        }
    }

    /// Crashes and starts, and where a property breaks.
    fn marks(&self, page: &mut String) {
        for (scene, y) in self.scenes.iter().zip(&self.layout.heights) {
            match &scene.act {
                Act::Crashes(who) => {
                    page.push_str("<g class=\"crash\">");
                    cross(page, self.layout.x(who), *y);
                    page.push_str("</g>");
                }
                Act::Starts(who, _) => {
                    let x = self.layout.x(who);
                    put(
                        page,
                        format_args!("<circle class=\"start\" cx=\"{x}\" cy=\"{y}\" r=\"5\"/>"),
                    );
                }
                Act::Does(who, _) => {
                    let x = self.layout.x(who);
                    put(
                        page,
                        format_args!("<circle class=\"does\" cx=\"{x}\" cy=\"{y}\" r=\"4\"/>"),
                    );
                }
                Act::Breaks(_) => {
                    let width = self.layout.width;
                    put(page, format_args!("<path class=\"breaks\" d=\"M0 {y}H{width}\"/>"));
                }
                _ => {}
            }
        }
    }
}

fn cross(page: &mut String, x: i64, y: i64) {
    put(
        page,
        format_args!("<path class=\"cross\" d=\"M{} {}l10 10m0 -10l-10 10\"/>", x - 5, y - 5),
    );
}
