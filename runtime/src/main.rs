//! The binary `sana`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sana_runtime::cli::main()
}
