//! Everything impure of Sana: stores, clocks, threads, HTTP, and the binary sana.
pub mod cache;
pub mod compute;
pub mod http;
