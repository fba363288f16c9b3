//! Tells whether a store behaves as the model on which Sana is proven.
//!
//! Sana's protocols are explored and simulated on a model of a store
//! ([`sana_sim::store`]). What is proven there holds on your store if your store is like the model.
//! [`histories`] lets many clients ask it for random requests, some of which they give up on, and
//! decides whether the model could have given the same replies ([`sana_sim::qualify`]):
//!
//! ```
//! # use sana_runtime::store::memory::MemoryStore;
//! # let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! use sana_tests::qualify::{self, Plan};
//!
//! let store = MemoryStore::new();
//! let plan = Plan { requests: 2_000, ..Plan::of(1) };
//! let outcome = qualify::histories(|| store.clone(), &plan, |_| ()).await;
//! assert!(outcome.fits(), "{outcome}");
//! # });
//! ```
//!
//! Run it after [`conformance::check`](crate::conformance::check), which says in plain words what a
//! store does wrong with one request; this finds what it does wrong with many at once. Whoever has a
//! workload of their own records it with a [`recorder::Recorder`] and asks
//! [`sana_sim::qualify::check`].

pub mod model_store;
pub mod recorder;
mod workload;

use core::time::Duration;
use std::collections::BTreeMap;
use std::fmt;

use sana_engine::base::name::Key;
use sana_engine::machine::request::{Reply, Request};
use sana_runtime::entropy;
use sana_sim::qualify::contradiction::Contradiction;
use sana_sim::qualify::history::{Entry, History};
use sana_sim::qualify::{self as inclusion, Conflicts, Followed, Rules, Verdict};
use sana_sim::stopwatch::Stopwatch;
use tokio::task::JoinSet;

use crate::conformance::Subject;
use recorder::Recorder;
use workload::{Board, Workload, object};

/// How a store is looked at.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Plan {
    /// Decides what clients ask. What becomes of it is up to the store and the machine.
    pub seed: u64,
    /// Clients that ask at once.
    pub clients: u32,
    /// Objects of one history. The fewer there are, the more the clients are in each other's way.
    pub objects: u32,
    /// Requests of one history.
    pub length: usize,
    /// No further history is begun after so many requests.
    pub requests: usize,
    /// Nor after so many seconds.
    pub seconds: f64,
    /// Whether the store may refuse a put because another write is under way, as S3 does.
    pub conflicts: Conflicts,
}

impl Plan {
    /// Eight clients for ten seconds.
    pub const fn of(seed: u64) -> Self {
        Self {
            seed,
            clients: 8,
            objects: 4,
            length: 400,
            requests: usize::MAX,
            seconds: 10.0,
            conflicts: Conflicts::Never,
        }
    }
}

/// What was found out about a store.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    /// Histories that fit the model.
    pub histories: usize,
    /// What was followed to find that out.
    pub followed: Followed,
    /// Requests, those of a history that does not fit included.
    pub requests: usize,
    /// How many of them were under way together, at most.
    pub width: usize,
    /// How many got each kind of reply.
    pub replies: BTreeMap<&'static str, usize>,
    /// Histories that fit only because writes may be in each other's way.
    pub conflicting: usize,
    /// Why it ended before its time.
    pub trouble: Option<Trouble>,
}

/// Why a store could not be qualified.
#[derive(Clone, PartialEq, Debug)]
pub enum Trouble {
    /// The history of this number does not fit the model.
    Contradicts(usize, Box<Contradiction>),
    /// That of this number has too many orders for anything to be known.
    Undecided(usize, Key),
}

impl Outcome {
    /// Whether all that was seen fits the model, and something was seen.
    pub fn fits(&self) -> bool {
        self.trouble.is_none() && self.unseen().is_empty()
    }

    /// Whether something was seen that the model does not do.
    pub fn contradicts(&self) -> bool {
        matches!(self.trouble, Some(Trouble::Contradicts(..)))
    }

    /// What must be seen before a store can be said to fit, and was not.
    pub fn unseen(&self) -> Vec<&'static str> {
        let told = ["found", "not modified", "missing", "stored", "refused", "deleted", "listed"];
        let never = |kind: &&str| !self.replies.contains_key(kind);
        let together = (self.width < 2).then_some("two requests at once");
        told.into_iter().filter(never).chain(together).collect()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { histories, followed, requests, width, replies, conflicting, trouble } = self;
        let Followed { objects, deeds, ways } = followed;
        writeln!(f, "{requests} requests, up to {width} at once")?;
        let told = replies.iter().map(|(kind, count)| format!("{count} {kind}"));
        writeln!(f, "  {}", told.collect::<Vec<_>>().join(", "))?;
        writeln!(
            f,
            "{histories} histories in order: {deeds} deeds on {objects} objects, up to {ways} ways at once"
        )?;
        if *conflicting > 0 {
            writeln!(f, "  {conflicting} of them only if writes may be in each other's way")?;
        }
        match trouble {
            Some(Trouble::Contradicts(number, contradiction)) => {
                write!(f, "history {number} contradicts the model\n{contradiction}")
            }
            Some(Trouble::Undecided(number, key)) => {
                write!(
                    f,
                    "history {number} was not decided: what was asked of {key} has too many orders"
                )
            }
            None if self.fits() => write!(f, "all fit the model"),
            None => write!(f, "too little was seen: never {}", self.unseen().join(", never ")),
        }
    }
}

