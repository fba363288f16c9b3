//! What happened in a run, scene by scene, if anybody listens.
//!
//! A scene is a value, and both the text that is read and the picture that is looked at
//! ([`diagram`](crate::diagram)) are made of scenes. A request is told in up to four: it is *sent*,
//! something goes wrong with it, it is *performed*, and its reply is *heard*. They have a letter in
//! common.

use std::collections::BTreeMap;
use std::fmt;

use crate::digest::Digest;

/// Whoever or whatever things happen to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lane {
    /// A client.
    Client(usize),
    /// A node.
    Node(usize),
    /// An actor of a small world, and what one calls it.
    Actor(usize, &'static str),
    /// The head of the namespace of this name.
    Head(String),
    /// Another object, or several.
    Object(String),
}

/// What tells a request from all others that are under way.
pub type Letter = Digest;

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// Something that concerns everybody.
    Note(String),
    /// Somebody does something, or something is done to it.
    Does(Lane, String),
    /// Somebody starts with an empty memory.
    Starts(Lane, String),
    /// Somebody crashes.
    Crashes(Lane),
    /// Somebody stands still until a time.
    Stands {
        /// Who.
        who: Lane,
        /// Until when, in the story's time.
        until: u64,
    },
    /// A client asks.
    Asks {
        /// Who.
        client: Lane,
        /// Whom.
        node: Lane,
        /// The number of the request.
        op: u64,
        /// What.
        text: String,
    },
    /// A client is told.
    Told {
        /// Who.
        client: Lane,
        /// By whom.
        node: Lane,
        /// The number of the request.
        op: u64,
        /// What.
        text: String,
        /// Whether that is good news.
        is_good: bool,
    },
    /// A request leaves for the store.
    Sent {
        /// Which.
        letter: Letter,
        /// From whom.
        from: Lane,
        /// For which object.
        to: Lane,
        /// What the sender is doing.
        machine: &'static str,
        /// What is asked.
        text: String,
        /// What the object is from then on, in a word, if it is performed.
        brief: Option<String>,
        /// Whether it changes nothing.
        is_read: bool,
    },
    /// Something goes wrong with a request that was sent.
    Astray {
        /// Which.
        letter: Letter,
        /// What: it *never arrives*.
        text: String,
    },
    /// The store performs a request.
    Performed {
        /// Which.
        letter: Letter,
        /// What it says.
        reply: String,
        /// Whether it did as it was asked.
        is_good: bool,
        /// Whether nobody waits for it any more.
        is_late: bool,
    },
    /// A reply reaches whoever sent the request.
    Heard {
        /// Which.
        letter: Letter,
        /// What it says.
        reply: String,
        /// Whether somebody waits for it.
        is_awaited: bool,
    },
    /// A property is broken.
    Breaks(String),
}

/// Something that happened, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scene {
    /// In milliseconds of a large world, in events of a small one.
    pub at: u64,
    /// What.
    pub act: Act,
}

/// What happened, if anybody listens.
#[derive(Clone, Debug, Default)]
pub struct Story {
    now: u64,
    scenes: Option<Vec<Scene>>,
}

/// How the time of a story is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Time {
    /// It is milliseconds.
    Milliseconds,
    /// It is the number of an event.
    Events,
}

impl Story {
    /// A story that is listened to.
    pub const fn told() -> Self {
        Self { now: 0, scenes: Some(Vec::new()) }
    }

    /// A story that nobody listens to: nothing is put into words.
    pub const fn silent() -> Self {
        Self { now: 0, scenes: None }
    }

    /// Whether somebody listens.
    pub const fn is_told(&self) -> bool {
        self.scenes.is_some()
    }

    /// What is told from now on happens at this time.
    pub const fn at(&mut self, now: u64) {
        self.now = now;
    }

    /// Tells something.
    pub fn tell<A: Into<Act>>(&mut self, act: impl FnOnce() -> A) {
        let at = self.now;
        if let Some(scenes) = &mut self.scenes {
            scenes.push(Scene { at, act: act().into() });
        }
    }

