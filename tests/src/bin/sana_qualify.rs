//! `sana-qualify`: does a store do what Sana rests on? `sana-sim qualify` runs it.
//!
//! It looks at a store in three ways, each of which says more than the one before: the probe that a
//! server makes when it starts, the conformance suite, and histories of many clients, which must fit
//! the model on which Sana is proven. It ends with
//!
//! - 0 if nothing was found that is not as it should be,
//! - 1 if something was,
//! - 2 if there is no store at the place, or nobody lets us in,
//! - 3 if nothing can be said: too little was seen, or there are too many orders.

use std::any::Any;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use sana_engine::base::name::Key;
use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{Reply, Request};
use sana_runtime::entropy;
use sana_runtime::store::Store;
use sana_runtime::store::place::{BadPlace, folder, is_memory, open_untried};
use sana_runtime::store::probe::{Unfit, probe};
use sana_sim::qualify::Conflicts;
use sana_sim::stopwatch::Stopwatch;
use sana_sim::store::Kind;
use sana_tests::conformance::{self, Subject};
use sana_tests::qualify::model_store::ModelStore;
use sana_tests::qualify::{self, Outcome, Plan};

/// Looks whether a store does what Sana rests on: by a probe, a suite, and histories of many clients
/// that must fit the model on which Sana is proven.
///
/// It ends with 0 if the store fits, 1 if it does not, 2 if there is no store to look at, and 3 if too
/// little was seen to say anything.
#[derive(Debug, Parser)]
#[command(version, name = "sana-qualify")]
struct Arguments {
    /// The store: a folder, `folder:PATH`, `file://PATH`, `s3://BUCKET/PREFIX`, memory, or a model: any,
    /// or as negative controls weak-conditions, weak-races, weak-reads. What is put there is taken
    /// away again.
    #[arg(long)]
    store: String,
    /// Look only in these ways.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Look::Probe, Look::Suite, Look::Histories])]
    only: Vec<Look>,
    /// Decides what clients ask: drawn if it is not said.
    #[arg(long)]
    seed: Option<u64>,
    /// Begin no further history after so many seconds: 10 if neither these nor requests are said.
    #[arg(long)]
    seconds: Option<f64>,
    /// Nor after so many requests.
    #[arg(long)]
    requests: Option<usize>,
    /// Clients that ask at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=256))]
    clients: u32,
    /// Objects they ask for in one history.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=64))]
    objects: u32,
    /// Requests of one history.
    #[arg(long, default_value_t = 400)]
    length: usize,
    /// Take every refusal at its word, also of a bucket, which may refuse a put because another is
    /// under way.
    #[arg(long)]
    strict: bool,
}

/// A way to look at a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Look {
    /// What a server asks when it starts.
    Probe,
    /// Every line of the contract for itself.
    Suite,
    /// Whether histories of many clients fit the model.
    Histories,
}

/// What a look came to, from the best to the worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Found {
    Fits,
    Unknown,
    Unusable,
    Unfit,
}

