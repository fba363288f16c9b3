//! `sana completions`: what a shell needs to complete commands and options.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::failure::Failed;

/// Print completions for a shell.
///
/// Bash: `source <(sana completions bash)`. Zsh: `sana completions zsh > "${fpath[1]}/_sana"`. Fish:
/// `sana completions fish > ~/.config/fish/completions/sana.fish`.
#[derive(Args)]
pub(super) struct CompletionsArguments {
    /// The shell.
    shell: Shell,
}

/// Prints them.
///
/// # Errors
///
/// [`Failed`] if they cannot be printed.
pub(super) fn run(arguments: &CompletionsArguments) -> Result<(), Failed> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut super::Arguments::command(), "sana", &mut script);
    let mut out = io::stdout().lock();
    Ok(out.write_all(&script).and_then(|()| out.flush())?)
}
