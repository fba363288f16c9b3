//! The command line.

mod serve;
mod sizes;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A search engine whose only durable state is an object store.
///
/// It speaks turbopuffer's HTTP API, so turbopuffer's official clients work with it.
///
/// Begin with `sana serve`: it answers on 127.0.0.1:3001, keeps everything in ./sana-data, and
/// prints how to try it.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer requests, and index what is written in the background.
    Serve(Box<serve::ServeArguments>),
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let Arguments { command: Command::Serve(arguments) } = Arguments::parse();
    match serve::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sana: {error}");
            ExitCode::FAILURE
        }
    }
}
