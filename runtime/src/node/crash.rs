//! Panics as values.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::compute::Crashed;

/// The output of a future, or that it panicked. What it held is dropped then, and nothing of it is
/// looked at again, so nobody sees it half-changed.
pub(super) async fn caught<F: Future>(future: F) -> Result<F::Output, Crashed> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(_) => Poll::Ready(Err(Crashed)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_after_waiting_is_caught() {
        let waits = async {
            tokio::task::yield_now().await;
            panic!("on purpose")
        };
        assert_eq!(caught(waits).await, Err::<(), _>(Crashed));
        assert_eq!(caught(async { 1 }).await, Ok(1));
    }
}
