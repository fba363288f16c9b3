//! What lives between operations on one node: plain values, and which machine they start next.
//!
//! | module        | what it answers                                                              |
//! |---------------|------------------------------------------------------------------------------|
//! | [`namespace`] | What does a node hold of a namespace, who waits, and what is to be run next? |
//! | [`settings`]  | What can an operator set?                                                    |
//! | [`left`]      | What does a head say is left to be done?                                     |
//! | `view`        | What of it is held?                                                          |
//! | `queue`       | Who waits for an operation?                                                  |
//! | [`cache`]     | Which immutable bytes are kept, and who waits for which read?                |
//! | [`task`]      | How does a driver run any machine a service starts?                          |
//! | `upkeep`      | When is a namespace flushed, merged, collected, swept?                       |
//! | `sweeps`      | When are orphans looked for?                                                 |
//! | `backoff`     | When is what failed tried again?                                             |
//! | `writes`      | Which writes are committed together?                                         |
//!
//! A driver owns a [`NamespaceService`](namespace::NamespaceService) for each namespace it has to do
//! with. It hands in what clients ask, runs every [`Start`](task::Start) it is given, hands the output
//! back, and delivers the answers. The runtime does this with threads and a clock, the simulator with
//! neither.

mod backoff;
pub mod cache;
pub mod left;
pub mod namespace;
mod queue;
pub mod settings;
mod sweeps;
pub mod task;
mod upkeep;
mod view;
mod writes;

#[cfg(test)]
mod tests;
