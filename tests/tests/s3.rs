//! The store of a bucket: whatever the other side answers, the reply is true.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod double;

use std::time::Duration;

use double::{Act, Asked, Double, answer, error, listing};
use sana_engine::base::blob::Blob;
use sana_engine::base::name::Key;
use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{ByteRange, Listed, Reply, Request, Tag, When};
use sana_runtime::store::place::{BadPlace, open_bucket};
use sana_runtime::store::probe::{Unfit, probe};
use sana_runtime::store::s3::{Fault, S3Store};
use sana_tests::conformance;

const TAG: &str = "ETag: \"1\"\r\n";

fn get() -> Request {
    Request::get(Key::new("k"))
}

fn get_unless() -> Request {
    Request::Get { key: Key::new("k"), range: None, unless: Some(Tag::new("\"1\"")) }
}

fn get_part(start: u64, end: u64) -> Request {
    Request::get_range(Key::new("k"), ByteRange { start, end })
}

fn put(when: When) -> Request {
    Request::Put { key: Key::new("k"), body: blob("body"), when }
}

fn change() -> Request {
    put(When::Matches(Tag::new("\"0\"")))
}

fn delete() -> Request {
    Request::Delete { key: Key::new("k") }
}

fn list() -> Request {
    Request::List { prefix: Key::new("a"), after: None, limit: 3 }
}

fn blob(text: &str) -> Blob {
    Blob::from(text.as_bytes().to_vec())
}

fn found(text: &str) -> Reply {
    Reply::Found { tag: Tag::new("\"1\""), body: blob(text) }
}

fn part(range: &str, body: &str) -> Vec<u8> {
    answer(206, &format!("{TAG}Content-Range: {range}\r\n"), body.as_bytes())
}

/// Asks a server that always does the same. A write must have come in at most once.
async fn reply(request: Request, acts: Vec<Act>) -> Reply {
    let double = Double::start(move |_| acts.clone()).await;
    let reply = double.store().perform(request.clone()).await;
    let asked = double.asked();
    assert!(request.is_read() || asked.len() == 1, "{request:?} came in as {asked:?}");
    reply
}

/// What each request is told when it is answered so.
async fn expect(answered: &[u8], expected: &[(Request, Reply)]) {
    for (request, expected) in expected {
        let reply = reply(request.clone(), vec![Act::Send(answered.to_vec())]).await;
        let text = String::from_utf8_lossy(answered);
        assert_eq!(reply, *expected, "{request:?}, answered {text}");
    }
}

/// The same for all kinds of requests.
async fn expect_all(answered: &[u8], read: Reply, write: Reply) {
    for request in [get(), get_unless(), get_part(1, 3), list()] {
        expect(answered, &[(request, read.clone())]).await;
    }
    for request in [put(When::Absent), put(When::Fresh), change(), delete()] {
        expect(answered, &[(request, write.clone())]).await;
    }
}

#[tokio::test]
async fn what_went_well_is_told_as_it_was() {
    expect(
        &answer(200, TAG, b"0123"),
        &[
            (get(), found("0123")),
            (get_part(1, 3), found("12")),
            (get_part(9, 12), found("")),
            (get_unless(), Reply::NotModified),
        ],
    )
    .await;
    expect(&part("bytes 1-2/4", "12"), &[(get_part(1, 3), found("12"))]).await;
    expect(&part("bytes 2-3/4", "23"), &[(get_part(2, 9), found("23"))]).await;
    expect(&part("bytes 2-2/4", "2"), &[(get_part(2, 2), found(""))]).await;
    let not_modified = format!("HTTP/1.1 304 -\r\n{TAG}\r\n");
    expect(not_modified.as_bytes(), &[(get_unless(), Reply::NotModified)]).await;
    let stored = Reply::Stored { tag: Tag::new("\"1\"") };
    expect(&answer(200, TAG, b""), &[(put(When::Absent), stored.clone()), (change(), stored)])
        .await;
    for status in ["200 -\r\nContent-Length: 0", "204 -"] {
        let answered = format!("HTTP/1.1 {status}\r\n\r\n");
        expect(answered.as_bytes(), &[(delete(), Reply::Deleted)]).await;
    }
    let listed = |names: &[&str], more| {
        let listed = |name: &&str| Listed { key: Key::new(*name), bytes: 7 };
        Reply::Listed { objects: names.iter().map(listed).collect(), more }
    };
    expect(&listing(&[], false), &[(list(), listed(&[], false))]).await;
    let answered = listing(&[("p/a +%", 7), ("p/aä", 7)], true);
    expect(&answered, &[(list(), listed(&["a +%", "aä"], true))]).await;
}

