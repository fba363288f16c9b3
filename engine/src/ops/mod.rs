//! Machines, one verb a file, each opening with its story and its budget of rounds.
//!
//! | module         | what it does                                                    | rounds              |
//! |----------------|-----------------------------------------------------------------|---------------------|
//! | [`query`]      | find documents, order them, count them                          | 2; 3 by distance    |

pub mod query;
