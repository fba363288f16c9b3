//! The pure part of Sana: a search engine whose only durable state is an object store.
//!
//! Nothing here reads a clock, draws a random number, starts a thread or opens a socket. An operation
//! is a [`Machine`](machine::Machine): plain data that asks for rounds of requests and is stepped with
//! the replies. The runtime performs them on real stores, the simulator on one with every fault.
//!
//! | floor         | what it holds                                                        |
//! |---------------|----------------------------------------------------------------------|
//! | [`base`]      | words without behaviour: ids, names, values, time, limits            |
//! | [`machine`]   | how the pure part asks for anything: rounds, requests, fates         |
//! | [`mod@format`]    | values ⇄ bytes, one file per object or section                       |
//! | [`index`]     | mathematics in memory: filters, order, distances                     |
//! | [`namespace`] | what a namespace is, as values with pure transitions                 |
//! | [`ops`]       | machines, one verb a file                                            |
//! | [`service`]   | what lives between operations on one node                            |
//!
//! Dependencies point one way: `base ← format ← index ← namespace ← ops ← service` and
//! `base ← machine ← ops`. A test holds it.

// Tests that a fuzz target shares name the engine as it does.
#[cfg(test)]
extern crate self as sana_engine;

pub mod base;
pub mod format;
pub mod index;
pub mod machine;
pub mod namespace;
pub mod ops;
pub mod service;