#[tokio::test]
async fn what_is_missing_is_missing_only_if_the_store_says_so() {
    expect(
        &error(404, "NoSuchKey"),
        &[
            (get(), Reply::Missing),
            (get_part(1, 3), Reply::Missing),
            (change(), Reply::Refused),
            (delete(), Reply::Deleted),
            (put(When::Absent), Reply::Throttled),
            (list(), Reply::Throttled),
        ],
    )
    .await;
    expect_all(&error(404, "NoSuchBucket"), Reply::Throttled, Reply::Throttled).await;
    expect_all(&answer(404, "", b"<html>no such page</html>"), Reply::Lost, Reply::Lost).await;
    expect_all(&answer(404, "", b""), Reply::Lost, Reply::Lost).await;
}

#[tokio::test]
async fn a_condition_that_did_not_hold_refuses_the_write() {
    for answered in [
        error(412, "PreconditionFailed"),
        answer(412, "", b""),
        error(409, "ConditionalRequestConflict"),
        error(409, "OperationAborted"),
    ] {
        for request in [put(When::Absent), put(When::Fresh), change()] {
            expect(&answered, &[(request, Reply::Refused)]).await;
        }
    }
    expect(&error(412, "PreconditionFailed"), &[(get(), Reply::Throttled)]).await;
    expect_all(&error(409, "InvalidBucketState"), Reply::Throttled, Reply::Throttled).await;
    expect_all(&answer(409, "", b""), Reply::Lost, Reply::Lost).await;
}

#[tokio::test]
async fn who_is_turned_away_is_told_that_nothing_happened() {
    for (status, code) in [
        (429, "TooManyRequests"),
        (503, "SlowDown"),
        (400, "ExpiredToken"),
        (400, "RequestTimeout"),
        (400, "BadDigest"),
        (400, "AuthorizationHeaderMalformed"),
        (301, "PermanentRedirect"),
        (307, "TemporaryRedirect"),
        (403, "AccessDenied"),
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (403, "RequestTimeTooSkewed"),
        (405, "MethodNotAllowed"),
        (501, "NotImplemented"),
    ] {
        expect_all(&error(status, code), Reply::Throttled, Reply::Throttled).await;
    }
    expect_all(&answer(429, "", b""), Reply::Throttled, Reply::Throttled).await;
}

