//! Runs any machine on any store and clock, with nothing but `core::future`.
//!
//! Whoever embeds Sana on an executor of their own implements [`ObjectStore`] and [`Clock`] and
//! awaits [`drive`]. The repetition of reads, the end of rounds and what is lost are
//! [`Flight`]'s, which the simulator uses as well.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;

use crate::base::time::Timestamp;
use crate::machine::flight::Flight;
use crate::machine::request::{Reply, Request};
use crate::machine::{Machine, Round, Step};

/// A place that keeps objects.
pub trait ObjectStore {
    /// Asks for one request, once. A write must not be repeated below this call: whoever cannot say
    /// what became of it answers [`Reply::Lost`]. Dropping the future gives up on the answer; a
    /// write may happen all the same.
    fn perform(&self, request: Request) -> impl Future<Output = Reply> + Send;
}

/// One node's clock.
pub trait Clock {
    /// What it shows. Never goes back.
    fn now(&self) -> Timestamp;

    /// Ends when the clock shows `until`, or later.
    fn sleep(&self, until: Timestamp) -> impl Future<Output = ()> + Send;
}

/// Takes a machine from its first step to its output.
pub async fn drive<M, S, C>(store: &S, clock: &C, first: Step<M>) -> M::Output
where
    M: Machine,
    S: ObjectStore,
    C: Clock,
{
    let mut step = first;
    loop {
        match step {
            Step::Done(output) => return output,
            Step::Wait(machine, round) => {
                let replies = fly(store, clock, round).await;
                step = machine.step(clock.now(), replies);
            }
        }
    }
}

/// One request on its way: its place in the round, and the future of its reply.
type Sent<'a> = (usize, Pin<Box<dyn Future<Output = Reply> + Send + 'a>>);

/// Performs one round, to its end.
pub async fn fly<S: ObjectStore, C: Clock>(store: &S, clock: &C, round: Round) -> Vec<Reply> {
    let mut flight = Flight::start(clock.now(), round);
    let mut sent: Vec<Sent<'_>> = Vec::new();
    loop {
        let now = clock.now();
        if flight.is_over(now) {
            return flight.end();
        }
        for place in flight.due(now) {
            sent.push((place, Box::pin(store.perform(flight.request(place).clone()))));
        }
        let mut sleep = core::pin::pin!(clock.sleep(flight.wake_at()));
        // Wakes up for every reply that is there, or for the time.
        let replies = poll_fn(|context| {
            let mut replies = Vec::new();
            sent.retain_mut(|(place, future)| match future.as_mut().poll(context) {
                Poll::Ready(reply) => {
                    replies.push((*place, reply));
                    false
                }
                Poll::Pending => true,
            });
            if !replies.is_empty() || sleep.as_mut().poll(context).is_ready() {
                Poll::Ready(replies)
            } else {
                Poll::Pending
            }
        });
        for (place, reply) in replies.await {
            flight.reply(clock.now(), place, reply);
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU64, Ordering};
    use core::task::{Context, Waker};

    use super::*;
    use crate::base::name::Key;

    /// Answers the n-th read with a loss until the third.
    struct Flaky(AtomicU64);

    impl ObjectStore for Flaky {
        async fn perform(&self, _: Request) -> Reply {
            let before = self.0.fetch_add(1, Ordering::Relaxed);
            if before < 2 { Reply::Lost } else { Reply::Missing }
        }
    }

    /// Moves on whenever somebody sleeps.
    struct Obliging(AtomicU64);

    impl Clock for Obliging {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::Relaxed))
        }

        async fn sleep(&self, until: Timestamp) {
            self.0.fetch_max(until.0, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_read_is_repeated_until_the_store_answers() {
        let (store, clock) = (Flaky(AtomicU64::new(0)), Obliging(AtomicU64::new(0)));
        let round = Round::ask(Request::get(Key::new("a")), Timestamp(10_000));
        let mut future = core::pin::pin!(fly(&store, &clock, round));
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(vec![Reply::Missing]));
        assert_eq!(store.0.load(Ordering::Relaxed), 3);
        assert!(clock.now() >= Timestamp(60), "two pauses, of 20 and 40 ms");
    }
}
