//! Everything impure of Sana: stores, clocks, threads, HTTP, and the binary sana.
//!
//! | module      | what it answers                                               |
//! |-------------|---------------------------------------------------------------|
//! | [`cache`]   | Which immutable bytes are kept in memory?                     |
//! | [`clock`]   | What time is it? Nothing else reads the system's clocks.      |
//! | [`compute`] | Where is computed what would hold up others?                  |
//! | [`entropy`] | Where do seeds, nonces and owners come from?                  |
//! | [`http`]    | What is on the wire?                                          |
//! | [`store`]   | Where do objects lie: in memory, in a folder?                 |

pub mod cache;
pub mod clock;
pub mod compute;
pub mod entropy;
pub mod http;
pub mod store;
