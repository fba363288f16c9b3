//! Tries out whether a store that we did not make keeps to what we rest on.
//!
//! There are stores that take a conditional put and forget the condition. On one of these every
//! acknowledged write could be lost, and nobody would hear of it. So a store is tried out before it is
//! used, with a few objects that are thrown away.

use core::time::Duration;

use sana_engine::base::blob::Blob;
use sana_engine::base::name::Key;
use sana_engine::format::layout;
use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{ByteRange, Reply, Request, Tag, When};
use tokio::task::JoinSet;

/// Why a store is not used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unfit {
    /// It does what it should not. No data is safe with it.
    #[error("this store cannot be used: {0}. Use another store, or a newer release of this one")]
    Breaks(&'static str),
    /// It did not answer, or turned a request away.
    #[error("the store did not answer when it was tried out: {0}")]
    Silent(&'static str),
}

/// How many writers race for one object.
const WRITERS: u8 = 8;
/// How often a request is made that the store is too busy for, and a race that nobody won.
const TRIES: u32 = 5;
/// The pause before it is made again. There are good stores that take one write of an object a second.
const PAUSE: Duration = Duration::from_millis(1_100);

/// Tries the store out under keys that hold `nonce`, which nobody else has drawn.
///
/// # Errors
///
/// [`Unfit`], which says what the store did.
pub async fn probe<S>(store: &S, nonce: u128) -> Result<(), Unfit>
where
    S: ObjectStore + Clone + Send + Sync + 'static,
{
    let trial = Trial { store, nonce };
    let tried = trial.run().await;
    let cleared = trial.clear().await;
    tried.and(cleared)
}

struct Trial<'a, S> {
    store: &'a S,
    nonce: u128,
}

/// The names of the objects that are put.
const NAMES: [&str; 3] = ["a", "b", "c"];

impl<S: ObjectStore + Clone + Send + Sync + 'static> Trial<'_, S> {
    async fn run(&self) -> Result<(), Unfit> {
        let first = self.stored("a", "one", When::Absent, "a new object was put").await?;
        self.refused("a", When::Absent, PUT_OVER).await?;
        let changed = "an object was put over the version that it had";
        let second = self.stored("a", "two", When::Matches(first.clone()), changed).await?;
        self.refused("a", When::Matches(first), PUT_OVER_OLD).await?;
        self.refused("b", When::Matches(second.clone()), PUT_OVER_NONE).await?;
        let whole = Reply::Found { tag: second.clone(), body: blob("two") };
        self.answers(Request::get(self.key("a")), &whole, READ).await?;
        let part = Request::get_range(self.key("a"), ByteRange { start: 1, end: 9 });
        self.answers(part, &Reply::Found { tag: second, body: blob("wo") }, PART).await?;
        self.answers(Request::get(self.key("b")), &Reply::Missing, MISSING).await?;
        let won = self.race(When::Absent, RACE_ABSENT).await?;
        self.race(When::Matches(won), RACE_MATCHES).await?;
        self.listed().await
    }

    /// Takes the objects away again.
    async fn clear(&self) -> Result<(), Unfit> {
        for name in NAMES {
            let delete = Request::Delete { key: self.key(name) };
            self.answers(delete, &Reply::Deleted, DELETED).await?;
        }
        self.answers(Request::get(self.key("a")), &Reply::Missing, DELETED).await
    }

    async fn stored(
        &self,
        name: &str,
        body: &str,
        when: When,
        what: &'static str,
    ) -> Result<Tag, Unfit> {
        match self.ask(self.put(name, body, when)).await {
            Reply::Stored { tag } => Ok(tag),
            Reply::Refused => Err(Unfit::Breaks("it refused a put whose condition held")),
            _ => Err(Unfit::Silent(what)),
        }
    }

    async fn refused(&self, name: &str, when: When, breach: &'static str) -> Result<(), Unfit> {
        self.answers(self.put(name, "three", when), &Reply::Refused, breach).await
    }

    async fn answers(
        &self,
        request: Request,
        expected: &Reply,
        breach: &'static str,
    ) -> Result<(), Unfit> {
        match self.ask(request).await {
            reply if reply == *expected => Ok(()),
            Reply::Lost | Reply::Throttled => Err(Unfit::Silent(breach)),
            _ => Err(Unfit::Breaks(breach)),
        }
    }

    /// Asks, and asks again while the store is too busy.
    async fn ask(&self, request: Request) -> Reply {
        for _ in 1..TRIES {
            match self.store.perform(request.clone()).await {
                Reply::Throttled => tokio::time::sleep(PAUSE).await,
                reply => return reply,
            }
        }
        self.store.perform(request).await
    }

