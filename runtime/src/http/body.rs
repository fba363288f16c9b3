//! Bodies on their way in and out: bounded, and compressed if the client likes.
//!
//! # Invariants
//!
//! - **B1** The bodies of all requests together take no more memory than the server has for them. Who
//!   comes when it is full waits, or is told to come back.
//! - **B2** A body is as large as it may be after it was inflated, too.
//! - **B3** Who sends a body keeps its share of the memory only as long as something arrives, and
//!   enough of it.
//! - **B4** A share grows with what has arrived: to announce a large body takes no memory from others.
//! - **B5** What a body is parsed to is bounded by the number of its values, for one of two bytes takes as
//!   much memory as one of twenty.

use core::fmt::Display;
use core::time::Duration;
use std::io::{Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::body::Body;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::delivery::Pace;
use super::errors::{Failure, Retry};
use crate::compute::{Compute, Crashed};

/// The memory there is for bodies. A clone is another handle to the same memory.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    kibibytes: Arc<Semaphore>,
    body_bytes_max: usize,
    silence_max: Duration,
}

/// A body in memory, and its share of the budget.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

/// How much memory is taken at a time.
const STRIDE_BYTES: usize = 1 << 20;
/// How long a body waits for memory. Those who wait hold what they have, so that without an end to it
/// some could wait for each other.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// The size of a body that holds no documents. The largest query that makes sense, sixteen searches
/// for vectors beside ten thousand ids, stays below it.
pub(super) const SMALL_BYTES_MAX: usize = 16 << 20;
/// Memory that is taken before anything of a body was seen.
const TRUSTED_BYTES: usize = 16 << 20;
/// Values of one body. Each takes 32 bytes once it is parsed; a body of the largest size is below it if
/// its numbers have seven digits.
const VALUES_MAX: usize = 64 << 20;
/// Bodies above this size are looked through where heavy work is done.
const LIGHT_BYTES_MAX: usize = 1 << 20;
/// Answers below this size are not compressed.
const COMPRESS_BYTES_MIN: usize = 1 << 10;

impl Budget {
    pub(super) fn new(bytes: usize, body_bytes_max: usize, silence_max: Duration) -> Self {
        let kibibytes = (bytes.max(body_bytes_max) >> 10).clamp(1, Semaphore::MAX_PERMITS);
        Self { kibibytes: Arc::new(Semaphore::new(kibibytes)), body_bytes_max, silence_max }
    }

    /// Reads a body of at most `most` bytes to its end, and inflates it if it is compressed.
    ///
    /// # Errors
    ///
    /// 413 if it is too large or has too many values, 400 if it is not what its headers say, 408 if the client falls silent,
    /// 503 if there is no memory for it now.
    pub(super) async fn read<B>(
        &self,
        headers: &HeaderMap,
        body: B,
        most: usize,
        compute: &Compute,
    ) -> Result<Held, Failure>
    where
        B: Body<Data = Bytes, Error: Display> + Unpin,
    {
        let most = most.min(self.body_bytes_max);
        let held = self.receive(body, most).await?;
        match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"identity" | b"") if held.bytes.len() <= LIGHT_BYTES_MAX => Ok(held),
            None | Some(b"identity" | b"") => {
                let few = compute.run(move || held.has_few_values()).await;
                few.unwrap_or_else(|Crashed| Err(Failure::broken()))
            }
            Some(b"gzip" | b"x-gzip") => {
                let budget = self.clone();
                let inflate = move || budget.inflate(&held, most)?.has_few_values();
                let inflated = compute.run(inflate).await;
                inflated.unwrap_or_else(|Crashed| Err(Failure::broken()))
            }
            Some(other) => Err(Failure::meaning(format!(
                "Content-Encoding {} is not supported; use gzip or none",
                String::from_utf8_lossy(other)
            ))),
        }
    }

    async fn receive<B>(&self, mut body: B, most: usize) -> Result<Held, Failure>
    where
        B: Body<Data = Bytes, Error: Display> + Unpin,
    {
        let said = body.size_hint().exact();
        let said = said.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        if said.is_some_and(|bytes| bytes > most) {
            return Err(too_large(most));
        }
        let (mut share, mut taken) = (None, 0);
        let mut bytes = Vec::with_capacity(said.unwrap_or(0).min(TRUSTED_BYTES));
        let mut pace = Pace::new(self.silence_max);
        loop {
            let frame = tokio::time::timeout_at(pace.until(), body.frame()).await;
            let frame = frame.map_err(|_| {
                Failure::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")
            })?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| {
                Failure::meaning(format!("the body could not be read: {error}"))
            })?;
            let Ok(data) = frame.into_data() else { continue };
            let needed = bytes.len() + data.len();
            if needed > most {
                return Err(too_large(most));
            }
            let waited = Instant::now();
            while taken < needed {
                let rest = said.map_or(STRIDE_BYTES, |said| said.max(needed) - taken);
                let stride = rest.min(STRIDE_BYTES);
                merge(&mut share, self.wait_for(stride).await?);
                taken += stride;
            }
            // The client is not to blame for our lack of memory.
            pace.excuse(waited.elapsed());
            pace.advance(data.len());
            bytes.extend_from_slice(&data);
        }
        Ok(Held { bytes: bytes.into(), _share: share })
    }

    fn inflate(&self, compressed: &Held, most: usize) -> Result<Held, Failure> {
        let mut decoder = MultiGzDecoder::new(&compressed.bytes[..]);
        let mut bytes = Vec::new();
        let mut share = None;
        loop {
            // It holds up a thread, and two bodies already: it does not wait for more.
            let more = Arc::clone(&self.kibibytes).try_acquire_many_owned(kibibytes(STRIDE_BYTES));
            merge(&mut share, more.map_err(|_| busy())?);
            let before = bytes.len();
            let stride = (&mut decoder).take(STRIDE_BYTES as u64).read_to_end(&mut bytes);
            stride.map_err(|error| {
                Failure::meaning(format!("the body is not what gzip makes: {error}"))
            })?;
            if bytes.len() > most {
                return Err(too_large(most));
            }
            if bytes.len() - before < STRIDE_BYTES {
                return Ok(Held { bytes: bytes.into(), _share: share });
            }
        }
    }

    async fn wait_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Failure> {
        let more = Arc::clone(&self.kibibytes).acquire_many_owned(kibibytes(bytes));
        let more = tokio::time::timeout(WAIT_MAX, more).await.map_err(|_| busy())?;
        // The semaphore is never closed.
        more.map_err(|_| busy())
    }

    /// The memory that nobody has, in KiB.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.kibibytes.available_permits()
    }
}

