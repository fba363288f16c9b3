//! Steps machines, and takes a panic for what it is: an assertion of the engine that does not hold.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::oracles::{Broken, Oracle};

/// Does something with the engine.
///
/// # Errors
///
/// [`Broken`] if the engine panics. Production would survive that as a crash; here it is a finding.
pub fn guarded<R>(deed: impl FnOnce() -> R) -> Result<R, Broken> {
    catch_unwind(AssertUnwindSafe(deed)).or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Oracle::Sound.broken(text.unwrap_or_else(|| "a panic without words".into()))
    })
}

/// Keeps panics of the engine from being printed: they are told as part of a story.
pub fn silence_panics() {
    std::panic::set_hook(Box::new(|_| ()));
}
