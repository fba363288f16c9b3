//! The adversary: Sana's machines on a store with every fault.
//!
//! | module       | what it answers                                                          |
//! |--------------|--------------------------------------------------------------------------|
//! | [`store`]    | What does a bucket do with a request?                                    |
//! | [`choices`]  | Who decides?                                                             |
//! | [`digest`]   | What tells one world from another?                                       |
//! | [`model`]    | What is a namespace to its users?                                        |
//! | [`oracles`]  | What must hold?                                                          |
//! | [`marks`]    | What must have been come across?                                         |
//! | [`ledger`]   | Which writes had which fates?                                            |
//! | [`explore`]  | Which worlds can there be?                                               |
//! | [`arena`]    | A small world for the explorer: machines, every order, every fate        |
//! | [`deed`]     | What does an actor of the small world do?                                |
//! | [`world`]    | The large world: nodes, clients, time, and everything that goes wrong    |
//! | [`swarm`]    | How do many seeds do?                                                    |
//! | [`workload`] | What do clients ask?                                                     |
//! | [`guard`]    | What if the engine panics?                                               |
//! | [`mutants`]  | Are bugs found?                                                          |
//! | [`trace`]    | How is a run run again?                                                  |
//! | [`shrink`]   | What is the shortest run that fails like this one?                       |
//! | [`report`]   | What do explorations and hunts print?                                    |
//! | [`stopwatch`] | How long did it take?                                                   |
//! | [`table`]    | What is known of a fingerprint?                                          |
//! | [`words`]    | How is it told?                                                          |

#![expect(
    clippy::mutable_key_type,
    reason = "a shared value takes its fingerprint late, and it is the same whenever it is taken"
)]

pub mod arena;
pub mod choices;
pub mod deed;
pub mod digest;
pub mod explore;
pub mod guard;
pub mod ledger;
pub mod marks;
pub mod model;
pub mod mutants;
pub mod oracles;
pub mod report;
pub mod shrink;
pub mod stopwatch;
pub mod store;
pub mod swarm;
pub mod table;
pub mod trace;
pub mod words;
pub mod workload;
pub mod world;
