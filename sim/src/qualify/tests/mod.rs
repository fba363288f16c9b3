//! Histories written by hand, good and bad; and those of the model itself (`played`);
//! and small ones, whose every order is tried (`brute`).

mod brute;
mod played;

use sana_engine::base::blob::Blob;
use sana_engine::base::name::Key;
use sana_engine::machine::request::{ByteRange, Listed, Reply, Request, Tag, When};

use super::contradiction::Why;
use super::history::{Entry, History};
use super::{Conflicts, Rules, Verdict, check};

const LENIENT: Rules = Rules { conflicts: Conflicts::Allowed };

/// A history of requests with their beginnings and ends. Each is a client of its own.
fn history(entries: Vec<(u64, u64, Request, Reply)>) -> History {
    let entry = |(client, (begin, end, request, reply)): (usize, _)| {
        let client = client as u32;
        Entry { client, begin, end, request, reply }
    };
    History { entries: entries.into_iter().enumerate().map(entry).collect() }
}

fn blob(text: &str) -> Blob {
    Blob::from(text.as_bytes().to_vec())
}

fn put(body: &str, when: When) -> Request {
    Request::Put { key: Key::new("a"), body: blob(body), when }
}

fn at(tag: &str) -> When {
    When::Matches(Tag::new(tag))
}

fn stored(tag: &str) -> Reply {
    Reply::Stored { tag: Tag::new(tag) }
}

fn get() -> Request {
    Request::get(Key::new("a"))
}

fn part(start: u64, end: u64) -> Request {
    Request::get_range(Key::new("a"), ByteRange { start, end })
}

fn get_unless(tag: &str) -> Request {
    Request::Get { key: Key::new("a"), range: None, unless: Some(Tag::new(tag)) }
}

fn found(tag: &str, body: &str) -> Reply {
    Reply::Found { tag: Tag::new(tag), body: blob(body) }
}

fn delete() -> Request {
    Request::Delete { key: Key::new("a") }
}

fn list(limit: u32) -> Request {
    Request::List { prefix: Key::new(""), after: None, limit }
}

fn listed(names: &[(&str, u64)], more: bool) -> Reply {
    let named = names.iter().map(|(key, bytes)| Listed { key: Key::new(*key), bytes: *bytes });
    Reply::Listed { objects: named.collect(), more }
}

#[track_caller]
fn fits(entries: Vec<(u64, u64, Request, Reply)>) {
    match check(&history(entries), Rules::default()) {
        Verdict::Fits(_) => {}
        Verdict::Contradicts(contradiction) => panic!("it does fit:\n{contradiction}"),
        Verdict::Undecided { key } => panic!("{key} was not decided"),
    }
}

/// The history does not fit, and these of its entries are the fewest that show it.
#[track_caller]
fn contradicts(entries: Vec<(u64, u64, Request, Reply)>, fewest: &[u32]) -> Why {
    let Verdict::Contradicts(contradiction) = check(&history(entries), Rules::default()) else {
        panic!("it does not fit")
    };
    let clients: Vec<u32> = contradiction.replies.iter().map(|entry| entry.client).collect();
    assert_eq!(clients, fewest, "{contradiction}");
    contradiction.why
}

#[test]
fn what_was_stored_is_found_until_it_is_changed() {
    let first = (1, 2, put("one", When::Absent), stored("1"));
    let second = (3, 4, put("two", at("1")), stored("2"));
    fits(vec![
        first.clone(),
        second.clone(),
        (5, 6, get(), found("2", "two")),
        (7, 8, part(1, 9), found("2", "wo")),
        (9, 10, get_unless("2"), Reply::NotModified),
        (11, 12, get_unless("1"), found("2", "two")),
    ]);
    let stale = (5, 6, get(), found("1", "one"));
    assert_eq!(contradicts(vec![first.clone(), second.clone(), stale], &[1, 2]), Why::NoOrder);
    let stale = (5, 6, get_unless("1"), Reply::NotModified);
    assert_eq!(contradicts(vec![first.clone(), second.clone(), stale], &[1, 2]), Why::NoOrder);
    let gone = (5, 6, get(), Reply::Missing);
    assert_eq!(contradicts(vec![first, second, gone], &[1, 2]), Why::NoOrder);
}

#[test]
fn a_read_beside_a_put_may_find_either_version_but_not_the_older_after_the_newer() {
    let first = (1, 2, put("one", When::Absent), stored("1"));
    let second = (3, 10, put("two", at("1")), stored("2"));
    let read =
        |begin, version: (&str, &str)| (begin, begin + 1, get(), found(version.0, version.1));
    let (old, new) = (("1", "one"), ("2", "two"));
    fits(vec![first.clone(), second.clone(), read(4, old), read(6, new)]);
    fits(vec![first.clone(), second.clone(), read(4, old), read(6, old)]);
    contradicts(vec![first, second, read(4, new), read(6, old)], &[2, 3]);
}

