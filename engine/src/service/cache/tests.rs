//! Tests of the cache. Whoever waits is a number.

use super::*;
use crate::base::blob::Blob;
use crate::format::frame::{BadObject, Damage};
use crate::machine::request::Tag;
use crate::namespace::head::Spilled;
use crate::namespace::request::{QueryError, WriteError};
use crate::ops::commit::Committed;
use crate::ops::read::ReadError;

fn key(text: &str) -> Key {
    Key::new(text.to_owned())
}

fn read(text: &str) -> Request {
    Request::get(key(text))
}

fn part(text: &str, start: u64) -> Request {
    Request::get_range(key(text), ByteRange { start, end: start + 5 })
}

/// The n-th answer of a store.
fn found(n: u8) -> Reply {
    Reply::Found { tag: Tag::new("t"), body: Blob::from(vec![n; 10]) }
}

fn name(text: &str) -> NamespaceName {
    NamespaceName::parse(text).unwrap()
}

fn bad(text: &str) -> BadObject {
    Damage::Checksum.of(&key(text))
}

/// A cache, with who asks next and the answer that the store gives next.
struct Bench {
    cache: Cache<u32>,
    asked: u32,
    answers: u8,
}

impl Bench {
    fn new() -> Self {
        Self { cache: Cache::new(1 << 20), asked: 0, answers: 0 }
    }

    fn ask(&mut self, request: &Request) -> Asked {
        self.ask_to(request, Keep::Yes)
    }

    fn ask_to(&mut self, request: &Request, keep: Keep) -> Asked {
        self.asked += 1;
        self.cache.ask(request, keep, || self.asked)
    }

    /// Begins a read that nobody has begun.
    fn begin(&mut self, request: &Request) -> ReadId {
        let asked = self.ask(request);
        let Asked::Begun(id) = asked else { panic!("{request:?} is to be begun: {asked:?}") };
        id
    }

    /// Reads, whatever there is. Whether the store was asked.
    fn reads(&mut self, request: &Request) -> bool {
        let asked = self.ask(request);
        if let Asked::Begun(id) = asked {
            self.answers += 1;
            assert_eq!(self.cache.end(id, &found(self.answers)), [self.asked]);
            return true;
        }
        assert!(matches!(asked, Asked::Kept(_)), "{asked:?}");
        false
    }
}

#[test]
fn reads_that_overlap_ask_once_and_get_one_blob() {
    let mut bench = Bench::new();
    let id = bench.begin(&read("data/a"));
    assert_eq!(bench.ask(&read("data/a")), Asked::Joined);
    let reply = found(1);
    assert_eq!(bench.cache.end(id, &reply), [1, 2]);
    let Asked::Kept(kept) = bench.ask(&read("data/a")) else { panic!("it is kept") };
    let place = |reply: &Reply| match reply {
        Reply::Found { body, .. } => body.as_slice().as_ptr(),
        _ => panic!("found"),
    };
    assert_eq!(place(&kept), place(&reply));
    let bytes = 10 + ENTRY_BYTES as u64;
    assert_eq!(bench.cache.statistics(), CacheStatistics { hits: 1, misses: 2, bytes });
}

#[test]
fn a_register_a_question_of_change_and_a_write_pass() {
    let mut bench = Bench::new();
    let unless = Some(Tag::new("t"));
    let changed = Request::Get { key: key("data/a"), range: None, unless };
    let delete = Request::Delete { key: key("data/a") };
    for request in [read("heads/a"), changed, delete] {
        assert_eq!(bench.ask(&request), Asked::Pass);
        assert_eq!(bench.ask(&request), Asked::Pass);
    }
    assert_eq!(bench.cache.statistics(), CacheStatistics::default());
}

#[test]
fn parts_of_an_object_are_kept_apart() {
    let mut bench = Bench::new();
    for (end, is_new) in [(1, true), (2, true), (1, false)] {
        let range = ByteRange { start: 0, end };
        assert_eq!(bench.reads(&Request::get_range(key("data/a"), range)), is_new);
    }
}

#[test]
fn a_read_without_an_answer_is_forgotten_and_is_over_once() {
    let mut bench = Bench::new();
    let id = bench.begin(&read("data/a"));
    assert_eq!(bench.cache.end(id, &Reply::Lost), [1]);
    assert_eq!(bench.cache.end(id, &found(1)), [0; 0]);
    assert!(bench.reads(&read("data/a")));
    for nothing in [Reply::Missing, Reply::Unreadable, Reply::Throttled] {
        let id = bench.begin(&read("data/b"));
        bench.cache.end(id, &nothing);
    }
}

