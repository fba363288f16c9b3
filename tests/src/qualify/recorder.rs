//! Writes down what clients see of a store.
//!
//! A client asks one request after the other; many clients ask at once. Each request is put between
//! two moments, drawn from a counter that all clients of a [`Recorder`] share: one before the store
//! can have heard of it, one after its reply was there. Nothing here needs an executor.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::Poll;
use std::sync::Arc;

use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{Reply, Request};
use sana_sim::qualify::history::{Entry, History};

/// The moments of one history.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    moments: Arc<AtomicU64>,
}

impl Recorder {
    /// A client of this number, who asks this store.
    pub fn client<S: ObjectStore>(&self, number: u32, store: S) -> Client<S> {
        Client { number, store, recorder: self.clone(), entries: Vec::new() }
    }

    /// The next moment. All clients agree on the order of moments, and none is drawn before what its
    /// client did before it, nor after what its client does next.
    fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::SeqCst)
    }
}

/// How long a client waits for a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// Until it is there.
    Endless,
    /// It hangs up when its request has been looked after so many times without a reply. What becomes
    /// of the request then is not known.
    Looks(u32),
}

/// One who asks, and what it saw.
#[derive(Debug)]
pub struct Client<S> {
    number: u32,
    store: S,
    recorder: Recorder,
    entries: Vec<Entry>,
}

impl<S: ObjectStore> Client<S> {
    /// Asks for one request, after having dawdled for so many turns of the executor.
    pub async fn ask(&mut self, request: Request, dawdle: u32, patience: Patience) -> Reply {
        let begin = self.recorder.moment();
        for _ in 0..dawdle {
            pause().await;
        }
        let reply = waited_for(self.store.perform(request.clone()), patience).await;
        let end = self.recorder.moment();
        let client = self.number;
        self.entries.push(Entry { client, begin, end, request, reply: reply.clone() });
        reply
    }

    /// What it saw.
    pub fn entries(self) -> Vec<Entry> {
        self.entries
    }
}

/// The history that these clients saw.
pub fn history(clients: impl IntoIterator<Item = Vec<Entry>>) -> History {
    History { entries: clients.into_iter().flatten().collect() }
}

/// Lets others go first, once.
async fn pause() {
    let mut is_over = false;
    poll_fn(|context| {
        if is_over {
            return Poll::Ready(());
        }
        is_over = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn waited_for(reply: impl Future<Output = Reply>, patience: Patience) -> Reply {
    let mut reply = pin!(reply);
    let mut looks = 0;
    poll_fn(|context| {
        looks += 1;
        match reply.as_mut().poll(context) {
            Poll::Pending if patience == Patience::Looks(looks) => Poll::Ready(Reply::Lost),
            polled => polled,
        }
    })
    .await
}
