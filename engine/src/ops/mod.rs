//! Machines, one verb a file. Each file opens with its story, round by round.
//!
//! | module     | what it answers                                                        |
//! |------------|------------------------------------------------------------------------|
//! | [`flush`]  | How do log entries become a segment?                                   |
//! | [`merge`]  | How do segments become one?                                            |
//! | [`read`]   | How are stretches of segments read, checked, and what can go wrong?    |
//! | [`upload`] | How do parts of a segment get into the store?                          |

pub mod flush;
pub mod merge;
pub mod read;
pub mod upload;

#[cfg(test)]
mod tests;
