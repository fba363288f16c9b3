//! The space-time diagram of a story: one HTML file that needs nothing else.
//!
//! Time goes down. On the left each scene that is worth a line is told; beside it, at the same height,
//! it is drawn: a lane for each client, node and object, and an arrow for each request and its reply.
//! Red is what goes wrong. A write that lands long after its sender gave up is a long arrow. What a
//! line or an arrow is about is shown when one points at it.
//!
//! | module     | what it answers                          |
//! |------------|------------------------------------------|
//! | `arrows` | Which requests were there, from when to when? |
//! | `layout` | Where is what?                           |
//! | `draw`   | What does it look like?                  |

mod arrows;
mod draw;
mod layout;

use std::fmt::Write;

use crate::story::{self, Scene, Time};
use arrows::Arrow;
use layout::Layout;

/// What is shown.
#[derive(Clone, Debug)]
pub struct Picture<'a> {
    /// What it is called.
    pub title: String,
    /// What is to be known of the run beside the story.
    pub facts: Vec<String>,
    /// What happened.
    pub scenes: &'a [Scene],
    /// How its time is written.
    pub time: Time,
    /// The property that was broken, if one was.
    pub broken: Option<String>,
    /// What was decided, by what it belongs to.
    pub decisions: Vec<(String, String)>,
    /// The command that tells it again.
    pub command: String,
}

/// A picture of more scenes than this would be too large to be looked at: the last ones are shown.
const SCENES_MOST: usize = 8_000;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The file.
pub fn html(picture: &Picture<'_>) -> String {
    let left_out = picture.scenes.len().saturating_sub(SCENES_MOST);
    let scenes = &picture.scenes[left_out..];
    let lines = story::lines(scenes);
    let layout = Layout::of(scenes, &lines);
    let arrows = Arrow::all(scenes);
    let mut page = String::new();
    let title = escape(&picture.title);
    page.push_str("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width\">\n");
    put(&mut page, format_args!("<title>{title}</title>\n<style>\n{STYLE}</style>\n"));
    put(&mut page, format_args!("<header><h1>{title}</h1>\n"));
    for fact in &picture.facts {
        put(&mut page, format_args!("<span class=\"fact\">{}</span>\n", escape(fact)));
    }
    match &picture.broken {
        Some(broken) => put(&mut page, format_args!("<p class=\"broken\">{}</p>", escape(broken))),
        None => page.push_str("<p class=\"sound\">Nothing breaks.</p>"),
    }
    page.push_str(LEGEND);
    page.push_str("</header>\n");
    if left_out > 0 {
        put(&mut page, format_args!("<p class=\"cut\">{left_out} earlier scenes are left out</p>"));
    }
    draw::stage(&mut page, picture, scenes, &lines, &layout, &arrows);
    decisions(&mut page, picture);
    put(&mut page, format_args!("<div id=\"card\"></div>\n<script>\n{SCRIPT}</script>\n</html>\n"));
    page
}

const LEGEND: &str = "<p class=\"legend\"><i class=\"ask\"></i>asked <i class=\"good\"></i>told \
<i class=\"write\"></i>write <i class=\"read\"></i>read <i class=\"refused\"></i>refused \
<i class=\"late\"></i>lands late <i class=\"lost\"></i>lost, crash</p>\n";

fn decisions(page: &mut String, picture: &Picture<'_>) {
    page.push_str("<footer>");
    if !picture.decisions.is_empty() {
        let count = picture.decisions.len();
        put(
            page,
            format_args!("<details><summary>What was decided, in {count} places</summary><table>"),
        );
        for (scope, ways) in &picture.decisions {
            put(page, format_args!("<tr><td>{}<td>{}", escape(scope), escape(ways)));
        }
        page.push_str("</table></details>");
    }
    put(page, format_args!("<p>Again:</p><pre>{}</pre></footer>\n", escape(&picture.command)));
}

/// Adds to a page.
fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a text takes any text");
}

/// As it is written in HTML, in and between tags.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{Act, Lane, Story};

    #[test]
    fn the_page_has_a_lane_for_everybody_and_needs_nothing_else() {
        let mut story = Story::told();
        let (client, node) = (Lane::Client(0), Lane::Node(1));
        story.tell(|| Act::Starts(node.clone(), "starts (life 1)".into()));
        story.at(10);
        let text = "upsert 1 {text='<b>'}".to_owned();
        story.tell(|| Act::Asks { client, node: node.clone(), op: 1, text });
        let (from, to, text) = (node, Lane::Head("ns0".into()), "put".to_owned());
        let (letter, brief) = (7, Some("step 1".to_owned()));
        story.tell(|| Act::Sent {
            letter,
            from,
            to,
            machine: "commit",
            text,
            brief,
            is_read: false,
        });
        story.at(90_000);
        let (is_good, is_late) = (true, true);
        story.tell(|| Act::Performed { letter, reply: "stored".into(), is_good, is_late });
        let scenes = story.into_scenes();
        let page = html(&Picture {
            title: "seed 1".into(),
            facts: vec!["3 nodes".into()],
            scenes: &scenes,
            time: Time::Milliseconds,
            broken: Some("O1 is broken".into()),
            decisions: vec![("client 0, turn 1".into(), "Workload 0 → 1".into())],
            command: "sana-sim replay 1".into(),
        });
        for part in ["client 0", "node 1", "head of ns0", "step 1", "&lt;b&gt;", "O1 is broken"] {
            assert!(page.contains(part), "{part}");
        }
        for foreign in ["http", "src=", "@import", "<b>"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }
}
