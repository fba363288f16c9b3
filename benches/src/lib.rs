//! Benchmarks of Sana.
//!
//! | module     | what it answers                                       |
//! |------------|-------------------------------------------------------|
//! | [`client`] | How is a server asked without a client in the way?    |
//! | [`data`]   | Which documents are measured with?                    |
//! | [`world`]  | How does a namespace do without store and clock?      |

pub mod client;
pub mod data;
pub mod world;
