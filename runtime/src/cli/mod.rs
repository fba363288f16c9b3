//! The command line: a file per verb or small group of verbs.
//!
//! | module        | verbs                                                                |
//! |---------------|----------------------------------------------------------------------|
//! | `serve`       | `serve`                                                              |
//! | `describe`    | `namespaces`, `create`, `metadata`, `schema`                         |
//! | `find`        | `get`, `query`, `recall`                                             |
//! | `load`        | `upsert`, `patch`, and `lines`, which cuts JSON lines into requests  |
//! | `delete`      | `delete`                                                             |
//! | `index`       | `flush`, `compact`                                                   |
//! | `inspect`     | `inspect`, `verify`                                                  |
//! | `completions` | `completions`                                                        |
//!
//! All but `serve` work on a store directly (`session`), without a server, and may be used while
//! servers run on the same store.

mod completions;
mod delete;
mod describe;
mod failure;
mod find;
mod index;
mod inspect;
mod lines;
mod load;
mod output;
mod serve;
mod session;
mod sizes;

use core::time::Duration;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failed;
use output::tell;

/// A search engine whose only durable state is an object store.
///
/// `sana serve` speaks turbopuffer's HTTP API, so turbopuffer's official clients work with it. All
/// other commands work on a store directly, without a server: beside one that runs, or with none.
#[derive(Parser)]
#[command(version, max_term_width = 100, after_long_help = AFTER_HELP, after_help = AFTER_SHORT_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Answer requests, and index what is written in the background.
    Serve(Box<serve::ServeArguments>),
    /// List namespaces.
    Namespaces(describe::NamespacesArguments),
    /// Create an empty namespace.
    Create(describe::CreateArguments),
    /// Show documents by their ids.
    Get(find::GetArguments),
    /// Find documents, or compute figures over them.
    Query(Box<find::QueryArguments>),
    /// Write documents, given as JSON lines.
    Upsert(Box<load::UpsertArguments>),
    /// Change attributes of documents that exist.
    Patch(Box<load::PatchArguments>),
    /// Delete documents, or a whole namespace.
    Delete(delete::DeleteArguments),
    /// Index what was written, now, and wait until it is done.
    Flush(index::IndexArguments),
    /// Merge what is indexed into as few segments as can be, and wait until it is done.
    Compact(index::IndexArguments),
    /// Show the schema of a namespace, or change it.
    Schema(describe::SchemaArguments),
    /// Show what a namespace is: size, times, schema, what waits to be indexed.
    Metadata(describe::MetadataArguments),
    /// Compare answers of vector queries with exact ones.
    Recall(find::RecallArguments),
    /// Show how a namespace lies in the store: its head, log and segments.
    Inspect(inspect::InspectArguments),
    /// Read every object that namespaces name, check all of it, and say what is damaged.
    Verify(inspect::VerifyArguments),
    /// Print completions for a shell.
    Completions(completions::CompletionsArguments),
}

const AFTER_HELP: &str = "\
Examples:
  sana serve                                          # on 127.0.0.1:3001, in ./sana-data
  export SANA_STORE=./sana-data                       # the store of all commands below
  echo '{\"id\": 1, \"text\": \"hello\", \"price\": 3}' | sana upsert shop
  sana query shop --filter '[\"price\",\"Lt\",5]' --limit 10 --all-attributes
  sana get shop 1
  sana verify                                         # is everything there and whole?

Exit codes:
  0  done (also when the reader of the output went away)
  1  could not be done now: the store does not answer, a file cannot be read; may be repeated
  2  the command line is wrong
  3  there is no such store, namespace or document
  4  the request is wrong, and repeating it will not help
  5  something in the store is damaged
  6  nobody knows whether a write happened: read before you repeat it

`sana help COMMAND` shows the options and examples of each command.";

const AFTER_SHORT_HELP: &str =
    "`sana --help` shows examples and exit codes; `sana help COMMAND` is about one command.";

const NEXT: &str = "\
sana keeps documents in an object store and finds them again. What to do next:

  sana serve                       start a server on 127.0.0.1:3001; it prints how to try it
  sana upsert NAMESPACE docs.jsonl   load documents without a server, one JSON object per line
  sana query NAMESPACE --limit 5   look at some of them
  sana --help                      all commands, examples, exit codes";

/// Does what the command line says.
pub fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let Some(command) = command else {
        tell(NEXT);
        return Failed::Usage(String::new()).code();
    };
    let done = match command {
        Command::Serve(arguments) => serve::run(&arguments).map_err(Failed::from),
        Command::Completions(arguments) => completions::run(&arguments),
        command => directly(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            if let Some(message) = failed.message() {
                tell(&format!("sana: {message}"));
            }
            failed.code()
        }
    }
}

/// Does what works on a store without a server.
fn directly(command: Command) -> Result<(), Failed> {
    let filter = tracing_subscriber::EnvFilter::new("warn");
    output::log(filter);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(run(command));
    // What still runs in the background is safe to leave where it is.
    runtime.shutdown_timeout(Duration::from_millis(100));
    done
}

async fn run(command: Command) -> Result<(), Failed> {
    match command {
        Command::Namespaces(arguments) => describe::namespaces(&arguments).await,
        Command::Create(arguments) => describe::create(&arguments).await,
        Command::Get(arguments) => find::get(&arguments).await,
        Command::Query(arguments) => find::query(&arguments).await,
        Command::Upsert(arguments) => load::upsert(&arguments).await,
        Command::Patch(arguments) => load::patch(&arguments).await,
        Command::Delete(arguments) => delete::delete(&arguments).await,
        Command::Flush(arguments) => index::flush(&arguments).await,
        Command::Compact(arguments) => index::compact(&arguments).await,
        Command::Schema(arguments) => describe::schema(&arguments).await,
        Command::Metadata(arguments) => describe::metadata(&arguments).await,
        Command::Recall(arguments) => find::recall(&arguments).await,
        Command::Inspect(arguments) => inspect::inspect(&arguments).await,
        Command::Verify(arguments) => inspect::verify(&arguments).await,
        Command::Serve(_) | Command::Completions(_) => {
            unreachable!("what needs no store was done before")
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_word_of_it_explained() {
        let mut root = Arguments::command();
        root.build();
        root.clone().debug_assert();
        for verb in root.get_subcommands() {
            assert!(verb.get_about().is_some(), "{} says nothing", verb.get_name());
            for argument in verb.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", verb.get_name(), argument.get_id());
            }
        }
    }
}