impl Held {
    /// No body.
    pub(super) const fn nothing() -> Self {
        Self { bytes: Bytes::new(), _share: None }
    }

    /// This body, if it does not have too many values: between two of them there is a comma.
    fn has_few_values(self) -> Result<Self, Failure> {
        let commas: usize = self.bytes.iter().map(|byte| usize::from(*byte == b',')).sum();
        if commas < VALUES_MAX {
            return Ok(self);
        }
        let message =
            format!("the request body has more than {VALUES_MAX} values; send it in parts");
        Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message))
    }
}

fn merge(share: &mut Option<OwnedSemaphorePermit>, more: OwnedSemaphorePermit) {
    match share {
        Some(share) => share.merge(more),
        None => *share = Some(more),
    }
}

fn kibibytes(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX)
}

fn busy() -> Failure {
    let message = "too many large requests at once; nothing was done, send the request again later";
    let failure = Failure::new(StatusCode::SERVICE_UNAVAILABLE, message);
    Failure { retry: Retry::After(1), ..failure }
}

fn too_large(most: usize) -> Failure {
    let message = format!(
        "the request body is larger than the {most} bytes that this request may have; send it in \
         parts"
    );
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}

/// Whether the client likes compressed answers.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepts = |value: &str| {
        value.split(',').any(|item| {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next();
            name == Some("gzip") && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00"))
        })
    };
    let wanted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    wanted.is_some_and(accepts)
}

/// A body as the client wants it, and whether that is compressed.
pub(super) fn encoded(accepts_gzip: bool, body: Bytes) -> (Bytes, bool) {
    if body.len() < COMPRESS_BYTES_MIN || !accepts_gzip {
        return (body, false);
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2), Compression::fast());
    match encoder.write_all(&body).and_then(|()| encoder.finish()) {
        Ok(compressed) => (compressed.into(), true),
        Err(_) => (body, false),
    }
}

#[cfg(test)]
mod tests {
    use core::pin::Pin;
    use core::task::{Context, Poll};

    use http_body_util::Full;
    use hyper::body::{Frame, SizeHint};

    use super::*;

    const SILENCE_MAX: Duration = Duration::from_secs(30);

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

    fn held(bytes: Bytes) -> Held {
        Held { bytes, _share: None }
    }

    #[test]
    fn a_body_that_inflates_beyond_the_limit_is_refused() {
        let budget = Budget::new(1 << 30, 8 << 20, SILENCE_MAX);
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        let failure = budget.inflate(&held(bomb), 8 << 20).unwrap_err();
        assert_eq!(failure.status, StatusCode::PAYLOAD_TOO_LARGE);
        let small = gzip(&vec![7; 3 << 20]);
        assert_eq!(budget.inflate(&held(small), 8 << 20).unwrap().bytes, vec![7; 3 << 20]);
        let cut = gzip(b"abc").slice(..10);
        assert_eq!(
            budget.inflate(&held(cut), 8 << 20).unwrap_err().status,
            StatusCode::BAD_REQUEST
        );
    }

