//! A round under way: what every driver, in production and in simulation, keeps track of.
//!
//! A flight knows which requests are to be sent and when, repeats reads that were lost or turned
//! away (M2), never repeats a write, and says when the round is over (M1). It asks for nothing
//! itself: a driver sends what is [`due`](Flight::due), reports every [`reply`](Flight::reply), and
//! wakes up [`at`](Flight::wake_at) the moment it names.

use core::time::Duration;

use crate::base::planted::{self, Bug};
use crate::base::time::Timestamp;
use crate::machine::Round;
use crate::machine::request::{Reply, Request};

/// A round in flight.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Flight {
    requests: Vec<Request>,
    slots: Vec<Slot>,
    until: Timestamp,
}

/// Where one request stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Slot {
    /// To be sent at this moment, for the n-th time.
    Waiting { at: Timestamp, sends: u32 },
    /// Sent for the n-th time, and not answered.
    Sent { sends: u32 },
    /// Answered.
    Answered(Reply),
}

/// The pause before a read is first repeated; each further one is twice as long.
const BACKOFF_FIRST: Duration = Duration::from_millis(20);
/// The longest pause before a read is repeated.
const BACKOFF_MOST: Duration = Duration::from_secs(2);

impl Flight {
    /// Begins a round.
    ///
    /// # Panics
    ///
    /// If the round changes more than one object that others can see (M4).
    pub fn start(now: Timestamp, round: Round) -> Self {
        let visible = round.requests.iter().filter(|request| request.is_visible()).count();
        assert!(visible <= 1, "M4: a round changes at most one visible object, not {visible}");
        let slots = vec![Slot::Waiting { at: now, sends: 0 }; round.requests.len()];
        Self { requests: round.requests, slots, until: round.until }
    }

    /// The requests to send now, by their place in the round. They count as sent.
    pub fn due(&mut self, now: Timestamp) -> Vec<usize> {
        let mut due = Vec::new();
        for (place, slot) in self.slots.iter_mut().enumerate() {
            if let Slot::Waiting { at, sends } = *slot
                && at <= now
            {
                *slot = Slot::Sent { sends: sends + 1 };
                due.push(place);
            }
        }
        due
    }

    /// The request at this place.
    ///
    /// # Panics
    ///
    /// If the round has no such place.
    pub fn request(&self, place: usize) -> &Request {
        &self.requests[place]
    }

    /// Takes the answer to the request at this place. A read that was lost or turned away is sent
    /// again after a pause, as long as the round lasts.
    ///
    /// # Panics
    ///
    /// If the round has no such place.
    pub fn reply(&mut self, now: Timestamp, place: usize, reply: Reply) {
        let Slot::Sent { sends } = self.slots[place] else { return };
        let again = now + Self::backoff(sends);
        let failed = matches!(reply, Reply::Lost | Reply::Throttled);
        self.slots[place] = if failed && self.requests[place].is_read() && again < self.until {
            Slot::Waiting { at: again, sends }
        } else {
            Slot::Answered(reply)
        };
    }

    fn backoff(sends: u32) -> Duration {
        BACKOFF_FIRST.saturating_mul(1 << sends.saturating_sub(1).min(10)).min(BACKOFF_MOST)
    }

