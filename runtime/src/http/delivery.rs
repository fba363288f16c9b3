//! Answers on their way to clients that may not take them.
//!
//! A client that keeps its connection open and reads nothing would hold the memory of its answers for
//! ever. On a connection of version 1 that shows at the socket: what is written does not go out. On one
//! of version 2 the socket may be idle while a stream waits for its client to open the window, so there
//! it is the bodies that are watched: the connection asks a body for more only when there is room.
//!
//! # Invariants
//!
//! - **D1** Who takes nothing of what waits for it, or too little of it, loses its connection, and with
//!   it the memory of all its answers.
//! - **D2** An answer is watched until the client has room for all of it, not only for its last piece.

use core::convert::Infallible;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How much of something has gone over a connection, and until when there has to be more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    began: Instant,
    moved: Instant,
    bytes: u64,
    silence_max: Duration,
}

/// The least that must have gone over after some time, in bytes per second. Slower links than that
/// carry no search.
const RATE_MIN: u64 = 16 << 10;
/// How long it may take however little it is.
const GRACE: Duration = Duration::from_mins(1);
/// How much of an answer is handed on at a time.
const PIECE_BYTES: usize = 16 << 10;

impl Pace {
    /// Something that begins now.
    pub(super) fn new(silence_max: Duration) -> Self {
        let now = Instant::now();
        Self { began: now, moved: now, bytes: 0, silence_max }
    }

    /// So many bytes have gone over.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.moved = Instant::now();
        self.bytes += bytes as u64;
    }

    /// So much time was not the client's.
    pub(super) fn excuse(&mut self, waited: Duration) {
        self.began += waited;
    }

    /// When it is given up if nothing more has gone over.
    pub(super) fn until(&self) -> Instant {
        let earned = Duration::from_secs(self.bytes / RATE_MIN);
        (self.moved + self.silence_max).min(self.began + GRACE + earned)
    }
}

/// The answers on one connection that are not delivered. A clone is another handle to the same.
#[derive(Clone, Debug)]
pub(super) struct Deliveries {
    waiting: Arc<Mutex<Waiting>>,
    silence_max: Duration,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    paces: BTreeMap<u64, Pace>,
}

impl Deliveries {
    pub(super) fn new(silence_max: Duration) -> Self {
        Self { waiting: Arc::default(), silence_max }
    }

    /// The body of an answer, which is watched from now on.
    pub(super) fn parcel(&self, bytes: Bytes) -> Parcel {
        let mut waiting = self.locked();
        let number = waiting.next;
        waiting.next += 1;
        waiting.paces.insert(number, Pace::new(self.silence_max));
        drop(waiting);
        Parcel { rest: bytes, number, deliveries: self.clone() }
    }

    /// Ends once an answer was not taken in time.
    pub(super) async fn stalled(&self) {
        loop {
            // No answer that begins later has to be delivered sooner than this.
            let sooner = Instant::now() + self.silence_max.min(GRACE);
            let until = self.locked().paces.values().map(Pace::until).min();
            if until.is_some_and(|until| until <= Instant::now()) {
                return;
            }
            tokio::time::sleep_until(until.unwrap_or(sooner).min(sooner)).await;
        }
    }

    fn locked(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under the lock panics half-way through a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of an answer. It is watched until it is dropped.
#[derive(Debug)]
pub(super) struct Parcel {
    rest: Bytes,
    number: u64,
    deliveries: Deliveries,
}

impl Body for Parcel {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // A piece is let go when there is room for its beginning. So the last byte goes alone (D2).
        let bytes = match self.rest.len() {
            0 => return Poll::Ready(None),
            1 => 1,
            rest => PIECE_BYTES.min(rest - 1),
        };
        let piece = self.rest.split_to(bytes);
        if let Some(pace) = self.deliveries.locked().paces.get_mut(&self.number) {
            pace.advance(bytes);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        self.deliveries.locked().paces.remove(&self.number);
    }
}

/// A connection on which what is written has to go out in time.
#[derive(Debug)]
pub(super) struct Impatient<S> {
    stream: S,
    silence_max: Duration,
    /// What is going out, since it first had to wait.
    stuck: Option<(Pace, Pin<Box<Sleep>>)>,
}

impl<S> Impatient<S> {
    pub(super) const fn new(stream: S, silence_max: Duration) -> Self {
        Self { stream, silence_max, stuck: None }
    }

    /// What became of a write, unless it has waited for too long.
    fn watched(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(written) => {
                if let (Some((pace, _)), Ok(bytes)) = (&mut self.stuck, &written) {
                    pace.advance(*bytes);
                }
                Poll::Ready(written)
            }
            Poll::Pending => {
                let (pace, sleep) = self.stuck.get_or_insert_with(|| {
                    let pace = Pace::new(self.silence_max);
                    (pace, Box::pin(tokio::time::sleep_until(pace.until())))
                });
                if sleep.deadline() != pace.until() {
                    sleep.as_mut().reset(pace.until());
                }
                ready!(sleep.as_mut().poll(cx));
                let late = "the client did not take its answers in time";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, bytes)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watched(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watched(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called when all has been written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stuck = None;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const SILENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn little_by_little_is_as_bad_as_nothing() {
        let mut pace = Pace::new(SILENCE);
        let began = Instant::now();
        assert_eq!(pace.until(), began + SILENCE);
        for _ in 0..3 {
            tokio::time::advance(SILENCE / 2).await;
            pace.advance(1);
        }
        assert_eq!(pace.until(), began + GRACE, "a few bytes earn nothing");
        pace.advance(100 * RATE_MIN as usize);
        assert_eq!(pace.until(), Instant::now() + SILENCE, "what flows may flow on");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_watched_until_its_body_is_dropped() {
        let deliveries = Deliveries::new(SILENCE);
        let mut parcel = deliveries.parcel(Bytes::from(vec![7; PIECE_BYTES + 3]));
        assert_eq!(parcel.size_hint().exact(), Some(16_387));
        for bytes in [PIECE_BYTES, 2, 1] {
            assert!(!parcel.is_end_stream());
            let frame = parcel.frame().await.unwrap().unwrap();
            assert_eq!(frame.data_ref().map(Bytes::len), Some(bytes));
        }
        let began = Instant::now();
        deliveries.stalled().await;
        assert!(began.elapsed() >= SILENCE && began.elapsed() < 2 * SILENCE);
        assert!(parcel.frame().await.is_none() && parcel.is_end_stream());
        drop(parcel);
        let waiting = tokio::time::timeout(10 * SILENCE, deliveries.stalled()).await;
        assert!(waiting.is_err(), "what is delivered is forgotten");
        assert!(deliveries.parcel(Bytes::new()).is_end_stream());
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_does_not_go_out_fails_and_a_slow_one_does_not() {
        let (near, mut far) = tokio::io::duplex(1 << 10);
        let mut stream = Impatient::new(near, SILENCE);
        let slow = tokio::spawn(async move {
            let mut bytes = vec![0; 64 << 10];
            for part in bytes.chunks_mut(1 << 10) {
                tokio::time::sleep(SILENCE / 40).await;
                far.read_exact(part).await.unwrap();
            }
            far
        });
        let bytes = vec![1; 64 << 10];
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        let far = slow.await.unwrap();
        tokio::time::advance(10 * SILENCE).await;
        let began = Instant::now();
        let error = stream.write_all(&bytes).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= SILENCE && began.elapsed() < 2 * SILENCE);
        drop(far);
    }
}
