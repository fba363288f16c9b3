//! What the driver hands in about the machine it runs on.

/// What this machine can do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Host {
    /// How wide its vector instructions are.
    pub simd: Simd,
}

/// Vector instructions a processor may have. Results do not depend on them, only speed.
///
/// Naming some that the processor lacks is a bug, and kernels refuse it: a driver asks the processor, with
/// [`is_supported`](Self::is_supported).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Simd {
    /// What every processor of the target has.
    #[default]
    Scalar,
    /// 256 bits: `avx2` of x86-64.
    Avx2,
    /// 512 bits: `avx512f` of x86-64.
    Avx512,
}
