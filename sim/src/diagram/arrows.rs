//! Which requests were sent, what became of each, and when.

use std::collections::BTreeMap;

use crate::story::{Act, Lane, Letter, Scene};

/// A request on its way there and back. Moments are numbers of scenes.
#[derive(Clone, Debug)]
pub(super) struct Arrow<'a> {
    pub(super) from: &'a Lane,
    pub(super) to: &'a Lane,
    pub(super) machine: &'a str,
    pub(super) text: &'a str,
    pub(super) brief: Option<&'a str>,
    pub(super) is_read: bool,
    /// When it was sent.
    pub(super) sent: usize,
    /// What went wrong, and when that was decided.
    pub(super) astray: Option<(usize, &'a str)>,
    /// When the store performed it, what it said, and whether it did as it was asked.
    pub(super) performed: Option<(usize, &'a str, bool)>,
    /// Whether nobody waited for it any more when it was performed.
    pub(super) is_late: bool,
    /// When the reply came, what it said, and whether somebody waited.
    pub(super) heard: Option<(usize, &'a str, bool)>,
}

impl<'a> Arrow<'a> {
    /// All arrows of a story.
    pub(super) fn all(scenes: &'a [Scene]) -> Vec<Self> {
        let mut arrows: Vec<Self> = Vec::new();
        let mut by_letter: BTreeMap<Letter, Vec<usize>> = BTreeMap::new();
        for (n, scene) in scenes.iter().enumerate() {
            let which = match &scene.act {
                Act::Sent { letter, from, to, machine, text, brief, is_read } => {
                    by_letter.entry(*letter).or_default().push(arrows.len());
                    let brief = brief.as_deref();
                    let (sent, is_read) = (n, *is_read);
                    arrows.push(Self {
                        from,
                        to,
                        machine,
                        text,
                        brief,
                        is_read,
                        sent,
                        astray: None,
                        performed: None,
                        is_late: false,
                        heard: None,
                    });
                    continue;
                }
                Act::Astray { letter, .. }
                | Act::Performed { letter, .. }
                | Act::Heard { letter, .. } => by_letter.get(letter),
                _ => continue,
            };
            // The same may be sent again; then what is told is of the first that lacks it.
            let lacks = |arrow: &Self| match &scene.act {
                Act::Astray { .. } => arrow.astray.is_none(),
                Act::Performed { .. } => arrow.performed.is_none(),
                _ => arrow.heard.is_none(),
            };
            let which = which.and_then(|all| all.iter().find(|i| lacks(&arrows[**i])));
            let Some(which) = which.copied() else { continue };
            let arrow = &mut arrows[which];
            match &scene.act {
                Act::Astray { text, .. } => arrow.astray = Some((n, text.as_str())),
                Act::Performed { reply, is_good, is_late, .. } => {
                    arrow.performed = Some((n, reply.as_str(), *is_good));
                    arrow.is_late = *is_late;
                }
                Act::Heard { reply, is_awaited, .. } => {
                    arrow.heard = Some((n, reply.as_str(), *is_awaited));
                }
                _ => {}
            }
        }
        arrows
    }

    /// The scenes it is told in.
    pub(super) fn moments(&self) -> impl Iterator<Item = usize> {
        let later = [
            self.astray.map(|(at, _)| at),
            self.performed.map(|(at, ..)| at),
            self.heard.map(|(at, ..)| at),
        ];
        std::iter::once(self.sent).chain(later.into_iter().flatten())
    }

    /// What kind of arrow it is, as the style sheet calls it.
    pub(super) fn kind(&self) -> &'static str {
        match (self.astray, self.performed) {
            (_, Some((.., true))) if self.is_late && !self.is_read => "late",
            (Some(_), _) => "lost",
            (None, Some((_, _, false))) => "refused",
            _ if self.is_read => "read",
            _ => "write",
        }
    }
}
