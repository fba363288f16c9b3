//! Threads for computing, apart from those that wait for sockets and disks.
//!
//! A step that computes for more than a few milliseconds would hold up every request on its executor
//! thread. It runs here instead.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use sana_engine::base::host::{Host, Simd};
use tokio::sync::oneshot;

/// A fixed number of threads that compute one thing after another. They end with the value.
#[derive(Clone, Debug)]
pub struct Compute {
    jobs: Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

/// A computation panicked: an invariant did not hold. What it would have come to is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a computation was given up because an invariant did not hold; the log says which")]
pub struct Crashed;

impl Compute {
    /// Starts `threads` threads.
    ///
    /// # Panics
    ///
    /// If the operating system gives no thread.
    #[expect(clippy::disallowed_methods, reason = "the one place that starts threads")]
    pub fn start(threads: usize) -> Self {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads.max(1) {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || work(&queue));
        }
        Self { jobs }
    }

    /// Computes `job` on one of the threads.
    ///
    /// # Errors
    ///
    /// [`Crashed`] if it panics.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Crashed> {
        let (say, hear) = oneshot::channel();
        let job = move || {
            // Whoever asked may be gone; then nobody wants to know.
            let _ = say.send(job());
        };
        // The threads live as long as a sender does, and this is one.
        self.jobs.send(Box::new(job)).map_err(|_| Crashed)?;
        hear.await.map_err(|_| Crashed)
    }
}

/// How many threads for computing this machine has room for.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// What this machine can do.
pub fn host() -> Host {
    #[cfg(target_arch = "x86_64")]
    let simd = if std::arch::is_x86_feature_detected!("avx512f") {
        Simd::Avx512
    } else if std::arch::is_x86_feature_detected!("avx2") {
        Simd::Avx2
    } else {
        Simd::Scalar
    };
    #[cfg(not(target_arch = "x86_64"))]
    let simd = Simd::Scalar;
    Host { simd }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A panic has been reported by its hook. The thread is needed for others.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_told_and_the_thread_goes_on() {
        let compute = Compute::start(1);
        assert_eq!(compute.run(|| panic!("on purpose")).await, Err::<(), _>(Crashed));
        assert_eq!(compute.run(|| 2 + 2).await, Ok(4));
    }

    #[tokio::test]
    async fn threads_compute_at_the_same_time() {
        let compute = Compute::start(2);
        let barrier = Arc::new(std::sync::Barrier::new(2));
        let meet = |barrier: Arc<std::sync::Barrier>| move || barrier.wait().is_leader();
        let (one, other) = tokio::join!(
            compute.run(meet(Arc::clone(&barrier))),
            compute.run(meet(Arc::clone(&barrier)))
        );
        assert_eq!(one.map(u8::from).unwrap() + other.map(u8::from).unwrap(), 1);
    }
}
