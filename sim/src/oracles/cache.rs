//! O11: what a cache hands out is what the store said of just that part of that object, in answer to a read
//! that began after the part was last dropped and that somebody wanted kept; registers are never handed out;
//! of equal reads one is under way, and each who waits for it hears of it once.
//!
//! The shadow of a cache is told of every read that it begins and ends, and of all that it is to drop, and
//! keeps the fingerprint of whatever it may hand out. It forgets nothing for want of room, so what a cache
//! has evicted is of no concern to it.

use std::collections::BTreeMap;

use sana_engine::base::name::{Key, NamespaceName};
use sana_engine::format::layout;
use sana_engine::machine::request::{Reply, Request};
use sana_engine::service::cache::{Keep, ReadId, Stretch};

use crate::digest::{self, Digest};
use crate::oracles::{Broken, Oracle};
use crate::story::Letter;

/// What a cache may hand out.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Shadow {
    /// What was said of each part, and whether that is not what the store holds.
    said: BTreeMap<Stretch, BTreeMap<Digest, bool>>,
    /// The reads that are under way.
    reads: BTreeMap<ReadId, Read>,
}

/// A read that is under way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Read {
    stretch: Stretch,
    /// Whether it began since the part was last dropped.
    is_current: bool,
    /// Whether anybody wants it kept.
    is_kept: bool,
    /// Who waits for it.
    waiting: Vec<Letter>,
}

impl Shadow {
    /// A read begins, for somebody.
    ///
    /// # Errors
    ///
    /// [`Broken`] if it is under way already, or of a register.
    pub fn begins(
        &mut self,
        id: ReadId,
        request: &Request,
        keep: Keep,
        who: Letter,
    ) -> Result<(), Broken> {
        let stretch = stretch_of(request)?;
        demand(self.current(&stretch).is_none(), || format!("{stretch:?} is read twice at once"))?;
        let is_kept = keep == Keep::Yes;
        self.reads.insert(id, Read { stretch, is_current: true, is_kept, waiting: vec![who] });
        Ok(())
    }

    /// Somebody waits for a read that is under way.
    ///
    /// # Errors
    ///
    /// [`Broken`] if there is none that may answer.
    pub fn joins(&mut self, request: &Request, keep: Keep, who: Letter) -> Result<(), Broken> {
        let stretch = stretch_of(request)?;
        let Some(read) = self.current(&stretch) else {
            return Oracle::Cached.broken(format!(
                "who asks for {stretch:?} waits for a read that began before it was dropped"
            ));
        };
        read.is_kept |= keep == Keep::Yes;
        read.waiting.push(who);
        Ok(())
    }

    /// A read has ended with this reply, which may not be what the store holds, and these hear of it.
    ///
    /// # Errors
    ///
    /// [`Broken`] if others wait for it.
    pub fn ends(
        &mut self,
        id: ReadId,
        reply: &Reply,
        is_spoiled: bool,
        hear: &[Letter],
    ) -> Result<(), Broken> {
        let read = self.reads.remove(&id);
        let waiting = read.as_ref().map_or(&[][..], |read| &read.waiting);
        demand(waiting == hear, || {
            format!("{} wait for {read:?}, and {} hear of its end", waiting.len(), hear.len())
        })?;
        if let (Some(read), Reply::Found { .. }) = (read, reply)
            && read.is_current
            && read.is_kept
        {
            let said = self.said.entry(read.stretch).or_default();
            said.insert(digest::of(reply), is_spoiled);
        }
        Ok(())
    }

    /// Something is handed out. Whether it is not what the store holds.
    ///
    /// # Errors
    ///
    /// [`Broken`] if it is not what was read.
    pub fn hands_out(&self, request: &Request, reply: &Reply) -> Result<bool, Broken> {
        let stretch = stretch_of(request)?;
        let said = self.said.get(&stretch).and_then(|said| said.get(&digest::of(reply)));
        demand(said.is_some(), || {
            format!(
                "of {stretch:?} something is kept that was not read to be kept since it was dropped"
            )
        })?;
        Ok(said.copied().unwrap_or_default())
    }

    /// All that was read of a namespace is dropped, and what is being read is not to be kept.
    pub fn purge(&mut self, namespace: &NamespaceName) {
        let prefix = layout::namespace_data(namespace);
        let is_one = |key: &Key| key.as_str().starts_with(prefix.as_str());
        let said = self.said.range((prefix.clone(), None)..);
        let said = said.map(|(stretch, _)| stretch).take_while(|(key, _)| is_one(key));
        for stretch in said.cloned().collect::<Vec<Stretch>>() {
            self.said.remove(&stretch);
        }
        self.outdate(is_one);
    }

    /// Something failed because an object is damaged: what was read of it that was so is not to be handed
    /// out any more.
    pub fn is_damaged(&mut self, key: &Key) {
        let said = self.said.range_mut((key.clone(), None)..);
        for (_, said) in said.take_while(|((of, _), _)| of == key) {
            said.retain(|_, is_spoiled| !*is_spoiled);
        }
        self.outdate(|of| of == key);
    }

    /// The read that whoever asks for this waits for.
    fn current(&mut self, stretch: &Stretch) -> Option<&mut Read> {
        self.reads.values_mut().find(|read| read.is_current && read.stretch == *stretch)
    }

    /// What is being read of these was dropped.
    fn outdate(&mut self, is_one: impl Fn(&Key) -> bool) {
        for read in self.reads.values_mut().filter(|read| is_one(&read.stretch.0)) {
            read.is_current = false;
        }
    }
}

