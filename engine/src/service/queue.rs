//! Clients of a namespace that wait for an operation to take them up.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::time::Timestamp;
use crate::namespace::request::{QueryError, QueryRequest, WriteError};
use crate::namespace::snapshot::Snapshot;
use crate::ops::delete::DeleteError;
use crate::service::namespace::{Ticket, Word};
use crate::service::writes::Writes;

/// Who waits.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Queue {
    pub(super) writes: Writes,
    /// Deletions, and since when they wait.
    pub(super) deletes: VecDeque<(Timestamp, Ticket)>,
    /// Questions that wait for a head check.
    pub(super) asks: Vec<Ask>,
    /// Queries whose head check is over.
    pub(super) ready: Vec<(Ask, Arc<Snapshot>)>,
}

/// A question that waits for a head check, or runs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Ask {
    pub(super) ticket: Ticket,
    /// The query; `None` asks for the version itself.
    pub(super) query: Option<Arc<QueryRequest>>,
    pub(super) arrived: Timestamp,
    /// How often a snapshot turned out to be too old for it.
    pub(super) restarts: u32,
}

impl Queue {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.writes.len() + self.deletes.len() + self.asks.len() + self.ready.len()
    }

    /// Turns those away who have waited for longer than this to change something (V5).
    pub(super) fn turn_away(&mut self, now: Timestamp, most: Duration) -> Vec<(Ticket, Word)> {
        let writes = self.writes.turn_away(now, most).into_iter();
        let writes = writes.map(|t| (t, Word::Written(Err(WriteError::Unavailable))));
        let mut words: Vec<_> = writes.collect();
        while let Some((_, ticket)) = self.deletes.pop_front_if(|(since, _)| *since + most < now) {
            words.push((ticket, Word::Deleted(Err(DeleteError::Unavailable))));
        }
        words
    }
}

impl Ask {
    /// The answer to it if it fails.
    pub(super) fn refuse(&self, error: QueryError) -> Word {
        match self.query {
            Some(_) => Word::Answered(Err(error)),
            None => Word::Described(Err(error)),
        }
    }
}