    /// Of many puts on one condition, at one time, exactly one happens. If the store was too busy for
    /// any, they race again.
    async fn race(&self, when: When, breach: &'static str) -> Result<Tag, Unfit> {
        for _ in 0..TRIES {
            if let Some(won) = self.race_once(&when, breach).await? {
                return Ok(won);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(Unfit::Silent(breach))
    }

    async fn race_once(&self, when: &When, breach: &'static str) -> Result<Option<Tag>, Unfit> {
        let mut race = JoinSet::new();
        for writer in 0..WRITERS {
            let put = self.put("c", &format!("{writer} {when:?}"), when.clone());
            let store = self.store.clone();
            race.spawn(async move { store.perform(put).await });
        }
        let (mut winners, mut is_busy) = (Vec::new(), false);
        for reply in race.join_all().await {
            match reply {
                Reply::Stored { tag } => winners.push(tag),
                Reply::Refused => {}
                // It did not happen: one who does not win.
                Reply::Throttled => is_busy = true,
                _ => return Err(Unfit::Silent(breach)),
            }
        }
        match (winners.pop(), winners.is_empty()) {
            (Some(tag), true) => Ok(Some(tag)),
            (None, _) if is_busy => Ok(None),
            _ => Err(Unfit::Breaks(breach)),
        }
    }

    async fn listed(&self) -> Result<(), Unfit> {
        let list = Request::List { prefix: layout::probe(self.nonce, ""), after: None, limit: 9 };
        match self.ask(list).await {
            Reply::Listed { objects, more: false } => {
                let names: Vec<&Key> = objects.iter().map(|object| &object.key).collect();
                let is_right = names == [&self.key("a"), &self.key("c")];
                is_right.then_some(()).ok_or(Unfit::Breaks(LISTED))
            }
            Reply::Listed { .. } => Err(Unfit::Breaks(LISTED)),
            _ => Err(Unfit::Silent(LISTED)),
        }
    }

    fn put(&self, name: &str, body: &str, when: When) -> Request {
        Request::Put { key: self.key(name), body: blob(body), when }
    }

    fn key(&self, name: &str) -> Key {
        layout::probe(self.nonce, name)
    }
}

fn blob(text: &str) -> Blob {
    Blob::from(text.as_bytes().to_vec())
}

const PUT_OVER: &str = "it does not honour `If-None-Match: *`, so that one process could write over what another wrote";
const PUT_OVER_OLD: &str =
    "it does not honour `If-Match`, so that one process could write over what another wrote";
const PUT_OVER_NONE: &str = "with `If-Match` it creates an object that was not there";
const READ: &str = "it does not give back what was put last";
const PART: &str = "it does not give the part of an object that was asked for";
const MISSING: &str = "it does not say clearly that an object is missing";
const RACE_ABSENT: &str =
    "of several puts at one time with `If-None-Match: *`, not exactly one happened";
const RACE_MATCHES: &str = "of several puts at one time with `If-Match`, not exactly one happened";
const LISTED: &str = "a listing does not name what was put before, in order";
const DELETED: &str = "it does not delete";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use tokio::time::Instant;

    use super::*;
    use crate::store::memory::MemoryStore;

    #[tokio::test]
    async fn a_good_store_is_fit_and_left_clean() {
        let store = MemoryStore::new();
        assert_eq!(probe(&store, 1).await, Ok(()));
        assert_eq!(probe(&store, 1).await, Ok(()), "nothing is left of the first");
    }

    /// A store that takes one write of an object a second, and none right after the first.
    #[derive(Clone)]
    struct Paced(MemoryStore, Arc<Mutex<BTreeMap<Key, Instant>>>);

    impl ObjectStore for Paced {
        async fn perform(&self, request: Request) -> Reply {
            if let Request::Put { key, .. } = &request {
                let now = Instant::now();
                let mut last = self.1.lock().unwrap();
                if last.get(key).is_some_and(|at| now - *at < Duration::from_secs(1)) {
                    return Reply::Throttled;
                }
                last.insert(key.clone(), now);
            }
            self.0.perform(request).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_takes_one_write_of_an_object_a_second_is_fit() {
        let store = Paced(MemoryStore::new(), Arc::default());
        assert_eq!(probe(&store, 1).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_never_has_time_is_silent_and_not_broken() {
        #[derive(Clone)]
        struct Busy;
        impl ObjectStore for Busy {
            async fn perform(&self, _: Request) -> Reply {
                Reply::Throttled
            }
        }
        assert!(matches!(probe(&Busy, 1).await, Err(Unfit::Silent(_))));
    }

    /// A store whose puts know no conditions.
    #[derive(Clone)]
    struct Forgetful(MemoryStore, fn(&When) -> bool);

    impl ObjectStore for Forgetful {
        async fn perform(&self, request: Request) -> Reply {
            if let Request::Put { key, when, .. } = &request
                && self.1(when)
            {
                self.0.perform(Request::Delete { key: key.clone() }).await;
                let Request::Put { key, body, .. } = request else { unreachable!() };
                return self.0.perform(Request::create(key, body)).await;
            }
            self.0.perform(request).await
        }
    }

    #[tokio::test]
    async fn a_store_that_forgets_a_condition_is_told_which() {
        let forgets_all = Forgetful(MemoryStore::new(), |_| true);
        assert_eq!(probe(&forgets_all, 1).await, Err(Unfit::Breaks(PUT_OVER)));
        let forgets_match = Forgetful(MemoryStore::new(), |when| matches!(when, When::Matches(_)));
        assert_eq!(probe(&forgets_match, 1).await, Err(Unfit::Breaks(PUT_OVER_OLD)));
    }
}
