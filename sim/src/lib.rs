//! The adversary: Sana's machines on a store with every fault.
