//! Bodies on their way in and out: bounded, and compressed if the client likes.
//!
//! # Invariants
//!
//! - **B1** The bodies of all requests together take no more memory than the server has for them. Who
//!   comes when it is full waits, or is told to come back.
//! - **B2** A body is as large as it may be after it was inflated, too.
//! - **B3** Who sends a body keeps its share of the memory only as long as something arrives, and
//!   enough of it.

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

/// How much memory is taken at a time for a body whose length nobody said.
const STRIDE_BYTES: usize = 1 << 20;
/// Memory that is taken before anything of a body was seen.
const TRUSTED_BYTES: usize = 16 << 20;
/// Answers below this size are not compressed.
const COMPRESS_BYTES_MIN: usize = 1 << 10;

impl Budget {
    pub(super) fn new(bytes: usize, body_bytes_max: usize, silence_max: Duration) -> Self {
        let kibibytes = (bytes.max(body_bytes_max) >> 10).clamp(1, Semaphore::MAX_PERMITS);
        Self { kibibytes: Arc::new(Semaphore::new(kibibytes)), body_bytes_max, silence_max }
    }

    /// Reads a body to its end, and inflates it if it is compressed.
    ///
    /// # Errors
    ///
    /// 413 if it is too large, 400 if it is not what its headers say, 408 if the client falls silent,
    /// 503 if there is no memory for it now.
    pub(super) async fn read<B>(
        &self,
        headers: &HeaderMap,
        body: B,
        compute: &Compute,
    ) -> Result<Held, Failure>
    where
        B: Body<Data = Bytes, Error: Display> + Unpin,
    {
        let held = self.receive(body).await?;
        match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"identity" | b"") => Ok(held),
            Some(b"gzip" | b"x-gzip") => {
                let budget = self.clone();
                let inflated = compute.run(move || budget.inflate(&held)).await;
                inflated.unwrap_or_else(|Crashed| Err(Failure::broken()))
            }
            Some(other) => Err(Failure::meaning(format!(
                "Content-Encoding {} is not supported; use gzip or none",
                String::from_utf8_lossy(other)
            ))),
        }
    }

    async fn receive<B>(&self, mut body: B) -> Result<Held, Failure>
    where
        B: Body<Data = Bytes, Error: Display> + Unpin,
    {
        let most = self.body_bytes_max;
        let said = body.size_hint().exact().map(|bytes| usize::try_from(bytes).unwrap_or(most + 1));
        if said.is_some_and(|bytes| bytes > most) {
            return Err(self.too_large());
        }
        // A body of known length takes its share once, so those who wait hold nothing (B1).
        let mut share = match said {
            Some(bytes) => self.wait_for(bytes).await,
            None => None,
        };
        let mut taken = said.unwrap_or(0);
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
            if bytes.len() + data.len() > most {
                return Err(self.too_large());
            }
            while taken < bytes.len() + data.len() {
                self.grow(&mut share)?;
                taken += STRIDE_BYTES;
            }
            pace.advance(data.len());
            bytes.extend_from_slice(&data);
        }
        Ok(Held { bytes: bytes.into(), _share: share })
    }

    fn inflate(&self, compressed: &Held) -> Result<Held, Failure> {
        let mut decoder = MultiGzDecoder::new(&compressed.bytes[..]);
        let mut bytes = Vec::new();
        let mut share = None;
        loop {
            self.grow(&mut share)?;
            let before = bytes.len();
            let stride = (&mut decoder).take(STRIDE_BYTES as u64).read_to_end(&mut bytes);
            stride.map_err(|error| {
                Failure::meaning(format!("the body is not what gzip makes: {error}"))
            })?;
            if bytes.len() > self.body_bytes_max {
                return Err(self.too_large());
            }
            if bytes.len() - before < STRIDE_BYTES {
                return Ok(Held { bytes: bytes.into(), _share: share });
            }
        }
    }

    async fn wait_for(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kibibytes = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        Arc::clone(&self.kibibytes).acquire_many_owned(kibibytes).await.ok()
    }

    /// Takes one more stride without waiting: who holds memory does not wait for more.
    fn grow(&self, share: &mut Option<OwnedSemaphorePermit>) -> Result<(), Failure> {
        let kibibytes = (STRIDE_BYTES >> 10) as u32;
        let more = Arc::clone(&self.kibibytes).try_acquire_many_owned(kibibytes);
        let more = more.map_err(|_| Failure {
            retry: Retry::After(1),
            ..Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many large requests at once; nothing was done, send the request again later",
            )
        })?;
        match share {
            Some(share) => share.merge(more),
            None => *share = Some(more),
        }
        Ok(())
    }

    fn too_large(&self) -> Failure {
        let most = self.body_bytes_max;
        let message = format!("the request body is larger than {most} bytes; send it in parts");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }
}

/// A body as the client wants it, and whether that is compressed.
pub(super) fn encoded(headers: &HeaderMap, body: Bytes) -> (Bytes, bool) {
    let accepts = |value: &str| {
        value.split(',').any(|item| {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next();
            name == Some("gzip") && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00"))
        })
    };
    let wanted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    if body.len() < COMPRESS_BYTES_MIN || !wanted.is_some_and(accepts) {
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
        let failure = budget.inflate(&held(bomb)).unwrap_err();
        assert_eq!(failure.status, StatusCode::PAYLOAD_TOO_LARGE);
        let small = gzip(&vec![7; 3 << 20]);
        assert_eq!(budget.inflate(&held(small)).unwrap().bytes, vec![7; 3 << 20]);
        let cut = gzip(b"abc").slice(..10);
        assert_eq!(budget.inflate(&held(cut)).unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn who_finds_no_memory_is_told_to_come_back() {
        let budget = Budget::new(2 << 20, 2 << 20, SILENCE_MAX);
        let first = budget.inflate(&held(gzip(&vec![1; 1_500_000]))).unwrap();
        let failure = budget.inflate(&held(gzip(&[1; 10]))).unwrap_err();
        assert_eq!((failure.status.as_u16(), failure.retry), (503, Retry::After(1)));
        drop(first);
        assert!(budget.inflate(&held(gzip(&[1; 10]))).is_ok());
    }

    #[test]
    fn an_answer_is_compressed_only_if_it_is_large_and_asked_for() {
        let large = Bytes::from(vec![b'a'; 10_000]);
        let headers = |value: &'static str| {
            HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))])
        };
        assert!(encoded(&headers("gzip"), large.clone()).1);
        assert!(encoded(&headers("deflate, gzip;q=0.5"), large.clone()).1);
        assert!(!encoded(&headers("gzip;q=0"), large.clone()).1);
        assert!(!encoded(&headers("identity"), large.clone()).1);
        assert!(!encoded(&HeaderMap::new(), large).1);
        assert!(!encoded(&headers("gzip"), Bytes::from_static(b"short")).1);
    }
}