/// Lets clients ask the store, and decides whether the model could have given the same replies. `handle`
/// makes a handle to the same objects for each client; if handles keep something of their own, say
/// connections, open a new one each time. Whoever wants to show how far it has come is told after each
/// history. Objects are made below `qualify/`, and taken away again.
///
/// # Panics
///
/// If the store panics.
pub async fn histories<S: Subject>(
    handle: impl Fn() -> S,
    plan: &Plan,
    mut tell: impl FnMut(&Outcome),
) -> Outcome {
    let (mut outcome, watch) = (Outcome::default(), Stopwatch::start());
    for number in 0.. {
        let history = one(&handle, plan, number as u64).await;
        outcome.requests += history.entries.len();
        outcome.width = outcome.width.max(history.width());
        for entry in &history.entries {
            *outcome.replies.entry(kind(&entry.reply)).or_default() += 1;
        }
        // The search takes long enough to be in the way of what others do on this thread.
        let conflicts = plan.conflicts;
        let checked = tokio::task::spawn_blocking(move || check(&history, conflicts)).await;
        let (verdict, is_conflicting) = checked.expect("nobody aborts the checker");
        outcome.conflicting += usize::from(is_conflicting);
        match verdict {
            Verdict::Fits(followed) => {
                outcome.histories += 1;
                outcome.followed.objects += followed.objects;
                outcome.followed.deeds += followed.deeds;
                outcome.followed.ways = outcome.followed.ways.max(followed.ways);
            }
            Verdict::Contradicts(contradiction) => {
                outcome.trouble = Some(Trouble::Contradicts(number, contradiction));
            }
            Verdict::Undecided { key } => outcome.trouble = Some(Trouble::Undecided(number, key)),
        }
        tell(&outcome);
        let is_over = outcome.requests >= plan.requests || watch.seconds() >= plan.seconds;
        if is_over || outcome.trouble.is_some() {
            break;
        }
    }
    outcome
}

/// Checks a history as strictly as it can be. The second is whether it fits only because writes may be
/// in each other's way.
fn check(history: &History, conflicts: Conflicts) -> (Verdict, bool) {
    let strict = inclusion::check(history, Rules::default());
    if conflicts == Conflicts::Never || matches!(strict, Verdict::Fits(_)) {
        return (strict, false);
    }
    let lenient = inclusion::check(history, Rules { conflicts });
    let fits = matches!(lenient, Verdict::Fits(_));
    (lenient, fits)
}

/// Records one history, on objects that nobody else knows.
async fn one<S: Subject>(handle: &impl Fn() -> S, plan: &Plan, number: u64) -> History {
    let prefix = Key::new(format!("qualify/{:016x}/", entropy::seed() as u64));
    let (recorder, board) = (Recorder::default(), Board::default());
    let mut clients = JoinSet::new();
    for client in 0..plan.clients {
        let seed = plan.seed.wrapping_add(number << 20);
        let mut workload = Workload::new(seed, client, &prefix, plan.objects, &board);
        let mut asks = recorder.client(client, handle());
        let count = plan.length.div_ceil(plan.clients as usize);
        clients.spawn(async move {
            for _ in 0..count {
                let question = workload.next();
                let key = question.request.key().clone();
                let reply = asks.ask(question.request, question.dawdle, question.patience).await;
                workload.hear(&key, &reply);
                if matches!(reply, Reply::Lost | Reply::Throttled) {
                    tokio::time::sleep(PAUSE).await;
                }
            }
            asks.entries()
        });
    }
    let seen: Vec<Vec<Entry>> = clients.join_all().await;
    let store = handle();
    for object in (0..plan.objects).map(|number| object(&prefix, number)) {
        store.perform(Request::Delete { key: object }).await;
    }
    recorder::history(seen)
}

/// The pause of a client whose request was lost or turned away.
const PAUSE: Duration = Duration::from_millis(20);

/// A reply in a word.
const fn kind(reply: &Reply) -> &'static str {
    match reply {
        Reply::Found { .. } => "found",
        Reply::NotModified => "not modified",
        Reply::Missing => "missing",
        Reply::Stored { .. } => "stored",
        Reply::Refused => "refused",
        Reply::Deleted => "deleted",
        Reply::Listed { .. } => "listed",
        Reply::Unreadable => "unreadable",
        Reply::Throttled => "turned away",
        Reply::Lost => "lost",
    }
}