#[test]
fn of_two_puts_on_one_version_one_is_refused() {
    let first = (1, 2, put("one", When::Absent), stored("1"));
    let second = (3, 8, put("two", at("1")), stored("2"));
    let refused = (4, 7, put("three", at("1")), Reply::Refused);
    fits(vec![first.clone(), second.clone(), refused]);
    let both = (4, 7, put("three", at("1")), stored("3"));
    assert_eq!(contradicts(vec![first, second, both], &[1, 2]), Why::NoOrder);
    let (one, other) =
        ((1, 4, put("x", When::Absent), stored("1")), (2, 3, put("y", When::Fresh), stored("2")));
    assert_eq!(contradicts(vec![one, other], &[0, 1]), Why::NoOrder);
}

#[test]
fn a_put_is_refused_only_if_its_condition_does_not_hold_unless_writes_may_conflict() {
    let first = (1, 2, put("one", When::Absent), stored("1"));
    let refused = (3, 4, put("two", at("1")), Reply::Refused);
    assert_eq!(contradicts(vec![first.clone(), refused.clone()], &[0, 1]), Why::NoOrder);
    let verdict = check(&history(vec![first.clone(), refused.clone()]), LENIENT);
    assert!(matches!(verdict, Verdict::Contradicts(_)), "nothing was under way");
    let other = (3, 4, put("three", at("?")), Reply::Refused);
    let together = history(vec![first, refused, other]);
    assert!(matches!(check(&together, Rules::default()), Verdict::Contradicts(_)));
    assert!(matches!(check(&together, LENIENT), Verdict::Fits(_)));
}

#[test]
fn a_lost_put_happens_late_or_never_and_once() {
    let first = (1, 2, put("one", When::Absent), stored("1"));
    let lost = (3, 4, put("two", at("1")), Reply::Lost);
    let old = |begin| (begin, begin + 1, get(), found("1", "one"));
    let new = |begin| (begin, begin + 1, get(), found("2", "two"));
    fits(vec![first.clone(), lost.clone(), old(5), old(7)]);
    fits(vec![first.clone(), lost.clone(), old(5), new(7)]);
    contradicts(vec![first.clone(), lost.clone(), new(5), old(7)], &[2, 3]);
    // A lost creation makes the object; when that is deleted, it does not come back.
    let made = (1, 2, put("one", When::Absent), Reply::Lost);
    let (gone, none) = ((5, 6, delete(), Reply::Deleted), (7, 8, get(), Reply::Missing));
    let again = (9, 10, get(), found("1", "one"));
    fits(vec![made.clone(), (3, 4, get(), Reply::Missing), gone.clone(), none, again.clone()]);
    let seen = (3, 4, get(), found("1", "one"));
    contradicts(vec![made, seen, gone, again], &[1, 2, 3]);
}

#[test]
fn a_put_that_was_turned_away_never_happens() {
    let turned_away = (1, 2, put("one", When::Absent), Reply::Throttled);
    fits(vec![turned_away.clone(), (3, 4, get(), Reply::Missing)]);
    contradicts(vec![turned_away, (3, 4, get(), found("1", "one"))], &[1]);
}

#[test]
fn a_lost_deletion_explains_one_disappearance() {
    let put_one = |begin, tag: &str| (begin, begin + 1, put("x", When::Absent), stored(tag));
    let lost = (3, 4, delete(), Reply::Lost);
    let missing = |begin| (begin, begin + 1, get(), Reply::Missing);
    fits(vec![put_one(1, "1"), lost.clone(), missing(9), put_one(11, "2")]);
    let twice = vec![put_one(1, "1"), lost, missing(5), put_one(7, "2"), missing(9)];
    contradicts(twice, &[0, 3, 4]);
}

#[test]
fn a_content_that_comes_back_may_bring_its_tag() {
    let puts = |last: &str| {
        vec![
            (1, 2, put("one", When::Absent), stored("1")),
            (3, 4, put("two", at("1")), stored("2")),
            (5, 6, put("one", at("2")), stored(last)),
            (7, 8, put("late", at("1")), if last == "1" { stored("4") } else { Reply::Refused }),
        ]
    };
    fits(puts("1"));
    fits(puts("3"));
    let mut reused = puts("1");
    reused[2].2 = put("three", at("2"));
    assert_eq!(contradicts(reused, &[0, 2]), Why::OneTagTwoContents);
    // The tag of a version whose reply was lost is that of its content, where tags are digests.
    fits(vec![
        (1, 2, put("one", When::Absent), stored("1")),
        (3, 4, put("two", at("1")), stored("2")),
        (5, 6, put("one", at("2")), Reply::Lost),
        (7, 8, put("late", at("1")), stored("4")),
    ]);
}

