//! Tests of Sana from outside, and suites for those who embed it.

pub mod source;