/// The part that a cache has to do with.
fn stretch_of(request: &Request) -> Result<Stretch, Broken> {
    match request {
        Request::Get { key, range, .. } if layout::is_immutable(key) => Ok((key.clone(), *range)),
        _ => Oracle::Cached.broken(format!("a cache has to do with {request:?}, which changes")),
    }
}

fn demand(holds: bool, what: impl FnOnce() -> String) -> Result<(), Broken> {
    Oracle::Cached.demand(holds, what)
}

#[cfg(test)]
mod tests {
    use sana_engine::base::blob::Blob;
    use sana_engine::machine::request::Tag;
    use sana_engine::service::cache::{Asked, Cache};

    use super::*;

    fn found(n: u8) -> Reply {
        Reply::Found { tag: Tag::new("t"), body: Blob::from(vec![n]) }
    }

    fn of(name: &str) -> Request {
        Request::get(Key::new(name.to_owned()))
    }

    /// A shadow, and reads of which each is another.
    struct Bench {
        shadow: Shadow,
        cache: Cache<()>,
    }

    impl Bench {
        fn new() -> Self {
            Self { shadow: Shadow::default(), cache: Cache::new(0) }
        }

        fn begins(&mut self, request: &Request, keep: Keep) -> Result<ReadId, Broken> {
            let other = of(&format!("data/{}", self.cache.statistics().misses));
            let asked = self.cache.ask(&other, Keep::No, || ());
            let Asked::Begun(id) = asked else { panic!("{asked:?}") };
            self.shadow.begins(id, request, keep, 1).map(|()| id)
        }

        /// Reads to the end.
        fn reads(&mut self, request: &Request, n: u8, is_spoiled: bool) {
            let id = self.begins(request, Keep::Yes).unwrap();
            self.shadow.ends(id, &found(n), is_spoiled, &[1]).unwrap();
        }
    }

    #[test]
    fn only_what_was_read_since_it_was_dropped_is_handed_out() {
        let mut bench = Bench::new();
        let request = of("data/a/1");
        assert!(bench.shadow.hands_out(&request, &found(1)).is_err());
        bench.reads(&request, 1, false);
        assert_eq!(bench.shadow.hands_out(&request, &found(1)), Ok(false));
        assert!(bench.shadow.hands_out(&request, &found(2)).is_err());
        assert!(bench.shadow.hands_out(&of("data/a/2"), &found(1)).is_err());

        let id = bench.begins(&request, Keep::Yes).unwrap();
        bench.shadow.purge(&NamespaceName::parse("a").unwrap());
        assert!(bench.shadow.joins(&request, Keep::Yes, 2).is_err());
        bench.shadow.ends(id, &found(1), false, &[1]).unwrap();
        assert!(bench.shadow.hands_out(&request, &found(1)).is_err());
    }

    #[test]
    fn of_equal_reads_one_is_under_way_and_all_who_wait_hear_of_it_once() {
        let request = of("data/a/1");
        for (hear, is_right) in [(&[1, 2][..], true), (&[1], false), (&[1, 2, 2], false)] {
            let mut bench = Bench::new();
            let id = bench.begins(&request, Keep::No).unwrap();
            assert!(bench.begins(&request, Keep::No).is_err());
            assert!(bench.shadow.joins(&of("data/a/2"), Keep::No, 2).is_err());
            bench.shadow.joins(&request, Keep::No, 2).unwrap();
            assert_eq!(bench.shadow.ends(id, &found(1), false, hear).is_ok(), is_right);
            assert_eq!(bench.shadow.ends(id, &Reply::Lost, false, &[]), Ok(()), "it is over");
        }
    }

    #[test]
    fn what_nobody_wants_kept_is_not_handed_out() {
        let request = of("data/a/1");
        for joined in [Keep::No, Keep::Yes] {
            let mut bench = Bench::new();
            let id = bench.begins(&request, Keep::No).unwrap();
            bench.shadow.joins(&request, joined, 2).unwrap();
            bench.shadow.ends(id, &found(1), false, &[1, 2]).unwrap();
            let is_kept = bench.shadow.hands_out(&request, &found(1)).is_ok();
            assert_eq!(is_kept, joined == Keep::Yes);
        }
    }

    #[test]
    fn a_cache_has_nothing_to_do_with_registers() {
        let mut bench = Bench::new();
        let request = of("heads/a");
        assert!(bench.begins(&request, Keep::Yes).is_err());
        assert!(bench.shadow.joins(&request, Keep::Yes, 2).is_err());
        assert!(bench.shadow.hands_out(&request, &found(1)).is_err());
    }

    #[test]
    fn what_was_found_damaged_is_not_handed_out_again() {
        let mut bench = Bench::new();
        let request = of("data/a/1");
        for (n, is_spoiled) in [(1, true), (2, false)] {
            bench.reads(&request, n, is_spoiled);
            assert_eq!(bench.shadow.hands_out(&request, &found(n)), Ok(is_spoiled));
        }
        let id = bench.begins(&request, Keep::Yes).unwrap();
        bench.shadow.is_damaged(&Key::new("data/a/1"));
        assert!(bench.shadow.hands_out(&request, &found(1)).is_err());
        assert_eq!(bench.shadow.hands_out(&request, &found(2)), Ok(false));
        assert!(bench.shadow.joins(&request, Keep::Yes, 2).is_err());
        bench.shadow.ends(id, &found(1), true, &[1]).unwrap();
        assert!(bench.shadow.hands_out(&request, &found(1)).is_err());
    }
}
