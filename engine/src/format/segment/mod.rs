//! A segment: which rows it adds, which it kills, and their data. Written once, never changed.
//!
//! # Bytes
//!
//! A segment is a list of objects, its *parts*. What lies in them is a row of stretches
//! ([`Extent`](super::manifest::Extent)), each read, checked and cached by itself:
//!
//! ```text
//! parts      | pages of attribute 0 | … of attribute n | pages of ids | blocks of ids |
//!            | blocks of idempotency records | directory |
//! ```
//!
//! The directory is one frame of kind `Directory` and says where all others are; the manifest says
//! where the directory is.
//!
//! Inside a segment documents stand at *positions* from 0, in the order of their rows. A flush gives
//! its documents rows without gaps, so row = base + position. A merge keeps the rows of documents and
//! leaves those out that were killed; then the directory says which rows are left.
//!
//! | module        | what it answers                                          |
//! |---------------|----------------------------------------------------------|
//! | [`directory`] | What is where in a segment?                              |
//! | [`writer`]    | How does a segment come to be, in bounded memory?        |

pub mod directory;
pub mod writer;

pub use directory::Directory;
pub use writer::SegmentWriter;

#[cfg(test)]
mod tests;
