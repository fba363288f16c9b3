//! Runs a program of ours that lies beside this one.
//!
//! The simulator knows no real store: it depends on nothing impure. What needs both is a program of
//! the crate `sana-tests`, which this one runs in its place (D25).

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// Runs the program of this name with these arguments. Its exit code.
///
/// # Errors
///
/// What to do so that it can be run.
pub fn run(name: &str, arguments: &[OsString]) -> Result<u8, String> {
    let program = std::env::current_exe()
        .map(|own| own.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
        .map_err(|error| format!("it is not known where this program lies: {error}"))?;
    if !program.is_file() {
        return Err(missing(name, &program));
    }
    let ended = Command::new(&program).args(arguments).status();
    let ended = ended.map_err(|error| format!("{} cannot be run: {error}", program.display()))?;
    // Without a code it was ended by a signal.
    Ok(ended.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}

fn missing(name: &str, program: &Path) -> String {
    format!(
        "{name} does the work, and it is not at {}. Build both:\n  \
         cargo build --release -p sana-sim -p sana-tests",
        program.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_missed_with_the_command_that_builds_it() {
        let error = run("sana-nobody", &[]).unwrap_err();
        assert!(error.contains("sana-nobody does the work"), "{error}");
        assert!(error.contains("cargo build --release -p sana-sim -p sana-tests"), "{error}");
    }
}