    #[test]
    fn who_finds_no_memory_is_told_to_come_back() {
        let budget = Budget::new(2 << 20, 2 << 20, SILENCE_MAX);
        let first = budget.inflate(&held(gzip(&vec![1; 1_500_000])), 2 << 20).unwrap();
        let failure = budget.inflate(&held(gzip(&[1; 10])), 2 << 20).unwrap_err();
        assert_eq!((failure.status.as_u16(), failure.retry), (503, Retry::After(1)));
        drop(first);
        assert!(budget.inflate(&held(gzip(&[1; 10])), 2 << 20).is_ok());
    }

    /// A body that announces a length, sends a beginning of it, and then nothing more.
    struct Slow {
        said: u64,
        begins: Option<Bytes>,
    }

    impl Body for Slow {
        type Data = Bytes;
        type Error = core::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            self.begins
                .take()
                .map_or(Poll::Pending, |bytes| Poll::Ready(Some(Ok(Frame::data(bytes)))))
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.said)
        }
    }

    fn slow(said: u64, begins: usize) -> Slow {
        Slow { said, begins: Some(vec![b' '; begins].into()) }
    }

    #[tokio::test(start_paused = true)]
    async fn who_announces_much_and_sends_little_holds_up_nobody() {
        let budget = Budget::new(8 << 20, 8 << 20, SILENCE_MAX);
        let [one, other] = [budget.clone(), budget.clone()];
        let one = tokio::spawn(async move { one.receive(slow(8 << 20, 10), 8 << 20).await });
        let other = tokio::spawn(async move { other.receive(slow(8 << 20, 0), 8 << 20).await });
        tokio::task::yield_now().await;
        assert!(budget.free() >= 7 << 10, "{} KiB are free", budget.free());
        let began = Instant::now();
        let small = budget.receive(Full::new(Bytes::from_static(b"small")), 8 << 20).await;
        assert_eq!(small.unwrap().bytes, "small");
        assert_eq!(began.elapsed(), Duration::ZERO);
        for slow in [one, other] {
            assert_eq!(slow.await.unwrap().unwrap_err().status, StatusCode::REQUEST_TIMEOUT);
        }
        assert_eq!(budget.free(), 8 << 10);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_long_for_memory_is_told_to_come_back() {
        let budget = Budget::new(2 << 20, 2 << 20, SILENCE_MAX);
        let all = budget.inflate(&held(gzip(&vec![1; 1_500_000])), 2 << 20).unwrap();
        let failure = budget.receive(Full::new(Bytes::from_static(b"a")), 10).await.unwrap_err();
        assert_eq!((failure.status.as_u16(), failure.retry), (503, Retry::After(1)));
        let waiting = budget.clone();
        let waiting = tokio::spawn(async move { waiting.receive(slow(2 << 20, 9), 2 << 20).await });
        tokio::time::sleep(WAIT_MAX / 2).await;
        drop(all);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished() && budget.free() == 1 << 10, "what is free is taken");
        waiting.abort();
    }

    #[tokio::test]
    async fn a_body_of_many_small_values_is_refused_before_it_is_parsed() {
        let (compute, headers) = (Compute::start(1), HeaderMap::new());
        let most = 256 << 20;
        let budget = Budget::new(most, most, SILENCE_MAX);
        for (commas, fits) in [(VALUES_MAX - 1, true), (VALUES_MAX, false)] {
            let body = Full::new(Bytes::from(vec![b','; commas]));
            let read = budget.read(&headers, body, most, &compute).await;
            let status = read.map(|held| held.bytes.len()).map_err(|failure| failure.status);
            let expected = if fits { Ok(commas) } else { Err(StatusCode::PAYLOAD_TOO_LARGE) };
            assert_eq!(status, expected);
        }
    }

    #[test]
    fn an_answer_is_compressed_only_if_it_is_large_and_asked_for() {
        let large = Bytes::from(vec![b'a'; 10_000]);
        let headers = |value: &'static str| {
            HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))])
        };
        assert!(encoded(accepts_gzip(&headers("gzip")), large.clone()).1);
        assert!(encoded(accepts_gzip(&headers("deflate, gzip;q=0.5")), large.clone()).1);
        assert!(!encoded(accepts_gzip(&headers("gzip;q=0")), large.clone()).1);
        assert!(!encoded(accepts_gzip(&headers("identity")), large.clone()).1);
        assert!(!encoded(accepts_gzip(&HeaderMap::new()), large).1);
        assert!(!encoded(accepts_gzip(&headers("gzip")), Bytes::from_static(b"short")).1);
    }
}
