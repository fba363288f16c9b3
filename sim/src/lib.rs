//! The adversary: Sana's machines on a store with every fault.

pub mod choices;
pub mod digest;
pub mod explore;
pub mod model;
pub mod oracles;
pub mod store;