    /// All scenes so far.
    pub fn into_scenes(self) -> Vec<Scene> {
        self.scenes.unwrap_or_default()
    }
}

impl From<String> for Act {
    fn from(text: String) -> Self {
        Self::Note(text)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(n) => write!(f, "client {n}"),
            Self::Node(n) => write!(f, "node {n}"),
            Self::Actor(n, who) => write!(f, "{who} {n}"),
            Self::Head(namespace) => write!(f, "head of {namespace}"),
            Self::Object(name) => f.write_str(name),
        }
    }
}

impl Time {
    /// A moment, as wide as others.
    pub fn show(self, at: u64) -> String {
        match self {
            Self::Milliseconds => format!("{:>5}.{:03}", at / 1_000, at % 1_000),
            Self::Events => format!("{at:>4}"),
        }
    }
}

/// The line that tells each scene. Those that everybody expects, as that a read is answered, have none.
pub fn lines(scenes: &[Scene]) -> Vec<Option<String>> {
    let mut sent = BTreeMap::new();
    scenes.iter().map(|scene| line(&scene.act, &mut sent)).collect()
}

/// Who sent which request as what, for what is told of it later.
type Sent<'a> = BTreeMap<Letter, (&'a Lane, &'static str, &'a str, bool)>;

fn line<'a>(act: &'a Act, sent: &mut Sent<'a>) -> Option<String> {
    let request = |letter: &Letter| {
        let (from, machine, text, _) = sent.get(letter)?;
        Some(format!("{from}, {machine}: {text}"))
    };
    Some(match act {
        Act::Note(text) | Act::Breaks(text) => text.clone(),
        Act::Does(who, text) | Act::Starts(who, text) => format!("{who} {text}"),
        Act::Crashes(who) => format!("{who} crashes"),
        Act::Stands { who, until } => {
            format!("{who} stands still until {}", Time::Milliseconds.show(*until).trim_start())
        }
        Act::Asks { client, node, op, text } => format!("{client} asks {node} (#{op}): {text}"),
        Act::Told { client, op, text, .. } => format!("{client} is told (#{op}): {text}"),
        Act::Sent { letter, from, machine, text, is_read, .. } => {
            sent.insert(*letter, (from, machine, text, *is_read));
            return None;
        }
        Act::Astray { letter, text } => format!("{} {text}", request(letter)?),
        Act::Performed { letter, reply, is_late, .. } => {
            let (.., is_read) = sent.get(letter)?;
            if *is_read {
                return None;
            }
            let late = if *is_late { ", and nobody waits for it" } else { "" };
            format!("{} → {reply}{late}", request(letter)?)
        }
        Act::Heard { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_with_what_became_of_it() {
        let mut story = Story::told();
        story.at(1_204);
        let (from, to) = (Lane::Node(1), Lane::Head("ns0".into()));
        for (letter, is_read) in [(1, true), (2, false)] {
            let (from, to, text) = (from.clone(), to.clone(), "put head".into());
            story.tell(|| Act::Sent {
                letter,
                from,
                to,
                machine: "commit",
                text,
                brief: None,
                is_read,
            });
            let (reply, is_good, is_late) = ("stored".into(), true, !is_read);
            story.tell(|| Act::Performed { letter, reply, is_good, is_late });
        }
        story.tell(|| "the faults stop".to_owned());
        let scenes = story.into_scenes();
        let told: Vec<String> = lines(&scenes).into_iter().flatten().collect();
        let put = "node 1, commit: put head → stored, and nobody waits for it";
        assert_eq!(told, [put, "the faults stop"]);
        assert_eq!(Time::Milliseconds.show(scenes[0].at), "    1.204");
    }

    #[test]
    fn nothing_is_put_into_words_for_nobody() {
        let mut story = Story::silent();
        story.tell(|| -> String { unreachable!("nobody listens") });
        assert!(!story.is_told() && story.into_scenes().is_empty());
    }
}
