//! Objects in a bucket of S3, or of a store that speaks its protocol.
//!
//! | module      | what it answers                                                          |
//! |-------------|--------------------------------------------------------------------------|
//! | `options`   | Which bucket, where, and who asks: the usual variables of the environment |
//! | `ask`       | Which HTTP request is meant, and its signature                           |
//! | `transport` | How does it get there and the answer back, once and in bounded time?     |
//! | `answer`    | What does an answer mean?                                                |
//! | `fault`     | Why did a request fail, what may be concluded, what can be done about it? |
//!
//! # Story
//!
//! - **Get** is a GET with `If-None-Match` and `Range`. A part behind the end is answered 416, which
//!   names no version; a HEAD asks for it.
//! - **Put** is a PUT with `If-None-Match: *` or `If-Match`, sent once.
//! - **Delete** is a DELETE. **List** is one page of the second version of listings.
//!
//! # What an answer means
//!
//! | answer                                    | a read                | a write                    |
//! |-------------------------------------------|-----------------------|----------------------------|
//! | 200, 206, 304, whole and as asked         | found, not modified   | stored                     |
//! | 404 `NoSuchKey`                           | missing               | refused: nothing to match  |
//! | 409 of concurrent conditional writes, 412 |                       | refused                    |
//! | 429, 503 `SlowDown`                       | throttled             | throttled; `Retry-After` is kept |
//! | no connection; a refusal by the store itself | throttled          | throttled: it did not happen |
//! | 500, 502, 504, other 503; no, a late, cut or unclear answer | lost | lost: it may have happened |
//!
//! Only what the store itself says counts as a refusal: an answer without its error code may come
//! from somebody in between, who does not know what became of the request.
//!
//! # Invariants
//!
//! - **B1** A write is sent at most once. Redirects are not followed, and the connection repeats
//!   only what it never began to send.
//! - **B2** A tag is what the store sent as `ETag`, to the letter. It is compared with nothing but
//!   other tags: some stores derive it from the content, some from a key of encryption. So S1 does
//!   not hold here; heads have a nonce, and no content ever comes back.
//! - **B3** No message holds a secret or a signed address.

mod answer;
mod ask;
mod fault;
mod options;
mod transport;

use std::fmt;
use std::sync::Arc;

use sana_engine::base::name::Key;
use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{Reply, Request};

use ask::Names;
pub use fault::Fault;
pub use options::{BadS3, S3Options};
use transport::Transport;

use self::answer::STATUS_BEHIND_END;

/// A store in a bucket. A clone is another handle to it, on the same connections. It is to be used
/// within a Tokio runtime.
#[derive(Clone)]
pub struct S3Store {
    inside: Arc<Inside>,
}

struct Inside {
    names: Names,
    transport: Transport,
}

impl S3Store {
    /// The store that these options describe. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// [`Fault::Unreachable`] if no TLS connections can be made from here.
    pub fn new(options: S3Options) -> Result<Self, Fault> {
        let transport = Transport::new()?;
        Ok(Self { inside: Arc::new(Inside { names: Names::new(options), transport }) })
    }

    /// Asks for a listing of one object, to find out whether the bucket is there and lets us in.
    ///
    /// # Errors
    ///
    /// [`Fault`], which says what can be done.
    pub async fn reach(&self) -> Result<(), Fault> {
        let list = Request::List { prefix: Key::new(""), after: None, limit: 1 };
        match self.ask(&list).await {
            // The clock is corrected now.
            Err(Fault::Clock { .. }) => self.ask(&list).await.map(drop),
            asked => asked.map(drop),
        }
    }

    async fn ask(&self, request: &Request) -> Result<Reply, Fault> {
        let Inside { names, transport } = &*self.inside;
        let asked = async {
            let answer = transport.exchange(names.ask(request, transport.signing_time())?).await?;
            if answer.status == STATUS_BEHIND_END
                && let Some(head) = names.head(request, transport.signing_time())?
            {
                return answer::behind_end(request, &transport.exchange(head).await?);
            }
            answer::reply(names, request, &answer)
        };
        asked.await.inspect_err(|fault| transport.learn(fault))
    }
}

impl ObjectStore for S3Store {
    async fn perform(&self, request: Request) -> Reply {
        self.ask(&request).await.unwrap_or_else(|fault| {
            fault.log();
            fault.reply()
        })
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3Store").field(&self.inside.names).finish()
    }
}
