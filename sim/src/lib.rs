//! The adversary: Sana's machines on a store with every fault.
//!
//! | module       | what it answers                                                          |
//! |--------------|--------------------------------------------------------------------------|
//! | [`store`]    | What does a bucket do with a request?                                    |
//! | [`beside`]   | What if it takes a real store?                                           |
//! | [`choices`]  | Who decides?                                                             |
//! | [`digest`]   | What tells one world from another?                                       |
//! | [`model`]    | What is a namespace to its users?                                        |
//! | [`oracles`]  | What must hold?                                                          |
//! | [`shelf`]    | What do copies of a map share?                                           |
//! | [`many`]     | What do copies of a world share?                                         |
//! | [`marks`]    | What must have been come across?                                         |
//! | [`ledger`]   | Which writes had which fates?                                            |
//! | [`explore`]  | Which worlds can there be?                                               |
//! | [`arena`]    | A small world for the explorer: machines, every order, every fate        |
//! | [`deed`]     | What does an actor of the small world do?                                |
//! | [`world`]    | The large world: nodes, clients, time, and everything that goes wrong    |
//! | [`forks`]    | How do seeds do that are tried in many ways?                             |
//! | [`mod@bench`] | How fast is it?                                                          |
//! | [`machine`]  | What is it measured on?                                                  |
//! | [`swarm`]    | How do many seeds do?                                                    |
//! | [`workload`] | What do clients ask?                                                     |
//! | [`guard`]    | What if the engine panics?                                               |
//! | [`mutants`]  | Are bugs found?                                                          |
//! | [`trace`]    | How is a run run again?                                                  |
//! | [`shrink`]   | What is the shortest run that fails like this one?                       |
//! | [`qualify`]  | Does what clients saw of a real store fit the model?                      |
//! | [`finding`]  | What is shown of one run?                                                |
//! | [`smallest`] | And the shortest of all that do?                                         |
//! | [`twice`]    | Does another process come to the same?                                   |
//! | [`proof`]    | What was tried, found and shown, on one page?                            |
//! | [`report`]   | What do explorations and hunts print?                                    |
//! | [`stopwatch`] | How long did it take?                                                   |
//! | [`table`]    | What is known of a fingerprint?                                          |
//! | [`story`]    | What happened, scene by scene?                                           |
//! | [`diagram`]  | What does a story look like?                                             |
//! | [`words`]    | How is what the store is asked told?                                     |
//! | [`phrases`]  | How is what clients ask told?                                            |

#![expect(
    clippy::mutable_key_type,
    reason = "a shared value takes its fingerprint late, and it is the same whenever it is taken"
)]

pub mod arena;
pub mod bench;
pub mod beside;
pub mod choices;
pub mod deed;
pub mod diagram;
pub mod digest;
pub mod explore;
pub mod finding;
pub mod forks;
pub mod guard;
pub mod ledger;
pub mod machine;
pub mod many;
pub mod marks;
pub mod model;
pub mod mutants;
pub mod oracles;
pub mod phrases;
pub mod proof;
pub mod qualify;
pub mod report;
pub mod shelf;
pub mod shrink;
pub mod smallest;
pub mod stopwatch;
pub mod store;
pub mod story;
pub mod swarm;
pub mod table;
pub mod trace;
pub mod twice;
pub mod words;
pub mod workload;
pub mod world;
