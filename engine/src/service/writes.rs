//! Writes that wait to be committed, and which of them go together: group commit.
//!
//! What filters match is found for one request, so one with a filter goes alone. What ignores a backlog
//! does so for itself. And if something that a group needs cannot be read, or all of it is too much, each
//! of its writes is committed alone, in their order: then it shows whose it is, and the others are not to
//! blame. The time they may wait begins anew then, for the group may have taken all of it; and a few times
//! more, for so may each of them whose own write is what cannot be done. Between two such, others have a turn.

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
    /// Those of groups that failed for what their requests need together. Each goes alone, before all others.
    alone: VecDeque<Waiting>,
    /// How many of these could not be done alone either, since the last group was put back.
    failed_alone: u32,
    /// Whether others go before them, for one of them has just failed.
    others_are_next: bool,
    waiting: VecDeque<Waiting>,
}

/// So often the time of those who go alone begins anew for one of them that could not be done.
const RENEWALS_MAX: u32 = 3;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Waiting {
    ticket: Ticket,
    request: WriteRequest,
    bytes: usize,
    since: Timestamp,
}

/// Writes that are committed together, and who asked for each.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Group {
    pub(super) tickets: Vec<Ticket>,
    pub(super) requests: Arc<[WriteRequest]>,
}

impl Writes {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.alone.len() + self.waiting.len()
    }

    /// A client writes. `bytes` is about how large the request is.
    pub(super) fn push(
        &mut self,
        since: Timestamp,
        ticket: Ticket,
        request: WriteRequest,
        bytes: usize,
    ) {
        self.waiting.push_back(Waiting { ticket, request, bytes, since });
    }

    /// Turns those away who have waited for longer than this. In either line they stand in the order of
    /// their arrival.
    pub(super) fn turn_away(&mut self, now: Timestamp, most: Duration) -> Vec<Ticket> {
        let mut turned_away = Vec::new();
        for line in [&mut self.alone, &mut self.waiting] {
            while let Some(waiting) = line.pop_front_if(|waiting| waiting.since + most < now) {
                turned_away.push(waiting.ticket);
            }
        }
        turned_away
    }

    /// All that waits and goes together, up to a bound.
    pub(super) fn take(&mut self) -> Option<Group> {
        let others = core::mem::take(&mut self.others_are_next) && !self.waiting.is_empty();
        if let Some(Waiting { ticket, request, .. }) = self.alone.pop_front_if(|_| !others) {
            return Some(Group { tickets: vec![ticket], requests: [request].into() });
        }
        let first = self.waiting.front()?;
        let (is_alone, ignores) = (first.goes_alone(), first.request.ignores_backlog);
        let joins = |next: &Waiting| {
            !is_alone && !next.goes_alone() && next.request.ignores_backlog == ignores
        };
        let (mut requests, mut tickets, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(next) = self.waiting.pop_front_if(|next| {
            requests.is_empty() || (joins(next) && bytes + next.bytes <= limits::GROUP_BYTES_MAX)
        }) {
            bytes += next.bytes;
            tickets.push(next.ticket);
            requests.push(next.request);
        }
        Some(Group { tickets, requests: requests.into() })
    }

    /// Nothing of a group was written for what its requests need. If it is of several, each is to be committed
    /// by itself. True if nobody is to be told of it yet.
    pub(super) fn wanted_too_much(&mut self, since: Timestamp, group: &Group) -> bool {
        assert_eq!(group.tickets.len(), group.requests.len(), "V4: every request has a ticket");
        if group.tickets.len() == 1 {
            self.others_are_next = true;
            self.failed_alone += 1;
            if self.failed_alone <= RENEWALS_MAX {
                self.alone.iter_mut().for_each(|waiting| waiting.since = since);
            }
            return false;
        }
        self.failed_alone = 0;
        let named = group.tickets.iter().zip(&*group.requests);
        self.alone.extend(named.map(|(ticket, request)| {
            let (ticket, request) = (*ticket, request.clone());
            Waiting { ticket, request, bytes: 0, since }
        }));
        true
    }
}

impl Waiting {
    fn goes_alone(&self) -> bool {
        self.request.is_by_filter() && !planted::is(Bug::FiltersJoinGroups)
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

    #[test]
    fn those_of_a_group_that_was_put_back_go_alone_before_all_others_and_their_time_begins_anew() {
        let mut writes = Writes::default();
        for ticket in 1..=3 {
            writes.push(Timestamp(ticket), Ticket(ticket), WriteRequest::default(), 1);
        }
        let group = writes.take().unwrap();
        writes.push(Timestamp(4), Ticket(4), WriteRequest::default(), 1);
        assert!(writes.wanted_too_much(Timestamp(100), &group));
        writes.push(Timestamp(101), Ticket(5), WriteRequest::default(), 1);
        assert_eq!(writes.len(), 5);
        assert_eq!(writes.take().unwrap().tickets, [Ticket(1)]);
        let most = Duration::from_millis(50);
        assert_eq!(writes.turn_away(Timestamp(54), most), []);
        assert_eq!(writes.turn_away(Timestamp(55), most), [Ticket(4)]);
        let second = writes.take().unwrap();
        assert_eq!(second.tickets, [Ticket(2)]);
        // What cannot be done is its own, and took as long as it did.
        assert!(!writes.wanted_too_much(Timestamp(140), &second), "it is told so");
        assert_eq!(writes.turn_away(Timestamp(151), most), []);
        assert_eq!(writes.take().unwrap().tickets, [Ticket(5)], "others have a turn");
        assert_eq!(writes.turn_away(Timestamp(190), most), []);
        assert_eq!(writes.turn_away(Timestamp(191), most), [Ticket(3)]);
        assert!(writes.is_empty());
    }

    #[test]
    fn the_time_of_those_who_go_alone_ends() {
        let mut writes = Writes::default();
        for ticket in 1..=7 {
            writes.push(Timestamp(0), Ticket(ticket), WriteRequest::default(), 1);
        }
        let group = writes.take().unwrap();
        assert!(writes.wanted_too_much(Timestamp(100), &group));
        let most = Duration::from_millis(50);
        for n in 1..=4 {
            let one = writes.take().unwrap();
            assert_eq!(one.tickets, [Ticket(n)], "each has been tried by then");
            assert!(!writes.wanted_too_much(Timestamp(100 + 51 * n), &one));
            let gone = writes.turn_away(Timestamp(100 + 51 * n), most);
            let rest = [Ticket(5), Ticket(6), Ticket(7)];
            assert_eq!(gone, if n == 4 { &rest[..] } else { &[] });
        }
        assert!(writes.is_empty());
    }
}