    /// Whether the round is over: all is answered, or its time is up.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let answered = |slot: &Slot| matches!(slot, Slot::Answered(_));
        let all = self.slots.iter().all(answered);
        if planted::is(Bug::RoundEndsAtFirstAnswer) && self.slots.iter().any(answered) {
            return true;
        }
        if !all && planted::is(Bug::RoundsWaitForAnswers) {
            return false;
        }
        self.until <= now || (all && !self.slots.is_empty())
    }

    /// The moment at which a request is due or the round ends, if no reply comes before.
    pub fn wake_at(&self) -> Timestamp {
        let waiting = self.slots.iter().filter_map(|slot| match slot {
            Slot::Waiting { at, .. } => Some(*at),
            Slot::Sent { .. } | Slot::Answered(_) => None,
        });
        waiting.fold(self.until, Ord::min)
    }

    /// The replies, in the order of the requests. What is not answered is lost.
    pub fn end(self) -> Vec<Reply> {
        let reply = |slot| match slot {
            Slot::Answered(reply) => reply,
            Slot::Waiting { .. } | Slot::Sent { .. } => Reply::Lost,
        };
        self.slots.into_iter().map(reply).collect()
    }

    /// The latest end of the round.
    pub const fn until(&self) -> Timestamp {
        self.until
    }

    /// The requests that are not answered.
    pub fn unanswered(&self) -> impl Iterator<Item = &Request> {
        let pairs = self.requests.iter().zip(&self.slots);
        pairs.filter(|(_, slot)| !matches!(slot, Slot::Answered(_))).map(|(request, _)| request)
    }

    /// How many requests were sent and not answered.
    pub fn flying(&self) -> usize {
        self.slots.iter().filter(|slot| matches!(slot, Slot::Sent { .. })).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::blob::Blob;
    use crate::base::name::Key;
    use crate::machine::request::{Tag, When};

    fn get() -> Request {
        Request::get(Key::new("a"))
    }

    fn put(key: &str) -> Request {
        Request::Put { key: Key::new(key), body: Blob::default(), when: When::Absent }
    }

    fn flight(requests: Vec<Request>) -> Flight {
        Flight::start(Timestamp(0), Round::ask_all(requests, Timestamp(1_000)))
    }

    #[test]
    fn a_lost_read_is_sent_again_after_a_growing_pause() {
        let mut flight = flight(vec![get()]);
        assert_eq!(flight.due(Timestamp(0)), [0]);
        flight.reply(Timestamp(5), 0, Reply::Lost);
        assert_eq!(flight.wake_at(), Timestamp(25));
        assert!(flight.due(Timestamp(24)).is_empty());
        assert_eq!(flight.due(Timestamp(25)), [0]);
        flight.reply(Timestamp(30), 0, Reply::Throttled);
        assert_eq!(flight.wake_at(), Timestamp(70));
        assert_eq!(flight.due(Timestamp(70)), [0]);
        flight.reply(Timestamp(75), 0, Reply::Missing);
        assert!(flight.is_over(Timestamp(75)));
        assert_eq!(flight.end(), [Reply::Missing]);
    }

    #[test]
    fn a_read_that_could_be_repeated_only_when_the_round_ends_is_not_waited_for() {
        for (now, is_over) in [(979, false), (980, true)] {
            let mut flight = flight(vec![get()]);
            assert_eq!(flight.due(Timestamp(0)), [0]);
            flight.reply(Timestamp(now), 0, Reply::Throttled);
            assert_eq!(flight.is_over(Timestamp(now)), is_over);
        }
    }

    #[test]
    fn a_lost_write_is_not_sent_again() {
        let mut flight = flight(vec![put("a")]);
        assert_eq!(flight.due(Timestamp(0)), [0]);
        flight.reply(Timestamp(5), 0, Reply::Lost);
        assert!(flight.is_over(Timestamp(5)));
        assert_eq!(flight.end(), [Reply::Lost]);
    }

    #[test]
    fn what_is_unanswered_at_the_end_is_lost() {
        let mut flight = flight(vec![get(), get()]);
        assert_eq!((flight.flying(), flight.unanswered().count()), (0, 2));
        assert_eq!(flight.due(Timestamp(0)), [0, 1]);
        assert_eq!((flight.flying(), flight.unanswered().count()), (2, 2));
        let found = Reply::Found { tag: Tag::new("1"), body: Blob::default() };
        flight.reply(Timestamp(1), 1, found.clone());
        assert_eq!((flight.flying(), flight.unanswered().count()), (1, 1));
        assert!(!flight.is_over(Timestamp(999)));
        assert!(flight.is_over(Timestamp(1_000)));
        assert_eq!(flight.end(), [Reply::Lost, found]);
    }

    #[test]
    fn a_round_without_requests_ends_at_its_time() {
        let flight = flight(vec![]);
        assert!(!flight.is_over(Timestamp(999)));
        assert_eq!(flight.wake_at(), Timestamp(1_000));
        assert!(flight.is_over(Timestamp(1_000)));
    }

    #[test]
    #[should_panic(expected = "M4")]
    fn a_round_with_two_visible_changes_is_refused() {
        let _ = flight(vec![put("a"), put("b")]);
    }
}
