//! What will happen, in the order of its time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::hash::{Hash, Hasher};

/// Events that were caused and have not happened. Those of one time happen in the order in which they
/// were caused.
#[derive(Clone, Debug)]
pub(super) struct Agenda<E> {
    heap: BinaryHeap<Entry<E>>,
    caused: u64,
}

#[derive(Clone, Debug)]
struct Entry<E> {
    at: u64,
    nth: u64,
    event: E,
}

impl<E> Agenda<E> {
    pub(super) const fn new() -> Self {
        Self { heap: BinaryHeap::new(), caused: 0 }
    }

    /// It will happen at this time.
    pub(super) fn add(&mut self, at: u64, event: E) {
        self.caused += 1;
        self.heap.push(Entry { at, nth: self.caused, event });
    }

    /// The next event, and its time.
    pub(super) fn pop(&mut self) -> Option<(u64, E)> {
        self.heap.pop().map(|Entry { at, event, .. }| (at, event))
    }

    /// Whether anything happens until this time.
    pub(super) fn has_until(&self, time: u64) -> bool {
        self.heap.peek().is_some_and(|next| next.at <= time)
    }

    /// How much there is.
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}

impl<E> Entry<E> {
    const fn key(&self) -> (u64, u64) {
        (self.at, self.nth)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    /// The earliest is the greatest: it is at the top of the heap.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl<E: Hash> Hash for Agenda<E> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // How a heap lies depends on its past; what will happen does not.
        let mut entries: Vec<&Entry<E>> = self.heap.iter().collect();
        entries.sort_unstable_by_key(|entry| entry.key());
        for entry in entries {
            (entry.at, entry.nth).hash(state);
            entry.event.hash(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_time_happen_in_the_order_in_which_they_were_caused() {
        let mut agenda = Agenda::new();
        for (at, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (2, 'b'), (5, 'e')] {
            agenda.add(at, event);
        }
        assert!(agenda.has_until(1) && !agenda.has_until(0));
        let order: String = std::iter::from_fn(|| agenda.pop()).map(|(_, event)| event).collect();
        assert_eq!(order, "abcde");
    }
}
