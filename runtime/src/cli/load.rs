//! `sana upsert` and `patch`: JSON lines, written batch by batch.
//!
//! # Story
//!
//! 1. A thread reads lines and cuts them into batches, one ahead of
//! 2. the requests, which are sent one after the other: the last line of an id counts.
//! 3. A request that the store had no time for is repeated under its idempotency key, for a while.
//!
//! # Invariants
//!
//! - **U1** Whenever it ends, all lines up to some number are written and none after it; the message
//!   says the number, and `--skip` goes on from there. Only if the store does not say what became of a
//!   batch nobody knows of its lines, and the exit code says so.

use core::time::Duration;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::os::fd::AsFd;
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sana_engine::base::name::NamespaceName;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::failure::Failed;
use super::lines::{BadLine, Batch, Batches};
use super::output::{Output, count, tell};
use super::session::{Purpose, Session, StoreArguments, json, namespace, path};
use super::sizes;
use crate::entropy;

/// What reading lines is told.
#[derive(Args)]
struct LinesArguments {
    /// A file of JSON lines; `-` for standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Pass over so many lines: where an earlier run ended.
    #[arg(long, default_value_t = 0, value_name = "LINES")]
    skip: u64,
    /// The size of one request.
    #[arg(long, value_parser = sizes::bytes, default_value = "4MiB")]
    batch_bytes: u64,
    /// Show no progress.
    #[arg(long, short)]
    quiet: bool,
}

/// Write documents, given as JSON lines.
///
/// Each line is one document: an object with an `id`. It takes the place of what is there under its
/// id. The first document creates the namespace. Types are inferred, unless --schema names them.
#[derive(Args)]
#[command(after_help = "Examples:
  echo '{\"id\": 1, \"name\": \"chair\", \"price\": 30}' | sana upsert shop
  sana upsert docs vectors.jsonl --metric cosine_distance
  sana upsert docs vectors.jsonl --skip 120000        # where an earlier run ended
  zcat dump.jsonl.gz | sana upsert dump --schema '{\"day\": \"datetime\"}'")]
pub(super) struct UpsertArguments {
    /// The namespace.
    #[arg(value_parser = namespace)]
    namespace: NamespaceName,
    #[command(flatten)]
    lines: LinesArguments,
    /// How vectors are compared: `cosine_distance`, `euclidean_squared` or `dot_product`. Needed with
    /// the first vectors of a namespace.
    #[arg(long)]
    metric: Option<String>,
    /// Types of attributes, as the HTTP interface takes them.
    #[arg(long, value_parser = json, value_name = "JSON")]
    schema: Option<Value>,
    #[command(flatten)]
    store: StoreArguments,
}

/// Change attributes of documents that exist.
///
/// Each line is an object with an `id` and the attributes to change; null clears one. Ids that do not
/// exist are passed over. With --filter and --set, all documents that match are changed.
#[derive(Args)]
#[command(after_help = "Examples:
  echo '{\"id\": 1, \"price\": 25}' | sana patch shop
  sana patch shop --filter '[\"price\",\"Gt\",100]' --set '{\"sale\": true}'")]
pub(super) struct PatchArguments {
    /// The namespace.
    #[arg(value_parser = namespace)]
    namespace: NamespaceName,
    #[command(flatten)]
    lines: LinesArguments,
    /// Change the documents that this filter matches.
    #[arg(long, value_parser = json, value_name = "JSON", requires = "set", conflicts_with_all = ["file", "skip"])]
    filter: Option<Value>,
    /// What to change in them.
    #[arg(long, value_parser = json, value_name = "JSON", requires = "filter")]
    set: Option<Value>,
    #[command(flatten)]
    store: StoreArguments,
}

/// How long a request is repeated that the store has no time for.
const PATIENCE: Duration = Duration::from_mins(2);
/// The pause before it is.
const PAUSE: Duration = Duration::from_secs(1);

