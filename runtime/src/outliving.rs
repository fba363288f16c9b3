//! Work that goes on if nobody waits for it any more.
//!
//! When a client hangs up, the future that answers it is dropped. What was begun in its name goes on: it
//! holds memory and slots until it is done, whoever listens (A2), and an operation on a namespace is
//! over only at its end (O3). A task of its own for each would do, and costs a change of threads; here
//! only what is dropped before its end gets one.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::compute::Crashed;

/// A future that is finished by a task of its own if it is dropped before its end.
pub(crate) struct Outliving<F: Future<Output: Send> + Send + 'static> {
    /// None once it is over.
    work: Option<Pin<Box<F>>>,
}

impl<F: Future<Output: Send> + Send + 'static> Outliving<F> {
    pub(crate) fn new(work: F) -> Self {
        Self { work: Some(Box::pin(work)) }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for Outliving<F> {
    type Output = Result<F::Output, Crashed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else { return Poll::Ready(Err(Crashed)) };
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        let output = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(_) => Err(Crashed),
        };
        self.work = None;
        Poll::Ready(output)
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Outliving<F> {
    fn drop(&mut self) {
        // Without a runtime the process is about to end, and so is the work.
        if let Some(work) = self.work.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_dropped_is_finished_all_the_same() {
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        let work = Outliving::new(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            done.store(true, Ordering::Relaxed);
        });
        assert!(tokio::time::timeout(Duration::from_secs(1), work).await.is_err());
        assert!(!is_done.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(is_done.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let broken = Outliving::new(async { panic!("on purpose") });
        assert!(broken.await.is_err());
        assert_eq!(Outliving::new(async { 7 }).await.ok(), Some(7));
    }
}