#[test]
fn a_part_is_a_part_of_what_is_there() {
    let first = (1, 2, put("0123456789", When::Absent), stored("1"));
    for (start, end, text) in [(0, 4, "0123"), (8, 20, "89"), (30, 40, ""), (4, 4, "")] {
        fits(vec![first.clone(), (3, 4, part(start, end), found("1", text))]);
    }
    contradicts(vec![first.clone(), (3, 4, part(0, 4), found("1", "0123456789"))], &[1]);
    // A part shows that a lost put happened.
    let lost = (3, 4, put("abcdef", at("1")), Reply::Lost);
    let (seen, after) =
        ((5, 6, part(2, 4), found("2", "cd")), (7, 8, get(), found("1", "0123456789")));
    fits(vec![first.clone(), lost.clone(), seen.clone()]);
    contradicts(vec![first, lost, seen, after], &[2, 3]);
}

#[test]
fn a_page_looks_at_each_object_for_itself() {
    let other = |begin, body: &str, when, reply| {
        let request = Request::Put { key: Key::new("b"), body: blob(body), when };
        (begin, begin + 1, request, reply)
    };
    let a = (1, 2, put("one", When::Absent), stored("1"));
    let b = other(3, "four", When::Absent, stored("2"));
    fits(vec![a.clone(), b.clone(), (5, 6, list(9), listed(&[("a", 3), ("b", 4)], false))]);
    fits(vec![a.clone(), b.clone(), (5, 6, list(1), listed(&[("a", 3)], true))]);
    contradicts(vec![a.clone(), b.clone(), (5, 6, list(9), listed(&[("a", 3)], false))], &[1, 2]);
    contradicts(vec![a.clone(), b.clone(), (5, 6, list(9), listed(&[("b", 4)], false))], &[0, 2]);
    let wrong_size = listed(&[("a", 3), ("b", 5)], false);
    contradicts(vec![a.clone(), b.clone(), (5, 6, list(9), wrong_size)], &[2]);
    // At no moment were both there, and still a page may name both.
    let gone = (5, 6, delete(), Reply::Deleted);
    let b = other(7, "four", When::Absent, stored("2"));
    fits(vec![a, gone, b, (4, 9, list(9), listed(&[("a", 3), ("b", 4)], false))]);
}

#[test]
fn what_no_store_may_reply_is_told_without_an_order() {
    let first = (1, 2, put("one", When::Absent), stored("1"));
    let two = &[("a", 3), ("b", 1)];
    for (request, reply) in [
        (get(), stored("1")),
        (get(), Reply::NotModified),
        (get(), Reply::Unreadable),
        (get_unless("1"), found("1", "one")),
        (delete(), Reply::Missing),
        (put("two", at("1")), Reply::Missing),
        (list(1), listed(two, false)),
        (list(9), listed(&[("b", 1), ("a", 3)], false)),
        (list(9), listed(&[("a", 3), ("a", 3)], false)),
        (list(9), listed(&[], true)),
        (list(9), listed(two, false)),
    ] {
        let why = contradicts(vec![first.clone(), (3, 4, request, reply)], &[1]);
        assert!(matches!(why, Why::Impossible(_)), "{why:?}");
    }
}

#[test]
fn the_fewest_replies_are_told_in_words() {
    let mut entries = Vec::new();
    let mut last = String::new();
    for n in 0..200_u64 {
        let when = if n == 0 { When::Absent } else { at(&last) };
        last = format!("v{n}");
        entries.push((n * 10, n * 10 + 5, put(&format!("body {n}"), when), stored(&last)));
        entries.push((n * 10 + 6, n * 10 + 8, get(), found(&last, &format!("body {n}"))));
    }
    entries[301] = (1_506, 1_508, get(), found("v149", "body 149"));
    let Verdict::Contradicts(contradiction) = check(&history(entries), Rules::default()) else {
        panic!("a stale read was taken for a good one")
    };
    let expected = "\
a: in no order can these requests be answered so, each at one moment between its two numbers, whatever was there before
      1500–1505  client 300 put 'body 150' to a if at v149 → stored at v150
      1506–1508  client 301 get a → found 'body 149' at v149
";
    assert_eq!(contradiction.to_string(), expected);
}

#[test]
fn many_lost_writes_are_followed() {
    let mut entries = vec![(0, 1, put("start", When::Absent), stored("0"))];
    for n in 1..60_u64 {
        entries.push((n * 10, n * 10 + 1, put(&format!("lost {n}"), When::Absent), Reply::Lost));
        entries.push((n * 10 + 2, n * 10 + 3, delete(), Reply::Lost));
        let reply = if n % 7 == 3 { Reply::Missing } else { found("0", "start") };
        entries.push((n * 10 + 4, n * 10 + 5, get(), reply));
        if n % 7 == 3 {
            entries.push((n * 10 + 6, n * 10 + 7, put("start", When::Absent), stored("0")));
        }
    }
    let Verdict::Fits(followed) = check(&history(entries), Rules::default()) else {
        panic!("each loss explains one disappearance")
    };
    assert!(followed.ways < 200, "{followed:?}");
}
