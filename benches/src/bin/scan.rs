//! How fast an exact vector scan runs against the memory of this machine.
//!
//! `cargo run --release -p sana-benches --bin scan -- [--data DIR]`, where DIR holds
//! `vectors.f16.bin`: 50,000 vectors of 384 half floats. Without it the vectors are random.

use std::hint::black_box;
use std::time::Instant;

use sana_engine::base::host::Simd;
use sana_engine::format::schema::Metric;
use sana_engine::index::vector::distance::Probe;

const ROWS: usize = 50_000;
const DIMENSIONS: usize = 384;
/// Times that a measurement is repeated; the best counts, for others use this machine too.
const REPEATS: usize = 30;

fn main() {
    let vectors = vectors();
    let bytes: Vec<u8> = vectors.iter().flat_map(|x| x.to_le_bytes()).collect();
    let memory = best_rate(bytes.len(), || black_box(sum(black_box(&bytes))));
    println!("memory, read with wide loads: {memory:.2} GB/s");
    for simd in supported() {
        for metric in Metric::ALL {
            let probe = Probe::new(metric, &vectors[..DIMENSIONS], simd);
            let mut distances = vec![0.0; ROWS];
            let rate = best_rate(bytes.len(), || {
                probe.distances(black_box(bytes.as_chunks().0), &mut distances);
                black_box(distances[ROWS / 2])
            });
            println!("{metric}, {simd:?}: {rate:.2} GB/s, {:.2} of memory", rate / memory);
        }
    }
}

/// What this processor has, slowest first.
fn supported() -> Vec<Simd> {
    let mut supported = vec![Simd::Scalar];
    #[cfg(target_arch = "x86_64")]
    {
        supported.extend(is_x86_feature_detected!("avx2").then_some(Simd::Avx2));
        supported.extend(is_x86_feature_detected!("avx512f").then_some(Simd::Avx512));
    }
    supported
}

/// The vectors of the data set, or random ones.
fn vectors() -> Vec<f32> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--data");
    let Some(folder) = arguments.nth(1) else {
        println!("random vectors");
        let mut state = 1_u64;
        return (0..ROWS * DIMENSIONS).map(|_| random(&mut state)).collect();
    };
    let path = format!("{folder}/vectors.f16.bin");
    let halves = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (halves, _) = halves.as_chunks::<2>();
    halves.iter().take(ROWS * DIMENSIONS).map(|half| widened(u16::from_le_bytes(*half))).collect()
}

/// Between -1 and 1.
fn random(state: &mut u64) -> f32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 40) as f32 / (1 << 23) as f32 - 1.0
}

/// A half float as a float.
fn widened(half: u16) -> f32 {
    let sign = u32::from(half >> 15) << 31;
    let (exponent, mantissa) = (u32::from(half >> 10 & 31), u32::from(half & 0x3ff));
    if exponent == 0 {
        let size = mantissa as f32 / (1 << 24) as f32;
        return if sign == 0 { size } else { -size };
    }
    f32::from_bits(sign | (exponent + 112) << 23 | mantissa << 13)
}

fn sum(bytes: &[u8]) -> u64 {
    let (lines, _) = bytes.as_chunks::<64>();
    let mut sums = [0_u64; 8];
    for line in lines {
        for (sum, word) in sums.iter_mut().zip(line.as_chunks::<8>().0) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    sums.iter().fold(0, |all, sum| all.wrapping_add(*sum))
}

/// The best of several, in GB per second.
fn best_rate<T>(bytes: usize, mut work: impl FnMut() -> T) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..REPEATS {
        #[allow(clippy::disallowed_methods)] // A benchmark measures time.
        let begun = Instant::now();
        black_box(work());
        best = best.min(begun.elapsed().as_secs_f64());
    }
    bytes as f64 / best / 1e9
}
