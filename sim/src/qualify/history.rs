//! What clients of a real store saw: each request, when it was asked, when and how it was answered.
//!
//! Moments are numbers that only grow, drawn from one counter by all clients. They say which request
//! was answered before which other was asked, and nothing else: no clock is read.

use std::fmt;

use sana_engine::base::blob::Blob;
use sana_engine::machine::request::{Reply, Request, When};

/// One request of one client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Who asked.
    pub client: u32,
    /// A moment before the store could have heard of it.
    pub begin: u64,
    /// A moment after the client had its reply, or had given up.
    pub end: u64,
    /// What was asked.
    pub request: Request,
    /// What was answered. A client that gave up was answered [`Reply::Lost`].
    pub reply: Reply,
}

/// Everything that was asked of a store, beginning with an empty one. What others do to the same
/// objects meanwhile must be in it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History {
    /// In any order.
    pub entries: Vec<Entry>,
}

impl History {
    /// How many requests were under way together, at most.
    pub fn width(&self) -> usize {
        let mut moments: Vec<(u64, i8)> = Vec::with_capacity(self.entries.len() * 2);
        for entry in &self.entries {
            moments.push((entry.begin, 1));
            moments.push((entry.end, -1));
        }
        moments.sort_unstable();
        let (mut open, mut most) = (0_usize, 0);
        for (_, change) in moments {
            open = open.saturating_add_signed(isize::from(change));
            most = most.max(open);
        }
        most
    }
}

/// The bytes of a body that a story shows.
const SHOWN: usize = 24;

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, begin, end, request, reply } = self;
        let moments = format!("{begin}–{end}");
        write!(f, "{moments:>13}  client {client:<3} {} → {}", asked(request), answered(reply))
    }
}

fn asked(request: &Request) -> String {
    match request {
        Request::Get { key, range, unless } => {
            let part = range.map_or(String::new(), |r| format!(", bytes {}..{}", r.start, r.end));
            let unless = unless.as_ref().map(|tag| format!(" unless at {}", tag.as_str()));
            format!("get {key}{part}{}", unless.unwrap_or_default())
        }
        Request::Put { key, body, when } => {
            let when = match when {
                When::Absent => "if absent".to_owned(),
                When::Fresh => "as new".to_owned(),
                When::Matches(tag) => format!("if at {}", tag.as_str()),
            };
            format!("put {} to {key} {when}", shown(body))
        }
        Request::Delete { key } => format!("delete {key}"),
        Request::List { prefix, after, limit } => {
            let after = after.as_ref().map_or(String::new(), |after| format!(" after {after}"));
            format!("list {limit} of {prefix}…{after}")
        }
    }
}

fn answered(reply: &Reply) -> String {
    match reply {
        Reply::Found { tag, body } => format!("found {} at {}", shown(body), tag.as_str()),
        Reply::NotModified => "not modified".to_owned(),
        Reply::Missing => "missing".to_owned(),
        Reply::Stored { tag } => format!("stored at {}", tag.as_str()),
        Reply::Refused => "refused".to_owned(),
        Reply::Deleted => "deleted".to_owned(),
        Reply::Listed { objects, more } => {
            let named = objects.iter().map(|it| format!("{} ({} bytes)", it.key, it.bytes));
            let named = named.collect::<Vec<_>>().join(", ");
            let named = if named.is_empty() { "nothing".to_owned() } else { named };
            format!("listed {named}{}", if *more { ", and more" } else { "" })
        }
        Reply::Unreadable => "unreadable".to_owned(),
        Reply::Throttled => "turned away".to_owned(),
        Reply::Lost => "no answer".to_owned(),
    }
}

/// A body, as far as it can be shown: what is no plain text is told by its size.
fn shown(body: &Blob) -> String {
    let start = body.as_slice().get(..SHOWN.min(body.len())).unwrap_or_default();
    if start.is_empty() || !start.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return format!("{} bytes", body.len());
    }
    let text = String::from_utf8_lossy(start);
    if body.len() > SHOWN { format!("'{text}…'") } else { format!("'{text}'") }
}