#[tokio::test]
async fn what_may_have_happened_is_lost() {
    for status in [500, 502, 503, 504, 520] {
        expect_all(&error(status, "InternalError"), Reply::Lost, Reply::Lost).await;
        expect_all(&answer(status, "", b"<html>upstream</html>"), Reply::Lost, Reply::Lost).await;
    }
    // Somebody in between, who does not know.
    for status in [400, 403, 408] {
        expect_all(&answer(status, "", b"<html>denied</html>"), Reply::Lost, Reply::Lost).await;
    }
    for garbage in [&b"\x00\xff\r\n\r\n"[..], b"SSH-2.0-x\r\n", b"HTTP/1.1 abc -\r\n\r\n"] {
        expect_all(garbage, Reply::Lost, Reply::Lost).await;
    }
    for acts in [vec![Act::HangUp], vec![Act::Send(b"HTTP/1.1 200 -\r\nETag".into()), Act::HangUp]]
    {
        for request in [get(), list(), put(When::Absent), change(), delete()] {
            assert_eq!(reply(request, acts.clone()).await, Reply::Lost);
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_not_whole_is_lost() {
    let cut = format!("HTTP/1.1 200 -\r\n{TAG}Content-Length: 9\r\n\r\n0123");
    let endless = format!("HTTP/1.1 200 -\r\n{TAG}Connection: close\r\n\r\n0123");
    let half_a_chunk =
        format!("HTTP/1.1 200 -\r\n{TAG}Transfer-Encoding: chunked\r\n\r\n9\r\n0123");
    let two_lengths =
        format!("HTTP/1.1 200 -\r\n{TAG}Content-Length: 4\r\nContent-Length: 2\r\n\r\n0");
    for text in [cut, endless, half_a_chunk, two_lengths] {
        for request in [get(), get_part(0, 4), put(When::Absent), change()] {
            let acts = vec![Act::Send(text.clone().into_bytes()), Act::HangUp];
            assert_eq!(reply(request.clone(), acts).await, Reply::Lost, "{request:?}: {text}");
        }
    }
    let whole =
        format!("HTTP/1.1 200 -\r\n{TAG}Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n0\r\n\r\n");
    expect(whole.as_bytes(), &[(get(), found("0123"))]).await;
    expect(&answer(200, "", b"0123"), &[(get(), Reply::Lost), (change(), Reply::Lost)]).await;
    expect(&answer(304, TAG, b""), &[(get(), Reply::Lost)]).await;
    expect(&answer(204, TAG, b""), &[(get(), Reply::Lost), (change(), Reply::Lost)]).await;
}

#[tokio::test]
async fn a_part_that_was_not_asked_for_is_no_answer() {
    for (range, body) in [
        ("bytes 0-1/4", "01"),
        ("bytes 1-3/4", "123"),
        ("bytes 1-2/4", "1"),
        ("bytes 1-1/4", "1"),
        ("bytes 1-2/*", "12"),
        ("bytes 2-1/4", ""),
        ("bytes 18446744073709551615-18446744073709551615/0", ""),
        ("", "12"),
    ] {
        expect(&part(range, body), &[(get_part(1, 3), Reply::Lost)]).await;
    }
    expect(&part("bytes 1-2/4", "12"), &[(get(), Reply::Lost)]).await;
}

#[tokio::test]
async fn behind_the_end_there_is_nothing_of_the_version_that_a_head_names() {
    let answered = |head: &[u8]| {
        let head = head.to_vec();
        move |asked: &Asked| {
            let is_head = asked.method == "HEAD";
            vec![Act::Send(if is_head { head.clone() } else { error(416, "InvalidRange") })]
        }
    };
    let head = |bytes: u64| format!("HTTP/1.1 200 -\r\n{TAG}Content-Length: {bytes}\r\n\r\n");
    for (head, expected) in [
        (head(9), found("")),
        (head(0), found("")),
        (head(10), Reply::Lost),
        ("HTTP/1.1 404 -\r\n\r\n".to_owned(), Reply::Missing),
        ("HTTP/1.1 500 -\r\n\r\n".to_owned(), Reply::Lost),
    ] {
        let double = Double::start(answered(head.as_bytes())).await;
        assert_eq!(double.store().perform(get_part(9, 12)).await, expected, "{head}");
    }
    expect(&error(416, "InvalidRange"), &[(get(), Reply::Throttled)]).await;
}

#[tokio::test]
async fn a_listing_that_does_not_answer_the_request_is_no_answer() {
    let many: Vec<String> = (0..4).map(|number| format!("p/a{number}")).collect();
    let many: Vec<(&str, usize)> = many.iter().map(|name| (name.as_str(), 1)).collect();
    for answered in [
        listing(&many, false),
        listing(&[("p/b", 1)], false),
        listing(&[("q/a", 1)], false),
        listing(&[("a", 1)], false),
        listing(&[("p/a2", 1), ("p/a1", 1)], false),
        listing(&[("p/a1", 1), ("p/a1", 1)], false),
        listing(&[], true),
        answer(200, "", b"<ListBucketResult"),
        answer(200, "", b"<html></html>"),
        answer(200, "", b"\xff\xfe"),
        answer(200, "", b""),
        answer(200, "", &vec![b'<'; 100_000]),
        answer(200, "", &vec![b' '; 9 << 20]),
    ] {
        expect(&answered, &[(list(), Reply::Lost)]).await;
    }
    let after = Request::List { prefix: Key::new("a"), after: Some(Key::new("a1")), limit: 3 };
    expect(&listing(&[("p/a1", 1)], false), &[(after, Reply::Lost)]).await;
}

#[tokio::test]
async fn who_does_not_go_on_is_not_waited_for() {
    let stalls = vec![
        Act::Send(format!("HTTP/1.1 200 -\r\n{TAG}Content-Length: 9\r\n\r\n01").into_bytes()),
        Act::Wait(Duration::from_mins(1)),
    ];
    let silent = vec![Act::Wait(Duration::from_mins(1))];
    let long = Duration::from_secs(20);
    let replies = tokio::join!(
        tokio::time::timeout(long, reply(get(), stalls.clone())),
        tokio::time::timeout(long, reply(change(), stalls)),
        tokio::time::timeout(long, reply(get(), silent)),
    );
    assert_eq!(replies, (Ok(Reply::Lost), Ok(Reply::Lost), Ok(Reply::Lost)));
}

#[tokio::test]
async fn where_nobody_listens_nothing_happened() {
    let double = Double::start(|_| vec![]).await;
    let store = double.store();
    drop(double);
    tokio::time::sleep(Duration::from_millis(50)).await;
    for request in [get(), put(When::Absent), change(), delete(), list()] {
        assert_eq!(store.perform(request).await, Reply::Throttled);
    }
    let fault = store.reach().await.unwrap_err();
    assert!(matches!(fault, Fault::Unreachable(_)), "{fault:?}");
    assert!(fault.to_string().contains("AWS_ENDPOINT_URL"), "{fault}");
}

#[tokio::test]
async fn a_second_answer_to_one_request_is_not_taken_for_the_next() {
    let twice = |asked: &Asked| {
        let one = answer(200, TAG, asked.path.as_bytes());
        vec![Act::Send([one.clone(), one].concat())]
    };
    let double = Double::start(twice).await;
    let store = double.store();
    for number in 0..50 {
        let request = Request::get(Key::new(number.to_string()));
        let body = blob(&format!("/bucket/p/{number}"));
        let reply = store.perform(request).await;
        let is_right = matches!(&reply, Reply::Found { body: found, .. } if *found == body);
        assert!(is_right || reply == Reply::Lost, "{number}: {reply:?}");
    }
}

#[tokio::test]
async fn connections_are_kept_and_a_write_on_a_closed_one_is_sent_once() {
    let double = Double::start(|_| vec![Act::Send(answer(200, TAG, b"0123"))]).await;
    let store = double.store();
    for _ in 0..20 {
        assert_eq!(store.perform(get()).await, found("0123"));
    }
    assert_eq!(double.connections(), 1);
    // This one hangs up after each answer, without a word.
    let double = Double::start(|_| vec![Act::Send(answer(200, TAG, b"")), Act::HangUp]).await;
    let store = double.store();
    for number in 0..50 {
        let reply = store.perform(change()).await;
        let asked = double.asked().len();
        let is_true = match reply {
            Reply::Stored { .. } => asked == 1,
            Reply::Lost | Reply::Throttled => asked <= 1,
            _ => false,
        };
        assert!(is_true, "{number}: {reply:?}, and it came in {asked} times");
        tokio::time::sleep(Duration::from_micros(number * 40)).await;
    }
}

#[tokio::test]
async fn a_store_that_wants_to_be_left_alone_is() {
    let busy = answer(503, "Retry-After: 1\r\n", b"<Error><Code>SlowDown</Code></Error>");
    let double = Double::start(move |_| vec![Act::Send(busy.clone())]).await;
    let store = double.store();
    assert_eq!(store.perform(get()).await, Reply::Throttled);
    assert_eq!(double.asked().len(), 1);
    for request in [get(), change(), list()] {
        assert_eq!(store.perform(request).await, Reply::Throttled);
    }
    assert_eq!(double.asked().len(), 0, "it is left alone");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    store.perform(get()).await;
    assert_eq!(double.asked().len(), 1, "the second is over");
}

#[tokio::test]
async fn requests_are_signed_by_the_clock_of_the_store() {
    let skewed = |asked: &Asked| {
        let date = "Date: Fri, 01 Jan 2100 00:00:30 GMT\r\n";
        let is_right = asked.query["X-Amz-Date"].starts_with("21000101T0000");
        let error = b"<Error><Code>RequestTimeTooSkewed</Code></Error>";
        let empty = listing(&[], false);
        vec![Act::Send(if is_right { empty } else { answer(403, date, error) })]
    };
    let double = Double::start(skewed).await;
    let store = double.store();
    assert_eq!(store.perform(change()).await, Reply::Throttled, "it did not happen");
    assert_eq!(store.reach().await, Ok(()), "the clock is known now");
    assert_eq!(double.store().reach().await, Ok(()), "and is learned at the start");
    assert_eq!(double.asked().len(), 4);
}

#[tokio::test]
async fn what_the_store_refuses_is_said_with_what_can_be_done() {
    let moved = answer(301, "x-amz-bucket-region: eu-west-3\r\n", b"");
    let malformed =
        b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region></Error>";
    for (answered, words) in [
        (error(403, "InvalidAccessKeyId"), "AWS_ACCESS_KEY_ID"),
        (error(403, "SignatureDoesNotMatch"), "AWS_SECRET_ACCESS_KEY"),
        (error(400, "ExpiredToken"), "AWS_SESSION_TOKEN"),
        (error(403, "AccessDenied"), "s3:ListBucket"),
        (error(404, "NoSuchBucket"), "create it"),
        (error(400, "SomethingNew"), "what is wrong"),
        (moved, "AWS_REGION to eu-west-3"),
        (answer(400, "", malformed), "AWS_REGION to eu-west-3"),
    ] {
        let double = Double::start(move |_| vec![Act::Send(answered.clone())]).await;
        let opened = open_bucket(double.options("p")).await;
        let Err(error @ BadPlace::Bucket { .. }) = opened else { panic!("{opened:?}") };
        let text = error.to_string();
        assert!(text.contains(words), "{text}");
        assert!(!text.contains("very secret") && !text.contains("Signature="), "{text}");
        assert_eq!(double.asked().len(), 1, "asking again would not help");
    }
}

#[tokio::test]
async fn names_that_addresses_cannot_express_are_not_sent() {
    let double = Double::start(|_| vec![Act::Send(answer(200, TAG, b""))]).await;
    let store = double.store();
    let long = "x".repeat(1_023);
    for key in ["", ".", "..", "a/../b", "a/.", &long] {
        let delete = Request::Delete { key: Key::new(key) };
        assert_eq!(store.perform(delete).await, Reply::Throttled, "{key}");
    }
    assert_eq!(double.asked().len(), 0);
}

#[tokio::test]
async fn no_object_outside_the_prefix_is_touched() {
    let double = Double::bucket(&["if-match", "if-none-match"]).await;
    let [one, other] = ["a", "a/b"].map(|prefix| S3Store::new(double.options(prefix)).unwrap());
    for store in [&one, &other] {
        assert!(matches!(store.perform(put(When::Absent)).await, Reply::Stored { .. }));
    }
    let all = Request::List { prefix: Key::new(""), after: None, limit: 9 };
    let Reply::Listed { objects, .. } = other.perform(all).await else { panic!("no listing") };
    assert_eq!(objects, [Listed { key: Key::new("k"), bytes: 4 }]);
    for asked in double.asked() {
        assert!(!format!("{asked:?}").contains("very secret"), "the secret is never sent");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_conforms() {
    let double = Double::bucket(&["if-match", "if-none-match"]).await;
    let count = std::sync::atomic::AtomicUsize::new(0);
    conformance::check(|| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        S3Store::new(double.options(&number.to_string())).unwrap()
    })
    .await;
    assert_eq!(probe(&double.store(), 7).await, Ok(()));
    open_bucket(double.options("p")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_forgets_conditions_is_found_out_twice() {
    for (honoured, words) in [
        (&[][..], "`If-None-Match: *`"),
        (&["if-match"][..], "`If-None-Match: *`"),
        (&["if-none-match"][..], "`If-Match`"),
    ] {
        let double = Double::bucket(honoured).await;
        let opened = open_bucket(double.options("p")).await;
        let Err(BadPlace::Unfit { unfit: Unfit::Breaks(what), .. }) = opened else {
            panic!("{honoured:?}: {opened:?}")
        };
        assert!(what.contains(words), "{honoured:?}: {what}");
        let options = double.options("q");
        let checked = conformance::check(move || S3Store::new(options.clone()).unwrap());
        assert!(tokio::spawn(checked).await.is_err(), "{honoured:?}: the suite did not find it");
    }
}
