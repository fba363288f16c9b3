//! Everything impure of Sana: stores, clocks, threads, HTTP, and the binary sana.
//!
//! | module        | what it answers                                               |
//! |---------------|---------------------------------------------------------------|
//! | [`cache`]     | How does a store look from behind the cache?                  |
//! | [`cli`]       | What can be said on the command line?                         |
//! | [`clock`]     | What time is it? Nothing else reads the system's clocks.      |
//! | [`compute`]   | Where is computed what would hold up others?                  |
//! | [`entropy`]   | Where do seeds, nonces and owners come from?                  |
//! | [`http`]      | What is on the wire?                                          |
//! | [`node`]      | What does this process do for which namespace?                |
//! | `outliving`   | What of work that nobody waits for any more?                  |
//! | [`store`]     | Where do objects lie: in memory, in a folder, in a bucket?    |
//! | [`telemetry`] | How is it doing?                                              |
//! | [`verify`]    | Is all that a head names there and whole?                     |

pub mod cache;
pub mod cli;
pub mod clock;
pub mod compute;
pub mod entropy;
pub mod http;
pub mod node;
mod outliving;
pub mod store;
pub mod telemetry;
pub mod verify;
