//! Everything impure of Sana: stores, clocks, threads, HTTP, and the binary sana.
//!
//! | module      | what it answers                                            |
//! |-------------|------------------------------------------------------------|
//! | [`clock`]   | What time is it? Nothing else reads the system's clocks.   |
//! | [`entropy`] | Where do seeds, nonces and owners come from?               |
//! | [`store`]   | Where do objects lie: in memory, in a folder?              |

pub mod clock;
pub mod entropy;
pub mod store;
