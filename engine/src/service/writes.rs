//! Writes that wait to be committed, and which of them go together: group commit.
//!
//! What filters match is found for one request, so one with a filter goes alone. What ignores a backlog
//! does so for itself. And if something that a group needs cannot be read, or all of it is too much, each
//! of its writes is committed alone, in their order: then it shows whose it is, and the others are not to
//! blame.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::limits;
use crate::base::planted::{self, Bug};
use crate::base::time::Timestamp;
use crate::namespace::request::WriteRequest;
use crate::service::namespace::Ticket;

/// Writes that wait, in order.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Writes {
    waiting: VecDeque<Waiting>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Waiting {
    ticket: Ticket,
    request: WriteRequest,
    bytes: usize,
    since: Timestamp,
    /// Whether it was in a group that failed for what its requests need together.
    is_retried: bool,
}

/// Writes that are committed together, and who asked for each.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Group {
    pub(super) tickets: Vec<Ticket>,
    pub(super) requests: Arc<[WriteRequest]>,
    /// Since when each waits.
    since: Vec<Timestamp>,
}

impl Writes {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// A client writes. `bytes` is about how large the request is.
    pub(super) fn push(
        &mut self,
        since: Timestamp,
        ticket: Ticket,
        request: WriteRequest,
        bytes: usize,
    ) {
        self.waiting.push_back(Waiting { ticket, request, bytes, since, is_retried: false });
    }

    /// Turns those away who have waited for longer than this. They stand in the order of their arrival.
    pub(super) fn turn_away(&mut self, now: Timestamp, most: Duration) -> Vec<Ticket> {
        let mut turned_away = Vec::new();
        while let Some(waiting) = self.waiting.pop_front_if(|waiting| waiting.since + most < now) {
            turned_away.push(waiting.ticket);
        }
        turned_away
    }

    /// All that waits and goes together, up to a bound.
    pub(super) fn take(&mut self) -> Option<Group> {
        let first = self.waiting.front()?;
        let (is_alone, ignores) = (first.goes_alone(), first.request.ignores_backlog);
        let joins = |next: &Waiting| {
            !is_alone && !next.goes_alone() && next.request.ignores_backlog == ignores
        };
        let (mut requests, mut tickets, mut since, mut bytes) =
            (Vec::new(), Vec::new(), Vec::new(), 0);
        while let Some(next) = self.waiting.pop_front_if(|next| {
            requests.is_empty() || (joins(next) && bytes + next.bytes <= limits::GROUP_BYTES_MAX)
        }) {
            bytes += next.bytes;
            tickets.push(next.ticket);
            requests.push(next.request);
            since.push(next.since);
        }
        Some(Group { tickets, requests: requests.into(), since })
    }

    /// Puts a group back of which nothing was written, each to be committed by itself.
    pub(super) fn put_back(&mut self, group: &Group) {
        assert_eq!(group.tickets.len(), group.requests.len(), "V4: every request has a ticket");
        let named = group.tickets.iter().zip(&group.since).zip(&*group.requests);
        for ((ticket, since), request) in named.rev() {
            let (ticket, since, request) = (*ticket, *since, request.clone());
            let waiting = Waiting { ticket, request, bytes: 0, since, is_retried: true };
            self.waiting.push_front(waiting);
        }
    }
}

impl Waiting {
    fn goes_alone(&self) -> bool {
        let is_by_filter = self.request.is_by_filter() && !planted::is(Bug::FiltersJoinGroups);
        self.is_retried || is_by_filter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_of_those_that_fit_into_it_and_of_one_however_large() {
        let mut writes = Writes::default();
        let (half, all) = (limits::GROUP_BYTES_MAX / 2, limits::GROUP_BYTES_MAX);
        for (ticket, bytes) in [(1, half), (2, half), (3, 1), (4, 2 * all), (5, all), (6, 1)] {
            writes.push(Timestamp(0), Ticket(ticket), WriteRequest::default(), bytes);
        }
        let groups: Vec<Vec<u64>> = core::iter::from_fn(|| writes.take())
            .map(|group| group.tickets.iter().map(|ticket| ticket.0).collect())
            .collect();
        assert_eq!(groups, [vec![1, 2], vec![3], vec![4], vec![5], vec![6]]);
        assert!(writes.is_empty());
    }
}
