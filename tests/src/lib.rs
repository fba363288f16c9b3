//! Tests of Sana from outside, and suites for those who embed it.
//!
//! - [`conformance`] tells whether a store of your own answers as Sana expects.
//! - [`numbered`] makes bodies that tell whether they are whole.
//! - [`qualify`] tells whether it behaves as the model on which Sana is proven.
//! - [`source`] reads the project's own sources, for the tests that hold how they are written.

pub mod conformance;
pub mod numbered;
pub mod qualify;
pub mod source;
