//! Benchmarks of Sana.