#[test]
fn what_is_passed_on_is_not_kept_unless_anybody_wants_it_so() {
    let mut bench = Bench::new();
    for _ in 0..2 {
        let Asked::Begun(id) = bench.ask_to(&read("data/a"), Keep::No) else { panic!("begun") };
        bench.cache.end(id, &found(1));
    }
    let Asked::Begun(id) = bench.ask_to(&read("data/a"), Keep::No) else { panic!("begun") };
    assert_eq!(bench.ask(&read("data/a")), Asked::Joined);
    assert_eq!(bench.cache.end(id, &found(1)).len(), 2);
    assert!(!bench.reads(&read("data/a")));
}

#[test]
fn who_passes_by_finds_and_leaves_nothing() {
    let mut bench = Bench::new();
    assert!(bench.reads(&read("data/a")));
    for text in ["data/a", "data/b"] {
        assert_eq!(bench.ask_to(&read(text), Keep::Bypass), Asked::Pass);
    }
    assert!(!bench.reads(&read("data/a")) && bench.reads(&read("data/b")));
}

#[test]
fn a_purged_namespace_is_read_anew_and_others_are_not() {
    let mut bench = Bench::new();
    let others = ["data/a-b/1", "data/aa/1", "data/%2e/1"];
    let keys = || ["data/a/1", "data/a/2"].into_iter().chain(others);
    assert!(keys().all(|key| bench.reads(&read(key))));
    bench.cache.purge(&name("a"));
    for key in keys() {
        assert_eq!(bench.reads(&read(key)), !others.contains(&key), "{key}");
    }
    bench.cache.purge(&name("."));
    assert!(bench.reads(&read("data/%2e/1")));
}

#[test]
fn what_was_asked_for_before_a_purge_is_not_kept_and_not_waited_for_after_it() {
    let mut bench = Bench::new();
    let (first, other) = (bench.begin(&read("data/a/1")), bench.begin(&read("data/b/1")));
    bench.cache.purge(&name("a"));
    let second = bench.begin(&read("data/a/1"));
    assert_eq!(bench.ask(&read("data/a/1")), Asked::Joined);
    assert_eq!(bench.cache.end(first, &found(1)), [1]);
    assert_eq!(bench.ask(&read("data/a/1")), Asked::Joined, "the later read goes on");
    assert_eq!(bench.cache.end(second, &found(2)), [3, 4, 5]);
    assert_eq!(bench.ask(&read("data/a/1")), Asked::Kept(found(2)));
    assert_eq!(bench.cache.end(other, &found(3)), [2]);
    assert!(!bench.reads(&read("data/b/1")));
}

/// Whatever was being read when something was damaged was not kept, of any namespace.
#[test]
fn of_damaged_objects_nothing_is_kept_and_of_others_all() {
    let mut bench = Bench::new();
    let ids = ["data/a/1", "data/a/2", "data/a/3"];
    ids.iter().for_each(|text| assert!(bench.reads(&part(text, 0))));
    let under_way = ids.map(|text| bench.begin(&part(text, 9)));
    let unreadable = |text| Err(WriteError::Unreadable(bad(text)));
    let outcomes = vec![unreadable("data/a/1"), unreadable("data/a/3")];
    let (held, landed, spilled) = (None, None, Spilled::default());
    let committed = Committed { outcomes, held, landed, spilled, has_written: false };
    bench.cache.heed(&Output::Commit(Box::new(committed)));
    for id in under_way {
        bench.cache.end(id, &found(9));
    }
    for (text, is_anew) in ids.into_iter().zip([true, false, true]) {
        for start in [0, 9] {
            assert_eq!(bench.reads(&part(text, start)), is_anew, "{text} {start}");
        }
    }
    let outputs: [fn(BadObject) -> Output; 3] = [
        |bad| Output::Query(Err(QueryError::Damaged(bad))),
        |bad| Output::Flush(Err(ReadError::Damaged(bad))),
        |bad| Output::Merge(Err(ReadError::Damaged(bad))),
    ];
    for output in outputs {
        bench.cache.heed(&output(bad("data/a/2")));
        assert!(bench.reads(&part("data/a/2", 0)) && !bench.reads(&part("data/a/1", 0)));
    }
}
