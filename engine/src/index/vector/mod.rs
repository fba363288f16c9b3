//! Mathematics of vectors.
//!
//! | module       | what it answers                   |
//! |--------------|-----------------------------------|
//! | [`distance`] | How far is a vector from another?  |
//! | [`sparse`]   | How alike are sparse vectors?     |

pub mod distance;
pub mod sparse;