impl From<Found> for ExitCode {
    fn from(found: Found) -> Self {
        Self::from(match found {
            Found::Fits => 0,
            Found::Unfit => 1,
            Found::Unusable => 2,
            Found::Unknown => 3,
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_env_filter("off").with_writer(io::stderr).init();
    // What the suite says when it fails is told with what it looked at.
    std::panic::set_hook(Box::new(|_| ()));
    let arguments = Arguments::parse();
    let kind = Kind::ALL.into_iter().find(|(name, _)| *name == arguments.store);
    let found = match kind {
        Some((name, kind)) => {
            say(&format!("the model of a store, {name}"));
            let store = ModelStore::new(kind);
            look(&arguments, move || ModelStore::new(kind), || store.clone()).await
        }
        None => real(&arguments).await,
    };
    ExitCode::from(found)
}

/// Looks at a store that is one, in a place of its own within the place that was named: so nothing that
/// was there is touched, and all can be taken away that was not.
async fn real(arguments: &Arguments) -> Found {
    let place = arguments.store.strip_prefix("folder:").unwrap_or(&arguments.store);
    let own = format!("{}/{:032x}", place.trim_end_matches('/'), entropy::seed());
    let own = (!is_memory(place)).then_some(own);
    let opened = match open_untried(own.as_deref().unwrap_or(place)) {
        Ok(opened) => opened,
        Err(error) => return unusable(&error),
    };
    say(&opened.place);
    if let Store::S3(store) = &opened.store
        && let Err(fault) = store.reach().await
    {
        return unusable(&BadPlace::Bucket { place: opened.place, fault });
    }
    let inside = own.clone();
    let empty = move || store_within(inside.as_deref(), &format!("{:032x}", entropy::seed()));
    // Each client has a handle of its own: connections, open files. Memory has one for all.
    let handle = || match &own {
        None => opened.store.clone(),
        Some(own) => store_within(Some(own), "histories"),
    };
    let found = look(arguments, empty, handle).await;
    if let Some(own) = &own {
        clear(&opened.store, folder(own)).await;
    }
    found
}

/// A store within a place that could be opened; in memory, if there is none.
fn store_within(place: Option<&str>, name: &str) -> Store {
    let place = place.map_or_else(|| "memory".to_owned(), |place| format!("{place}/{name}"));
    open_untried(&place).unwrap_or_else(|error| panic!("{error}")).store
}

fn unusable(error: &BadPlace) -> Found {
    say(&format!("{error}"));
    Found::Unusable
}

/// Takes away what was put: everything in a place that nobody else knows.
async fn clear(store: &Store, folder: Option<&Path>) {
    if let Some(folder) = folder {
        if let Err(error) = std::fs::remove_dir_all(folder) {
            say(&format!("{} is left: {error}", folder.display()));
        }
        return;
    }
    let list = Request::List { prefix: Key::new(""), after: None, limit: 1_000 };
    while let Reply::Listed { objects, .. } = store.perform(list.clone()).await {
        let mut gone = 0;
        for object in &objects {
            let delete = Request::Delete { key: object.key.clone() };
            gone += usize::from(store.perform(delete).await == Reply::Deleted);
        }
        if gone == 0 {
            break;
        }
    }
}

/// Looks at a store in the ways that were asked for, and tells what each came to. `empty` makes an
/// empty store, `handle` a handle to one and the same.
async fn look<S: Subject>(
    arguments: &Arguments,
    empty: impl Fn() -> S + Send + Sync + Clone + 'static,
    handle: impl Fn() -> S,
) -> Found {
    let mut worst = Found::Fits;
    for look in [Look::Probe, Look::Suite, Look::Histories] {
        if !arguments.only.contains(&look) {
            continue;
        }
        let watch = Stopwatch::start();
        let (found, words) = match look {
            Look::Probe => probed(&handle()).await,
            Look::Suite => conforms(empty.clone()).await,
            Look::Histories => fits(arguments, &handle).await,
        };
        let words = words.trim_end().replace('\n', "\n             ");
        say(&format!(
            "{:<10} {words}  [{:.1} s]",
            format!("{look:?}").to_lowercase(),
            watch.seconds()
        ));
        worst = worst.max(found);
    }
    say(match worst {
        Found::Fits => "the store fits",
        Found::Unfit => "the store does not fit",
        Found::Unusable => "the store did not answer",
        Found::Unknown => "nothing can be said: too little was seen",
    });
    worst
}

async fn probed<S: Subject>(store: &S) -> (Found, String) {
    match probe(store, entropy::seed()).await {
        Ok(()) => (Found::Fits, "keeps to it".to_owned()),
        Err(unfit @ Unfit::Breaks(_)) => (Found::Unfit, unfit.to_string()),
        Err(unfit @ Unfit::Silent(_)) => (Found::Unusable, unfit.to_string()),
    }
}

async fn conforms<S: Subject>(empty: impl Fn() -> S + Send + Sync + 'static) -> (Found, String) {
    match tokio::spawn(conformance::check(empty)).await {
        Ok(()) => (Found::Fits, "conforms".to_owned()),
        Err(error) => (Found::Unfit, words(&*error.into_panic())),
    }
}

/// What a panic says.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it failed").to_owned()
}

async fn fits<S: Subject>(arguments: &Arguments, handle: impl Fn() -> S) -> (Found, String) {
    let seed = arguments.seed.unwrap_or_else(|| entropy::seed() as u64 >> 32);
    let is_bucket = arguments.store.starts_with("s3:") && !arguments.strict;
    let seconds = if arguments.requests.is_some() { f64::INFINITY } else { 10.0 };
    let plan = Plan {
        clients: arguments.clients,
        objects: arguments.objects,
        length: arguments.length,
        requests: arguments.requests.unwrap_or(usize::MAX),
        seconds: arguments.seconds.unwrap_or(seconds),
        conflicts: if is_bucket { Conflicts::Allowed } else { Conflicts::Never },
        ..Plan::of(seed)
    };
    let (watch, mut told) = (Stopwatch::start(), 0.0);
    let outcome = qualify::histories(handle, &plan, |outcome: &Outcome| {
        let seconds = watch.seconds();
        if seconds >= told + TELL_EVERY {
            told = seconds;
            let Outcome { histories, requests, .. } = outcome;
            let line = format!("{seconds:.0} s: {histories} histories fit, {requests} requests");
            // Whether somebody hears how far it has come changes nothing.
            let _ = writeln!(io::stderr(), "           {line}");
        }
    })
    .await;
    let found = if outcome.contradicts() {
        Found::Unfit
    } else if outcome.fits() {
        Found::Fits
    } else {
        Found::Unknown
    };
    (found, format!("of {} clients, seed {seed}: {outcome}", plan.clients))
}

/// Seconds between two lines that say how far it has come.
const TELL_EVERY: f64 = 2.0;

fn say(line: &str) {
    let mut out = io::stdout().lock();
    // Whoever closed the pipe wants to hear no more; the exit code says what was found.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