/// What is sent with each batch of lines.
struct Load<'a> {
    session: &'a Session,
    name: &'a NamespaceName,
    /// The field of the request that takes documents.
    rows: &'static str,
    /// The field of the answer that counts them.
    counted: &'static str,
    /// The other fields of the request, as text.
    fields: String,
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Done {
    documents: u64,
    requests: u64,
    lines: u64,
}

/// `sana upsert`
///
/// # Errors
///
/// [`Failed`] if not all lines were written; it says which were.
pub(super) async fn upsert(arguments: &UpsertArguments) -> Result<(), Failed> {
    let session = Session::open(&arguments.store, Purpose::Load).await?;
    let metric = arguments.metric.as_ref();
    let metric = metric.map(|metric| format!(r#","distance_metric":{}"#, json!(metric)));
    let schema = arguments.schema.as_ref().map(|schema| format!(r#","schema":{schema}"#));
    let fields = [metric, schema].into_iter().flatten().collect();
    let name = &arguments.namespace;
    let (rows, counted) = ("upsert_rows", "rows_upserted");
    let load = Load { session: &session, name, rows, counted, fields };
    load.run(&arguments.lines, arguments.store.json).await
}

/// `sana patch`
///
/// # Errors
///
/// [`Failed`] if not all was changed; it says what was.
pub(super) async fn patch(arguments: &PatchArguments) -> Result<(), Failed> {
    // A folder without a store has nothing to change.
    drop(Session::open(&arguments.store, Purpose::Look).await?);
    let session = Session::open(&arguments.store, Purpose::Load).await?;
    let name = &arguments.namespace;
    let Some((filter, set)) = arguments.filter.as_ref().zip(arguments.set.as_ref()) else {
        let (rows, counted, fields) = ("patch_rows", "rows_patched", String::new());
        let load = Load { session: &session, name, rows, counted, fields };
        return load.run(&arguments.lines, arguments.store.json).await;
    };
    let body = json!({"patch_by_filter": {"filters": filter, "patch": set}});
    let answer = session.of("POST", name, "", &body).await?;
    let mut out = Output::new();
    if arguments.store.json {
        out.json(&answer)?;
    } else {
        let rows = count(answer["rows_patched"].as_u64().unwrap_or(0));
        out.line(&format!("{rows} documents of {name} are changed"))?;
    }
    out.flush()
}

impl Load<'_> {
    async fn run(&self, lines: &LinesArguments, is_json: bool) -> Result<(), Failed> {
        let (from, bytes) = open(lines)?;
        let bar = progress(bytes, lines.quiet);
        let batch_bytes = usize::try_from(lines.batch_bytes).unwrap_or(usize::MAX);
        let mut batches = read_ahead(Batches::new(from, batch_bytes, lines.skip)?);
        let (began, skipped) = (Instant::now(), lines.skip);
        let mut done = Done { lines: skipped, ..Done::default() };
        let mut outcome = Ok(());
        while let Some(batch) = batches.recv().await {
            outcome = match batch {
                Ok(batch) => self.send(&batch, &mut done, &bar).await,
                Err(bad) => Err(failed(&bad)),
            };
            if outcome.is_err() {
                break;
            }
        }
        bar.finish_and_clear();
        // U1
        outcome.map_err(|failed| match (&failed, done.lines) {
            (Failed::Unknown(_), lines) => {
                failed.after(&format!("after line {lines}, up to which all is written: "))
            }
            (_, 0) => failed.after("nothing was written: "),
            (_, lines) => failed.after(&format!(
                "lines up to {lines} are written; mend what is wrong and go on with --skip \
                 {lines}: "
            )),
        })?;
        let seconds = began.elapsed().as_secs_f64();
        let mut out = Output::new();
        if is_json {
            let (requests, lines) = (done.requests, done.lines);
            let mut report = json!({"requests": requests, "lines": lines, "seconds": seconds});
            report[self.counted] = json!(done.documents);
            out.json(&report)?;
        } else {
            let rate = done.documents as f64 / seconds.max(0.001);
            let documents = count(done.documents);
            let name = self.name;
            out.line(&format!("{documents} documents written to {name}, {rate:.0} a second"))?;
        }
        out.flush()
    }

    /// Writes one batch, and repeats it while the store has no time.
    async fn send(&self, batch: &Batch, done: &mut Done, bar: &ProgressBar) -> Result<(), Failed> {
        let mut body = format!(r#"{{"{}":["#, self.rows).into_bytes();
        body.extend_from_slice(&batch.text);
        body.extend_from_slice(b"]");
        body.extend_from_slice(self.fields.as_bytes());
        body.extend_from_slice(b"}");
        let (body, path) = (Bytes::from(body), path(self.name, ""));
        let key = format!("sana-{:032x}", entropy::seed());
        let began = Instant::now();
        let mut may_be_written = false;
        let answer = loop {
            let answer = self.session.ask(("POST", &path), body.clone(), Some(&key)).await?;
            may_be_written |= answer.is_unknown();
            if !answer.may_pass() || began.elapsed() > PATIENCE {
                break answer.value();
            }
            bar.set_message("waiting for the store");
            tokio::time::sleep(PAUSE).await;
        };
        let (first, last) = (done.lines + 1, batch.lines_end);
        // Whatever became of the last attempt, one before it may have happened.
        let unless_written =
            |failed: Failed| if may_be_written { failed.unknown() } else { failed };
        let answer = answer.map_err(unless_written).map_err(|failed| match last - first {
            0 => failed.after(&format!("line {last}: ")),
            _ => failed.after(&format!("in lines {first} to {last}: ")),
        })?;
        done.documents += answer[self.counted].as_u64().unwrap_or(0);
        done.requests += 1;
        done.lines = batch.lines_end;
        bar.set_position(batch.bytes_end);
        bar.set_message(format!("{} documents", count(done.documents)));
        Ok(())
    }
}

fn failed(bad: &BadLine) -> Failed {
    match bad {
        BadLine::Unreadable { .. } => Failed::Trouble(bad.to_string()),
        BadLine::NoDocument { .. } | BadLine::TooLong { .. } => Failed::Refused(bad.to_string()),
    }
}

/// Where lines come from, and how many bytes there are if that is known.
fn open(lines: &LinesArguments) -> Result<(Box<dyn BufRead + Send>, Option<u64>), Failed> {
    let file = if lines.file.as_os_str() == "-" {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            tell("sana: type one JSON object a line, such as {\"id\": 1}; Ctrl-D ends");
        }
        File::from(stdin.as_fd().try_clone_to_owned()?)
    } else {
        File::open(&lines.file).map_err(|error| {
            Failed::Trouble(format!("{} cannot be read: {error}", lines.file.display()))
        })?
    };
    let known = file.metadata().ok().filter(std::fs::Metadata::is_file);
    let bytes = known.map(|metadata| metadata.len());
    Ok((Box::new(BufReader::with_capacity(1 << 20, file)), bytes))
}

/// How far it is, on a terminal: bytes, rate and the time that is left.
fn progress(bytes: Option<u64>, quiet: bool) -> ProgressBar {
    let to = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(bytes, to);
    let template = match bytes {
        Some(_) => "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left, {msg}",
        None => "{spinner} {bytes}, {bytes_per_sec}, {elapsed}, {msg}",
    };
    // A template that cannot be parsed leaves the plain bar.
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// The batches, read by a thread of their own, one ahead.
fn read_ahead(batches: Batches<Box<dyn BufRead + Send>>) -> mpsc::Receiver<Result<Batch, BadLine>> {
    let (give, take) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        for batch in batches {
            // Nobody takes more after a failure.
            if give.blocking_send(batch).is_err() {
                return;
            }
        }
    });
    take
}
