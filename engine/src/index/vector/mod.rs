//! Mathematics of vectors.
//!
//! | module       | what it answers                  |
//! |--------------|----------------------------------|
//! | [`distance`] | How far is a vector from another? |

pub mod distance;
