//! Sends a request once, and brings the whole answer back in bounded time and memory.

use core::time::Duration;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use jiff::Timestamp as Moment;
use reqwest::header::{CONTENT_LENGTH, DATE, HeaderMap, TRANSFER_ENCODING};
use reqwest::{Client, Response, redirect, retry};
use rusty_s3::Method;
use sana_engine::base::time::Timestamp;
use sana_engine::machine::drive::Clock;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::ask::Ask;
use super::fault::Fault;
use crate::clock::{SystemClock, wall_time};

/// A pool of connections, and what was learned about the other side.
pub(super) struct Transport {
    client: Client,
    reads: Semaphore,
    writes: Semaphore,
    /// Until then the store wants to be left alone.
    quiet_until: AtomicU64,
    /// What has to be added to our calendar to get the store's, in milliseconds.
    calendar_offset: AtomicI64,
}

/// What came back, whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// What the store's calendar shows less what ours does, in milliseconds.
    pub(super) ahead: i64,
    /// The same, less what the request was signed for.
    pub(super) apart: i64,
}

/// Reads under way at a time. Each has a connection, and its body in memory.
const READS_MAX: usize = 128;
/// Writes under way at a time. They do not wait for reads, for a commit is worth more than a merge.
const WRITES_MAX: usize = 32;
/// The longest until a connection is there, with TLS.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);
/// The longest until a read is answered, and between two pieces of any answer.
const READ_TIME_MAX: Duration = Duration::from_secs(5);
/// The longest until a write is answered, its body's way included.
const WRITE_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a connection is kept for the next request. Stores hang up after some 20 s.
const IDLE_TIME_MAX: Duration = Duration::from_secs(15);
/// The longest a store is left alone for a `Retry-After`.
const QUIET_TIME_MAX: Duration = Duration::from_secs(10);
/// The largest answer that is taken. No object of ours is larger.
const ANSWER_BYTES_MAX: usize = 1 << 30;
/// The largest answer that is taken where only a page of names or an error is due: a thousand names,
/// each character of which is written as three.
const PAGE_BYTES_MAX: usize = 8 << 20;
/// Memory that is taken for an answer because it says how long it is. Few objects are larger.
const TRUSTED_BYTES: usize = 64 << 20;

impl Transport {
    pub(super) fn new() -> Result<Self, Fault> {
        // Whatever may repeat a request is turned off (B1). What is left is a request that waits for
        // a kept connection and finds it closed before its first byte was sent.
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .http1_only()
            .referer(false)
            .connect_timeout(CONNECT_TIME_MAX)
            .pool_idle_timeout(IDLE_TIME_MAX)
            .user_agent(concat!("sana/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Fault::unreachable(&error))?;
        Ok(Self {
            client,
            reads: Semaphore::new(READS_MAX),
            writes: Semaphore::new(WRITES_MAX),
            quiet_until: AtomicU64::new(0),
            calendar_offset: AtomicI64::new(0),
        })
    }

    /// Sends a request and waits for the whole answer. A store that wants to be left alone is.
    pub(super) async fn exchange(&self, ask: Ask) -> Result<Answer, Fault> {
        if SystemClock.now().0 < self.quiet_until.load(Ordering::Relaxed) {
            return Err(Fault::Busy { code: "Retry-After".to_owned(), pause: None });
        }
        let is_read = matches!(ask.method, Method::Get | Method::Head);
        let (permits, most) =
            if is_read { (&self.reads, READ_TIME_MAX) } else { (&self.writes, WRITE_TIME_MAX) };
        let _permit = permits.acquire().await.expect("nobody closes the semaphore");
        let offset = self.calendar_offset.load(Ordering::Relaxed);
        let method = ask.method;
        let is_page = ask.url.query().is_some_and(|query| query.contains("list-type="));
        let request = self.request(ask);
        let response = match timeout(most, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_connect() => return Err(Fault::unreachable(&error)),
            Ok(Err(error)) => return Err(Fault::broken(&error)),
            Err(_) => return Err(Fault::Unclear(format!("no answer within {most:?}"))),
        };
        let status = response.status().as_u16();
        let is_object = is_read && !is_page && matches!(status, 200 | 206);
        let headers = response.headers().clone();
        let body = match method {
            Method::Head => Bytes::new(),
            _ if is_object => read(response, ANSWER_BYTES_MAX).await?,
            _ => read(response, PAGE_BYTES_MAX).await?,
        };
        let ahead = date(&headers).map_or(offset, |date| date.saturating_sub(calendar()));
        Ok(Answer { status, body, headers, ahead, apart: ahead.saturating_sub(offset) })
    }

    fn request(&self, ask: Ask) -> reqwest::RequestBuilder {
        let method = match ask.method {
            Method::Head => reqwest::Method::HEAD,
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut request = self.client.request(method, ask.url);
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        match ask.body {
            // Said also of an empty body, for S3 wants to hear it.
            Some(body) => request.header(CONTENT_LENGTH, body.len()).body(body),
            None => request,
        }
    }

    /// What the store's calendar shows, as far as is known.
    pub(super) fn signing_time(&self) -> Moment {
        let theirs = calendar().saturating_add(self.calendar_offset.load(Ordering::Relaxed));
        Moment::from_millisecond(theirs).unwrap_or(Moment::UNIX_EPOCH)
    }

    /// Remembers what a failure says about the store.
    pub(super) fn learn(&self, fault: &Fault) {
        match fault {
            Fault::Clock { ahead } => {
                self.calendar_offset.store(*ahead, Ordering::Relaxed);
            }
            Fault::Busy { pause: Some(pause), .. } => {
                let Timestamp(until) = SystemClock.now() + (*pause).min(QUIET_TIME_MAX);
                self.quiet_until.fetch_max(until, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

/// What our calendar shows, in milliseconds since 1970.
fn calendar() -> i64 {
    i64::try_from(wall_time().0).unwrap_or(i64::MAX)
}

/// The whole body of an answer. One whose end is not announced may be cut without a trace.
async fn read(mut response: Response, bytes_max: usize) -> Result<Bytes, Fault> {
    let headers = response.headers();
    if !headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(TRANSFER_ENCODING) {
        let has_none = matches!(response.status().as_u16(), 204 | 304);
        return if has_none { Ok(Bytes::new()) } else { Err(Fault::Unclear(NO_END.to_owned())) };
    }
    // All of it at once, as far as it was announced and can be true: what grows by doubling is twice as
    // large as it need be, and stays so for as long as it is cached.
    let said = response.content_length().and_then(|bytes| usize::try_from(bytes).ok());
    let mut whole = BytesMut::with_capacity(said.unwrap_or(0).min(bytes_max).min(TRUSTED_BYTES));
    loop {
        let chunk = timeout(READ_TIME_MAX, response.chunk()).await;
        let chunk = chunk.map_err(|_| Fault::Unclear("the answer came to a halt".to_owned()))?;
        let Some(chunk) = chunk.map_err(|error| Fault::broken(&error))? else {
            return Ok(whole.freeze());
        };
        if whole.len() + chunk.len() > bytes_max {
            return Err(Fault::Unclear(format!("an answer of more than {bytes_max} bytes")));
        }
        whole.extend_from_slice(&chunk);
    }
}

const NO_END: &str = "an answer that does not say where it ends";

/// What the store's calendar showed, in milliseconds since 1970.
fn date(headers: &HeaderMap) -> Option<i64> {
    let date = headers.get(DATE)?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(date.as_millisecond())
}
