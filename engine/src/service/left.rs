//! What is left to be done for a namespace, as its head alone says: for those who look after namespaces
//! that they do not have in memory.
//!
//! Whoever made the work sees to it, so it is left only if nothing has moved since somebody looked before.

use crate::base::id::{Cursor, Generation, Incarnation};
use crate::base::planted::{self, Bug};
use crate::base::time::WallTime;
use crate::format::head::Head;
use crate::ops::collect;
use crate::service::settings::Settings;

/// How far the upkeep of a namespace has come that is not at its end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Progress {
    /// The life of the namespace.
    pub incarnation: Incarnation,
    /// How far its log is indexed.
    pub indexed: Cursor,
    /// The generation of its manifest.
    pub generation: Generation,
    /// How many pieces of trash it has.
    pub trash: usize,
}

/// How far the upkeep has come by this head, if something of the log is not indexed or trash is due.
/// Nothing is said of merges: they are planned when a namespace is used again.
pub fn left(head: &Head, wall: WallTime, settings: &Settings) -> Option<Progress> {
    let live = head.live()?;
    let has_trash = !collect::due(head, wall, settings.trash_retention).is_empty();
    let has_trash = has_trash && !planted::is(Bug::OnlyLogsAreWatched);
    (!live.log.entries.is_empty() || has_trash).then_some(Progress {
        incarnation: head.incarnation,
        indexed: live.log.indexed,
        generation: live.manifest.generation,
        trash: live.trash.len(),
    })
}
