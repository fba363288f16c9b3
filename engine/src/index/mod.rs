//! Mathematics in memory: filters, orders, sums, distances. No keys of objects, no requests.
//!
//! | module        | what it answers                                             |
//! |---------------|-------------------------------------------------------------|
//! | [`predicate`] | What conditions can a client state?                         |
//! | [`filter`]    | Which documents meet a condition?                           |
//! | [`order`]     | Which row comes first?                                      |
//! | [`positions`] | How are rows of a segment counted and combined?             |
//! | [`top`]       | Which are the nearest of many?                              |
//! | [`spread`]    | Which are, with only so many of a kind?                     |
//! | [`shuffle`]   | Which are a sample?                                         |
//! | [`aggregate`] | How many are there, and what do they sum up to?             |
//! | [`group`]     | And of each group?                                          |
//! | [`fuse`]      | How do several orders become one?                           |
//! | [`sum`]       | What do floats add up to, whatever their order?             |
//! | [`vector`]    | How far are vectors apart?                                  |
//! | [`invalid`]   | What can be wrong with a query?                             |

pub mod aggregate;
pub mod filter;
pub mod fuse;
pub mod group;
pub mod invalid;
pub mod order;
pub mod positions;
pub mod predicate;
pub mod shuffle;
pub mod spread;
pub mod sum;
pub mod top;
pub mod vector;
